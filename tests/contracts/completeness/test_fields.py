"""Each field of each struct of the registry has a class, and each class is what the chain makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import PRO_RATA
from settlement.trade import Row
from tests.contracts.completeness.counting import TAKEN, registry, tally, tried
from tests.contracts.completeness.fields import ALTERED, ATTESTED_ROW, FATES, LEAVES, SIGNED, Class, changed, table
from tests.contracts.completeness.honest import HonestCycle
from tests.contracts.completeness.signed import Act, acts
from tests.contracts.completeness.standing import Standings, signers, standings, worse

pytestmark = pytest.mark.usefixtures("counted")

CARRIED, SIGNED_WRONG = "field carried", "field signed wrong"
BINDING = (Class.OWN_WORD, Class.LIMITED, Class.HARMLESS)
WORSE_OFF = {
    # Locked for a stranger, it is nobody's until it comes back.
    "Lock.payee": {"platform_a"},
    "TradeLocks.locks": {"platform_a"},
    "TradeBatch.locks": {"platform_a"},
    "Row.amount": {"platform_a", "platform_b"},
    "HotKeyChange.key": {"platform_c"},
    "Acknowledgement.acknowledged": {"platform_a"},
}
"""Who stands worse at once by a wrong word that is taken than by the true one; by any other nobody does (a payout
address changes after a delay). What comes of wrong words later is in test_own_words.py."""
NOT_ITS_SIGNER = {"Acknowledgement.acknowledged"}
"""The word by which another is worse off than by the true one, though not worse than without it: a bank attests."""


def test_every_field_of_the_registry_has_a_class() -> None:
    """The registry's own text is counted, so that a struct or a field added there is missed here."""
    structs, count = registry()
    assert len(SIGNED) == structs
    assert set(ALTERED) == set(SIGNED)
    assert set(FATES) == {*SIGNED, *LEAVES}
    for kind, fates in FATES.items():
        assert sorted(fates) == sorted(field.name for field in fields(kind)), kind.__name__
        assert all(fate.remedies and all(fate.remedies) for fate in fates.values())
    assert sorted(ATTESTED_ROW) == sorted(FATES[Row])
    assert sum(len(FATES[kind]) for kind in SIGNED) == count

    classes = Counter(fate.klass for _, _, fate in table())
    assert set(classes) == set(Class)


def test_what_was_signed_must_be_what_is_stated_and_a_wrong_word_has_the_fate_of_its_class() -> None:
    """Each kind at its time: the true one is taken, with any field changed under its signatures it is refused; and one
    whose signers really signed it wrong is refused exactly where its class says so."""
    met, worse_off = set(), dict[str, set[str]]()
    cycle = HonestCycle.committed(PRO_RATA)
    for act in acts(cycle):
        met.add(act.kind)
        before, in_truth = standings(cycle), standings_after(cycle, act, act.value)
        assert in_truth is not None, act.kind.__name__
        for field in fields(act.kind):
            true = getattr(act.value, field.name)
            others = [with_field(act.value, field.name, value) for value in changed(true)]
            where = f"{act.kind.__name__}.{field.name}"
            for other in others:
                tried(CARRIED, where, submitted(act, act.value, other))
                tried(SIGNED_WRONG, where, submitted(act, other, other))
            assert fates_of(CARRIED, where) == {ALTERED[act.kind]}, where
            assert_fate(act, field.name, fates_of(SIGNED_WRONG, where), where)
            if FATES[act.kind][field.name].klass in BINDING:
                lost: set[str] = set()
                for other in others:
                    with signers() as bound:
                        after = standings_after(cycle, act, other)
                    if after is None:
                        continue
                    assert worse(before, after) <= bound, where
                    assert where in NOT_ITS_SIGNER or worse(in_truth, after) <= bound, where
                    lost |= worse(in_truth, after)
                worse_off[where] = lost
                tried("wrong word taken", where, f"worse off: {', '.join(sorted(lost)) or 'nobody'}")
    assert met == set(SIGNED)
    assert {where: lost for where, lost in worse_off.items() if lost} == WORSE_OFF
    for what in (CARRIED, SIGNED_WRONG):
        assert len({where for sort, where, _ in tally if sort == what}) == registry()[1]


def fates_of(what: str, where: str) -> set[str]:
    """What became of the corruptions of a field."""
    return {fate for sort, place, fate in tally if (sort, place) == (what, where)}


def assert_fate(act: Act, field: str, found: set[str], where: str) -> None:
    fate = FATES[act.kind][field]
    if fate.klass is Class.REFUSED:
        assert found == set(fate.remedies), where
    else:
        # Some change at least is taken: so the class is not an empty word.
        assert TAKEN in found, where


def standings_after(cycle: HonestCycle, act: Act, value: Any) -> Standings | None:
    """How everybody stands once a value was signed and stated; nothing where it is not taken."""
    with boa.env.anchor():
        return None if act.submit(value, value) else standings(cycle)


def submitted(act: Act, stated: Any, signed: Any) -> str:
    with boa.env.anchor():
        return act.submit(stated, signed)


def with_field(value: Any, field: str, other: Any) -> Any:
    return replace(value, **{field: other})
