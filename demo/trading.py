"""From planned trades to what the chain needs: trades signed by everyone they bind, in batches with locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from demo.calendar import CONFIG, cycle, day_start, slot
from demo.market import PlannedTrade
from demo.members import Member, Members
from settlement import merkle
from settlement.canonical_json import canonical_json
from settlement.config import HOUR
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import canonical_meter_id, meter_hash, trade_id
from settlement.trade import Lock, Signature, Trade, TradeBatch
from settlement.typed_data import Domain

PAISE = 10_000
WHEELING_INSIDE = 20 * PAISE
WHEELING_BUYER = 25 * PAISE
WHEELING_SELLER = 30 * PAISE

Pair: TypeAlias = tuple[Hash32, Hash32]


def utility_of(members: Members, home: int) -> Member:
    """The utility whose meter a home has."""
    return members.serving[home % 2]


def platform_of(members: Members, home: int) -> Member:
    """The platform on which a home trades."""
    return members.platforms[home % 3]


def meter_text(home: int) -> str:
    """A home's meter as messages write it."""
    return f"der://meter/IN-{home + 1:04d}"


def meter_salt(utility: Member, meter: str, cycle_number: int) -> Hash32:
    """The salt of one meter in one cycle, which its utility makes from a secret of its own."""
    return keccak256(b"meter salt", utility.cold_key, meter.encode(), cycle_number.to_bytes(8, "big"))


def meter_pseudonym(members: Members, home: int, cycle_number: int) -> Hash32:
    """How a home's meter is known on chain in one cycle."""
    utility = utility_of(members, home)
    meter = canonical_meter_id(meter_text(home), utility.subscriber)
    return meter_hash(meter_salt(utility, meter, cycle_number), meter)


@dataclass(frozen=True, slots=True)
class SignedTrade:
    """A trade with the signatures of all its signers, in role order."""

    trade: Trade
    digest: Hash32
    signatures: tuple[Signature, ...]


def make_trade(members: Members, plan: PlannedTrade, number: int) -> Trade:
    """The trade of a match: `number` counts the day's trades from 0."""
    buyer, seller = platform_of(members, plan.buyer_home), platform_of(members, plan.seller_home)
    buyer_utility, seller_utility = utility_of(members, plan.buyer_home), utility_of(members, plan.seller_home)
    starts, cycle_number = slot(plan.day, plan.hour), cycle(plan.day)
    inside = buyer_utility is seller_utility
    transaction = f"demo-{plan.day}-{number}"
    item = f"offer-{plan.seller_home}-{plan.hour}"
    salt = keccak256(b"trade salt", seller.cold_key, transaction.encode())
    order = canonical_json({"transaction": transaction, "item": item, "wh": plan.wh, "price": str(plan.price)})
    return Trade(
        trade_id=trade_id(buyer.id, seller.id, transaction, item, starts),
        template=(FIXED_PRICE_SETTLED if inside else INTER_UTILITY).template_id,
        buyer_platform=buyer.id,
        seller_platform=seller.id,
        buyer_utility=buyer_utility.id,
        seller_utility=seller_utility.id,
        grid_operator=members.grid_operator.id if inside else ZERO_HASH,
        market_agent=ZERO_HASH,
        buyer_meter=meter_pseudonym(members, plan.buyer_home, cycle_number),
        seller_meter=meter_pseudonym(members, plan.seller_home, cycle_number),
        slot_start=starts,
        slot_end=starts + CONFIG.slot_length,
        contracted_wh=plan.wh,
        traded_at=day_start(plan.day) - 6 * HOUR,
        valid_until=starts - CONFIG.gate,
        rates=(plan.price, WHEELING_INSIDE) if inside else (plan.price, WHEELING_BUYER, WHEELING_SELLER, 0),
        order_hash=keccak256(salt, order),
        salt=salt,
    )


def sign_trade(members: Members, domain: Domain, trade: Trade) -> SignedTrade:
    """The cascade: every member that fills a role signs the one digest."""
    digest = domain.digest(trade)
    return SignedTrade(trade, digest, tuple(members.by_id[one].sign(domain, trade) for one in trade.signers))


def platform_pair(trade: Trade) -> Pair:
    """The two platforms of a trade, in the order of a batch."""
    low, high = sorted((trade.buyer_platform, trade.seller_platform))
    return low, high


def by_pair(trades: Iterable[SignedTrade]) -> dict[Pair, list[SignedTrade]]:
    """Trades by their platforms, pairs and trades in a fixed order."""
    groups: dict[Pair, list[SignedTrade]] = defaultdict(list)
    for one in trades:
        groups[platform_pair(one.trade)].append(one)
    return {pair: sorted(groups[pair], key=lambda one: (one.trade.slot_start, one.digest)) for pair in sorted(groups)}


def worst_case(trade: Trade) -> int:
    """The most that the buyer's platform can come to owe the seller's: the contracted energy at its price."""
    return trade.contracted_wh * trade.rates[0] // 1000


def locks_for(trades: Sequence[SignedTrade], share: Callable[[int], int]) -> tuple[Lock, ...]:
    """Locks of the trades' payments between platforms; `share` makes the locked amount of the worst case."""
    worst: dict[Pair, int] = defaultdict(int)
    for one in trades:
        if one.trade.buyer_platform != one.trade.seller_platform:
            worst[one.trade.buyer_platform, one.trade.seller_platform] += worst_case(one.trade)
    locks = (Lock(payer, payee, share(amount)) for (payer, payee), amount in sorted(worst.items()))
    return tuple(lock for lock in locks if lock.amount)


def make_batch(pair: Pair, trades: Sequence[SignedTrade], sequence: int, locks: tuple[Lock, ...]) -> TradeBatch:
    """The batch of a pair's trades of one cycle."""
    tree = batch_tree(trades)
    starts = min(one.trade.slot_start for one in trades)
    return TradeBatch(
        cycle=(starts - CONFIG.anchor) // CONFIG.cycle_length,
        platform_a=pair[0],
        platform_b=pair[1],
        sequence=sequence,
        earliest_slot=starts,
        count=len(trades),
        root=tree.root,
        locks=locks,
    )


def batch_tree(trades: Sequence[SignedTrade]) -> merkle.Tree:
    """The tree over a batch's trades."""
    return merkle.Tree([merkle.hash_leaf(one.digest) for one in trades])


