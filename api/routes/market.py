"""`/v1/members`, `/v1/transactions` and `/v1/feed`: who takes part, what was relayed, what the chain said."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from starlette.concurrency import run_in_threadpool

from api.access import Kind, Scope
from api.policy import TRANSACTION, Role, shown
from api.routes.parts import MAX_NUMBER, Limit, Parts
from api.serving import Asked, answer, described
from api.views.finality import Finality, of_block
from settlement import canonical_json, typed_data
from settlement.documents import document
from settlement.hashing import Hash32, keccak256
from settlement.validity import MemberRole
from store import feed, gateway
from store.feed import FeedItem, hashed_document
from wire.problems import Refused

LONGEST_WAIT = 30


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as the registry has it now; `subscriber` is null for one that joined after the record was written."""

    id: Hash32
    subscriber: str | None
    roles: tuple[str, ...]
    hot_key: str
    since: int
    is_suspended: bool
    is_contract: bool


def routes(parts: Parts) -> APIRouter:
    """The routes of what concerns the market as a whole."""
    router = APIRouter(tags=["market"])
    settling, feeding = parts.reception.reader(Scope.SETTLEMENT), parts.reception.reader(Scope.FEED)
    trading = parts.reception.reader(Scope.TRADES)

    @router.get(
        "/v1/members",
        operation_id="listMembers",
        summary="The members of the market",
        **described(200, "Members"),
        dependencies=[Depends(settling)],
    )
    def list_members() -> Response:
        """As they stand now, by id."""
        moment = parts.market.moment()
        return answer(moment, {"items": [document(one) for one in _members(parts)]})

    @router.get(
        "/v1/transactions/{name}",
        operation_id="getTransaction",
        summary="What became of something that was relayed",
        **described(200, "TransactionAnswer", ("not-found",)),
    )
    def get_transaction(name: str, asked: Annotated[Asked, Depends(trading)]) -> Response:
        """For those who signed it, or whom it is about; with everything that happened to it."""
        moment = parts.market.moment()
        with parts.database.reading() as connection:
            relay = gateway.relay(connection, name)
            allowed = frozenset() if relay is None else gateway.audience(connection, relay.seq)
        if relay is None or asked.caller.members.isdisjoint(allowed):
            raise Refused("not-found", "no transaction of this id that concerns the caller")
        role = Role.PARTY if asked.caller.kind is Kind.MEMBER else Role.AUDITOR
        return answer(moment, shown(TRANSACTION, role, document(parts.relayer.look(relay))))

    @router.get(
        "/v1/feed",
        operation_id="readFeed",
        summary="What the chain said, after the number that the caller has come to",
        **described(200, "Feed"),
        dependencies=[Depends(feeding)],
    )
    async def read_feed(
        after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The number of the last item read")] = 0,
        limit: Limit = 100,
        types: Annotated[str, Query(max_length=1_000, description="Only these events, with commas between")] = "",
        wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the first item")] = 0,
    ) -> Response:
        """Each item is bound to the one before by its hash. An event that left the chain is followed by a TakenBack."""
        wanted = tuple(filter(None, types.split(",")))
        async with parts.bell.listening() as news:
            found = await run_in_threadpool(_items, parts, after, limit, wanted)
            if not found and wait:
                await _rung(news, wait)
                found = await run_in_threadpool(_items, parts, after, limit, wanted)
        moment = await run_in_threadpool(parts.market.moment)
        items = [_item(one, taken_back, moment.final) for one, taken_back in found]
        return answer(moment, {"items": items, "next": found[-1][0].seq if found else after})

    @router.get(
        "/v1/feed/head",
        operation_id="readFeedHead",
        summary="The newest item's number and hash, signed by the gateway",
        **described(200, "FeedHead"),
        dependencies=[Depends(feeding)],
    )
    def read_feed_head() -> Response:
        """Two heads signed for one number and different hashes prove that the gateway told two stories."""
        moment = parts.market.moment()
        with parts.database.reading() as connection:
            head = feed.head(connection)
        market_id = parts.market.record.market_id
        digest = keccak256(canonical_json.dumps({"market": market_id, "seq": head.seq, "hash": head.hash}))
        return answer(
            moment,
            {
                "market": document(market_id),
                "seq": head.seq,
                "hash": document(head.hash),
                "digest": document(digest),
                "key": "0x" + typed_data.address_of(parts.key).hex(),
                "signature": document(typed_data.sign(parts.key, digest)),
            },
        )

    return router


def _members(parts: Parts) -> list[MemberView]:
    authority = parts.market.authority()
    found = []
    for member in sorted(authority.registry.members):
        standing = authority.standing(member)
        if standing is not None:
            found.append(
                MemberView(
                    id=member,
                    subscriber=parts.market.names.get(member),
                    roles=tuple(role.name for role in MemberRole if role in standing.roles and role.name),
                    hot_key="0x" + standing.key.hex(),
                    since=standing.since,
                    is_suspended=standing.is_suspended,
                    is_contract=standing.is_contract,
                )
            )
    return found


def _items(parts: Parts, after: int, limit: int, types: tuple[str, ...]) -> tuple[tuple[FeedItem, bool], ...]:
    with parts.database.reading() as connection:
        return feed.after(connection, after, limit, types)


def _item(one: FeedItem, taken_back: bool, final: int) -> dict[str, Any]:
    shown_item: dict[str, Any] = canonical_json.loads(
        canonical_json.dumps(hashed_document(one.seq, one.news, one.prev_hash))
    )
    finality = Finality.ORPHANED if taken_back else of_block(one.news.block_number, final)
    return shown_item | {"hash": "0x" + one.hash.hex(), "finality": finality}


async def _rung(news: asyncio.Event, seconds: int) -> None:
    try:
        await asyncio.wait_for(news.wait(), seconds)
    except TimeoutError:
        return
