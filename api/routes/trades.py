"""`/v1/trades`: propose, sign, look, list."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import Connection

from api.access import Kind, Scope
from api.bodies import MoreSignatures, NewTrade
from api.market import Moment
from api.policy import TRADE, Role, shown
from api.proposing import audience
from api.routes.parts import WORD, Cursor, Digest, Limit, OfCycle, Parts, cursor_of, seq_of, word
from api.serving import Asked, answer, described
from api.trades import Collected, collected, life, trade_document
from api.views.finality import Finality
from api.views.trade_life import State
from settlement.hashing import Hash32
from store import gateway
from wire.problems import Refused

PAGES_SCANNED = 8
"""States are read off the chain, not stored: a page filtered by state may look through so many of the database's."""


def routes(parts: Parts) -> APIRouter:
    """The routes of trades."""
    router = APIRouter(tags=["trades"])
    reader, writer = parts.reception.reader(Scope.TRADES), parts.reception.writer()

    @router.post(
        "/v1/trades",
        operation_id="proposeTrade",
        summary="Propose a trade, or add signatures to one that is known",
        **described(
            201,
            "TradeAnswer",
            ("place-invalid", "not-yours", "member-signature-wrong", "trade-differs"),
            body="NewTrade",
            also={200: "The trade was known already."},
        ),
    )
    def propose_trade(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """What is missing is answered as EIP-712 typed data; once nothing is, the gateway registers the trade."""
        return parts.reception.once(asked, lambda: parts.proposals.propose(asked.caller.member, asked.read(NewTrade)))

    @router.post(
        "/v1/trades/{digest}/signatures",
        operation_id="signTrade",
        summary="Add signatures to a trade",
        **described(200, "TradeAnswer", ("trade-unknown", "member-signature-wrong"), body="MoreSignatures"),
    )
    def sign_trade(digest: Digest, asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Signatures of any of its signers, whoever brings them; the last one registers the trade."""

        def prepare() -> Any:
            with parts.database.reading() as connection:
                one = _visible(connection, word(digest), asked)
            return parts.proposals.sign(word(digest), one.kept, asked.read(MoreSignatures))

        return parts.reception.once(asked, prepare)

    @router.get(
        "/v1/trades/{digest}",
        operation_id="getTrade",
        summary="A trade and how far it has come",
        **described(200, "TradeAnswer", ("trade-unknown",)),
    )
    def get_trade(digest: Digest, asked: Annotated[Asked, Depends(reader)]) -> Response:
        """Only for members that sign it; to all others there is no such trade."""
        moment = parts.market.moment()
        with parts.database.reading() as connection:
            one = _visible(connection, word(digest), asked)
        return answer(moment, _document(parts, one, moment, asked))

    @router.get(
        "/v1/trades",
        operation_id="listTrades",
        summary="The caller's trades",
        **described(200, "TradePage"),
    )
    def list_trades(
        asked: Annotated[Asked, Depends(reader)],
        missing: Annotated[
            str | None, Query(pattern=WORD, description="Only those that lack this member's signature")
        ] = None,
        state: Annotated[State | None, Query(description="Only those in this state")] = None,
        cycle: OfCycle = None,
        cursor: Cursor = "",
        limit: Limit = 100,
    ) -> Response:
        """In the order in which they came. A page filtered by state may be short and yet have a `next` one."""
        moment = parts.market.moment()
        items: list[dict[str, Any]] = []
        after, more = seq_of(cursor), True
        for _ in range(PAGES_SCANNED):
            with parts.database.reading() as connection:
                kept = gateway.trades_page(
                    connection,
                    asked.caller.members,
                    after=after,
                    limit=limit - len(items),
                    cycle=cycle,
                    missing=None if missing is None else word(missing),
                )
                page = collected(connection, kept)
            more = len(page) == limit - len(items)
            after = page[-1].kept.seq if page else after
            documents = (_document(parts, one, moment, asked) for one in page)
            items += [one for one in documents if state is None or one["state"] == state]
            if not more or len(items) == limit:
                break
        return answer(moment, {"items": items, "next": cursor_of(after) if more else None})

    return router


def _visible(connection: Connection, digest: Hash32, asked: Asked) -> Collected:
    """The trade, for those who sign it. Raises Refused alike for one that is unknown and one that is others'."""
    kept = gateway.trade(connection, digest)
    if kept is not None:
        one = collected(connection, [kept])[0]
        if not asked.caller.members.isdisjoint(audience(one)):
            return one
    raise Refused("trade-unknown", "no trade of this digest that the caller signs is known here")


def _document(parts: Parts, one: Collected, moment: Moment, asked: Asked) -> dict[str, Any]:
    orphaned = one.relay is not None and parts.relayer.look(one.relay).finality is Finality.ORPHANED
    role = Role.SIGNER if asked.caller.kind is Kind.MEMBER else Role.AUDITOR
    return shown(TRADE, role, trade_document(one, life(one, parts.market, moment, orphaned=orphaned), parts.market))
