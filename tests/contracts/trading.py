"""What tests of commitments and allocations share: a market with its trade book and oracle, trades, trees, signatures.

Everything happens in one cycle: `CYCLE`, which begins at `BEGIN` and ends at `END`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

import boa

from settlement import merkle, preimages, typed_data
from settlement.config import Config
from settlement.formula.templates import FIXED_PRICE_SETTLED, SHIPPED
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import (
    Allocation,
    AllocationLeaf,
    Curtailment,
    HotKeyChange,
    Lock,
    Place,
    ShownLeaf,
    Trade,
    TradeBatch,
    TradeLocks,
    lock_signers,
)
from tests.contracts.market import CONTRACTS, Market, at_time, deploy

HOUR = 3_600
DAY = 24 * HOUR
GATE = 4 * HOUR
CONFIG = replace(Config(), gate=GATE, window_blocks=3)
CYCLE = 20_000
BEGIN = CONFIG.anchor + CYCLE * DAY
END = BEGIN + DAY
# When tests begin: trades of the cycle can be committed.
MORNING = BEGIN - 12 * HOUR
SLOT = BEGIN + 10 * HOUR

CONTRACTS_OF_TRADING = (
    "RevenueFlows",
    "TradeBook",
    "AllocationOracle",
    "AllocationFaults",
    "SettlementEscrow",
    "DepositToken",
)

Signature = tuple[int, bytes, bytes]


def deploy_trading(config: Config = CONFIG, only: tuple[str, ...] = CONTRACTS_OF_TRADING) -> Market:
    """The market's front half at `MORNING`, with all shipped templates and a funded escrow."""
    at_time(MORNING - DAY)
    market = deploy(config, only=only)
    with boa.env.prank(market.council):
        for template in SHIPPED:
            flows = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
            market.flows.register(template.name, template.version, list(template.rate_names), flows)
    for name in ("platform_a", "platform_b", "platform_c"):
        market.fund(name, 10**9)
    at_time(MORNING)
    return market


def events(contract: Any, name: str) -> list[dict[str, Any]]:
    """The fields of the events of this name that the contract itself logged in its last call, in order."""
    logged = [event._asdict() for event in contract.get_logs(strict=False) if type(event).__name__ == name]
    return [{key: value for key, value in fields.items() if key != "address"} for fields in logged]


def member_id(market: Market, name: str) -> bytes:
    """A member's id by its name."""
    return market.members[name].id


def trade_of(market: Market, number: int = 0, **changes: Any) -> Trade:
    """A fixed-price trade between platforms a and b over utilities a and b (also the grid operator): four signers."""
    salt = keccak256(b"trade salt", number.to_bytes(8, "big"))
    trade = Trade(
        trade_id=keccak256(b"trade id", number.to_bytes(8, "big")),
        template=FIXED_PRICE_SETTLED.template_id,
        buyer_platform=member_id(market, "platform_a"),
        seller_platform=member_id(market, "platform_b"),
        buyer_utility=member_id(market, "utility_a"),
        seller_utility=member_id(market, "utility_b"),
        grid_operator=member_id(market, "utility_b"),
        market_agent=ZERO_HASH,
        buyer_meter=keccak256(b"buyer meter"),
        seller_meter=keccak256(b"seller meter"),
        slot_start=SLOT,
        slot_end=SLOT + HOUR,
        contracted_wh=2_000,
        traded_at=MORNING - HOUR,
        valid_until=SLOT - GATE,
        rates=(5_000_000, 400_000),
        order_hash=keccak256(b"order"),
        salt=salt,
    )
    return replace(trade, **changes)


def batch_of(market: Market, trades: Sequence[Trade], **changes: Any) -> TradeBatch:
    """The batch of these trades between platforms a and b, in whichever order sorts them."""
    a, b = sorted((member_id(market, "platform_a"), member_id(market, "platform_b")))
    batch = TradeBatch(
        CYCLE, a, b, 1, BEGIN, max(1, len(trades)), commitment_tree(market, trades).root if trades else b"\1" * 32, ()
    )
    return replace(batch, **changes)


def commitment_tree(market: Market, trades: Sequence[Trade]) -> merkle.Tree:
    """The tree over the trades' digests."""
    return merkle.Tree([preimages.trade_leaf(market.domain.digest(trade)) for trade in trades])


def commit(market: Market, batch: TradeBatch, signers: Sequence[bytes] | None = None) -> int:
    """Commits a batch with its signers' signatures (or those of other members)."""
    signatures = market.sign_all(tuple(batch.signers if signers is None else signers), batch)
    return int(market.book.commit_batch(astuple(batch), signatures, []))


def register(market: Market, trade: Trade, locks: Sequence[Lock] = ()) -> int:
    """Registers a fully signed trade."""
    return int(market.book.register_trade(*registration(market, trade, locks), []))


def registration(
    market: Market, trade: Trade, locks: Sequence[Lock] = ()
) -> tuple[Any, list[Any], list[Any], list[Any]]:
    """What registers a trade, but for wallets' signatures: the trade, its signers', its locks, further payers'."""
    locked = TradeLocks(market.domain.digest(trade), tuple(locks))
    signatures = [market.sign_all((one,), locked if one in trade.platforms else trade)[0] for one in trade.signers]
    further = lock_signers(trade, locks)[len(trade.platforms) :]
    return astuple(trade), signatures, [astuple(lock) for lock in locks], market.sign_all(further, locked)


def registered_place(market: Market, number: int, trade: Trade, committed_at: int | None = None) -> Place:
    """Where a registered trade stands."""
    time = boa.env.evm.patch.timestamp if committed_at is None else committed_at
    record = preimages.registered_commitment(trade, market.domain.digest(trade), CYCLE, time)
    return Place(number, record, 0, ())


def batch_place(
    market: Market, number: int, batch: TradeBatch, trades: Sequence[Trade], index: int, committed_at: int
) -> Place:
    """Where a batched trade stands."""
    path = commitment_tree(market, trades).path(index)
    return Place(number, preimages.batch_commitment(batch, committed_at), index, path)


def commit_one(market: Market, trade: Trade | None = None) -> tuple[Trade, Place]:
    """A trade in a batch of its own, and its place."""
    trade = trade or trade_of(market)
    batch = batch_of(market, [trade], sequence=market.book.commitment_count() + 1)
    now = boa.env.evm.patch.timestamp
    return trade, batch_place(market, commit(market, batch), batch, [trade], 0, now)


def curtail(
    market: Market,
    place: Place,
    trade: Trade,
    contracted_wh: int,
    signers: Sequence[str] | Sequence[bytes],
    curtailment: Curtailment | None = None,
) -> None:
    """Curtails a trade with these members' signatures (by name or id)."""
    value = curtailment or Curtailment(place.number, place.index, contracted_wh, 7)
    ids = [member_id(market, one) if isinstance(one, str) else one for one in signers]
    market.book.curtail(astuple(value), astuple(place), astuple(trade), market.sign_all(tuple(ids), value), [])


def leaf_of(market: Market, trade: Trade, side: int, **changes: Any) -> AllocationLeaf:
    """The honest leaf of a trade that is alone on its meter, whose reading covers it."""
    leaf = AllocationLeaf(
        trade_digest=market.domain.digest(trade),
        commitment=1,
        index=0,
        side=side,
        meter=trade.seller_meter if side else trade.buyer_meter,
        slot_start=trade.slot_start,
        contracted_wh=trade.contracted_wh,
        contracted_before=0,
        meter_wh=trade.contracted_wh + 500,
        contracted_total_wh=trade.contracted_wh,
        status=0,
        allocated_wh=trade.contracted_wh,
        salt=preimages.allocation_salt(trade.salt, CYCLE, side),
    )
    return replace(leaf, **changes)


def allocation_tree(leaves: Sequence[AllocationLeaf]) -> merkle.Tree:
    """The tree over allocation leaves."""
    return merkle.Tree([preimages.allocation_leaf(leaf) for leaf in leaves])


def allocation_of(
    market: Market, utility: str, root: bytes = b"\2" * 32, count: int = 3, run: int = 0, attempt: int = 1
) -> Allocation:
    """A utility's statement over this tree."""
    return Allocation(CYCLE, run, attempt, member_id(market, utility), root, count, market.config.digest())


def post(market: Market, utility: str, allocation: Allocation | None = None) -> Allocation:
    """Posts a statement with the utility's signature."""
    allocation = allocation or allocation_of(market, utility)
    market.oracle.post(astuple(allocation), market.sign(utility, allocation), [])
    return allocation


def post_leaves(
    market: Market, utility: str, leaves: Sequence[AllocationLeaf], run: int = 0, attempt: int = 1
) -> merkle.Tree:
    """Posts the tree over these leaves."""
    tree = allocation_tree(leaves)
    post(market, utility, allocation_of(market, utility, tree.root, tree.count, run, attempt))
    return tree


def shown(tree: merkle.Tree, index: int, leaf: AllocationLeaf, run: int = 0) -> ShownLeaf:
    """A leaf with its proof."""
    return ShownLeaf(run, tree.root, tree.count, index, leaf, tree.path(index))


def deadline(run: int = 0) -> int:
    """The deadline of a run, as long as nothing delays it."""
    return END + CONFIG.run_deadlines[run]


def mine(blocks: int) -> None:
    """Blocks pass, without time."""
    boa.env.evm.patch.block_number += blocks


def pass_window(market: Market, opened: bool = False) -> None:
    """From the deadline of the next run to where it can be sealed."""
    if not opened:
        market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(boa.env.evm.patch.timestamp + CONFIG.window)


def pause(market: Market) -> None:
    """The guardian pauses intake."""
    with boa.env.prank(market.guardian):
        market.registry.pause()


def resume(market: Market) -> None:
    """The guardian lifts the pause."""
    with boa.env.prank(market.guardian):
        market.registry.resume()


def wallet_bytes(market: Market, name: str, value: object) -> bytes:
    """A member's hot-key signature in the form that OwnerWallet takes."""
    signature = typed_data.sign(market.members[name].hot, market.domain.digest(value))
    return signature.r + signature.s + bytes([signature.v])


def use_wallet(market: Market, name: str) -> Any:
    """Makes an OwnerWallet of the member's hot key the member's hot key."""
    who = market.members[name]
    wallet = boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), who.address)
    change = HotKeyChange(who.id, wallet.address, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, wallet.address, market.sign_cold(name, change), b"")
    return wallet
