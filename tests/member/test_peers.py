"""Asking others: what is sent, what silence costs, and what comes back as what."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from member import peers as peers_module
from member.desk import Member
from member.errors import PeerRefused, PeerSilent
from member.peers import ATTEMPTS, Peers
from settlement import typed_data
from settlement.identity import member_id
from wire.problems import Problem
from wire.signed_requests import NonceMemory, verify

ME = Member("sunmarket.example", b"\x11" * 32)
OTHER = "rooftrade.example"
WALL = 1_785_000_000


@dataclass
class Other:
    """Another member, as far as HTTP goes: it keeps what it was sent and answers from a list, the last one for ever."""

    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"{}")])
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    delay: float = 0
    url: str = ""

    def answer(self) -> tuple[int, bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def other() -> Iterator[Other]:
    state = Other()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked.append((self.command, self.path, dict(self.headers.items()), body))
            time.sleep(state.delay)
            status, raw = state.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: a client that does not wait any more is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def make_peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Peers]]:
    monkeypatch.setattr(peers_module, "_PAUSE_SECONDS", 0.001)
    made: list[Peers] = []

    def make(url: str, **given: Any) -> Peers:
        made.append(Peers(ME, {OTHER: url}, wall=lambda: WALL, **given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def problem(code: str, **facts: Any) -> tuple[int, bytes]:
    found = Problem(code, "because", facts=facts)
    return found.status, json.dumps(found.document()).encode()


def test_requests_are_signed_for_their_address(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.answers = [(200, b'{"amount":"12"}')]
    peers = make_peers(other.url)
    assert peers.post(OTHER, "/v1/rows?x=%20", {"b": 1, "a": "ä"}) == {"amount": "12"}
    assert peers.get(member_id(OTHER), "/v1/leaves/7/0") == {"amount": "12"}
    seen = NonceMemory()
    for (method, path, headers, body), expected in zip(
        other.asked, [("POST", "/v1/rows?x=%20", '{"a":"ä","b":1}'), ("GET", "/v1/leaves/7/0", "")], strict=True
    ):
        assert (method, path, body.decode()) == expected
        member = verify(headers, method, other.url + path, body, WALL, lambda _: {typed_data.address_of(ME.key)}, seen)
        assert member == ME.id


def test_the_gateway_is_asked_with_a_key_for_repetition(other: Other, make_peers: Callable[..., Peers]) -> None:
    peers = make_peers(other.url, gateway=other.url)
    assert peers.gateway is not None
    assert peers.gateway.post("/v1/trades", {}, idempotency_key="trade-1") == {}
    assert other.asked[0][2]["Idempotency-Key"] == "trade-1"
    assert make_peers(other.url).gateway is None


def test_a_problem_is_an_answer(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.answers = [problem("row-differs", count=3)]
    with pytest.raises(PeerRefused) as caught:
        make_peers(other.url).post(OTHER, "/v1/rows", {})
    assert caught.value.problem == Problem("row-differs", "because", facts={"count": 3})
    assert str(caught.value) == f"{OTHER}: row-differs: because"
    assert len(other.asked) == 1


def test_a_problem_that_passes_is_an_answer_too(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.answers = [problem("try-again"), (200, b"7")]
    peers = make_peers(other.url)
    with pytest.raises(PeerRefused, match="try-again"):
        peers.get(OTHER, "/")
    assert peers.get(OTHER, "/") == 7  # it was not taken for silent


def test_what_failed_is_asked_again_with_a_nonce_of_its_own(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.answers = [(502, b"<html>"), (500, b"{}"), (200, b"[]")]
    assert make_peers(other.url).post(OTHER, "/v1/rows", {}) == []
    inputs = {headers["Signature-Input"] for _, _, headers, _ in other.asked}
    assert len(inputs) == len(other.asked) == 3


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ((500, b"{}"), "HTTP 500 without a problem document"),
        ((302, b""), "HTTP 302 without a problem document"),
        ((404, b'{"code":"unheard-of"}'), "HTTP 404 without a problem document"),
        ((200, b"<html>"), "HTTP 200 with what is no JSON of ours: Expecting value: line 1 column 1 (char 0)"),
        ((200, b"1.5"), "HTTP 200 with what is no JSON of ours: 1.5 is not an integer; amounts are text"),
    ],
)
def test_what_is_no_answer_of_ours(
    other: Other, make_peers: Callable[..., Peers], answer: tuple[int, bytes], what: str
) -> None:
    other.answers = [answer]
    with pytest.raises(PeerSilent) as caught:
        make_peers(other.url).get(OTHER, "/")
    assert (caught.value.peer, caught.value.what) == (OTHER, what)
    assert len(other.asked) == ATTEMPTS


def test_an_endless_answer(other: Other, make_peers: Callable[..., Peers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_module, "LARGEST_ANSWER", 1_000)
    other.answers = [(200, b'"' + b"x" * 1_000 + b'"')]
    with pytest.raises(PeerSilent, match="an answer of more than 1000 bytes"):
        make_peers(other.url).get(OTHER, "/")


def test_the_silent_are_left_alone_for_a_while(
    other: Other, make_peers: Callable[..., Peers], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(peers_module.time, "monotonic", lambda: clock[0])
    other.answers = [(502, b"")]
    peers = make_peers(other.url)
    for pause in (0.5, 1, 2, 4, 4):
        before = len(other.asked)
        with pytest.raises(PeerSilent, match="HTTP 502"):
            peers.get(OTHER, "/")
        assert len(other.asked) == before + ATTEMPTS
        clock[0] += pause - 0.01
        with pytest.raises(PeerSilent, match="gave no answer a moment ago"):
            peers.get(OTHER, "/")
        assert len(other.asked) == before + ATTEMPTS
        clock[0] += 0.02


def test_who_asks_is_alive(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.answers = [(502, b""), (502, b""), (502, b""), (200, b"1")]
    peers = make_peers(other.url)
    with pytest.raises(PeerSilent):
        peers.get(OTHER, "/")
    peers.heard(member_id("unknown.example"))
    with pytest.raises(PeerSilent, match="a moment ago"):
        peers.get(OTHER, "/")
    peers.heard(member_id(OTHER))
    assert peers.get(OTHER, "/") == 1


def test_nobody_listens(make_peers: Callable[..., Peers]) -> None:
    with pytest.raises(PeerSilent) as caught:
        make_peers("http://127.0.0.1:1").post(OTHER, "/v1/rows", {})
    assert "refused" in caught.value.what


def test_no_answer_in_time_is_not_waited_for_twice(other: Other, make_peers: Callable[..., Peers]) -> None:
    other.delay = 0.4
    began = time.monotonic()
    with pytest.raises(PeerSilent, match="timed out"):
        make_peers(other.url, answer_seconds=0.1).get(OTHER, "/")
    assert time.monotonic() - began < 0.35
    assert len(other.asked) == 1


def test_members_without_an_address(make_peers: Callable[..., Peers]) -> None:
    peers = make_peers("http://127.0.0.1:1")
    stranger = member_id("stranger.example")
    assert peers.knows(member_id(OTHER))
    assert not peers.knows(stranger)
    with pytest.raises(PeerSilent, match=r"^stranger.example: no answer: no address here$"):
        peers.get("stranger.example", "/")
    with pytest.raises(PeerSilent, match=rf"^0x{stranger.hex()}: no answer: no address here$"):
        peers.get(stranger, "/")


def test_no_key_in_sight() -> None:
    assert "1111" not in repr(ME)
