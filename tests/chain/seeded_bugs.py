"""Senders and outboxes with a bug each, of the kinds that cost other people money. The state machine must find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, update

from chain.account import hash_of
from chain.broadcast import Outcome, broadcast
from chain.outbox import FINAL, INCLUDED, Transaction
from chain.sending import Sender
from store import outbox
from store.outbox import StoredOutbox, StoredTransaction


class SignsAnewWhenNobodyAnswers(Sender):
    """Other bytes for the same nonce, because the first ones seem lost."""

    def _offer(self, one: Transaction) -> bool:
        if any(action.name == Outcome.UNKNOWN.value for action in one.history):
            raw = self._key.sign(self._network.chain_id, one.nonce, one.data, one.gas + len(one.attempts), one.target)
            self._outbox.keep_attempt(one.id, len(one.attempts), hash_of(raw), raw, cancels=False, now=0)
            one = self._outbox.get(one.id)
        return super()._offer(one)


class SubmitsAgainWhenNobodyAnswers(Sender):
    """The same call once more under another nonce, because the first one seems lost."""

    def submit(self, intent: str, contract: str, function: str, *arguments: object) -> Transaction:
        sent = super().submit(intent, contract, function, *arguments)
        if any(action.name == Outcome.UNKNOWN.value for action in sent.history):
            sent = super().submit(f"{intent} again", contract, function, *arguments)
        return sent


class TakesTooLowForSuccess(Sender):
    """ "Nonce too low" is taken to mean that our transaction is in."""

    def _offer(self, one: Transaction) -> bool:
        taken = super()._offer(one)
        after = self._outbox.get(one.id)
        if any(action.error == "nonce too low" for action in after.history):
            self._outbox.advance(one.id, after.state, FINAL, 0, state=FINAL, block=(0, "0x" + "00" * 32))
        return taken


class ForgetsOrphans(Sender):
    """What was once in a block is not looked at again until it is called final."""

    def _stays(self, one: Transaction) -> bool:
        block = one.block_number or 0, one.block_hash or ""
        if self._is_final(block[0], self._hash_at(block[0]) or ""):
            self._outbox.advance(one.id, INCLUDED, FINAL, 0, state=FINAL, block=block, reason=one.reason)
        return True


class CallsTheFirstBlockFinal(Sender):
    """A receipt is the end of it."""

    def _standing(self, number: int, block_hash: str) -> tuple[bool, bool]:
        return super()._standing(number, block_hash)[0], True


class StoresBytesAfterSending(Sender):
    """The bytes are kept once the node has them."""

    def _signed(self, one: Transaction) -> Transaction:
        if not one.attempts:
            raw = self._key.sign(self._network.chain_id, one.nonce, one.data, one.gas, one.target)
            broadcast(self._rpc, raw)
        return super()._signed(one)


class NeverSendsAgain(Sender):
    """What a node took once is left to the node."""

    def _is_waiting(self, one: Transaction) -> bool:
        return True


class SendsOnlyTheNewest(Sender):
    """A gap in the nonces stays a gap."""

    def _push(self, unfinished: Sequence[Transaction]) -> None:
        super()._push(unfinished[-1:])


class CriesWolf(Sender):
    """A used nonce without a receipt is called somebody else's at once."""

    def _doubt(self, signer: int, one: Transaction) -> None:
        self._outbox.raise_conflict(signer, one.nonce)


class GivesUpTooSoon(Sender):
    """A transaction of somebody else's counts for good as soon as it is seen."""

    def _final_block(self) -> int:
        return self._rpc.block_number()

    def _give_up_if_lost(self, one: Transaction) -> None:
        self._outbox.advance(one.id, one.state, "superseded", 0, state="superseded")


class TakesTheNonceFirst(StoredOutbox):
    """The nonce is counted up in a database transaction of its own, before the row is written."""

    def enqueue(self, signer: int, intent: str, *call: Any) -> StoredTransaction:
        known = self.find(signer, intent)
        if known is not None:
            return known
        with self._database.transaction() as connection:
            nonce = self._locked(connection, signer).next_nonce
            counted = update(outbox.signers).where(outbox.signers.c.id == signer).values(next_nonce=nonce + 1)
            connection.execute(counted)
        return _inserted(self, signer, intent, nonce, *call)


class TakesTheNonceLast(StoredOutbox):
    """The nonce is counted up in a database transaction of its own, after the row is written."""

    def enqueue(self, signer: int, intent: str, *call: Any) -> StoredTransaction:
        known = self.find(signer, intent)
        if known is not None:
            return known
        nonce = self.signer(signer).next_nonce
        made = _inserted(self, signer, intent, nonce, *call)
        with self._database.transaction() as connection:
            counted = update(outbox.signers).where(outbox.signers.c.id == signer).values(next_nonce=nonce + 1)
            connection.execute(counted)
        return made


class TrustsTheEarlierLook(StoredOutbox):
    """Nothing but the sender's look before it tried the call keeps an intent from coming twice."""

    def enqueue(self, signer: int, intent: str, *call: Any) -> StoredTransaction:
        with self._database.transaction() as connection:
            nonce = self._locked(connection, signer).next_nonce
            counted = update(outbox.signers).where(outbox.signers.c.id == signer).values(next_nonce=nonce + 1)
            connection.execute(counted)
            return _insert(connection, signer, intent, nonce, *call)


def _inserted(store: StoredOutbox, signer: int, intent: str, nonce: int, *call: Any) -> StoredTransaction:
    with store._database.transaction() as connection:
        return _insert(connection, signer, intent, nonce, *call)


def _insert(connection: Any, signer: int, intent: str, nonce: int, *call: Any) -> StoredTransaction:
    names = ("contract", "function", "target", "data", "gas")
    row = dict(zip(names, call, strict=False)) | {"signer": signer, "intent": intent, "nonce": nonce, "state": "queued"}
    made = connection.execute(insert(outbox.transactions).values(row)).inserted_primary_key
    return outbox._only(connection, made.id)
