"""Gas of rows, claims, proofs against them, and of demands for their leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from functools import partial
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import preimages
from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, MissingLeaf, Row, RowAttestation, RowDemand, ShownFlow, ShownLeaf, Trade
from tests.contracts import market as markets
from tests.contracts.gas import QUORUMS, USUAL_LEVELS, Measured, chain, levels_of, measure
from tests.contracts.gas_trading import deep, deep_place
from tests.contracts.market import Market, at_time
from tests.contracts.settling import Scene, deploy_settling, later
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    allocation_of,
    events,
    post,
    trade_of,
)

CHUNK = 128
WAYS = (("all from the lock", 100, 42_000), ("part owed", 50, 50_000), ("all owed", 0, 62_000))


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


def agreed_rows(everything: bool) -> Iterator[Measured]:
    """Rows of as many pairs of platforms in one call; every pair has owed before, in a cycle before."""
    for count in (1, 16, 64) if everything else (64,):
        for way, locked, target in WAYS:
            with chain():
                scene = Scene(deploy_settling())
                yield _agreed(scene, count, way, locked, target if count == 64 else None)


def _agreed(scene: Scene, count: int, way: str, locked: int, target: int | None) -> Measured:
    market = scene.market
    payers = add_members(market, min(count, 8), markets.PLATFORM, "payer")
    payees = add_members(market, -(-count // 8), markets.PLATFORM, "payee")
    for name in (*payers, *payees):
        market.fund(name, 10**6)
    pairs = [(payer, payee) for payer in payers for payee in payees]
    scene.settle(*(replace(scene.plain(*pair, 1), cycle=CYCLE - 1, inputs=bytes(32)) for pair in pairs))
    scene.commit([trade_of(market)])
    if locked:
        with boa.env.prank(market.addresses["TradeBook"]):
            for payer in payers:
                market.escrow.lock(CYCLE, sorted((scene.id(payer), scene.id(payee), locked) for payee in payees))
    scene.settle_inputs()
    rows = [scene.signed(scene.plain(*pair, 90, keep=2 * locked)) for pair in pairs]
    settlement = market.settlement
    call = f"{count} in a call" if count > 1 else "alone in a call"
    return measure("an agreed row", f"{call}, {way}", settlement, partial(settlement.settle, rows, []), target, count)


def _many(scene: Scene, count: int) -> RowContent:
    digests = sorted(keccak256(number.to_bytes(8, "big")) for number in range(count))
    leaves = tuple(FlowLeaf(digest, 0, 2_000, 10_000_000, keccak256(b"salt", digest)) for digest in digests)
    return RowContent(scene.id("platform_a"), scene.id("platform_b"), leaves)


def _attested(scene: Scene, content: RowContent, attestors: int) -> tuple[Row, tuple[Any, ...]]:
    market, quorum = scene.market, QUORUMS[attestors]
    names = add_members(market, attestors, markets.UTILITY, "attestor")
    with boa.env.prank(market.council):
        market.registry.set_attestors([scene.id(name) for name in names])
    row = scene.row(content)
    statement = RowAttestation(market.domain.digest(row))
    return row, (astuple(row), 2**quorum - 1, [market.sign(name, statement) for name in names[:quorum]])


def attested_rows(everything: bool) -> Iterator[Measured]:
    """Attesting by quorums of several sizes; publishing rows of several sizes, all their chunks; applying."""
    for attestors, quorum in QUORUMS.items() if everything else ((7, 5),):
        with chain():
            scene = Scene(deploy_settling())
            scene.commit([trade_of(scene.market)])
            scene.settle_inputs()
            settlement = scene.market.settlement
            _, arguments = _attested(scene, _many(scene, 1), attestors)
            yield measure(
                "attest a row",
                f"{quorum} of {attestors}",
                settlement,
                partial(settlement.attest, *arguments),
                130_000 if quorum == 5 else None,
            )
    for count in (128, 1_024, 16_384) if everything else (128, 1_024):
        with chain():
            scene = Scene(deploy_settling())
            scene.commit([trade_of(scene.market)])
            scene.settle_inputs()
            yield from _published(scene, count)


def _published(scene: Scene, count: int) -> Iterator[Measured]:
    settlement, content = scene.market.settlement, _many(scene, count)
    row, arguments = _attested(scene, content, 4)
    settlement.attest(*arguments)
    gas = 0
    for first in range(0, count, CHUNK):
        leaves = [astuple(leaf) for leaf in content.leaves[first : first + CHUNK]]
        path = list(content.tree.chunk(7, first // CHUNK)[1])
        gas += measure(
            "",
            "",
            settlement,
            partial(settlement.publish, astuple(row), leaves, path),
        ).gas
    yield Measured("publish a leaf", f"of {count:,} leaves, all chunks", round(gas / count), 3_900)
    if count == CHUNK:
        later(DAY)
        yield measure(
            "apply an attested row",
            "all owed, accounts new",
            settlement,
            partial(settlement.apply_attested, astuple(row)),
        )


def _deep_inputs(scene: Scene, trade: Trade, levels: int, run: int = 0) -> tuple[list[Any], list[Any]]:
    """Both utilities post trees of 2^levels leaves that hold the trade's, in the next run; the shown leaves."""
    listed = []
    if run == 0:
        at_time(END + 1)
    for side, utility in ((0, "utility_a"), (1, "utility_b")):
        leaf = scene.leaf(trade, side)
        root, count, path = deep(preimages.allocation_leaf(leaf), levels)
        post(scene.market, utility, allocation_of(scene.market, utility, root, count, run=run))
        listed.append([astuple(ShownLeaf(run, root, count, 0, leaf, path))])
    scene.seal()
    return listed[0], listed[1]


def _deep_trade(levels: int) -> tuple[Scene, Trade]:
    """A batched trade under so many levels, between members that have owed before."""
    scene = Scene(deploy_settling())
    market, trade = scene.market, trade_of(scene.market)
    pairs = [("platform_a", "platform_b"), ("platform_a", "utility_b")]
    scene.settle(*(replace(scene.plain(*pair, 1), cycle=CYCLE - 1, inputs=bytes(32)) for pair in pairs))
    scene.add(trade, deep_place(market, trade, levels))
    return scene, trade


def claims(everything: bool) -> Iterator[Measured]:
    """A trade claimed and applied: two flows, nothing locked."""
    for levels in levels_of(everything):
        with chain():
            yield from _claimed(*_deep_trade(levels), levels)


def _claimed(scene: Scene, trade: Trade, levels: int) -> Iterator[Measured]:
    shown, settlement = _deep_inputs(scene, trade, levels), scene.market.settlement
    arguments = astuple(scene.place(trade)), astuple(trade), scene.signatures(trade), *shown
    what, made = f"4 signatures, {levels} levels", list[Any]()
    claim = measure("claim a trade", what, settlement, lambda: made.append(settlement.claim(*arguments)))
    later(DAY)
    applying = partial(settlement.apply_claim, *made)
    applied = measure("apply a claim", f"2 flows, {levels} levels", settlement, applying)
    both = {part: claim.parts[part] + applied.parts[part] for part in claim.parts}
    target = 400_000 if levels <= USUAL_LEVELS else None
    yield claim
    yield applied
    yield Measured("claim a trade and apply it", f"{what}, 2 flows", claim.gas + applied.gas, target, both)


def strikes(everything: bool) -> Iterator[Measured]:
    """Rows struck by one proof, before they are published."""
    for levels in levels_of(everything):
        with chain():
            scene, trade = _deep_trade(levels)
            shown, faults = _deep_inputs(scene, trade, levels), scene.market.row_faults
            content = scene.contents()[trade.buyer_platform, trade.seller_platform]
            leaf = replace(content.leaves[0], amount=content.amount + 1)
            root, count, path = deep(preimages.flow_leaf(leaf), levels)
            row = scene.row(content, amount=leaf.amount, root=root, count=count)
            scene.attest(row)
            arguments = astuple(row), astuple(leaf), 0, list(path), astuple(trade), *shown
            yield measure(
                "strike a wrong leaf",
                f"{levels} levels, 2 flows",
                faults,
                partial(faults.strike_wrong_leaf, *arguments),
                260_000 if levels == USUAL_LEVELS else None,
            )
        with chain():
            scene, trade = _deep_trade(levels)
            shown, faults = _deep_inputs(scene, trade, levels), scene.market.row_faults
            row = scene.row(scene.empty("platform_a", "platform_b"))
            scene.attest(row)
            said = MissingLeaf(scene.market.domain.digest(row), scene.digest(trade), 0)
            word = scene.market.sign("platform_b", said)
            place = astuple(scene.place(trade)), astuple(trade), scene.signatures(trade)
            yield measure(
                "strike a row that lacks a leaf",
                f"{levels} levels, an empty row",
                faults,
                partial(faults.strike_missing_leaf, astuple(row), astuple(said), word, [], *place, *shown, [], []),
            )


def row_demands(everything: bool) -> Iterator[Measured]:
    """A leaf of a published row is demanded, and shown or not."""
    for levels in levels_of(everything):
        with chain():
            yield from _demanded(levels, is_shown=True)
    with chain():
        yield from _demanded(USUAL_LEVELS, is_shown=False)


def _demanded(levels: int, is_shown: bool) -> Iterator[Measured]:
    scene, trade = _deep_trade(levels)
    shown, case = _deep_inputs(scene, trade, levels), scene.market.row_demands
    content = scene.contents()[trade.buyer_platform, trade.seller_platform]
    row = scene.pending(content)
    said = RowDemand(scene.market.domain.digest(row), 0, scene.id("platform_a"))
    arguments = astuple(row), astuple(said), scene.market.sign("platform_a", said), []
    line = measure("demand a row's leaf", "", case, partial(case.demand, *arguments))
    if not is_shown:
        later(scene.market.config.demand_time)
        strike = partial(case.strike_unfounded, astuple(row), 0)
        yield measure("strike a row by a leaf not shown", "", case, strike)
        return
    if levels == USUAL_LEVELS:
        yield line  # it shows no proof
    leaf = astuple(ShownFlow(content.leaves[0], 0, ()))
    place = astuple(scene.place(trade)), astuple(trade), scene.signatures(trade)
    answer = partial(case.answer, astuple(row), leaf, *place, *shown)
    yield measure("answer for a row's leaf", f"4 signatures, {levels} levels", case, answer)


def newer_leaves(everything: bool) -> Iterator[Measured]:
    """A claim and an answer by leaves of run 0, where there are newer ones."""
    for levels in levels_of(everything):
        for kind in ("claim", "answer"):
            with chain():
                yield _newer(levels, kind)


def _newer(levels: int, kind: str) -> Measured:
    scene, trade = _deep_trade(levels)
    market, content = scene.market, scene.contents()[trade.buyer_platform, trade.seller_platform]
    older, newer = _deep_inputs(scene, trade, levels), _deep_inputs(scene, trade, levels, run=1)
    place = astuple(scene.place(trade)), astuple(trade), scene.signatures(trade)
    what = f"by a newer leaf, {levels} levels"
    if kind == "claim":
        claim, faults = market.settlement.claim(*place, *older), market.row_faults
        newest = claim, astuple(trade), 1, newer[1][0]
        return measure("strike a claim", what, faults, partial(faults.strike_newer_leaf, *newest))
    row, case = scene.pending(content, run=1), market.row_demands
    said = RowDemand(market.domain.digest(row), 0, scene.id("platform_a"))
    case.demand(astuple(row), astuple(said), market.sign("platform_a", said), [])
    case.answer(astuple(row), astuple(ShownFlow(content.leaves[0], 0, ())), *place, *older)
    (found,) = events(case, "LeafFounded")
    refuting = astuple(row), 0, found["claim"], astuple(trade), 1, newer[1]
    return measure("refute an answer", what, case, partial(case.refute, *refuting))


def releases(everything: bool) -> Iterator[Measured]:
    """A lock goes back once the cycle is closed: by its last run's seal, or by its age with no run sealed."""
    for way in ("the last run is sealed", "no run is sealed"):
        with chain():
            scene = Scene(deploy_settling(replace(CONFIG, run_deadlines=CONFIG.run_deadlines[:1])))
            scene.commit([trade_of(scene.market)], [("platform_a", "platform_b", 1_000_000)])
            if way == "the last run is sealed":
                scene.settle_inputs()
            later(scene.market.config.close_limit + 30 * DAY)
            escrow = scene.market.escrow
            pair = scene.id("platform_a"), scene.id("platform_b")
            yield measure("release a lock", way, escrow, partial(escrow.release, CYCLE, *pair))


OPERATIONS = (agreed_rows, attested_rows, claims, strikes, row_demands, newer_leaves, releases)
