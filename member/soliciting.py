"""Asking for attestation: where the other member gave no signature, a quorum of attestors is asked for theirs.

All are asked at once, exactly the quorum's signatures go to the chain, and then the leaves are published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from chain.evidence import Evidence
from chain.outbox import REVERTED, SUPERSEDED
from member.attesting import AttestationAsked, attestor_of
from member.board import Waiting
from member.errors import PeerRefused, PeerSilent
from member.pairs import NOTHING_YET, PendingRow
from member.reckoning import Reckoned, Reckoning
from member.row_pages import REFUSAL, AttestorRefused, refusal_key
from member.sending import send_once
from settlement import typed_data
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.trade import Row, RowAttestation, Signature
from store.records import MemberSignature, RowState, Way
from wire.problems import Problem

if TYPE_CHECKING:
    from member.daemon import Daemon

CHUNK_HEIGHT: Final = 7
ASKED_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Answered:
    """What an attestor answered: its signature, or (None) why it is still waited for."""

    attestor: Hash32
    signature: Signature | None
    reason: str


class Soliciting:
    """The stage that has rows attested and published. Cranks apply them."""

    name = "soliciting"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._desk = daemon.desk
        self._me = daemon.me.id
        self._reckoning = Reckoning(daemon.desk, daemon.config)
        self._ready: dict[tuple[Hash32, Hash32], int] = {}
        self._refused: dict[tuple[Hash32, Hash32], tuple[Evidence, int]] = {}
        self._waiting: list[Waiting] = []

    def run(self) -> bool:
        """Asks for every row whose time has come, attests what a quorum has signed, publishes what is attested."""
        self._waiting = []
        did = False
        for cycle in self._market.cycles():
            did |= self._follow(cycle)
            for pair in self._reckoning.pairs(cycle):
                reckoned = self._reckoning.of(cycle, pair)
                if reckoned is None or reckoned.way is not Way.AGREED:
                    continue
                pending = reckoned.state.pending
                if pending is not None and not self._makes_way(reckoned, pending):
                    did |= self._publish(reckoned, pending)
                elif self._is_time(reckoned):
                    did |= self._ask(reckoned)
        self._daemon.waits(self.name, self._waiting)
        return did

    def _follow(self, cycle: int) -> bool:
        """Keeps what became of the rows that were sent to the chain."""
        did = False
        struck = {event["row_digest"]: event["reason"] for event in self._market.cycle(cycle).of("RowStruck")}
        book = attestor_of(self._daemon).book
        for known in book.of_cycle(cycle):
            if known.way is not Way.ATTESTED or known.state != "submitted":
                continue
            state = self._reckoning.states(cycle).get((known.payer, known.payee), NOTHING_YET)
            if known.digest in state.applied_digests:
                book.mark(known, "applied")
                did = True
            elif known.digest in struck:
                book.mark(known, "struck", struck[known.digest])
                did = True
        return did

    # --- when ---

    def _makes_way(self, reckoned: Reckoned, pending: PendingRow) -> bool:
        """Whether a pending row can no longer be published or applied, so that another may be attested."""
        config = self._market.config(reckoned.cycle)
        lapsed = pending.published_at is None and self._market.now() >= pending.attested_at + config.publish_time
        return lapsed or pending.row.run < (reckoned.state.settled_run or 0)

    def _is_time(self, reckoned: Reckoned) -> bool:
        """Whether this member gains by the row's amount, and the other one has let the time for signing it pass."""
        state = reckoned.state
        if reckoned.wants != self._me or reckoned.content.amount == state.applied:
            return False
        if state.settled_run == reckoned.run and state.is_agreed:
            return False  # attesting is shut out; both signed this run's row, and only both can sign another
        ready: int = self._market.sealed_at(reckoned.cycle, reckoned.run) + self._daemon.config.timings.attest_after
        return bool(self._market.now() >= ready)

    # --- asking ---

    def _ask(self, reckoned: Reckoned) -> bool:
        row = reckoned.attested_row(reckoned.state.next_version)
        book = attestor_of(self._daemon).book
        known = book.find(row, Way.ATTESTED)
        if known is not None and known.state == "submitted":
            sent = self._market.sender.find(known.note)
            if sent is not None and sent.state not in (REVERTED, SUPERSEDED):
                return False
        attestors, quorum = self._market.attestors()
        digest = self._market.domain.digest(row)
        known = known or RowState(row, digest, Way.ATTESTED, "proposed", leaves=reckoned.content.leaves)
        signed = {one.member: one for one in known.attestations if self._is_signed(digest, one.member, one.signature)}
        answers = self._ask_all(reckoned, row, [one for one in attestors if one not in signed])
        new = [one for one in answers if one.signature is not None]
        signed |= {one.attestor: MemberSignature.of(one.attestor, one.signature) for one in new if one.signature}
        if new:
            # As it stands by now: this member may have signed it as an attestor in between.
            known = book.find(row, Way.ATTESTED) or known
            known = replace(known, attestations=tuple(signed[one] for one in attestors if one in signed))
            book.keep(known)
        if len(signed) >= quorum > 0:
            return self._attest(known, attestors, quorum, signed) or bool(new)
        self._say_who_is_missing(reckoned, quorum, len(signed), [one for one in answers if one.signature is None])
        return bool(new)

    def _ask_all(self, reckoned: Reckoned, row: Row, missing: Sequence[Hash32]) -> list[Answered]:
        """What the attestors answer, asked side by side, each for as long as HTTP allows."""

        @cache
        def asked() -> Any:
            packet = self._desk.packet(reckoned.cycle, reckoned.run, reckoned.pair)
            return document(AttestationAsked(row, reckoned.content.leaves, packet))

        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            return list(threads.map(lambda one: self._ask_one(reckoned, row, one, asked), missing))

    def _ask_one(self, reckoned: Reckoned, row: Row, attestor: Hash32, asked: Callable[[], Any]) -> Answered:
        digest = self._market.domain.digest(row)
        if attestor == self._me:
            return Answered(
                attestor, attestor_of(self._daemon).own_signature(row, reckoned.content), "signed another row"
            )
        key = digest, attestor
        ready = self._ready.get(key, 0)
        if self._market.now() < ready:
            return Answered(attestor, None, f"hears the other member until {ready}")
        known = self._market.cycle(reckoned.cycle), self._daemon.store.changes(reckoned.cycle)
        refused = self._refused.get(key)
        if refused is not None and refused[0] is known[0] and refused[1] == known[1]:
            return Answered(attestor, None, "refuses the row")
        try:
            found = self._daemon.peers.post(attestor, "/v1/attestations", asked())
            if "ready_at" in found:
                self._ready[key] = int(found["ready_at"])
                return Answered(attestor, None, f"hears the other member until {self._ready[key]}")
            signature = value_of(Signature, found["signature"], "$.signature")
        except PeerSilent as silent:
            return Answered(attestor, None, f"no answer: {silent.what}")
        except PeerRefused as error:
            if error.problem.code == "attestation-refused":
                self._refused[key] = known
                self._keep_refusal(row, attestor, error.problem)
            return Answered(attestor, None, f"{error.problem.code}: {error.problem.detail}")
        except (SettlementError, KeyError, TypeError, ValueError) as error:
            return Answered(attestor, None, f"an answer that is none: {error}")
        if not self._is_signed(digest, attestor, signature):
            return Answered(attestor, None, "a signature that is not its own")
        return Answered(attestor, signature, "")

    def _is_signed(self, digest: Hash32, attestor: Hash32, signature: Signature) -> bool:
        """Whether an attestor's key of today signed the row's attestation."""
        statement = self._market.domain.digest(RowAttestation(digest))
        return typed_data.recover(statement, signature) in self._market.keys_of(attestor)

    def _keep_refusal(self, row: Row, attestor: Hash32, problem: Problem) -> None:
        facts = problem.facts
        said = {"attestor": document(attestor), "position": None, "shown": None, "own": None, "reason": problem.detail}
        try:
            told = {key: facts[key] for key in ("position", "shown", "own", "reason") if key in facts}
            refused = value_of(AttestorRefused, said | told)
        except SettlementError:
            refused = value_of(AttestorRefused, said)
        key = refusal_key(self._market.domain.digest(row), attestor)
        self._daemon.store.keep_fact(REFUSAL, key, document(refused))

    def _say_who_is_missing(self, reckoned: Reckoned, quorum: int, signed: int, missing: Sequence[Answered]) -> None:
        reasons = "; ".join(f"{self._market.name(one.attestor)}: {one.reason}" for one in missing)
        reason = f"{signed} of {quorum} attestors have signed; {reasons}"
        whom = tuple(one.attestor for one in missing)
        self._waiting.append(Waiting(reckoned.cycle, reason, whom, reckoned.run, reckoned.pair))

    # --- to the chain ---

    def _attest(
        self, known: RowState, attestors: Sequence[Hash32], quorum: int, signed: Mapping[Hash32, MemberSignature]
    ) -> bool:
        mask, signatures = exactly_the_quorum(attestors, quorum, signed)
        intent = f"attest:0x{known.digest.hex()}"
        if not send_once(self._market, intent, "Settlement", "attest", known.row, mask, signatures):
            return False
        attestor_of(self._daemon).book.mark(known, "submitted", intent)
        return True

    def _publish(self, reckoned: Reckoned, pending: PendingRow) -> bool:
        """Publishes the next chunk of a pending row, if it is the right one and this member gains by it."""
        if pending.published_at is not None:
            return False
        content, _ = self._desk.row(reckoned.cycle, pending.row.run, reckoned.pair)
        gains = reckoned.pair[1] if content.amount > reckoned.state.applied else reckoned.pair[0]
        if content.root != pending.row.root or content.count != pending.row.count or gains != self._me:
            return False
        first = pending.published
        intent = f"publish:0x{pending.digest.hex()}:{first}"
        if content.count == 0:
            return send_once(self._market, intent, "Settlement", "publish_empty", pending.row)
        leaves = list(content.leaves[first : first + (1 << CHUNK_HEIGHT)])
        _, path = content.tree.chunk(CHUNK_HEIGHT, first >> CHUNK_HEIGHT)
        return send_once(self._market, intent, "Settlement", "publish", pending.row, leaves, list(path))


def exactly_the_quorum(
    attestors: Sequence[Hash32], quorum: int, signed: Mapping[Hash32, MemberSignature]
) -> tuple[int, list[Signature]]:
    """The bit mask of so many of those that signed, and their signatures in ascending order of the bits.

    More would be refused as well as fewer.
    """
    chosen = [bit for bit, attestor in enumerate(attestors) if attestor in signed][:quorum]
    return sum(1 << bit for bit in chosen), [signed[attestors[bit]].signature for bit in chosen]
