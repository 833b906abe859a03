"""Gas of rows, claims and strikes against the targets: London, net of refunds, with base and calldata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from functools import cache
from typing import Any

import boa
import pytest
from boa.environment import Env

from settlement import merkle, preimages
from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, Row, RowAttestation, ShownLeaf, Trade
from tests.contracts import market as markets
from tests.contracts.market import CONTRACTS, Market, at_time
from tests.contracts.settling import Scene, deploy_settling, gas_of, later
from tests.contracts.trading import CYCLE, DAY, END, allocation_of, batch_of, batch_place, commit, post, trade_of

# Each test has an environment of its own, whose transactions are final.
pytestmark = pytest.mark.ignore_isolation
LEVELS = 20
ATTESTORS = tuple(f"attestor_{number}" for number in range(7))


@cache
def london(name: str) -> Any:
    """The contract compiled for London."""
    return boa.load_partial(str(CONTRACTS / f"{name}.vy"), compiler_args={"evm_version": "london"})


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(markets, "source", london)
    with boa.swap_env(Env()):
        yield Scene(deploy_settling())


def next_transaction() -> None:
    """Ends a transaction: storage becomes original, addresses and slots cold."""
    state = boa.env.evm.vm.state
    state.lock_changes()
    boa.env.reset_gas_used()
    for precompile in range(1, 10):
        state.mark_address_warm(precompile.to_bytes(20, "big"))


def report(what: str, gas: float) -> float:
    """Shows a figure in `pytest -s`, and gives it back."""
    print(f"\n{what}: {gas:,.0f}")
    return gas


def deep(leaf: bytes, levels: int = LEVELS) -> tuple[bytes, int, tuple[bytes, ...]]:
    """Root, count and path of a tree of 2^levels leaves whose first is this one."""
    path = tuple(keccak256(b"sibling", bytes([level])) for level in range(levels))
    node = leaf
    for sibling in path:
        node = merkle.hash_node(node, sibling)
    return node, 2**levels, path


def add_members(market: Market, count: int, roles: int, prefix: str) -> tuple[str, ...]:
    """Admits members of these roles."""
    names = tuple(f"{prefix}_{number}" for number in range(count))
    with boa.env.prank(market.council):
        for name in names:
            who = markets.member(name)
            market.members[name] = who
            market.registry.admit(who.id, roles, who.cold_address, who.address, who.payout, bytes(32))
            market.token.set_holder(who.payout, True)
    return names


@pytest.mark.parametrize(
    ("what", "locked", "amount", "target"),
    [("all from the lock", 100, 90, 42_000), ("part owed", 50, 90, 50_000), ("all owed", 0, 90, 62_000)],
)
def test_agreed_rows(scene: Scene, what: str, locked: int, amount: int, target: int) -> None:
    """64 rows in a call, each of another pair of platforms."""
    market = scene.market
    payers = add_members(market, 8, markets.PLATFORM, "payer")
    payees = add_members(market, 8, markets.PLATFORM, "payee")
    for name in (*payers, *payees):
        market.fund(name, 10**6)
    pairs = [(payer, payee) for payer in payers for payee in payees]
    # Known accounts: every pair has owed before, in a cycle before.
    before = [replace(scene.plain(*pair, 1), cycle=CYCLE - 1, inputs=bytes(32)) for pair in pairs]
    scene.settle(*before)
    scene.commit([trade_of(market)])
    if locked:
        ids = {name: scene.id(name) for name in (*payers, *payees)}
        with boa.env.prank(market.addresses["TradeBook"]):
            for payer in payers:
                market.escrow.lock(CYCLE, sorted((ids[payer], ids[payee], locked) for payee in payees))
    scene.settle_inputs()
    keep = 2 * locked
    rows = [scene.plain(*pair, amount, keep=keep) for pair in pairs]
    arguments = [scene.signed(row) for row in rows]
    next_transaction()
    market.settlement.settle(arguments, [])
    assert report(f"an agreed row of 64, {what}", gas_of(market.settlement) / 64) <= target


def attested(scene: Scene, content: RowContent) -> tuple[Row, tuple[Any, ...]]:
    """A row and the arguments with which 5 of 7 attest it."""
    names = add_members(scene.market, 7, markets.UTILITY, "attestor")
    with boa.env.prank(scene.market.council):
        scene.market.registry.set_attestors([scene.id(name) for name in names])
    row = scene.row(content)
    statement = RowAttestation(scene.market.domain.digest(row))
    return row, (astuple(row), 0b11111, [scene.market.sign(name, statement) for name in names[:5]])


def many(scene: Scene, count: int) -> RowContent:
    """A row of so many leaves."""
    digests = sorted(keccak256(number.to_bytes(8, "big")) for number in range(count))
    leaves = tuple(FlowLeaf(digest, 0, 2_000, 10_000_000, keccak256(b"salt", digest)) for digest in digests)
    return RowContent(scene.id("platform_a"), scene.id("platform_b"), leaves)


def test_attest_and_publish(scene: Scene) -> None:
    scene.commit([trade_of(scene.market)])
    scene.settle_inputs()
    content = many(scene, 300)
    row, arguments = attested(scene, content)
    settlement = scene.market.settlement
    next_transaction()
    settlement.attest(*arguments)
    # The aim was 130 000; two new words (digest, progress) and the standings of five attestors are 65 000.
    assert report("attest a row, 5 of 7", gas_of(settlement)) <= 155_000
    for chunk in range(3):
        leaves = [astuple(leaf) for leaf in content.leaves[128 * chunk : 128 * chunk + 128]]
        next_transaction()
        settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, chunk)[1]))
        a_leaf = gas_of(settlement) / len(leaves)
        if chunk < 2:
            assert report(f"publish a leaf, chunk {chunk} of 3", a_leaf) <= 3_900
    later(DAY)
    next_transaction()
    settlement.apply_attested(astuple(row))
    report("apply an attested row", gas_of(settlement))


def deep_inputs(scene: Scene, trade: Trade, levels: int = LEVELS) -> tuple[list[Any], list[Any]]:
    """Both utilities post trees of 2^levels leaves that hold the trade's; the shown leaves."""
    shown = []
    at_time(END + 1)
    for side, utility in ((0, "utility_a"), (1, "utility_b")):
        leaf = scene.leaf(trade, side)
        root, count, path = deep(preimages.allocation_leaf(leaf), levels)
        post(scene.market, utility, allocation_of(scene.market, utility, root, count))
        shown.append([astuple(ShownLeaf(0, root, count, 0, leaf, path))])
    scene.seal()
    return shown[0], shown[1]


def test_strike_wrong_leaf(scene: Scene) -> None:
    trade = trade_of(scene.market)
    scene.commit([trade])
    buyer, seller = deep_inputs(scene, trade)
    content = scene.contents()[trade.buyer_platform, trade.seller_platform]
    leaf = replace(content.leaves[0], amount=content.amount + 1)
    root, count, path = deep(preimages.flow_leaf(leaf))
    row = scene.row(content, amount=leaf.amount, root=root, count=count)
    scene.attest(row)
    next_transaction()
    scene.market.row_faults.strike_wrong_leaf(astuple(row), astuple(leaf), 0, list(path), astuple(trade), buyer, seller)
    gas = gas_of(scene.market.row_faults)
    assert report("strike a wrong leaf, 20-level paths", gas) <= 260_000


@pytest.mark.parametrize(("levels", "target"), [(10, 400_000), (LEVELS, 425_000)])
def test_claim(scene: Scene, levels: int, target: int) -> None:
    """The pair's members are known; nothing is locked, so both flows become owed."""
    market = scene.market
    trade = trade_of(market)
    pairs = [("platform_a", "platform_b"), ("platform_a", "utility_b")]
    scene.settle(*(replace(scene.plain(*pair, 1), cycle=CYCLE - 1, inputs=bytes(32)) for pair in pairs))
    root, count, path = deep(preimages.trade_leaf(scene.digest(trade)), levels)
    batch = batch_of(market, [], root=root, count=count)
    now = boa.env.evm.patch.timestamp
    scene.add(trade, replace(batch_place(market, commit(market, batch), batch, [trade], 0, now), path=path))
    buyer, seller = deep_inputs(scene, trade, levels)
    arguments = astuple(scene.place(trade)), astuple(trade), scene.signatures(trade), buyer, seller
    next_transaction()
    claim = market.settlement.claim(*arguments)
    made = gas_of(market.settlement)
    later(DAY)
    next_transaction()
    market.settlement.apply_claim(claim)
    applied = gas_of(market.settlement)
    report(f"claim {levels} levels: made {made:,}, applied", applied)
    assert report(f"claim and apply, two flows, {levels} levels", made + applied) <= target
