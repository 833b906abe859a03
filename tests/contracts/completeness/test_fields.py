"""Each field of each struct of the registry has a class, and each class is what the chain makes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement.trade import Row
from settlement.typed_data import TYPE_STRINGS
from tests.contracts.completeness.fields import ALTERED, ATTESTED_ROW, FATES, LEAVES, SIGNED, Class, changed, table
from tests.contracts.completeness.signed import Act, acts


def test_every_field_of_the_registry_has_a_class() -> None:
    """The registry's own text is counted, so that a struct or a field added there is missed here."""
    count = sum(text[: text.index(")")].count(" ") for text in TYPE_STRINGS.values())
    assert set(ALTERED) == set(SIGNED)
    assert set(FATES) == {*SIGNED, *LEAVES}
    for kind, fates in FATES.items():
        assert sorted(fates) == sorted(field.name for field in fields(kind)), kind.__name__
        assert all(fate.remedies and all(fate.remedies) for fate in fates.values())
    assert sorted(ATTESTED_ROW) == sorted(FATES[Row])
    assert sum(len(FATES[kind]) for kind in SIGNED) == count

    classes = Counter(fate.klass for _, _, fate in table())
    print(f"\n{len(SIGNED)} signed structs with {count} fields; of leaves {sum(len(FATES[kind]) for kind in LEAVES)}")
    for struct, field, fate in table():
        print(f"{struct:16} {field:20} {fate.klass.name:13} {'; '.join(fate.remedies)}")
    print(", ".join(f"{klass.name} {classes[klass]}" for klass in Class))
    assert set(classes) == set(Class)


def test_what_was_signed_must_be_what_is_stated_and_a_wrong_word_has_the_fate_of_its_class() -> None:
    """Each kind at its time: the true one is taken, with any field changed under its signatures it is refused; and one
    whose signers really signed it wrong is refused exactly where its class says so."""
    met = set()
    for act in acts():
        met.add(act.kind)
        assert submitted(act, act.value, act.value) == "", act.kind.__name__
        for field in fields(act.kind):
            true = getattr(act.value, field.name)
            others = [with_field(act.value, field.name, value) for value in changed(true)]
            where = f"{act.kind.__name__}.{field.name}"
            assert {submitted(act, act.value, other) for other in others} == {ALTERED[act.kind]}, where
            assert_fate(act, field.name, {submitted(act, other, other) for other in others}, where)
    assert met == set(SIGNED)


def assert_fate(act: Act, field: str, found: set[str], where: str) -> None:
    fate = FATES[act.kind][field]
    if fate.klass is Class.REFUSED:
        assert found == set(fate.remedies), where
    else:
        # Some change at least is taken: so the class is not an empty word.
        assert "" in found, where


def submitted(act: Act, stated: Any, signed: Any) -> str:
    with boa.env.anchor():
        return act.submit(stated, signed)


def with_field(value: Any, field: str, other: Any) -> Any:
    return replace(value, **{field: other})
