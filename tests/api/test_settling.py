"""A day from commitment to money, as the gateway tells it: each answer is compared with the contracts themselves.

The tests of this file follow each other through the day; what is needed for the next is in a fixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from api.routes import settlement as settlement_routes
from member.desk import counting
from settlement.config import DAY, HOUR, code
from settlement.cycle import settle_run
from settlement.documents import document
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import Acknowledgement, PaymentNotice, Row, RowAttestation, Signature, Withdrawal
from store.records import PlacedTrade
from tests.api.gateway_scene import GatewayScene, hexed, problem
from tests.api.test_batches import body, make
from tests.member.scene import CONFIG, CYCLE, DAY_END

PHASES = ("UNUSED", "DELIVERY", "INTAKE", "WINDOW", "SEALABLE", "COMPLETE")


@dataclass
class SettlingDay:
    """The day's scene, its trades at their places, and its rows."""

    scene: GatewayScene
    placed: tuple[PlacedTrade, ...]
    rows: dict[tuple[bytes, bytes], RowContent]

    def get(self, path: str, name: str = "sunmarket") -> dict[str, Any]:
        self.scene.follow()
        answer = self.scene.client(name).get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def row(self, payer: str, payee: str, version: int = 1, run: int = 0) -> Row:
        pair = self.scene.market.id(payer), self.scene.market.id(payee)
        inputs = self.scene.market.call("AllocationOracle", "inputs", CYCLE, run)
        return self.rows[pair].row(CYCLE, run, version, inputs)

    def sign(self, name: str, value: object) -> Signature:
        return self.scene.market.members[name].sign(self.scene.market.domain, value)

    def agreed(self, row: Row, payer: str, payee: str) -> dict[str, Any]:
        signed = {"payer_signature": self.sign(payer, row), "payee_signature": self.sign(payee, row)}
        return {"row": document(row)} | {name: document(one) for name, one in signed.items()}

    def states(self) -> set[str]:
        return {one["state"] for one in self.get("/v1/trades")["items"]}

    def phase(self) -> str:
        """The cycle's phase, which the contract confirms."""
        found = self.get(f"/v1/cycles/{CYCLE}")["phase"]
        assert found == PHASES[self.scene.market.call("AllocationOracle", "phase", CYCLE)]
        return str(found)


@pytest.fixture(scope="module")
def day(scene: GatewayScene) -> SettlingDay:
    """Two trades in a batch, which the gateway committed; a lock covers part of them."""
    market = scene.market
    assert SettlingDay(scene, (), {}).phase() == "UNUSED"
    trades = [market.trade(hour=8 + place, item=f"item-{place}") for place in range(2)]
    batch = make(scene, trades, 1)
    scene.client("sunmarket").post("/v1/batches", body(scene, batch, trades, ["sunmarket", "rooftrade"]))
    scene.work()
    placed = tuple(PlacedTrade(one.digest, one.trade, 1, place, (), one.signatures) for place, one in enumerate(trades))
    return SettlingDay(scene, placed, {})


@pytest.fixture(scope="module")
def sealed(day: SettlingDay) -> SettlingDay:
    """The same day after its run 0 was sealed; on the way every phase is compared with the contract's."""
    market, config = day.scene.market, day.scene.market.config
    assert (day.phase(), day.states()) == ("DELIVERY", {"COMMITTED"})
    market.move_to(DAY_END)
    assert day.phase() == "INTAKE"
    leaves = market.allocate("eastpower", day.placed)
    assert (day.phase(), day.states()) == ("INTAKE", {"ALLOCATED"})
    end = DAY_END + config.run_deadlines[0]
    for time, blocks in ((end - 1, 1), (end, 1), (end + config.window - 1, 1), (end + config.window, 1)):
        market.move_to(time, blocks)
        day.phase()
    assert day.phase() == "WINDOW", "nobody fixed the block from which the window counts its blocks"
    market.send("AllocationOracle", "open_window", CYCLE)
    assert day.phase() == "WINDOW"
    market.move_to(market.now, config.window_blocks)
    assert day.phase() == "SEALABLE"
    market.send("AllocationOracle", "seal", CYCLE)
    assert (day.phase(), day.states()) == ("INTAKE", {"SEALED"})
    seen = [SeenLeaf(one.run, one.utility, one.leaf) for one in leaves]
    terms = Terms.of(CYCLE, config)
    result = settle_run(0, counting(day.placed, ()), seen, Marks(), SHIPPED_BY_ID, terms)
    day.rows = dict(result.rows)
    return day


def test_cycle(sealed: SettlingDay) -> None:
    market = sealed.scene.market
    found = sealed.get(f"/v1/cycles/{CYCLE}")
    run = found["runs"][0]
    assert run["inputs"] == hexed(market.call("AllocationOracle", "inputs", CYCLE, 0))
    assert run["sealed_at"] == market.call("AllocationOracle", "sealed_at", CYCLE, 0)
    assert run["deadline"] == DAY_END + market.config.run_deadlines[0]
    assert [posted["utility"] for posted in run["posted"]] == [hexed(market.id("eastpower"))]
    assert found["next_run"] == 1
    assert found["runs"][1]["deadline"] == DAY_END + market.config.run_deadlines[1]
    assert found["runs"][2]["deadline"] is None, "it depends on a seal"
    assert found["config_digest"] == hexed(market.config.digest())
    (listed,) = sealed.get("/v1/cycles")["items"]
    assert (listed["cycle"], listed["sealed_runs"], listed["commitments"]) == (CYCLE, 1, 1)


def test_attested_row(sealed: SettlingDay) -> None:
    """Attested, published, applied after its window: the rows say so at each step."""
    market = sealed.scene.market
    row = sealed.row("sunmarket", "westpower")
    attestation = RowAttestation(market.domain.digest(row))
    order = market.call("MemberRegistry", "attestors")
    names = {market.id(name): name for name in market.utilities}
    signatures = [sealed.sign(names[member], attestation) for member in order]

    market.send("Settlement", "attest", row, 0b11, signatures)
    (found,) = sealed.get(f"/v1/rows?cycle={CYCLE}")["items"]
    assert (found["state"], found["way"], found["count"], found["published"]) == ("attested", "attested", 2, 0)
    assert (found["digest"], found["amount"]) == (hexed(attestation.row_digest), str(row.amount))

    content = sealed.rows[row.payer, row.payee]
    market.send("Settlement", "publish", row, list(content.leaves), list(content.tree.chunk(7, 0)[1]))
    (found,) = sealed.get(f"/v1/rows?cycle={CYCLE}")["items"]
    assert (found["state"], found["published"]) == ("published", 2)
    assert found["applies_from"] == market.now + market.config.row_window

    market.move_to(found["applies_from"])
    market.send("Settlement", "apply_attested", row)
    (found,) = sealed.get(f"/v1/rows?cycle={CYCLE}")["items"]
    assert (found["state"], found["way"], found["owed"]) == ("applied", "attested", str(row.amount))
    assert sealed.states() == {"SEALED"}, "the sale is not settled yet"


def test_agreed_row(sealed: SettlingDay) -> None:
    row = sealed.row("sunmarket", "rooftrade")
    client = sealed.scene.client("rooftrade")
    answer = client.post("/v1/rows", {"rows": [sealed.agreed(row, "sunmarket", "rooftrade")]})
    assert answer.status_code == 202, answer.text
    (relayed,) = answer.json()["items"]
    assert (relayed["kind"], relayed["state"]) == ("settle", "queued")

    sealed.scene.work()

    assert sealed.get(f"/v1/transactions/{relayed['id']}", "sunmarket")["state"] == "final"
    found = sealed.get(f"/v1/rows?cycle={CYCLE}")["items"][-1]
    assert (found["way"], found["version"], found["amount"]) == ("agreed", 1, str(row.amount))
    assert found["digest"] == hexed(sealed.scene.market.domain.digest(row))
    assert sealed.states() == {"SETTLED"}


def test_rows_that_are_refused(sealed: SettlingDay) -> None:
    row = sealed.row("sunmarket", "rooftrade", version=2)
    good = sealed.agreed(row, "sunmarket", "rooftrade")
    client = sealed.scene.client("sunmarket")
    swapped = good | {"payee_signature": good["payer_signature"]}
    answer = client.post("/v1/rows", {"rows": [good, swapped]})
    assert (answer.status_code, problem(answer)["code"]) == (422, "member-signature-wrong")
    assert [error["pointer"] for error in problem(answer)["errors"]] == ["#/rows/1/payee_signature"]
    answer = sealed.scene.client("eastpower").post("/v1/rows", {"rows": [good]})
    assert (answer.status_code, problem(answer)["code"]) == (403, "not-yours")
    answer = client.post("/v1/rows", {"rows": []})
    assert problem(answer)["errors"][0]["pointer"] == "#/rows"
    old = sealed.row("sunmarket", "rooftrade", version=1)
    answer = client.post("/v1/rows", {"rows": [sealed.agreed(replace(old, keep=1), "sunmarket", "rooftrade")]})
    assert (answer.status_code, problem(answer)["code"]) == (422, "contract-refuses")
    assert problem(answer)["reason"] == "Settlement: no row applied"


def test_many_rows_in_several_calls(sealed: SettlingDay, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a call takes; one that does not apply is skipped, and the rows say why."""
    monkeypatch.setattr(settlement_routes, "MAX_ROWS_A_CALL", 2)
    rows = [sealed.row("sunmarket", "rooftrade", version=version) for version in (3, 2, 4)]
    answer = sealed.scene.client("sunmarket").post(
        "/v1/rows", {"rows": [sealed.agreed(row, "sunmarket", "rooftrade") for row in rows]}
    )
    assert len(answer.json()["items"]) == 2, answer.text
    sealed.scene.work()
    found = {one["version"]: one for one in sealed.get(f"/v1/rows?cycle={CYCLE}")["items"] if one["way"] == "agreed"}
    assert {version: one["state"] for version, one in found.items()} == {
        1: "applied",
        3: "applied",
        2: "skipped",
        4: "applied",
    }
    assert found[2]["reason"] == "version not above the last"


@pytest.fixture(scope="module")
def owing(sealed: SettlingDay) -> SettlingDay:
    """What was not locked has fallen due."""
    market = sealed.scene.market
    (account,) = [
        one for one in sealed.get("/v1/obligations")["accounts"] if one["creditor"] == hexed(market.id("rooftrade"))
    ]
    assert account["amount"] == str(market.call("ObligationLedger", "owed", *_pair(sealed)))
    market.send("ObligationLedger", "fall_due", *_pair(sealed))
    return sealed


def _pair(day: SettlingDay) -> tuple[bytes, bytes]:
    return day.scene.market.id("sunmarket"), day.scene.market.id("rooftrade")


def test_obligation(owing: SettlingDay) -> None:
    market = owing.scene.market
    found = owing.get("/v1/obligations")
    (one,) = found["obligations"]
    kept = market.call("ObligationLedger", "obligation", 1)
    assert (one["amount"], one["closed"], one["due_at"]) == (str(kept["amount"]), "0", kept["due_at"])
    assert not one["is_overdue"]
    assert not [each for each in found["accounts"] if each["creditor"] == hexed(market.id("rooftrade"))]
    market.move_to(one["due_at"] + 1)
    (one,) = owing.get("/v1/obligations")["obligations"]
    assert one["is_overdue"]
    assert market.call("ObligationLedger", "is_overdue", 1)


def test_notice_and_acknowledgement(owing: SettlingDay) -> None:
    market = owing.scene.market
    debtor, creditor = _pair(owing)
    amount = market.call("ObligationLedger", "obligation", 1)["amount"]
    reference = keccak256(b"a bank's reference")
    notice = PaymentNotice(debtor, creditor, (1,), amount, code("UPI"), market.now, reference)
    sent = {"notice": document(notice), "signature": document(owing.sign("sunmarket", notice))}
    early = Acknowledgement(creditor, debtor, reference, amount)
    word = {"acknowledgement": document(early), "signature": document(owing.sign("rooftrade", early))}

    refused = owing.scene.client("rooftrade").post("/v1/obligations/acknowledgements", word)
    assert (refused.status_code, problem(refused)["reason"]) == (422, "ObligationLedger: more than notified")
    others = owing.scene.client("rooftrade").post("/v1/obligations/notices", sent)
    assert (others.status_code, problem(others)["code"]) == (403, "not-yours")
    forged = sent | {"signature": word["signature"]}
    wrong = owing.scene.client("sunmarket").post("/v1/obligations/notices", forged)
    assert (wrong.status_code, problem(wrong)["code"]) == (422, "member-signature-wrong")

    answer = owing.scene.client("sunmarket").post("/v1/obligations/notices", sent)
    assert answer.status_code == 202, answer.text
    owing.scene.work()
    found = owing.get("/v1/obligations")
    assert [(one["is_notified"], one["is_overdue"]) for one in found["obligations"]] == [(True, True)]
    assert market.call("ObligationLedger", "is_overdue", 1)
    market.move_to(market.now + CONFIG.notice_silence)
    silent = owing.get("/v1/obligations")["obligations"]
    assert [(one["is_notified"], one["is_overdue"]) for one in silent] == [(True, False)]
    assert not market.call("ObligationLedger", "is_overdue", 1)
    assert [one["reference_hash"] for one in found["notices"]] == [hexed(reference)]
    masked = owing.get("/v1/obligations", "eastpower")["notices"]
    assert [(one["amount"], one["reference_hash"]) for one in masked] == [(str(amount), None)]

    assert owing.scene.client("rooftrade").post("/v1/obligations/acknowledgements", word).status_code == 202
    owing.scene.work()
    (one,) = owing.get("/v1/obligations")["obligations"]
    assert one["closed"] == one["amount"] == str(amount)
    assert owing.get("/v1/obligations")["notices"][0]["acknowledged"] == str(amount)
    assert market.call("ObligationLedger", "obligation", 1)["closed"] == amount


def test_same_thing_under_another_key_is_relayed_once(owing: SettlingDay) -> None:
    """What was signed is one thing, whatever Idempotency-Key it comes under."""
    market = owing.scene.market
    market.fund("rooftrade", 500_000)
    withdrawal = Withdrawal(market.id("rooftrade"), 200_000, 0)
    sent = {"withdrawal": document(withdrawal), "signature": document(owing.sign("rooftrade", withdrawal))}
    client = owing.scene.client("rooftrade")
    free = market.call("SettlementEscrow", "free", withdrawal.member)

    answers = [client.post("/v1/withdrawals", sent) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    owing.scene.work()
    assert client.post("/v1/withdrawals", sent).json()["state"] == "final"
    owing.scene.work()
    assert market.call("SettlementEscrow", "free", withdrawal.member) == free - 200_000
    assert market.call("SettlementEscrow", "withdrawal_sequence", withdrawal.member) == 1


def test_set_off(owing: SettlingDay) -> None:
    """What falls due the other way is set off, and the accounts still say what the contract says."""
    market = owing.scene.market
    a, b = _pair(owing)
    more = replace(owing.row("sunmarket", "rooftrade", version=5), amount=0, count=0, root=keccak256(b""))
    owing.scene.client("sunmarket").post("/v1/rows", {"rows": [owing.agreed(more, "sunmarket", "rooftrade")]})
    owing.scene.work()
    market.move_to(market.now + HOUR + DAY)
    market.send("ObligationLedger", "fall_due", a, b)
    back = replace(owing.row("sunmarket", "rooftrade", version=6))
    owing.scene.client("sunmarket").post("/v1/rows", {"rows": [owing.agreed(back, "sunmarket", "rooftrade")]})
    owing.scene.work()
    market.move_to(market.now + HOUR + DAY)
    market.send("ObligationLedger", "fall_due", a, b)

    found = owing.get("/v1/obligations")
    for one in found["obligations"]:
        kept = market.call("ObligationLedger", "obligation", one["number"])
        assert (one["amount"], one["closed"]) == (str(kept["amount"]), str(kept["closed"]))
    assert found["obligations"][-1]["closed"] != "0", "it was set off"
    net = market.call("ObligationLedger", "owed", a, b) - market.call("ObligationLedger", "owed", b, a)
    told = {(one["debtor"], one["creditor"]): int(one["amount"]) for one in found["accounts"]}
    assert told.get((hexed(a), hexed(b)), 0) - told.get((hexed(b), hexed(a)), 0) == net
