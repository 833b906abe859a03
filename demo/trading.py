"""From planned trades to what the chain needs: trades signed by everyone they bind, in batches with locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from demo.calendar import CONFIG, cycle, day_start, slot
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from settlement import canonical_json, merkle
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


def utility_of(members: Members, home: Home) -> Member:
    """The utility whose meter a home has."""
    return members.serving[home.utility]


def platform_of(members: Members, home: Home) -> Member:
    """The platform on which a home trades."""
    return members.platforms[home.platform]


def meter_text(home: int) -> str:
    """A home's meter as messages write it, by the home's index."""
    return f"der://meter/IN-{home + 1:04d}"


def canonical_meter(home: Home) -> str:
    """The one text for a home's meter."""
    return canonical_meter_id(meter_text(home.index))


def meter_salt(members: Members, home: Home, cycle_number: int) -> Hash32:
    """The salt of a home's meter in one cycle, which its utility makes from a secret of its own."""
    secret = utility_of(members, home).cold_key
    return keccak256(b"meter salt", secret, meter_text(home.index).encode(), cycle_number.to_bytes(8, "big"))


def meter_pseudonym(members: Members, home: Home, cycle_number: int) -> Hash32:
    """How a home's meter is known on chain in one cycle."""
    return meter_hash(meter_salt(members, home, cycle_number), canonical_meter(home))


@dataclass(frozen=True, slots=True)
class SignedTrade:
    """A trade with the signatures of all its signers, in role order."""

    trade: Trade
    digest: Hash32
    signatures: tuple[Signature, ...]


def make_trade(members: Members, homes: Sequence[Home], plan: PlannedTrade, number: int) -> Trade:
    """The trade of a match: `number` counts the day's trades from 0."""
    buying, selling = homes[plan.buyer_home], homes[plan.seller_home]
    buyer, seller = platform_of(members, buying), platform_of(members, selling)
    buyer_utility, seller_utility = utility_of(members, buying), utility_of(members, selling)
    starts, cycle_number = slot(plan.day, plan.hour), cycle(plan.day)
    inside = buyer_utility is seller_utility
    transaction = f"demo-{plan.day}-{number}"
    item = f"offer-{plan.seller_home}-{plan.hour}"
    salt = keccak256(b"trade salt", seller.cold_key, transaction.encode())
    order = canonical_json.dumps({"transaction": transaction, "item": item, "wh": plan.wh, "price": str(plan.price)})
    return Trade(
        trade_id=trade_id(buyer.id, seller.id, transaction, item, starts),
        template=(FIXED_PRICE_SETTLED if inside else INTER_UTILITY).template_id,
        buyer_platform=buyer.id,
        seller_platform=seller.id,
        buyer_utility=buyer_utility.id,
        seller_utility=seller_utility.id,
        grid_operator=members.grid_operator.id if inside else ZERO_HASH,
        market_agent=ZERO_HASH,
        buyer_meter=meter_pseudonym(members, buying, cycle_number),
        seller_meter=meter_pseudonym(members, selling, cycle_number),
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


def locks_for(trades: Sequence[SignedTrade], share: Callable[[Pair, int], int]) -> tuple[Lock, ...]:
    """Locks of the trades' payments between platforms; `share` makes what is locked of an ordered pair's worst case."""
    worst: dict[Pair, int] = defaultdict(int)
    for one in trades:
        if one.trade.buyer_platform != one.trade.seller_platform:
            worst[one.trade.buyer_platform, one.trade.seller_platform] += worst_case(one.trade)
    locks = (Lock(payer, payee, share((payer, payee), amount)) for (payer, payee), amount in sorted(worst.items()))
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
