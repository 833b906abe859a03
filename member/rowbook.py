"""What a member has signed of rows, and what the others signed to it: so that nobody says two things unnoticed.

Of rows with one key (cycle, run, version, pair, way, inputs) the member signs one and no other. A member that signs
two has broken its word: both statements are kept as evidence.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import RLock
from typing import Final

from settlement.documents import document
from settlement.flows import Pair
from settlement.hashing import ZERO_HASH, Hash32
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, Row, Signature
from store.desk import EVIDENCE, DeskStore
from store.records import RowState, Way

MOST_HEARD: Final = 64
"""So many rows of one pair, cycle and way are remembered at most: others could say anything without end."""

_MOST_CYCLES: Final = 256
_FINISHED: Final = frozenset({"applied", "struck"})

Key = tuple[int, int, Hash32, Hash32, Way, Hash32]


class SignedOtherwise(Exception):
    """Another row was signed under the same key; `row` is that one."""

    def __init__(self, row: Row) -> None:
        super().__init__(f"version {row.version} of cycle {row.cycle} was signed with an amount of {row.amount}")
        self.row = row


@dataclass(frozen=True, slots=True)
class SignedRow:
    """A row and a member's signature, as members hand it to each other."""

    row: Row
    signature: Signature


@dataclass(frozen=True, slots=True)
class Statements:
    """Two different rows that a member has signed under one key: it has broken its word, and this proves it."""

    member: Hash32
    statements: tuple[SignedRow, ...]

    @staticmethod
    def key_of(row: Row, way: Way) -> str:
        """The key under which it is kept."""
        return f"row:{row.cycle}:{row.run}:{row.version}:0x{row.payer.hex()}:0x{row.payee.hex()}:{way.value}"


class RowBook:
    """The rows that one member knows. Any thread may use it; one book a store."""

    def __init__(self, store: DeskStore, digest_of: Callable[[Row], Hash32]) -> None:
        self._store = store
        self._digest_of = digest_of
        self._cycles: OrderedDict[int, dict[tuple[Way, Hash32], RowState]] = OrderedDict()
        self._lock = RLock()

    # --- reading ---

    def of_cycle(self, cycle: int) -> tuple[RowState, ...]:
        """All rows of a cycle, in the order in which they were first heard or signed."""
        with self._lock:
            return tuple(self._states(cycle).values())

    def of_pair(self, cycle: int, pair: Pair, way: Way) -> tuple[RowState, ...]:
        """Those of a pair that are settled in one way."""
        return tuple(one for one in self.of_cycle(cycle) if (one.payer, one.payee) == pair and one.way is way)

    def find(self, row: Row, way: Way) -> RowState | None:
        """What is known of a row."""
        with self._lock:
            return self._states(row.cycle).get((way, self._digest_of(row)))

    def free_version(self, least: int, way: Way, make: Callable[[int], Row]) -> Row:
        """The row with the lowest version from `least` on under which no other was signed, and which did not fall."""
        version = least
        while True:
            row = make(version)
            known = self.find(row, way)
            if self.is_free(row, way) and (known is None or known.state != "struck"):
                return row
            version += 1

    def is_free(self, row: Row, way: Way) -> bool:
        """Whether no other row was signed under this row's key."""
        return self._signed_otherwise(row, way) is None

    # --- writing ---

    def sign(self, row: Row, way: Way, leaves: tuple[FlowLeaf, ...], make: Callable[[Row], Signature]) -> RowState:
        """The row with one's own signature, made and kept now or before. Raises SignedOtherwise."""
        with self._lock:
            other = self._signed_otherwise(row, way)
            if other is not None:
                raise SignedOtherwise(other.row)
            known = self.find(row, way) or RowState(row, self._digest_of(row), way, "proposed")
            if known.own is None:
                state = "agreed" if known.other is not None else "proposed"
                known = replace(known, own=make(row), leaves=leaves, state=state, note="")
                self.keep(known)
            return known

    def hear(self, row: Row, way: Way, by: Hash32, signature: Signature) -> RowState:
        """Keeps the other member's verified signature on a row; with one's own it is agreed."""
        with self._lock:
            known = self.find(row, way)
            if known is not None and known.other is not None:
                return known
            earlier = [one for one in self._same_key(row, way) if one.other is not None and one.row != row]
            if earlier:
                self._note_two_statements(earlier[0], row, by, signature)
            heard = known or RowState(row, self._digest_of(row), way, "proposed")
            heard = replace(heard, other=signature, state="agreed" if heard.own is not None else "proposed")
            if known is not None or len(self.of_pair(row.cycle, (row.payer, row.payee), way)) < MOST_HEARD:
                self.keep(heard)
            return heard

    def recall(self, row: Row, way: Way, signature: Signature) -> None:
        """Keeps one's own signature, verified, that another member still has and this one does not know any more."""
        with self._lock:
            known = self.find(row, way) or RowState(row, self._digest_of(row), way, "proposed")
            if known.own is None:
                self.keep(replace(known, own=signature, state="agreed" if known.other is not None else known.state))

    def keep(self, state: RowState) -> None:
        """Keeps how far a row got."""
        with self._lock:
            self._store.keep_row(state)
            self._states(state.cycle)[state.way, state.digest] = state

    def mark(self, state: RowState, name: str, note: str = "") -> None:
        """Keeps that a row has come to the state `name`, and why; what else is known of it by now stays."""
        with self._lock:
            known = self._states(state.cycle).get((state.way, state.digest), state)
            if (known.state, known.note) != (name, note):
                self.keep(replace(known, state=name, note=note))

    # --- internals ---

    def _states(self, cycle: int) -> dict[tuple[Way, Hash32], RowState]:
        if cycle not in self._cycles:
            found = self._store.row_states(cycle)
            # The leaves of what is finished stay in the store alone: nothing writes it again.
            slim = (replace(one, leaves=()) if one.state in _FINISHED else one for one in found)
            self._cycles[cycle] = {(one.way, one.digest): one for one in slim}
            if len(self._cycles) > _MOST_CYCLES:
                self._cycles.popitem(last=False)
        self._cycles.move_to_end(cycle)
        return self._cycles[cycle]

    def _same_key(self, row: Row, way: Way) -> Iterable[RowState]:
        key = _key(row, way)
        return [one for one in self._states(row.cycle).values() if _key(one.row, one.way) == key]

    def _signed_otherwise(self, row: Row, way: Way) -> RowState | None:
        with self._lock:
            mine = (one for one in self._same_key(row, way) if one.own is not None and one.row != row)
            return next(mine, None)

    def _note_two_statements(self, earlier: RowState, row: Row, by: Hash32, signature: Signature) -> None:
        assert earlier.other is not None  # noqa: S101
        key = Statements.key_of(row, earlier.way)
        if self._store.fact(EVIDENCE, key) is None:  # two are enough
            both = Statements(by, (SignedRow(earlier.row, earlier.other), SignedRow(row, signature)))
            self._store.keep_fact(EVIDENCE, key, document(both))


def way_of(row: Row) -> Way:
    """How two members that sign a row settle it: on sealed inputs, or early without."""
    return Way.EARLY if row.inputs == ZERO_HASH else Way.AGREED


def says(row: Row, content: RowContent, keep: int) -> bool:
    """Whether a row says the same money as one's own content: amount, leaves, and what stays locked."""
    return (row.amount, row.count, row.root, row.keep) == (content.amount, content.count, content.root, keep)


def _key(row: Row, way: Way) -> Key:
    return row.run, row.version, row.payer, row.payee, way, row.inputs
