"""Exchanging rows: the two members of a pair compute the same row, each signs its own, and both signatures settle it.

Whoever gains by a row proposes it. What the other computes must be the same, else both walk down to the first leaf
that differs, keep it, and show each other the leaves behind it. Nothing is signed that was not computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from fastapi.responses import Response

from chain.outbox import REVERTED, SUPERSEDED
from member.board import Waiting
from member.comparing import Comparing, LeafTold, NodeAsked
from member.cranks import WORKING
from member.errors import PeerRefused, PeerSilent
from member.packets import Packet
from member.pairs import NOTHING_YET
from member.reckoning import Reckoned, Reckoning
from member.row_pages import RowShown
from member.rowbook import RowBook, SignedOtherwise, SignedRow, says, way_of
from member.sending import send_once
from member.service import Body, Caller, answer
from settlement import typed_data
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32, keccak256
from settlement.trade import Row, Signature
from store.records import RowState, Way
from wire.problems import FieldProblem, Problem, Refused

if TYPE_CHECKING:
    from member.daemon import Daemon

ROWS_A_CALL: Final = 64
VERSIONS_AHEAD: Final = 1_000  # as far as the contract goes
CYCLES_APART: Final = 400  # proposals for cycles further from now are not remembered
BOTH_SIGN: Final = (Way.AGREED, Way.EARLY)


class Exchange:
    """The stage that settles rows by agreement, and the answers to the others' proposals."""

    name = "exchange"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._me = daemon.me.id
        self.reckoning = Reckoning(daemon.desk, daemon.config)
        self.book = RowBook(daemon.store, daemon.market.domain.digest)
        self.comparing = Comparing(daemon, self.reckoning)
        # By digest, rows that the other one asked for: it submits them, and we do if it has not by a time.
        self._others_turn: dict[Hash32, int] = {}
        # By pair, way and cycle, the version that the other one needs because it has signed otherwise below.
        self._floors: dict[tuple[int, Hash32, Hash32, Way], int] = {}
        self._to_ask: set[Hash32] | None = None
        self._waiting: list[Waiting] = []

    # --- the stage ---

    def run(self) -> bool:
        """Proposes every row that this member gains by, and submits what both have signed."""
        self._waiting = []
        did = self._ask_what_was_signed()
        for cycle in self._market.cycles():
            for pair in self.reckoning.pairs(cycle):
                if self._daemon.is_stopping:
                    return did
                reckoned = self.reckoning.of(cycle, pair)
                if reckoned is not None and reckoned.wants is not None:
                    did |= self._go_on(reckoned)
            did |= self._submit(cycle)
        self._daemon.waits(self.name, self._waiting)
        return did

    def _ask_what_was_signed(self) -> bool:
        """Once after its start a member asks the others for the rows that they know of it.

        So it signs nothing twice even where its own memory was lost, goes on with what was proposed while it was away,
        and lets the others know that it is back.
        """
        if self._to_ask is None:
            self._to_ask = {one for one in self._market.members(WORKING) if self._daemon.peers.knows(one)}
        did = False
        for other in sorted(self._to_ask):
            try:
                found = self._daemon.peers.get(other, "/v1/rows")
                shown = value_of(tuple[RowShown, ...], found["rows"], "$.rows")
            except PeerSilent:
                continue  # it is asked once it is back
            except (PeerRefused, SettlementError, KeyError, TypeError) as error:
                self._daemon.log.info("rows not told", by=self._market.name(other), why=str(error))
                shown = ()
            self._to_ask.discard(other)
            for one in shown:
                did |= self._remember(other, one)
        return did

    def _remember(self, other: Hash32, shown: RowShown) -> bool:
        """Takes over signatures that are the two members'; whether one was not known."""
        row, way = shown.row, way_of(shown.row)
        if {row.payer, row.payee} != {self._me, other} or shown.way not in BOTH_SIGN:
            return False
        digest = self._market.domain.digest(row)
        before = self.book.find(row, way)
        for member, signature in ((row.payer, shown.payer_signature), (row.payee, shown.payee_signature)):
            if signature is None or typed_data.recover(digest, signature) not in self._market.keys_of(member):
                continue
            if member == self._me:
                self.book.recall(row, way, signature)
            else:
                self.book.hear(row, way, other, signature)
        return self.book.find(row, way) != before

    def _go_on(self, reckoned: Reckoned) -> bool:
        row = self._proposed_by_other(reckoned)
        if row is None:
            if reckoned.wants != self._me:
                return False
            floor = self._floors.get((reckoned.cycle, *reckoned.pair, reckoned.way), 0)
            row = self.book.free_version(max(reckoned.state.next_version, floor), reckoned.way, reckoned.row)
        known = self.book.find(row, reckoned.way)
        if known is not None and known.state in ("agreed", "submitted"):
            return False  # what is left to do is to submit it, and to see it applied
        return self._propose(reckoned, row)

    def _proposed_by_other(self, reckoned: Reckoned) -> Row | None:
        """A row that the other one has signed, that is the right one, and that waits only for this member."""
        for known in self.book.of_pair(reckoned.cycle, reckoned.pair, reckoned.way):
            row = known.row
            is_open = known.other is not None and known.own is None and known.state != "struck"
            fits = (row.run, row.inputs) == (reckoned.run, reckoned.inputs)
            is_next = row.version > reckoned.state.highest_version and self.book.is_free(row, reckoned.way)
            if is_open and fits and is_next and says(row, reckoned.content, reckoned.keep):
                return row
        return None

    def _propose(self, reckoned: Reckoned, row: Row) -> bool:
        """Asks the other one to sign the row as well; whether anything came of it."""
        other = reckoned.other_than(self._me)
        if self.comparing.lacks_leaves(reckoned) and self.comparing.show_each_other(reckoned):
            return True  # with what the other one showed the row is another
        try:
            mine = self.book.sign(row, reckoned.way, reckoned.content.leaves, self._daemon.desk.sign)
        except SignedOtherwise:
            return False  # a request was answered in between; the next round sees it
        assert mine.own is not None  # noqa: S101
        try:
            answer = self._daemon.peers.post(other, "/v1/rows", document(SignedRow(row, mine.own)))
            signature = value_of(Signature, answer["signature"], "$.signature")
        except PeerSilent as silent:
            return self._wait(reckoned, f"no answer: {silent.what}")
        except PeerRefused as refused:
            return self._refused(reckoned, mine, refused.problem)
        except (SettlementError, KeyError, TypeError) as error:
            return self._wait(reckoned, f"an answer that is none: {error}")
        if typed_data.recover(mine.digest, signature) not in self._market.keys_of(other):
            return self._wait(reckoned, "a signature that is not its own")
        self.book.hear(row, reckoned.way, other, signature)
        return True

    def _refused(self, reckoned: Reckoned, mine: RowState, problem: Problem) -> bool:
        match problem.code:
            case "row-differs":
                note = self.comparing.look_into(reckoned, problem.facts)
                self.book.mark(mine, "disagreed", note.text)
                self._wait(reckoned, note.text)
                return note.is_new
            case "row-version":
                key = (reckoned.cycle, *reckoned.pair, reckoned.way)
                least = problem.facts.get("version")
                if isinstance(least, int) and mine.row.version < least <= mine.row.version + VERSIONS_AHEAD:
                    self._floors[key] = least
                    return True
        return self._wait(reckoned, f"{problem.code}: {problem.detail}")

    def _wait(self, reckoned: Reckoned, reason: str) -> bool:
        other = reckoned.other_than(self._me)
        self._waiting.append(Waiting(reckoned.cycle, reason, (other,), reckoned.run, reckoned.pair))
        return False

    # --- submitting ---

    def _submit(self, cycle: int) -> bool:
        """Sends the rows of a cycle that both have signed, in calls of `ROWS_A_CALL`, and sees what became of them."""
        did = False
        ready: list[RowState] = []
        for known in self.book.of_cycle(cycle):
            if known.way not in BOTH_SIGN or known.own is None or known.other is None:
                continue
            state = self.reckoning.states(cycle).get((known.payer, known.payee), NOTHING_YET)
            if known.state == "struck" or (known.state == "applied" and known.digest in state.applied_digests):
                continue
            if known.digest in state.applied_digests:
                self.book.mark(known, "applied")
                did = True
            elif known.row.version <= state.version or not self._has_its_inputs(known.row):
                self.book.mark(known, "struck", f"overtaken by version {state.version} or by newer inputs")
                did = True
            elif known.state == "submitted":
                did |= self._follow(known)
            elif known.state == "applied":
                self.book.mark(known, "agreed", "taken back by a reorganisation")
                did = True
            elif self._is_my_turn(known):
                ready.append(known)
        ready.sort(key=lambda one: (one.payer, one.payee, one.row.version))
        for first in range(0, len(ready), ROWS_A_CALL):
            did |= self._send(ready[first : first + ROWS_A_CALL])
        return did

    def _send(self, ready: list[RowState]) -> bool:
        intent = "settle:" + keccak256(*(one.digest for one in ready)).hex()[:32]
        rows = []
        for one in ready:
            mine_first = one.payer == self._me
            rows.append((one.row, one.own, one.other) if mine_first else (one.row, one.other, one.own))
        sent = send_once(self._market, intent, "Settlement", "settle", rows, [])
        if sent:
            for one in ready:
                self.book.mark(one, "submitted", intent)
        return sent

    def _follow(self, known: RowState) -> bool:
        """A submitted row that the chain does not show as applied: sent again where its transaction failed."""
        sent = self._market.sender.find(known.note)
        if sent is None or sent.state in (REVERTED, SUPERSEDED):
            self.book.mark(known, "agreed")
            return True
        if sent.block_number is None or sent.block_number > self._market.head().number:
            return False
        for event in self._market.cycle(known.cycle).of("RowSkipped"):
            same = (event["payer"], event["payee"], event["version"]) == (known.payer, known.payee, known.row.version)
            if same and event.transaction == sent.hash:
                self.book.mark(known, "struck", f"skipped: {event['reason']}")
                return True
        return False

    def _has_its_inputs(self, row: Row) -> bool:
        """Whether the row's inputs are still those of its run; early rows have none until a run is sealed."""
        if way_of(row) is Way.EARLY:
            return self._market.newest_sealed_run(row.cycle) is None
        return self._market.is_sealed(row.cycle, row.run) and self._market.inputs(row.cycle, row.run) == row.inputs

    def _is_my_turn(self, known: RowState) -> bool:
        """Whoever asked submits; the other one does if it has not after a while."""
        turn = self._others_turn.get(known.digest)
        return turn is None or self._market.now() >= turn

    # --- answers to others ---

    def answer(self, caller: Hash32, row: Row, signature: Signature) -> Signature:
        """This member's signature on a row that the other one proposes. Raises Refused with why it does not sign."""
        if caller == self._me or {caller, self._me} != {row.payer, row.payee}:
            raise Refused("not-yours", "a row is agreed between its payer and its payee")
        way = way_of(row)
        digest = self._market.domain.digest(row)
        if typed_data.recover(digest, signature) not in self._market.keys_of(caller):
            why = "not by the hot key of who sent it"
            raise Refused("value-refused", why, errors=(FieldProblem("#/signature", why),))
        if abs(self._market.calendar.cycle_of(self._market.now()) - row.cycle) > CYCLES_APART:
            raise Refused("row-not-ready", f"cycle {row.cycle} is not being settled")
        known = self.book.find(row, way)
        heard = self.book.hear(row, way, caller, signature)
        if known is None or known.other is None:
            self._daemon.wake()  # what cannot be signed now may be signed by the stage, once the chain is followed on
        reckoned = self._right_row(row, way)
        if row.version > reckoned.state.highest_version + VERSIONS_AHEAD:
            raise self._needs_version(reckoned.state.next_version)
        if not says(row, reckoned.content, reckoned.keep):
            self.book.mark(heard, "disagreed", "not the row computed here")
            raise self.comparing.refusal(reckoned)
        try:
            mine = self.book.sign(row, way, reckoned.content.leaves, self._daemon.desk.sign)
        except SignedOtherwise:
            raise self._needs_version(row.version + 1) from None
        assert mine.own is not None  # noqa: S101
        if mine.state == "agreed":
            delay = self._daemon.config.timings.crank_delay
            self._others_turn.setdefault(digest, self._market.now() + delay)
        return mine.own

    def _right_row(self, row: Row, way: Way) -> Reckoned:
        """What is right of the proposed row's pair. Raises Refused where its run or version is not the one at hand."""
        is_known = row.cycle in self._market.cycles()
        reckoned = self.reckoning.of(row.cycle, (row.payer, row.payee)) if is_known else None
        if reckoned is None:
            raise Refused("row-not-ready", "the run is not sealed, and nothing is settled early with you yet")
        if (way, row.run, row.inputs) != (reckoned.way, reckoned.run, reckoned.inputs):
            if reckoned.way is Way.EARLY or (way is Way.AGREED and row.run > reckoned.run):
                raise Refused("row-not-ready", f"run {row.run} is not sealed as far as the chain is followed here")
            raise Refused("row-settled", f"run {reckoned.run} is sealed with other inputs")
        if row.version <= reckoned.state.highest_version:
            if row.version <= reckoned.state.version:
                facts = {"version": reckoned.state.next_version}
                raise Refused("row-settled", f"version {reckoned.state.version} has applied", facts=facts)
            raise self._needs_version(reckoned.state.next_version)
        return reckoned

    def _needs_version(self, version: int) -> Refused:
        return Refused("row-version", f"the next row is version {version}", facts={"version": version})


def exchange_of(daemon: Daemon[Any]) -> Exchange:
    """The exchange of a daemon. LookupError where it has none among its stages."""
    found = next((stage for stage in daemon.stages if isinstance(stage, Exchange)), None)
    if found is None:
        raise LookupError("this daemon exchanges no rows")
    return found


def routes(daemon: Daemon[Any]) -> APIRouter:
    """What the other member of a row asks for."""
    exchange = exchange_of(daemon)
    router = APIRouter(prefix="/v1/rows")

    @router.post("")
    def propose(caller: Caller, body: Body) -> Response:
        said = value_of(SignedRow, body)
        return answer({"signature": document(exchange.answer(caller, said.row, said.signature))})

    @router.post("/nodes")
    def node(caller: Caller, body: Body) -> Response:
        return answer(document(exchange.comparing.node(caller, value_of(NodeAsked, body))))

    @router.post("/differences")
    def differ(caller: Caller, body: Body) -> Response:
        return answer(document(exchange.comparing.differ(caller, value_of(LeafTold, body))))

    @router.post("/heard")
    def heard(caller: Caller, body: Body) -> Response:
        return answer(document(exchange.comparing.heard(caller, value_of(Packet, body))))

    return router
