"""Debts: what others owe falls due, and the operator's word about payments is signed and sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.debts import ledger_of
from member.errors import PeerRefused
from settlement.config import DAY, HOUR, code
from settlement.documents import document
from settlement.hashing import keccak256
from settlement.trade import Acknowledgement, BankAttestation, Denial, PaymentNotice
from tests.member.deployed import BANK
from tests.member.scene import CONFIG
from tests.member.settled_day import CHARGE, SALE, SettledDay

SUN_TO_ROOF = ("sunmarket", "rooftrade")


def settled(folder: Path, **more: object) -> SettledDay:
    """A day that is settled by agreement."""
    day = SettledDay(folder, **more)  # type: ignore[arg-type]
    day.allocate()
    day.seal()
    day.scene.settle_down()
    return day


def test_what_is_owed_falls_due_by_the_creditors_call(tmp_path: Path) -> None:
    with settled(tmp_path) as day:
        ledger = day.scene.daemons["sunmarket"].market.view.ledger()
        fell = {(event["debtor"], event["creditor"]): event["amount"] for event in ledger.of("FellDue")}
        sun, roof, west = (day.scene.id(name) for name in ("sunmarket", "rooftrade", "westpower"))

        assert fell == {(sun, roof): 2 * SALE, (sun, west): 2 * CHARGE}
        assert day.senders_of(f"fall_due:0x{sun.hex()}:1") == ["rooftrade", "westpower"]


def test_an_account_falls_due_once_in_the_interval(tmp_path: Path) -> None:
    with settled(tmp_path, config=replace(CONFIG, fall_due_interval=20 * DAY), trades=1) as day:
        ledger = day.scene.daemons["rooftrade"].market.view.ledger
        assert len(list(ledger().of("FellDue"))) == 2
        # In the next run, two weeks later, less was delivered: now the sellers owe something back.
        day.allocate(run=1, delivered=lambda one: 100)
        day.seal(1)
        day.scene.settle_down()
        assert list(ledger().of("SetOff")) == []
        day.pass_time(8 * DAY)

        assert sorted(event["amount"] for event in ledger().of("SetOff")) == [CHARGE * 4 // 5, SALE * 4 // 5]


def test_less_than_a_payable_unit_stays_on_the_account(tmp_path: Path) -> None:
    with settled(tmp_path, config=replace(CONFIG, payable_unit=250_000)) as day:
        ledger = day.scene.daemons["westpower"].market.view.ledger()

        assert [event["creditor"] for event in ledger.of("FellDue")] == [day.scene.id("rooftrade")]


def test_obligations_are_shown_to_the_two_members(tmp_path: Path) -> None:
    with settled(tmp_path) as day:
        sun = day.scene.id("sunmarket")

        own = day.operator("sunmarket").get("/v1/obligations")["obligations"]
        to_roof = day.scene.daemons["rooftrade"].peers.get(sun, "/v1/obligations")["obligations"]
        to_east = day.scene.daemons["eastpower"].peers.get(sun, "/v1/obligations")["obligations"]

        assert sorted(one["open"] for one in own) == [str(2 * CHARGE), str(2 * SALE)]
        assert [(one["amount"], one["is_notified"], one["is_overdue"]) for one in to_roof] == [
            (str(2 * SALE), False, False)
        ]
        assert to_east == []
        day.pass_time(CONFIG.due_time + HOUR)
        late = day.operator("sunmarket").get("/v1/obligations")["obligations"]
        assert [one["is_overdue"] for one in late] == [True, True]


def test_a_debtor_pays_and_the_creditor_acknowledges(tmp_path: Path) -> None:
    with settled(tmp_path) as day:
        (owed,) = day.scene.daemons["rooftrade"].peers.get(day.scene.id("sunmarket"), "/v1/obligations")["obligations"]
        payment = {
            "creditor": document(day.scene.id("rooftrade")),
            "obligations": [owed["number"]],
            "amount": owed["amount"],
            "rail": "NEFT",
            "value_date": day.scene.now,
            "reference": "utr 2026 0001",
        }
        sent = day.operator("sunmarket").post("/v1/payments/notices", payment)
        day.scene.settle_down()
        assert day.operator("sunmarket").post("/v1/payments/notices", payment)["transaction"] == sent["transaction"]
        arrived = {
            "debtor": document(day.scene.id("sunmarket")),
            "rail": "NEFT",
            "reference": "UTR20260001",
            "acknowledged": owed["amount"],
        }
        day.operator("rooftrade").post("/v1/payments/acknowledgements", arrived)
        day.scene.settle_down()

        shown = day.operator("rooftrade").get("/v1/obligations")["obligations"]
        assert [(one["open"], one["closed"], one["is_notified"]) for one in shown] == [("0", str(2 * SALE), False)]


def test_nobody_else_speaks_about_a_members_money(tmp_path: Path) -> None:
    with settled(tmp_path) as day:
        sun = day.scene.id("sunmarket")
        for path, body in (
            ("/v1/withdrawals", {"amount": None}),
            ("/v1/payments/acknowledgements", {}),
            ("/v1/payments/notices", {}),
        ):
            with pytest.raises(PeerRefused) as refused:
                day.scene.daemons["rooftrade"].peers.post(sun, path, body)
            assert refused.value.problem.code == "not-yours"


def test_what_is_free_is_taken_out_once(tmp_path: Path) -> None:
    with settled(tmp_path, locks={SUN_TO_ROOF: 3 * SALE}) as day:
        roof = day.operator("rooftrade")

        sent = roof.post("/v1/withdrawals", {"amount": None})
        assert (sent["said"]["amount"], sent["intent"]) == (str(2 * SALE), "withdrawal:0")
        with pytest.raises(PeerRefused) as refused:
            roof.post("/v1/withdrawals", {"amount": "1"})
        day.scene.settle_down()

        assert refused.value.problem.code in ("value-refused", "contract-refused")
        assert day.scene.call("SettlementEscrow", "free", day.scene.id("rooftrade")) == 0
        with pytest.raises(PeerRefused, match="contract-refused"):
            roof.post("/v1/withdrawals", {"amount": "1"})


def test_the_contracts_refusal_is_the_answer(tmp_path: Path) -> None:
    with settled(tmp_path) as day:
        payment = {
            "creditor": document(day.scene.id("rooftrade")),
            "obligations": [77],
            "amount": "1",
            "rail": "NEFT",
            "value_date": day.scene.now,
            "reference": "1",
        }
        with pytest.raises(PeerRefused) as refused:
            day.operator("sunmarket").post("/v1/payments/notices", payment)

        assert (refused.value.problem.code, refused.value.problem.detail) == (
            "contract-refused",
            "ObligationLedger: not of this pair",
        )


def test_events_come_to_what_the_contract_says_whatever_is_said_of_a_payment(tmp_path: Path) -> None:
    with settled(tmp_path, config=replace(CONFIG, due_time=12 * HOUR, notice_silence=24 * HOUR)) as day:
        scene = day.scene
        sun, roof, bank = scene.id("sunmarket"), scene.id("rooftrade"), scene.id(BANK)
        (number,) = (
            event["number"]
            for event in scene.daemons["sunmarket"].market.view.ledger().of("FellDue")
            if event["creditor"] == roof
        )
        references = [keccak256(name) for name in (b"first", b"second", b"third")]
        seen = []

        def compare() -> None:
            """Obligation and notices, made of events, beside the contract's own words."""
            scene.settle_down()
            market = scene.daemons["rooftrade"].market
            ledger = ledger_of(market.view.ledger())
            one, kept = ledger.obligations[number], scene.call("ObligationLedger", "obligation", number)
            is_overdue = scene.call("ObligationLedger", "is_overdue", number)
            assert (one.amount, one.closed, one.is_notified) == (kept["amount"], kept["closed"], kept["notified"])
            assert one.is_overdue(market.now(), 24 * HOUR) == is_overdue
            for (creditor, debtor, reference), notice in ledger.notices.items():
                said = scene.call("ObligationLedger", "notice", creditor, debtor, reference)
                assert (notice.arrived, notice.is_live) == (said["arrived"], said["live"])
            seen.append((one.closed, one.is_notified, is_overdue))

        def say(function: str, value: object, signer: str, *between: object) -> None:
            scene.send(
                "ObligationLedger", function, value, *between, scene.members[signer].sign(scene.domain, value), []
            )
            compare()

        def notify(reference: bytes, amount: int) -> None:
            notice = PaymentNotice(sun, roof, (number,), amount, code("NEFT"), scene.now, reference)
            say("notify", notice, "sunmarket")

        notify(references[0], SALE)
        day.pass_time(13 * HOUR)
        compare()  # overdue: the notice is not silent yet
        day.pass_time(12 * HOUR)
        compare()  # silent, so its clock stands still
        say("deny", Denial(roof, sun, references[0]), "rooftrade")
        notify(references[1], SALE)
        say("attest", BankAttestation(roof, sun, references[1], SALE // 2), BANK, bank)
        say("acknowledge", Acknowledgement(roof, sun, references[1], SALE), "rooftrade")
        notify(references[2], SALE)
        say("acknowledge", Acknowledgement(roof, sun, references[2], SALE), "rooftrade")

        assert seen == [
            (0, True, False),
            (0, True, True),
            (0, True, False),
            (0, False, True),
            (0, True, True),
            (SALE // 2, True, True),
            (SALE, False, True),
            (SALE, True, True),
            (2 * SALE, False, False),
        ]
