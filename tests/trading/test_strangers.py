"""What others answer is judged: forged signatures and pseudonyms are not taken, foreign trades not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.responses import Response

from member.daemon import Daemon
from member.errors import PeerRefused
from member.service import Body, Caller, answer
from settlement.documents import document, value_of
from settlement.trade import Trade
from store.records import MemberSignature, OpenTrade
from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, order_line, reasons
from trading.batching import make_batch
from trading.proposing import SignedBatch

Make = Callable[[Daemon[Any]], APIRouter]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Bustle]:
    with Bustle(tmp_path) as made:
        yield made


def posting(path: str, say: Callable[[Daemon[Any], Any], Any]) -> Make:
    """A member that answers a request as it is told to."""

    def routes(daemon: Daemon[Any]) -> APIRouter:
        router = APIRouter(prefix="/v1")

        @router.post(path)
        def answered(caller: Caller, body: Body) -> Response:
            return answer(say(daemon, body))

        return router

    return routes


def signed_by_its_relayer(daemon: Daemon[Any], body: Any) -> Any:
    """Signatures by another key than the member's."""
    trades = [value_of(Trade, one["trade"]) for one in body["trades"]]
    digests = [daemon.market.domain.digest(one) for one in trades]
    other = replace(daemon.me, key=b"\x01" * 32)
    return {"answers": [document(MemberSignature.of(daemon.me.id, other.sign_digest(digest))) for digest in digests]}


def test_a_forged_signature_is_not_taken(scene: Bustle) -> None:
    scene.utility("eastpower")
    scene.utility("westpower")
    scene.daemon(
        "sunmarket", routers=[posting("/trades/sign", signed_by_its_relayer)]
    )  # first: whoever is not there is left alone a while
    scene.platform("rooftrade")
    scene.order("rooftrade", [order_line()])
    scene.settle_down()
    (trade,) = scene.daemons["rooftrade"].store.open_trades(CYCLE)
    assert trade.missing == (scene.id("sunmarket"),)
    (reason,) = reasons(scene.daemons["rooftrade"])
    assert reason.startswith("1 trades lack a signature: signatures: not by the key of 0x")


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda daemon, body: {"answers": []}, "answers: must be one for each trade"),
        (lambda daemon, body: {}, "answers: must be one for each trade"),
        (lambda daemon, body: {"answers": [{"v": 27}]}, "$.answers[0].member: is missing"),
    ],
)
def test_an_answer_that_is_none(scene: Bustle, say: Callable[[Daemon[Any], Any], Any], why: str) -> None:
    scene.utility("eastpower")
    scene.utility("westpower")
    scene.daemon(
        "sunmarket", routers=[posting("/trades/sign", say)]
    )  # first: whoever is not there is left alone a while
    scene.platform("rooftrade")
    scene.order("rooftrade", [order_line()])
    scene.settle_down()
    (reason,) = reasons(scene.daemons["rooftrade"])
    assert why in reason


def false_pseudonym(daemon: Daemon[Any], body: Any) -> Any:
    """A meter's name that is not the hash of its salt."""
    meter = {"utility": daemon.me.id, "meter_id": body["meters"][0], "cycle": body["cycle"]}
    return {"meters": [meter | {"salt": bytes(32), "meter": b"\x01" * 32}], "unknown": []}


def test_a_pseudonym_that_does_not_open_is_not_taken(scene: Bustle) -> None:
    scene.daemon("eastpower", routers=[posting("/meters", false_pseudonym)])
    scene.utility("westpower")
    scene.platform("rooftrade")
    scene.order("rooftrade", [order_line()])
    scene.settle_down()
    (reason,) = [one for one in reasons(scene.daemons["rooftrade"]) if "pseudonyms" in one]
    assert "meters: is not the hash of the salt and the meter" in reason
    assert scene.daemons["rooftrade"].store.open_trades(CYCLE) == ()


def test_what_is_handed_over_must_be_signed_by_all_and_between_signers(scene: Bustle) -> None:
    scene.everybody()
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    (trade,) = scene.daemons["rooftrade"].store.open_trades(CYCLE)
    whole = {"trade": document(trade.trade), "signatures": document(trade.signatures)}
    part = whole | {"signatures": document(trade.signatures[:-1])}
    seller = scene.daemons["rooftrade"].peers
    assert seller.post(scene.id("sunmarket"), "/v1/trades/signed", {"trades": [whole]}) == {"taken": 1}
    with pytest.raises(PeerRefused, match="trade-refused: signatures are missing"):
        seller.post(scene.id("sunmarket"), "/v1/trades/signed", {"trades": [part]})
    forged = replace(trade.signatures[0], r=trade.signatures[1].r)
    body = {"trades": [whole | {"signatures": document((forged, *trade.signatures[1:]))}]}
    with pytest.raises(PeerRefused, match="trade-refused: not by the key of 0x"):
        seller.post(scene.id("sunmarket"), "/v1/trades/signed", body)
    other = scene.trade(buyer="sunmarket", seller="sunmarket")
    foreign = {"trade": document(other.trade), "signatures": document(other.signatures)}
    with pytest.raises(PeerRefused, match="not-yours: a trade is handed over between its signers"):
        seller.post(scene.id("sunmarket"), "/v1/trades/signed", {"trades": [foreign]})
    with pytest.raises(PeerRefused, match="value-refused"):
        seller.post(scene.id("sunmarket"), "/v1/trades/signed", [])


def test_only_the_lower_platform_proposes(scene: Bustle) -> None:
    scene.everybody()
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    low, high = sorted(scene.platforms, key=scene.id)
    scene.before_gate()
    proposer = scene.daemons[low]
    proposer.once()
    kept = proposer.store.facts("batch")
    (batch,) = kept.values()
    signed = {"proposed": batch["proposed"], "signature": batch["signatures"][0]}
    with pytest.raises(PeerRefused, match="batch-refused: platform_a: a batch is proposed by the lower"):
        scene.daemons[high].peers.post(scene.id(low), "/v1/batches/sign", signed)
    forged = signed | {"signature": signed["signature"] | {"r": "0x" + "11" * 32}}
    later = {**batch["proposed"]["batch"], "sequence": 2}
    changed = forged | {"proposed": {**batch["proposed"], "batch": later}}
    with pytest.raises(PeerRefused, match="batch-refused: signatures: not by the key of 0x"):
        proposer.peers.post(scene.id(high), "/v1/batches/sign", changed)


def test_one_batch_is_signed_under_a_sequence(scene: Bustle) -> None:
    scene.everybody()
    lines = [order_line(1), order_line(2)]
    for name in scene.platforms:
        scene.order(name, lines)
    scene.settle_down()
    low, high = sorted(scene.platforms, key=scene.id)
    proposer, other = scene.daemons[low], scene.daemons[high]
    trades = proposer.store.open_trades(CYCLE)

    def ask(of: Sequence[OpenTrade], sequence: int = 1) -> Any:
        proposed = make_batch(of, sequence, proposer.market.templates, {})
        signature = MemberSignature.of(proposer.me.id, proposer.desk.sign(proposed.batch))
        return proposer.peers.post(other.me.id, "/v1/batches/sign", document(SignedBatch(proposed, signature)))

    first = ask(trades)
    assert first == ask(trades)
    with pytest.raises(PeerRefused, match="batch-refused: sequence: another batch is signed under it"):
        ask(trades[:1])
    with pytest.raises(PeerRefused, match=r"batch-refused: digests: 0x[0-9a-f]{64} stands in batch 1"):
        ask(trades[:1], 2)
    scene.before_gate()
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 1
    with pytest.raises(PeerRefused, match=r"batch-refused: digests: 0x[0-9a-f]{64} is committed already"):
        ask(trades[:1], 2)
