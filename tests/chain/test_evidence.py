"""What the events of a market say of its attestors."""

from __future__ import annotations

from chain.evidence import Event, Evidence
from settlement.hashing import keccak256

FIRST, SECOND, THIRD = (keccak256(name) for name in (b"first", b"second", b"third"))


def named(version: int, *members: bytes) -> Event:
    return Event("MemberRegistry", "AttestorsSet", {"version": version, "members": members, "quorum": 1}, "0x01", 100)


def attested(cycle: int) -> Event:
    return Event("Settlement", "RowAttested", {"cycle": cycle, "mask": 1}, "0x02", 100)


def test_a_row_is_attested_by_those_that_were_named_last() -> None:
    """In chain order, whatever the block time: a set that is named after the row has no part in it."""
    rows = [attested(cycle) for cycle in range(4)]
    evidence = Evidence((rows[0], named(1, FIRST), rows[1], named(2, SECOND, THIRD), rows[2], rows[3]))

    assert [evidence.attestors_of(row) for row in rows] == [(), (FIRST,), (SECOND, THIRD), (SECOND, THIRD)]
    assert evidence.attestors_at(1) == ((FIRST,), 1)
