"""What sending must remember. `store.outbox` keeps it; nothing here knows how.

A transaction's states: `queued` (it has a nonce), `signed` (its bytes are stored; they may have been sent),
`broadcast` (sent; a node has them, or gave no answer), `included` (in a block; `reason` is set where it failed there),
`orphaned` (the block it was in is no longer in the chain); and the last ones `final`, `reverted` (final, and failed),
`superseded` (its nonce belongs to another transaction for good). What is refused before it takes a nonce is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

QUEUED: Final = "queued"
SIGNED: Final = "signed"
BROADCAST: Final = "broadcast"
INCLUDED: Final = "included"
ORPHANED: Final = "orphaned"
FINAL: Final = "final"
REVERTED: Final = "reverted"
SUPERSEDED: Final = "superseded"

ON_THEIR_WAY: Final = (QUEUED, SIGNED, BROADCAST, ORPHANED)
"""States in which no block has it."""


class Signer(Protocol):
    """A key on one chain. `genesis` is block 0's hash; a conflict is a nonce that somebody else used."""

    @property
    def id(self) -> int: ...
    @property
    def genesis(self) -> str: ...
    @property
    def next_nonce(self) -> int: ...
    @property
    def suspended(self) -> str | None: ...
    @property
    def conflict(self) -> int | None: ...


class Action(Protocol):
    """Something that happened to a transaction so many times, first and last then (UTC epoch seconds)."""

    @property
    def name(self) -> str: ...
    @property
    def times(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def error(self) -> str | None: ...


class Attempt(Protocol):
    """Signed bytes with the transaction's nonce. `cancels`: they only use the nonce up."""

    @property
    def hash(self) -> str: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def cancels(self) -> bool: ...


class Transaction(Protocol):
    """One intent of a signer and what became of it.

    `hash` is that of the attempt in a block, else of the newest one; `reason` the contract's text where it failed.
    """

    @property
    def id(self) -> int: ...
    @property
    def intent(self) -> str: ...
    @property
    def contract(self) -> str: ...
    @property
    def function(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def gas(self) -> int: ...
    @property
    def nonce(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def hash(self) -> str | None: ...
    @property
    def block_number(self) -> int | None: ...
    @property
    def block_hash(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def attempts(self) -> Sequence[Attempt]: ...
    @property
    def history(self) -> Sequence[Action]: ...


class Outbox(Protocol):
    """The memory of senders. Every method that writes is one database transaction: all of it, or none."""

    def known(self, chain_id: int, address: str) -> Signer | None:
        """The signer of this address on this chain, if it ever sent."""

    def open(self, chain_id: int, address: str, genesis: str, next_nonce: int) -> Signer:
        """The signer; one that is not known yet begins with `genesis` and `next_nonce`."""

    def signer(self, signer: int) -> Signer:
        """The signer as it stands now."""

    def suspend(self, signer: int, reason: str | None) -> None:
        """Holds it back for a reason of the operator's, or no longer (None)."""

    def raise_conflict(self, signer: int, nonce: int) -> None:
        """Notes that somebody else used this nonce."""

    def settle_conflict(self, signer: int, next_nonce: int) -> None:
        """Notes that the conflict is dealt with; the next nonce is at least this one."""

    def enqueue(
        self, signer: int, intent: str, contract: str, function: str, target: str, data: bytes, gas: int, now: int
    ) -> Transaction:
        """The intent's transaction; a new one takes the signer's next nonce in the same database transaction."""

    def keep_attempt(self, transaction: int, number: int, digest: str, raw: bytes, cancels: bool, now: int) -> None:
        """Stores signed bytes as the transaction's attempt `number`, unless it has one of this number already."""

    def advance(
        self,
        transaction: int,
        seen: str,
        action: str,
        now: int,
        *,
        state: str | None = None,
        error: str | None = None,
        digest: str | None = None,
        block: tuple[int, str] | None = None,
        reason: str | None = None,
    ) -> None:
        """Adds to the history and, with `state`, moves on: block and reason become what is given.

        `digest` is the hash of the attempt in that block.
        Nothing happens to a transaction that is no longer in the state in which the caller has `seen` it.
        """

    def find(self, signer: int, intent: str) -> Transaction | None:
        """The transaction of an intent."""

    def get(self, transaction: int) -> Transaction:
        """The transaction with this id."""

    def unfinished(self, signer: int) -> Sequence[Transaction]:
        """Those whose end is not known for good, by nonce."""

    def newest_final(self, signer: int) -> Transaction | None:
        """The one with the highest nonce of those that are final in a block."""
