"""JSON-RPC over one kept connection: a node's refusals, and nodes that do not behave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from chain.errors import ConnectionFailed, RpcError
from chain.node import Anvil
from chain.rpc import Rpc, binary, block_tag, integer

Answer = Callable[[BaseHTTPRequestHandler, dict[str, object]], None]


def reply(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def server(answer: Answer) -> Iterator[Rpc]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *parts: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    rpc = Rpc.at(f"http://127.0.0.1:{http.server_port}")
    try:
        yield rpc
    finally:
        rpc.close()
        http.shutdown()
        http.server_close()


def test_refusal_has_method_code_and_message(chain: Anvil) -> None:
    with pytest.raises(RpcError) as caught:
        chain.rpc.call("no_such_method")
    assert (caught.value.method, caught.value.code) == ("no_such_method", -32601)
    assert str(caught.value) == "no_such_method: Method not found (code -32601)"


def test_unknown_block(chain: Anvil) -> None:
    with pytest.raises(RpcError, match="no block 999999"):
        chain.rpc.block(999_999)


def test_no_code(chain: Anvil) -> None:
    assert chain.rpc.code("0x" + "11" * 20) == b""


def test_a_closed_connection_is_opened_again() -> None:
    served = []

    def answer_once_and_hang_up(handler: BaseHTTPRequestHandler, request: dict[str, object]) -> None:
        served.append(request["id"])
        reply(handler, json.dumps({"id": request["id"], "result": "0x1"}).encode())
        handler.close_connection = True  # without saying so

    with server(answer_once_and_hang_up) as rpc:
        assert [rpc.block_number() for _ in range(3)] == [1, 1, 1]
    assert served == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"not json", 200, "no answer from the node"),
        (b"[]", 200, "the answer belongs to no call of ours"),
        (b'{"id": 99, "result": 1}', 200, "the answer belongs to no call of ours"),
        (b"busy", 503, "HTTP 503: b'busy'"),
    ],
)
def test_answers_that_are_no_json_rpc(body: bytes, status: int, message: str) -> None:
    with server(lambda handler, _: reply(handler, body, status)) as rpc, pytest.raises(ConnectionFailed, match=message):
        rpc.block_number()


def test_nobody_listens() -> None:
    with pytest.raises(ConnectionFailed, match="no answer from the node at 127"):
        Rpc("127.0.0.1", 1).block_number()


@pytest.mark.parametrize("url", ["https://node", "node:8545", "http://", "file:///tmp/x"])
def test_addresses_that_are_no_http_urls(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port"):
        Rpc.at(url)


def test_forms_of_values() -> None:
    assert (integer("0x1f"), binary("0x00ff"), binary("0x")) == (31, b"\x00\xff", b"")
    assert (block_tag(0), block_tag(255), block_tag("finalized")) == ("0x0", "0xff", "finalized")
