"""Sending: one signer, one chain, each intent at most once, whatever fails in between.

The order of things is the whole safety of it. A call is tried on the node before anything is consumed. Then intent,
nonce and row are written in one database transaction; the signed bytes are stored before they are sent; and from then
on these bytes are sent, however often, and no others. What became of them is never concluded from what a node says
about sending, only from a receipt in a block of the chain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from chain.account import GAS_PRICE, SigningKey, gas_price_of, hash_of
from chain.broadcast import Outcome, broadcast
from chain.contract import Contract, failure_reason, read_receipt, revert_reason
from chain.doctor import check_chain_id, check_history, used_by
from chain.errors import ConnectionFailed, GasRefused, NodeBehind, NotReplaceable, Reverted, RpcError, SenderHeld
from chain.network import Fees, IsFinal, NetworkProfile
from chain.outbox import (
    BROADCAST,
    FINAL,
    INCLUDED,
    ON_THEIR_WAY,
    ORPHANED,
    QUEUED,
    REVERTED,
    SUPERSEDED,
    Outbox,
    Transaction,
)
from chain.rpc import Block, Rpc, block_tag, integer

ANSWER_SECONDS: Final = 15
# The estimate is of another state than the block's, and what runs out of gas was sent for nothing.
GAS_OF_ESTIMATE: Final = 2
CANCELLING_GAS: Final = 21_000


class Sender:
    """Sends for one key on one chain. Thread-safe; other processes may send for the same key from the same database."""

    def __init__(
        self,
        rpc_url: str,
        key: bytes,
        outbox: Outbox,
        network: NetworkProfile,
        contracts: Mapping[str, Contract],
        *,
        is_final: IsFinal,
        connect: Callable[[str], Rpc] = lambda url: Rpc.at(url, ANSWER_SECONDS),
        clock: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """Nothing is asked or written before the first use. `clock` dates the history (UTC epoch seconds)."""
        self._key = SigningKey(key)
        self.address = self._key.address
        self._outbox = outbox
        self._network = network
        self._contracts = contracts
        self._is_final = is_final
        self._rpc = connect(rpc_url)
        self._clock = clock
        self._lock = threading.RLock()
        self._signer: int | None = None
        self._checked = False  # whether the node was found to be on the chain that it was on before
        self._doubtful: set[int] = set()  # nonces that are used, without a receipt of ours so far

    # --- for daemons and the gateway ---

    def submit(self, intent: str, contract: str, function: str, *arguments: object) -> Transaction:
        """Sends a call once for an intent, however often it is submitted; what was submitted first counts.

        Raises, with nothing consumed: Reverted where the contract would refuse it, GasRefused, CannotEncode,
        SenderHeld, ChainReset, NodeBehind, WrongChain, ConnectionFailed, RpcError. Once it has a nonce, no failure of
        the node is raised any more: `tick` goes on from there.
        """
        with self._session() as signer:
            known = self._outbox.find(signer, intent)
            if known is not None:
                return known
            target = self._contracts[contract]
            data = target.call_data(function, *arguments)
            self._expect_free(signer)
            gas = self._rehearse(target, function, data)
            now = self._clock()
            taken = self._outbox.enqueue(signer, intent, contract, function, target.address, data, gas, now)
            with suppress(ConnectionFailed, RpcError):
                self._send_first(signer, taken)
            return self._outbox.get(taken.id)

    def find(self, intent: str) -> Transaction | None:
        """The transaction of an intent, as far as it got. Asks no node."""
        signer = self._known()
        return None if signer is None else self._outbox.find(signer, intent)

    def tick(self) -> bool:
        """Looks what became of everything sent, and sends again what got lost. True while anything is unfinished.

        Raises ConnectionFailed, RpcError, NodeBehind where the node is not able to answer: call it again later.
        Raises ChainReset, WrongChain where this is not the chain any more.
        """
        with self._session() as signer:
            waiting = self._outbox.unfinished(signer)
            if not waiting:
                return False
            self._follow(signer, waiting)
            if self._held(signer) is None:
                self._push(self._outbox.unfinished(signer))
            return bool(self._outbox.unfinished(signer))

    def close(self) -> None:
        """Closes the connection to the node; the next use opens another."""
        with self._lock:
            self._rpc.close()

    # --- for operators ---

    def held(self) -> str | None:
        """Why nothing is sent, where nothing is: the operator suspended the signer, or somebody else uses its key."""
        signer = self._known()
        return None if signer is None else self._held(signer)

    def suspend(self, reason: str) -> None:
        """Sends nothing any more, new or again, until `resume`; what was sent is followed all the same."""
        with self._lock:
            signer = self._known()
            if signer is None:
                with self._session() as signer:
                    pass
            self._outbox.suspend(signer, reason)

    def resume(self) -> None:
        """Goes on sending. After a conflict, what lost its nonce to another transaction for good is superseded.

        Raises SenderHeld while the other transaction is in the chain and not final.
        """
        with self._session() as signer:
            self._outbox.suspend(signer, None)
            conflict = self._outbox.signer(signer).conflict
            if conflict is None:
                return
            used = self._used(self._final_block())
            if used <= conflict < self._used("latest"):
                raise SenderHeld(f"the other transaction with nonce {conflict} is not final yet")
            for one in self._outbox.unfinished(signer):
                if one.nonce < used:
                    self._give_up_if_lost(one)
            self._outbox.settle_conflict(signer, used)

    def cancel(self, intent: str) -> Transaction:
        """Offers an empty transaction with the same nonce and a higher price in the place of one that waits.

        Which of the two a block takes is not known before: the intent ends as `superseded`, or as if nothing had been
        cancelled. Raises NotReplaceable where the network allows no replacement or nothing waits.
        """
        with self._session() as signer:
            one = self._outbox.find(signer, intent)
            if not self._network.replacement or one is None or one.state not in ON_THEIR_WAY:
                raise NotReplaceable(f"{intent}: nothing that waits, or a network without replacement")
            price = max(self._gas_price(), *(gas_price_of(attempt.raw) * 9 // 8 + 1 for attempt in one.attempts))
            raw = self._key.sign(self._network.chain_id, one.nonce, b"", CANCELLING_GAS, self.address, price)
            self._offer(self._kept(one, raw, cancels=True))
            return self._outbox.get(one.id)

    # --- before a nonce is taken ---

    @contextmanager
    def _session(self) -> Iterator[int]:
        """One thread at a time with the signer's id, once it is sure that the node serves the chain of before."""
        with self._lock:
            try:
                signer = self._known()
                if not self._checked:
                    self._check_chain(signer)
                yield self._open() if signer is None else signer
            except ConnectionFailed:
                self._checked = False  # what answers next may be another node
                raise

    def _known(self) -> int | None:
        if self._signer is None:
            found = self._outbox.known(self._network.chain_id, self.address)
            self._signer = None if found is None else found.id
        return self._signer

    def _open(self) -> int:
        used, begun = self._used("latest"), self._used("pending")
        if begun > used:
            raise SenderHeld(f"{begun - used} transactions of {self.address} wait that nobody here knows of")
        self._signer = self._outbox.open(self._network.chain_id, self.address, self._rpc.block(0)["hash"], used).id
        return self._signer

    def _check_chain(self, signer: int | None) -> None:
        check_chain_id(self._rpc, self._network.chain_id)
        if signer is not None:
            check_history(self._rpc, self._outbox.signer(signer), self._outbox.newest_final(signer))
        self._checked = True

    def _held(self, signer: int) -> str | None:
        """Why the signer sends nothing, where it does not."""
        found = self._outbox.signer(signer)
        if found.conflict is not None:
            return f"nonce {found.conflict} was used by somebody else: is the key in other hands?"
        return None if found.suspended is None else f"suspended: {found.suspended}"

    def _expect_free(self, signer: int) -> None:
        used = self._used("latest")
        expected = self._outbox.signer(signer).next_nonce  # after the count, which others of ours may raise
        unfinished = self._outbox.unfinished(signer)
        self._expect_all_that_is_final(signer, used, unfinished[0].nonce if unfinished else expected)
        if used > expected:
            self._outbox.raise_conflict(signer, expected)
        if (reason := self._held(signer)) is not None:
            raise SenderHeld(reason)

    def _expect_all_that_is_final(self, signer: int, used: int, final: int) -> None:
        """Every nonce below `final` was used in a final block: a chain that has used less is another, or incomplete."""
        if used < final:
            self._check_chain(signer)
            raise NodeBehind(f"the node has {used} transactions of {self.address}, of which {final} were final")

    def _rehearse(self, target: Contract, function: str, data: bytes) -> int:
        """The gas to allow the call, which the node was asked to try."""
        request = {"from": self.address, "to": target.address, "data": "0x" + data.hex()}
        try:
            self._rpc.call("eth_call", request, "latest")
            needed = integer(self._rpc.call("eth_estimateGas", request))
        except RpcError as error:
            reason = revert_reason(error)
            if reason is None:
                raise
            raise Reverted(target.name, function, reason) from error
        allowed = min(self._network.gas_cap, integer(self._rpc.block()["gasLimit"]))
        if needed > allowed:
            raise GasRefused(f"{target.name}.{function} needs {needed} gas, {allowed} is allowed")
        return min(allowed, needed * GAS_OF_ESTIMATE)

    # --- sending ---

    def _send_first(self, signer: int, one: Transaction) -> None:
        if one.state != QUEUED:
            return  # another thread or process had the same intent at the same time
        one = self._signed(one)
        before = [other for other in self._outbox.unfinished(signer) if other.nonce < one.nonce]
        waiting = [other for other in before if other.state != INCLUDED]
        if len(waiting) < self._network.in_flight and all(other.state == BROADCAST for other in waiting):
            self._offer(one)

    def _push(self, unfinished: Sequence[Transaction]) -> None:
        """Sends, in the order of nonces, what the node does not have; nothing behind a nonce that it does not take."""
        waiting = 0
        for one in unfinished:
            if one.state == INCLUDED:
                continue
            if one.nonce in self._doubtful:
                return
            lost = one.state != BROADCAST or not self._is_waiting(one)
            if lost and (waiting >= self._network.in_flight or not self._offer(self._signed(one))):
                return
            waiting += 1

    def _signed(self, one: Transaction) -> Transaction:
        """The transaction with signed bytes stored: those that it has, or its first."""
        if one.attempts:
            return one
        raw = self._key.sign(self._network.chain_id, one.nonce, one.data, one.gas, one.target, self._gas_price())
        return self._kept(one, raw, cancels=False)

    def _kept(self, one: Transaction, raw: bytes, *, cancels: bool) -> Transaction:
        self._outbox.keep_attempt(one.id, len(one.attempts), hash_of(raw), raw, cancels, self._clock())
        return self._outbox.get(one.id)

    def _gas_price(self) -> int:
        return integer(self._rpc.call("eth_gasPrice")) if self._network.fees is Fees.ASKED else GAS_PRICE

    def _offer(self, one: Transaction) -> bool:
        """Sends the stored bytes and notes the answer; whether the node has them now."""
        for attempt in reversed(one.attempts):  # where the newest is refused, what it was to replace may still do
            outcome, error = broadcast(self._rpc, attempt.raw)
            if outcome is not Outcome.REFUSED:
                break
        if outcome is Outcome.UNKNOWN:
            self._checked = False
        state = None if outcome is Outcome.REFUSED else BROADCAST
        self._outbox.advance(one.id, one.state, outcome.value, self._clock(), state=state, error=error)
        return outcome is Outcome.TAKEN

    def _is_waiting(self, one: Transaction) -> bool:
        return any(self._rpc.call("eth_getTransactionByHash", attempt.hash) for attempt in one.attempts)

    # --- following what was sent ---

    def _follow(self, signer: int, unfinished: Sequence[Transaction]) -> None:
        """Compares each transaction with the chain, and notes what changed."""
        used = self._used("latest")  # before the receipts: what is counted here has one, if it is ours
        self._expect_all_that_is_final(signer, used, unfinished[0].nonce)
        self._doubtful.clear()
        for one in unfinished:
            if one.state == INCLUDED and self._stays(one):
                continue
            if one.nonce < used and self._enters(one):
                continue
            if one.state == INCLUDED:
                self._outbox.advance(one.id, INCLUDED, ORPHANED, self._clock(), state=ORPHANED)
            elif one.nonce < used:
                self._doubt(signer, one)

    def _stays(self, one: Transaction) -> bool:
        """Whether the block that it was in is still in the chain; with a final block it is final too."""
        block = one.block_number or 0, one.block_hash or ""
        there, final = self._standing(*block)
        if there and final:
            state = _end(one, one.hash, one.reason)
            self._outbox.advance(one.id, INCLUDED, state, self._clock(), state=state, block=block, reason=one.reason)
        return there

    def _enters(self, one: Transaction) -> bool:
        """Whether one of our hashes has a receipt in a block of the chain, which is then noted."""
        for attempt in one.attempts:
            found = self._rpc.call("eth_getTransactionReceipt", attempt.hash)
            if found is None:
                continue
            block = integer(found["blockNumber"]), str(found["blockHash"])
            there, final = self._standing(*block)
            if there:
                reason = self._reason(one, found)
                state = _end(one, attempt.hash, reason) if final else INCLUDED
                now, digest = self._clock(), attempt.hash
                self._outbox.advance(
                    one.id, one.state, state, now, state=state, digest=digest, block=block, reason=reason
                )
                return True
        return False

    def _standing(self, number: int, block_hash: str) -> tuple[bool, bool]:
        """Whether a block is in the chain, and whether for good."""
        final = self._is_final(number, block_hash)  # first: what was final before is what stands there after
        return self._hash_at(number) == block_hash, final

    def _reason(self, one: Transaction, found: Mapping[str, Any]) -> str | None:
        """The contract's text, "" where it gave none; None for what succeeded."""
        receipt = read_receipt(found)
        if receipt.succeeded:
            return None
        request = {"from": self.address, "to": one.target, "data": "0x" + one.data.hex(), "gas": hex(one.gas)}
        return failure_reason(self._rpc, request, receipt)

    def _doubt(self, signer: int, one: Transaction) -> None:
        """The nonce is used and no receipt of ours is there: not there yet, or it was used by somebody else."""
        self._doubtful.add(one.nonce)
        use = used_by(self._rpc, self.address, one.nonce)
        if use is None or _has(one, use.hash) or self._outbox.signer(signer).conflict is not None:
            return
        self._outbox.raise_conflict(signer, one.nonce)
        error = f"nonce {one.nonce} was used by {use.hash}, which is not ours"
        self._outbox.advance(one.id, one.state, "conflict", self._clock(), error=error)

    def _give_up_if_lost(self, one: Transaction) -> None:
        use = used_by(self._rpc, self.address, one.nonce)
        if use is None:
            raise SenderHeld(f"what used nonce {one.nonce} cannot be found now")
        if not _has(one, use.hash) and self._is_final(use.block_number, use.block_hash):
            self._outbox.advance(one.id, one.state, SUPERSEDED, self._clock(), state=SUPERSEDED)

    def _used(self, block: Block) -> int:
        """How many nonces of the signer the chain has used up."""
        return integer(self._rpc.call("eth_getTransactionCount", self.address, block_tag(block)))

    def _hash_at(self, number: int) -> str | None:
        found = self._rpc.call("eth_getBlockByNumber", block_tag(number), False)
        return None if found is None else str(found["hash"])

    def _final_block(self) -> int:
        """The newest block that is final; 0 always is."""
        number = self._rpc.block_number()
        while number > 0 and not ((found := self._hash_at(number)) and self._is_final(number, found)):
            number -= 1
        return number


def _has(one: Transaction, digest: str) -> bool:
    return any(attempt.hash == digest for attempt in one.attempts)


def _end(one: Transaction, digest: str | None, reason: str | None) -> str:
    """What a transaction has become once its attempt `digest` is in a final block."""
    if any(attempt.hash == digest and attempt.cancels for attempt in one.attempts):
        return SUPERSEDED
    return FINAL if reason is None else REVERTED
