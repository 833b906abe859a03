"""A proxy before a real node that answers like several nodes behind one address, some of which lag behind.

Of a range of blocks that it does not know a lagging node gives the logs of those that it knows, which may be none; of
a block's hash that it does not know it says so. That is what nodes in use do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

from chain.errors import RpcError
from chain.node import Anvil
from chain.rpc import Rpc, integer


class Lagging:
    """`behind`: by how many blocks those nodes lag that answer in turn."""

    def __init__(self, node: Anvil, *behind: int) -> None:
        self._rpc = Rpc.at(node.url)
        self._behind = cycle(behind)
        self._one_at_a_time = threading.Lock()
        self.url = ""

    def answer(self, method: str, params: list[Any]) -> Any:
        with self._one_at_a_time:
            head = max(0, self._rpc.block_number() - next(self._behind))
            if method == "eth_blockNumber":
                return hex(head)
            if method == "eth_getBlockByNumber" and params[0] != "finalized":
                number = head if params[0] == "latest" else integer(params[0])
                return self._rpc.call(method, hex(number), params[1]) if number <= head else None
            found = self._range(params[0], head) if method == "eth_getLogs" else self._rpc.call(method, *params)
            if method == "eth_getBlockByHash" and found is not None and integer(found["number"]) > head:
                return None
            return found

    def _range(self, wanted: dict[str, Any], head: int) -> Any:
        if "blockHash" in wanted:
            block = self._rpc.block_of(wanted["blockHash"])
            if block is None or integer(block["number"]) > head:
                raise RpcError("eth_getLogs", -32000, "unknown block")
            return self._rpc.call("eth_getLogs", wanted)
        first, last = integer(wanted["fromBlock"]), min(integer(wanted["toBlock"]), head)
        return self._rpc.logs(wanted["address"], first, last) if first <= last else []


@contextmanager
def lagging(node: Anvil, *behind: int) -> Iterator[str]:
    """The URL of nodes that lag behind `node` by so many blocks, each in turn."""
    backends = Lagging(node, *behind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece, or each waits for the other's acknowledgement

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                answer["result"] = backends.answer(request["method"], request["params"])
            except RpcError as error:
                answer["error"] = {"code": error.code, "message": error.message}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *parts: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
