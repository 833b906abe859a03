"""One signature, one use: for one market on one chain, as one kind of object, once.

That it serves no other cycle, run, version, sequence or whatever else is signed with it is
`test_fields.py::test_what_was_signed_must_be_what_is_stated_and_a_wrong_word_has_the_fate_of_its_class`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement import trade as objects
from settlement.hashing import keccak256
from settlement.typed_data import TYPE_STRINGS, Domain
from tests.contracts.completeness.counting import tried
from tests.contracts.completeness.fields import ALTERED, SIGNED
from tests.contracts.completeness.signed import Act, acts

pytestmark = pytest.mark.usefixtures("counted")

OTHERS: tuple[Callable[[Domain], Domain], ...] = (
    lambda domain: replace(domain, chain_id=domain.chain_id + 1),
    lambda domain: replace(domain, registry="0x" + keccak256(b"another registry")[:20].hex()),
    lambda domain: replace(domain, market_id=keccak256(b"another market")),
)
"""The domains of another chain, of a market by another registry, and of another market by this one."""

AGAIN = {
    objects.Trade: "TradeBook: registered already",
    objects.TradeLocks: "TradeBook: registered already",
    objects.Lock: "TradeBook: registered already",
    objects.TradeBatch: "TradeBook: sequence not higher",
    objects.Curtailment: "TradeBook: does not lower",
    objects.Allocation: "AllocationOracle: attempt not higher",
    objects.Demand: "Disputes: demanded already",
    objects.Contest: "Disputes: contested before",
    objects.FigureAgreement: "Disputes: a figure already",
    objects.Ruling: "Disputes: a figure already",
    objects.Row: "Settlement: no row applied",
    objects.RowAttestation: "Settlement: not the next version",
    objects.RowDemand: "RowDemands: demanded already",
    objects.MissingLeaf: "Settlement: row not pending",
    objects.Withdrawal: "SettlementEscrow: wrong sequence",
    objects.EscrowPayment: "ObligationLedger: wrong sequence",
    objects.PaymentNotice: "ObligationLedger: reference used",
    objects.Acknowledgement: "ObligationLedger: nothing new",
    objects.BankAttestation: "ObligationLedger: nothing new",
    objects.Denial: "ObligationLedger: no live notice",
    objects.NoticeRuling: "ObligationLedger: ruled already",
    objects.HotKeyChange: "MemberRegistry: not the cold key",
    objects.PayoutChange: "MemberRegistry: not the cold key",
    objects.KeyCompromised: "MemberRegistry: not the cold key",
    objects.Statement: "StatementRegistry: already final",
    objects.CouncilAct: "Council: wrong approval",
    objects.CouncilCancel: "Council: not waiting",
}
"""Why the same signature does not serve a second time."""

digest_here: Callable[[Domain, object], bytes] = Domain.digest


@pytest.fixture(scope="module")
def values() -> dict[type, Any]:
    """One object of each kind, as `acts` states it."""
    with boa.env.anchor():
        return {act.kind: act.value for act in acts()}


def signed_kind(act: Act) -> type:
    """What is really signed: a lock is, within its list."""
    return objects.TradeLocks if act.kind is objects.Lock else act.kind


@contextmanager
def signed_for(other: Callable[[Domain], Domain], kind: type) -> Iterator[None]:
    """Whoever signs an object of this kind signs it for another domain; all else is of this market."""

    def digest(self: Domain, value: object) -> bytes:
        return digest_here(other(self) if type(value) is kind else self, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Domain, "digest", digest)
        yield


def submitted(act: Act, signed: Any) -> str:
    with boa.env.anchor():
        return act.submit(act.value, signed)


def alike(value: Any, kind: type) -> Any | None:
    """An object of another kind that says the same, where the two have the same fields in order."""

    def shape(one: type) -> list[str]:
        text = TYPE_STRINGS[one]
        inside = text[text.index("(") + 1 : text.index(")")]
        return [part.split(" ")[0] for part in inside.split(",")]

    return kind(*(getattr(value, field.name) for field in fields(value))) if shape(type(value)) == shape(kind) else None


def test_a_signature_is_for_one_market_on_one_chain_and_serves_once() -> None:
    met = set()
    for act in acts():
        met.add(act.kind)
        for other in OTHERS:
            with signed_for(other, signed_kind(act)):
                assert submitted(act, act.value) == ALTERED[act.kind], act.kind.__name__
            tried("signed for another market", act.kind.__name__, ALTERED[act.kind])
        with boa.env.anchor():
            assert act.submit(act.value, act.value) == "", act.kind.__name__
            assert act.submit(act.value, act.value) == AGAIN[act.kind], act.kind.__name__
            tried("signature used again", act.kind.__name__, AGAIN[act.kind])
    assert met == set(SIGNED) == set(AGAIN)


def test_a_signature_is_for_one_kind_of_object(values: dict[type, Any]) -> None:
    """What a kind's signers signed as another kind serves nowhere as this one: with what that says, and with the same
    words where both have the same fields."""
    same_words = set()
    for act in acts():
        if act.kind is objects.Lock:
            continue
        for kind, value in values.items():
            if kind is act.kind:
                continue
            assert submitted(act, value) == ALTERED[act.kind], (act.kind.__name__, kind.__name__)
            tried("signed as another kind", act.kind.__name__, ALTERED[act.kind])
            twin = alike(act.value, kind)
            if twin is not None:
                assert submitted(act, twin) == ALTERED[act.kind], (act.kind.__name__, kind.__name__)
                same_words.add((act.kind, kind))
    assert (objects.PayoutChange, objects.HotKeyChange) in same_words
    assert (objects.Acknowledgement, objects.BankAttestation) in same_words


def test_a_row_that_both_signed_is_not_attested_and_an_attestation_agrees_to_nothing() -> None:
    """Of the very same row, by those who may sign it in the other form."""
    row = None
    for act in acts():
        if act.kind is objects.Row:
            row = act
        if act.kind is objects.RowAttestation:
            assert row is not None
            assert submitted(act, row.value) == "Settlement: not attestor's key"
            assert submitted(row, act.value) == "Settlement: no row applied"
            assert submitted(act, act.value) == submitted(row, row.value) == ""
            return
    raise AssertionError("no attestation was met")
