"""Batches that a platform signed: what is in them, who else signed, where they stand, and who was told."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import Final

from settlement.documents import document, value_of
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.trade import Signature
from store.desk import DeskStore
from store.records import MemberSignature
from trading.batching import ProposedBatch

BATCH: Final = "batch"
"""The kind of facts under which batches are kept, by platforms and sequence."""


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch that this platform signed.

    `number` is its commitment's once it is on the chain; `told` are the members that have its trades' places, `is_told`
    says that these are all. `is_over` says that it can no longer be committed.
    """

    proposed: ProposedBatch
    signatures: tuple[MemberSignature, ...]
    number: int | None = None
    told: tuple[Hash32, ...] = ()
    is_told: bool = False
    is_over: bool = False

    @property
    def pair(self) -> Pair:
        """Its platforms."""
        return self.proposed.batch.platform_a, self.proposed.batch.platform_b

    @property
    def missing(self) -> tuple[Hash32, ...]:
        """Who has not signed it yet."""
        signed = {one.member for one in self.signatures}
        return tuple(member for member in self.proposed.batch.signers if member not in signed)

    @property
    def in_order(self) -> list[Signature]:
        """The signatures in the order in which the contract takes them."""
        given = {one.member: one.signature for one in self.signatures}
        return [given[member] for member in self.proposed.batch.signers]

    @property
    def is_live(self) -> bool:
        """Whether it may still be committed."""
        return self.number is None and not self.is_over


class BatchBook:
    """A platform's batches by platforms and sequence. Any thread may use it, holding `lock` over what belongs together.

    Under one sequence a batch may be proposed anew with other trades while the other platform has not signed it: only
    one of them can ever be committed.
    """

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self.lock = RLock()
        self._batches: dict[str, KeptBatch] | None = None

    def all(self) -> tuple[KeptBatch, ...]:
        """Every batch, by platforms and sequence."""
        with self.lock:
            found = self._loaded()
            return tuple(sorted(found.values(), key=lambda one: (one.pair, one.proposed.batch.sequence)))

    def find(self, key: str) -> KeptBatch | None:
        """The batch of a key (`ProposedBatch.key`)."""
        with self.lock:
            return self._loaded().get(key)

    def keep(self, one: KeptBatch) -> None:
        """Keeps a batch in place of what is kept of it."""
        with self.lock:
            self._store.keep_fact(BATCH, one.proposed.key, document(one))
            self._loaded()[one.proposed.key] = one

    def move(self, seen: KeptBatch, to: KeptBatch) -> None:
        """Keeps what has become of a batch, unless it is no longer what the caller has seen."""
        with self.lock:
            if self.find(seen.proposed.key) == seen:
                self.keep(to)

    def live(self, pair: Pair) -> KeptBatch | None:
        """The batch of a pair that may still be committed; there is one at a time."""
        return next((one for one in self.all() if one.pair == pair and one.is_live), None)

    def live_digests(self) -> dict[Hash32, KeptBatch]:
        """The trades of batches that may still be committed."""
        return {digest: one for one in self.all() if one.is_live for digest in one.proposed.digests}

    def _loaded(self) -> dict[str, KeptBatch]:
        if self._batches is None:
            found = (value_of(KeptBatch, kept) for kept in self._store.facts(BATCH).values())
            self._batches = {one.proposed.key: one for one in found}
        return self._batches
