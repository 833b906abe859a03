"""The attestor's part: it recomputes a row that one of its members asks for, hears the other one, and signs or refuses.

Nothing is signed that was not computed here, from a packet whose every place the chain has checked and whose every
leaf stands in a posted tree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from fastapi.responses import Response

from member.differing import judge
from member.errors import PeerRefused, PeerSilent
from member.hearings import Hearing, Hearings, OnChain, recomputed
from member.packets import Packet, PacketRefused, check_packet
from member.pairs import NOTHING_YET, PairStates
from member.rowbook import RowBook, SignedOtherwise
from member.service import Body, Caller, answer
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, Row, RowAttestation, Signature
from store.records import Way
from wire.problems import Refused

if TYPE_CHECKING:
    from member.daemon import Daemon

MOST_WAITING_SECONDS: Final = 14 * 24 * 3600
"""Of the chain's time: whoever gave no answer for so long is not asked any more about a row."""


@dataclass(frozen=True, slots=True)
class AttestationAsked:
    """A row with all its leaves, and what proves them."""

    row: Row
    leaves: tuple[FlowLeaf, ...]
    packet: Packet


class Attestor:
    """The stage and the answers of a member that attests others' rows. Its answers may come from any thread."""

    name = "attestor"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._me = daemon.me.id
        self._states = PairStates(daemon.market.cycle)
        self._hearings = Hearings(daemon.store)
        self._chain = OnChain(daemon.market)
        self.book = RowBook(daemon.store, daemon.market.domain.digest)

    # --- the stage ---

    def run(self) -> bool:
        """Shows every row that is asked for to its other member, until it has answered."""
        did = False
        now = self._market.now()
        for hearing in self._hearings.unheard():
            if now < hearing.asked_at + MOST_WAITING_SECONDS:
                did |= self._pass_on(hearing)
        return did

    def _pass_on(self, hearing: Hearing) -> bool:
        packet = self._hearings.packet(hearing.cycle, hearing.run, hearing.pair)
        if packet is None:
            return False
        try:
            found = self._daemon.peers.post(hearing.other, "/v1/rows/heard", document(packet))
            added = value_of(Packet, found)
            if (added.cycle, added.run, added.pair) == (packet.cycle, packet.run, packet.pair):
                check_packet(self._chain, packet.with_added(added))
                self._hearings.add(added)
        except PeerSilent:
            if hearing.shown_at is not None:
                return False
            self._hearings.keep(replace(hearing, shown_at=self._market.now()))
            return True
        except (PeerRefused, PacketRefused, SettlementError) as error:
            self._daemon.log.info("nothing added", cycle=hearing.cycle, run=hearing.run, why=str(error))
        shown_at = self._market.now() if hearing.shown_at is None else hearing.shown_at
        self._hearings.keep(replace(hearing, shown_at=shown_at, is_heard=True))
        return True

    # --- answers ---

    def attest(self, caller: Hash32, asked: AttestationAsked) -> Signature | int:
        """This member's signature on RowAttestation, or the chain's time from which it may be asked again.

        Raises Refused: `attestation-refused` names the first leaf that differs, `packet-incomplete` the part that does
        not prove itself.
        """
        row, packet = asked.row, asked.packet
        if caller not in (row.payer, row.payee):
            raise Refused("not-yours", "a row is attested for one of its members")
        if self._me not in self._market.attestors()[0]:
            raise Refused("attestation-refused", "this member is no attestor now")
        self._check_row(row)
        shown = _shown(asked)
        known = self.book.find(row, Way.ATTESTED)
        if known is not None and known.own is not None:
            return known.own
        self._check_packet(packet)
        whole = self._hearings.add(packet)
        self._judge(whole, shown)
        hearing = self._hearing(row, caller)
        wait = self._market.config(row.cycle).attest_wait
        if hearing.shown_at is None:
            return self._market.now() + wait
        if self._market.now() < hearing.shown_at + wait:
            return hearing.shown_at + wait
        return self._sign(row, shown)

    def _hearing(self, row: Row, asker: Hash32) -> Hearing:
        """How far the other member was heard; it begins now for a row whose leaves were not asked for before."""
        now = self._market.now()
        fresh = Hearing(row.cycle, row.run, row.payer, row.payee, asker, row.root, now, None, False)
        if fresh.other == self._me:
            fresh = replace(fresh, shown_at=now, is_heard=True)
        known = self._hearings.find(fresh)
        if known is None:
            self._hearings.keep(fresh)
            self._daemon.wake()
        return known or fresh

    def own_signature(self, row: Row, content: RowContent) -> Signature | None:
        """This member's signature on a row of its own, which it has computed from its own desk; None if it cannot."""
        if self._me not in self._market.attestors()[0]:
            return None
        try:
            return self._sign(row, content)
        except Refused:
            return None

    def _sign(self, row: Row, content: RowContent) -> Signature:
        def make(signed: Row) -> Signature:
            return self._daemon.desk.sign(RowAttestation(self._market.domain.digest(signed)))

        try:
            state = self.book.sign(row, Way.ATTESTED, content.leaves, make)
        except SignedOtherwise as other:
            raise Refused("row-version", str(other), facts={"version": row.version + 1}) from other
        assert state.own is not None  # noqa: S101
        return state.own

    def _check_row(self, row: Row) -> None:
        """Raises Refused unless the chain would take the row as the pair's next attested one."""
        sealed = self._market.newest_sealed_run(row.cycle) if row.cycle in self._market.cycles() else None
        if sealed is None or row.run > sealed:
            raise Refused("row-not-ready", f"run {row.run} is not sealed as far as the chain is followed here")
        if row.run < sealed or row.inputs != self._market.inputs(row.cycle, sealed):
            raise Refused("row-settled", f"run {sealed} is sealed with other inputs")
        if row.payer == row.payee or row.keep:
            raise Refused("attestation-refused", "an attested row is between two members and releases nothing")
        state = self._states.of(row.cycle).get((row.payer, row.payee), NOTHING_YET)
        if state.settled_run == row.run and state.is_agreed:
            raise Refused("row-settled", "both members have signed the row of this run")
        if row.version != state.next_version:
            facts = {"version": state.next_version}
            raise Refused("row-version", f"the next row is version {state.next_version}", facts=facts)

    def _check_packet(self, packet: Packet) -> None:
        try:
            check_packet(self._chain, packet)
        except PacketRefused as error:
            raise Refused("packet-incomplete", str(error)) from error

    def _judge(self, packet: Packet, shown: RowContent) -> None:
        """Raises Refused with the first leaf at which the row is not the one that the packet comes to."""
        try:
            own, _, _ = recomputed(self._market, packet)
        except SettlementError as error:
            raise Refused("packet-incomplete", str(error)) from error
        found = judge(own, shown)
        if found is not None:
            detail = f"leaf {found.position}: {found.reason}"
            raise Refused("attestation-refused", detail, facts=document(found))


def attestor_of(daemon: Daemon[Any]) -> Attestor:
    """The attestor of a daemon. LookupError where it has none among its stages."""
    found = next((stage for stage in daemon.stages if isinstance(stage, Attestor)), None)
    if found is None:
        raise LookupError("this daemon attests no rows")
    return found


def routes(daemon: Daemon[Any]) -> APIRouter:
    """Where members ask for attestations: 200 with the signature, or 202 with the time from which to ask again."""
    attestor = attestor_of(daemon)
    router = APIRouter(prefix="/v1")

    @router.post("/attestations")
    def attest(caller: Caller, body: Body) -> Response:
        found = attestor.attest(caller, value_of(AttestationAsked, body))
        if isinstance(found, Signature):
            return answer({"signature": document(found)})
        return answer({"ready_at": found}, 202)

    return router


def _shown(asked: AttestationAsked) -> RowContent:
    """The leaves of the row, if they are its leaves. Raises Refused."""
    row, packet = asked.row, asked.packet
    if (packet.cycle, packet.run, packet.pair) != (row.cycle, row.run, (row.payer, row.payee)):
        raise Refused("packet-incomplete", "the packet is about another row")
    try:
        content = RowContent(row.payer, row.payee, asked.leaves)
    except SettlementError as error:
        raise Refused("packet-incomplete", str(error)) from error
    if (content.amount, content.count, content.root) != (row.amount, row.count, row.root):
        raise Refused("packet-incomplete", "the leaves are not the row's")
    return content
