"""Gas of commitments, curtailments, allocations and what is marked on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from functools import partial
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import merkle, preimages, typed_data
from settlement.hashing import keccak256
from settlement.trade import Contest, Curtailment, Demand, FigureAgreement, Lock, Place, Ruling, Trade, TradeBatch
from tests.contracts.gas import LEVELS, QUORUMS, USUAL_LEVELS, Measured, chain, levels_of, measure
from tests.contracts.market import Market, at_time
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    END,
    allocation_of,
    batch_of,
    batch_place,
    commit,
    commit_one,
    deadline,
    deploy_trading,
    leaf_of,
    member_id,
    post,
    register,
    registration,
    trade_of,
)

WITH_DISPUTES = ("RevenueFlows", "TradeBook", "AllocationOracle", "AllocationFaults", "SettlementEscrow")
ARBITERS = tuple(keccak256(b"arbiter", bytes([number])) for number in range(max(QUORUMS)))
PANEL = 5


def deep(leaf: bytes, levels: int) -> tuple[bytes, int, tuple[bytes, ...]]:
    """Root, count and path of a tree of 2^levels leaves whose first is this one."""
    path = tuple(keccak256(b"sibling", bytes([level])) for level in range(levels))
    node = leaf
    for sibling in path:
        node = merkle.hash_node(node, sibling)
    return node, 2**levels, path


def deep_place(market: Market, trade: Trade, levels: int) -> Place:
    """Where a trade was committed in a batch of 2^levels trades."""
    root, count, path = deep(preimages.trade_leaf(market.domain.digest(trade)), levels)
    batch = batch_of(market, [], root=root, count=count)
    number, time = commit(market, batch), boa.env.evm.patch.timestamp
    return replace(batch_place(market, number, batch, [trade], 0, time), path=path)


def commitments(everything: bool) -> Iterator[Measured]:
    """Batches with locks; the size of a batch does not matter."""
    targets = {0: 105_000, 1: None, 4: 225_000}
    for count, target in targets.items():
        with chain():
            market = deploy_trading()
            commit(market, batch_of(market, [trade_of(market)]))
            a, b = sorted((member_id(market, "platform_a"), member_id(market, "platform_b")))
            payees = sorted(member_id(market, f"utility_{letter}") for letter in "abc")
            locks = (*(Lock(a, payee, 1_000_000) for payee in payees), Lock(b, payees[0], 2_000_000))[:count]
            batch = batch_of(market, [], sequence=2, count=10_000, root=keccak256(b"root"), locks=locks)
            yield measure(
                "commit a batch of any size",
                f"2 signatures, {count or 'no'} new lock{'s' if count > 1 else ''}",
                market.book,
                _committing(market, batch),
                target,
            )


def _committing(market: Market, batch: TradeBatch) -> Any:
    signatures = market.sign_all(tuple(batch.signers), batch)
    return partial(market.book.commit_batch, astuple(batch), signatures, [])


def registrations(everything: bool) -> Iterator[Measured]:
    """Single trades, every signature verified."""
    for count, target in ((0, 170_000), (2, 200_000)):
        with chain():
            market = deploy_trading()
            register(market, trade_of(market))
            trade = trade_of(market, 1)
            payer = member_id(market, "platform_a")
            others = [(member_id(market, "platform_b"), 10_000_000), (member_id(market, "utility_b"), 800_000)]
            locks = tuple(Lock(payer, *other) for other in sorted(others))[:count]
            arguments = (*registration(market, trade, locks), [])
            yield measure(
                "register a trade",
                f"4 signatures, {count or 'no'} new lock{'s' if count else ''}",
                market.book,
                partial(market.book.register_trade, *arguments),
                target,
            )


def curtailments(everything: bool) -> Iterator[Measured]:
    """A utility lowers a trade that is alone in its batch, or one of many."""
    for levels in (0, *LEVELS) if everything else (0,):
        with chain():
            market = deploy_trading()
            trade = trade_of(market)
            place = deep_place(market, trade, levels)
            value = Curtailment(place.number, 0, 1_000, 7)
            signatures = [market.sign("utility_a", value)]
            yield measure(
                "curtail a trade",
                f"1 signature, {f'{levels} levels' if levels else 'a batch of 1'}",
                market.book,
                partial(market.book.curtail, astuple(value), astuple(place), astuple(trade), signatures, []),
            )


def allocations(everything: bool) -> Iterator[Measured]:
    """Posting, and the crank."""
    with chain():
        market = deploy_trading()
        commit_one(market)
        at_time(END)
        post(market, "utility_a")
        value = allocation_of(market, "utility_b")
        signature = market.sign("utility_b", value)
        oracle = market.oracle
        yield measure("post an allocation", "", oracle, partial(oracle.post, astuple(value), signature, []), 80_000)
        at_time(deadline())
        yield measure("open a window", "", oracle, partial(oracle.open_window, CYCLE))
        boa.env.evm.patch.block_number += CONFIG.window_blocks
        at_time(deadline() + CONFIG.window)
        yield measure("seal a run", "run 0", oracle, partial(oracle.seal, CYCLE))


def voids(everything: bool) -> Iterator[Measured]:
    """Groups voided by their own leaf, or by the trade."""
    for levels in levels_of(everything):
        for way in ("rule", "trade"):
            with chain():
                market = deploy_trading()
                trade, _ = commit_one(market)
                wrong = {"allocated_wh": 1} if way == "rule" else {"meter": keccak256(b"another meter")}
                leaf = leaf_of(market, trade, 1, **wrong)
                root, count, path = deep(preimages.allocation_leaf(leaf), levels)
                at_time(END)
                post(market, "utility_b", allocation_of(market, "utility_b", root, count))
                at_time(deadline())
                arguments = [CYCLE, member_id(market, "utility_b"), (0, root, count, 0, astuple(leaf), list(path))]
                void = market.faults.void_by_rule
                if way == "trade":
                    arguments.append(astuple(trade))
                    void = market.faults.void_by_trade
                yield measure(
                    "void a group",
                    f"by {way}, {levels} levels",
                    market.faults,
                    partial(void, *arguments),
                    150_000 if levels == USUAL_LEVELS else None,
                )


def pairs(everything: bool) -> Iterator[Measured]:
    """What is shown by two leaves of a tree, neighbours: a group is voided, a leaf stands twice."""
    for levels in levels_of(everything):
        for twice in (False, True):
            with chain():
                market = deploy_trading()
                trade, _ = commit_one(market)
                first = leaf_of(market, trade, 1)
                digest = first.trade_digest if twice else keccak256(b"another trade")
                second = replace(first, trade_digest=digest, index=1, meter_wh=first.meter_wh + 1)
                hashes = preimages.allocation_leaf(first), preimages.allocation_leaf(second)
                root, _, above = deep(merkle.hash_node(*hashes), levels - 1)
                at_time(END)
                post(market, "utility_b", allocation_of(market, "utility_b", root, 2**levels))
                at_time(deadline())
                shown = [
                    (0, root, 2**levels, place, astuple(leaf), [hashes[1 - place], *above])
                    for place, leaf in enumerate((first, second))
                ]
                prove = market.faults.mark_twice if twice else market.faults.void_by_pair
                yield measure(
                    "mark a leaf that stands twice" if twice else "void a group",
                    f"2 paths of {levels} levels" if twice else f"by two leaves, 2 paths of {levels} levels",
                    market.faults,
                    partial(prove, CYCLE, member_id(market, "utility_b"), *shown),
                )


def disputes(everything: bool) -> Iterator[Measured]:
    """Demand, answer, contest, agreement, ruling, by proofs of several depths; rulings by several quorums."""
    for levels in levels_of(everything):
        for kind in ("agreement", "ruling"):
            with chain():
                yield from _disputed(levels, kind, PANEL, CONFIG.arbiter_quorum)
    for arbiters, quorum in QUORUMS.items() if everything else ():
        with chain():
            *_, ruling = _disputed(USUAL_LEVELS, "ruling", arbiters, quorum)
            yield ruling


def _disputed(levels: int, kind: str, arbiters: int, quorum: int) -> Iterator[Measured]:
    parts = (*WITH_DISPUTES, "DepositToken", "Arbiters", "Disputes", "TradeResult")
    market = deploy_trading(replace(CONFIG, arbiter_quorum=quorum), only=parts)
    with boa.env.prank(market.council):
        market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS[:arbiters]])
    trade = trade_of(market)
    place = deep_place(market, trade, levels)
    first = leaf_of(market, trade, 1)
    at_time(END)
    root, count, path = deep(preimages.allocation_leaf(first), levels)
    post(market, "utility_b", allocation_of(market, "utility_b", root, count))
    at_time(deadline())
    evidence = 0, root, count, 0, astuple(first), list(path)
    who, digest, case = member_id(market, "platform_a"), market.domain.digest(trade), market.disputes
    shown_trade = astuple(place), astuple(trade), market.sign("utility_b", trade)
    # The other side's lack of a leaf, by another member: the contract has been used before.
    lack = Contest(CYCLE, 0, member_id(market, "platform_b"), digest, 0, keccak256(b"evidence"))
    of_buyer = *shown_trade[:2], market.sign("utility_a", trade)
    case.contest(astuple(lack), market.sign("platform_b", lack), [], *of_buyer, [])
    demand = Demand(CYCLE, 0, who, digest, 1)
    contest = Contest(CYCLE, 0, who, digest, 1, keccak256(b"evidence"))
    by_demand, by_contest = market.sign("platform_a", demand), market.sign("platform_a", contest)
    if kind == "agreement":
        yield measure(
            "demand an allocation leaf",
            f"{levels} levels",
            case,
            partial(case.demand, astuple(demand), by_demand, [], *shown_trade, []),
        )
        yield measure(
            "answer a demand", f"{levels} levels", case, partial(case.answer, CYCLE, astuple(trade), 1, evidence)
        )
    line = measure(
        "contest a reading",
        f"a member's first, 2 paths of {levels} levels",
        case,
        partial(case.contest, astuple(contest), by_contest, [], *shown_trade, [evidence]),
        205_000 if levels == USUAL_LEVELS else None,
    )
    if kind == "ruling":
        yield line
        if levels != USUAL_LEVELS:
            return  # what follows shows no proof
        found = Ruling(CYCLE, digest, 1, 1_500)
        keys = ARBITERS[:quorum]
        ruled = [astuple(typed_data.sign(key, market.domain.digest(found))) for key in keys]
        yield measure(
            "rule on a reading",
            f"{quorum} of {arbiters} arbiters",
            case,
            partial(case.rule, astuple(found), astuple(trade), 2 ** len(keys) - 1, ruled),
        )
        return
    if levels != USUAL_LEVELS:
        return
    agreed = FigureAgreement(CYCLE, digest, 1, 1_500)
    signed = market.sign_all(trade.signers, agreed)
    yield measure(
        "agree on a reading", "4 signers", case, partial(case.agree, astuple(agreed), astuple(trade), signed, [])
    )


OPERATIONS = (commitments, registrations, curtailments, allocations, voids, pairs, disputes)
