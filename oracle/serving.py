"""What a utility answers: what its meters are called in a cycle, and the leaves of what it posted."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from member.daemon import Daemon
from member.service import Body, Caller, answer
from oracle.config import UtilityConfig
from oracle.metering import MeterBook
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.validity import MemberRole
from wire.problems import Refused

MOST_METERS = 1_000


@dataclass(frozen=True, slots=True)
class MetersAsked:
    """Which meters a platform asks for, and in which cycle."""

    cycle: int
    meters: tuple[str, ...]


def routes(daemon: Daemon[UtilityConfig], book: MeterBook) -> APIRouter:
    """`POST /v1/meters`, `GET /v1/leaves/{cycle}/{run}`."""
    router = APIRouter(prefix="/v1")

    @router.post("/meters")
    def meters(caller: Caller, body: Body) -> Response:
        """Pseudonyms are for the signers of trades: a platform gets them for orders of cycles that are not over."""
        asked = value_of(MetersAsked, body)
        if caller not in daemon.market.members(MemberRole.PLATFORM):
            raise Refused("not-yours", "only platforms are told what meters are called")
        if len(asked.meters) > MOST_METERS:
            raise SettlementError("$.meters", len(asked.meters), f"at most {MOST_METERS} at a time")
        if daemon.market.now() >= daemon.market.calendar.cycle_end(asked.cycle):
            raise SettlementError("$.cycle", asked.cycle, "is over")
        told = {meter: book.tell(meter, asked.cycle) for meter in asked.meters}
        return answer(
            {
                "meters": [document(one) for one in told.values() if one is not None],
                "unknown": [meter for meter, one in told.items() if one is None],
            }
        )

    @router.get("/leaves/{cycle}/{run}")
    def leaves(caller: Caller, cycle: int, run: int) -> Response:
        """The caller's leaves: of trades that it signed, in the tree that stands on the chain, with their proofs."""
        posted = daemon.market.posted(cycle, run, book.utility)
        if posted is None:
            raise Refused("allocation-unknown", f"nothing is posted in run {run} of cycle {cycle}")
        kept = [
            one
            for one in daemon.store.leaves(cycle, run)
            if (one.run, one.utility, one.root) == (run, book.utility, posted.root)
        ]
        if len(kept) != posted.count:
            raise Refused("try-again", "the leaves of what was posted last are not ready")
        mine = {one.digest for one in daemon.desk.placed(cycle) if caller in one.trade.signers}
        return answer({"leaves": [document(one) for one in kept if one.leaf.trade_digest in mine]})

    return router
