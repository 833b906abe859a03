"""Python and Vyper on the same generated values, at least 1 000 of each kind, bounds included.

This file holds what is not compared so often elsewhere: tree operations, leaves and keys, signatures, locks, shipped
programs, each allocation rule, a leaf against its trade, sealed inputs, what figures settle at. Struct hashes of the
other signed types are compared in `test_modules.py`, programs of any kind in `test_revenue_flows.py`, figures from
leaves and marks in `trade_result/test_results.py`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_utils import to_checksum_address

from settlement import figures, flows, merkle, preimages, typed_data
from settlement.allocation import share_rule
from settlement.config import FIFO, PRO_RATA
from settlement.faults import Fault, fault_by_rule, fault_by_trade
from settlement.figures import Figure, Origin, SideMarks
from settlement.formula.program import Quantities, evaluate
from settlement.formula.templates import SHIPPED, SHIPPED_BY_ID, Template
from settlement.hashing import ZERO_HASH, keccak256
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf, Claim, Commitment, FlowLeaf, Lock, MemberFlow, Signature, TradeLocks
from settlement.units import AMOUNT_BOUND, RATE_BOUND, WH_BOUND
from tests.contracts.market import Market, deploy, source
from tests.contracts.settling import register_templates
from tests.contracts.trade_result.case import deploy_results
from tests.contracts.trading import CONFIG, CYCLE, leaf_of, member_id, trade_of

CASES = 1_000
CHUNK, CHUNK_HEIGHT = 128, 7
MOST_LEAVES = 1 << 24
MAX = (1 << 64) - 1
ORDER = 2 * typed_data.HALF_ORDER + 1
ZERO = "0x" + "00" * 20
SIZES = (1, 2, 3, *(1 << bits for bits in range(2, 25)), *((1 << bits) + 1 for bits in range(2, 24)), MOST_LEAVES - 1)


@pytest.fixture(scope="module")
def probe() -> Any:
    return source("mocks/ModuleProbe").deploy()


@pytest.fixture(scope="module")
def check() -> Any:
    return source("mocks/AllocationCheckProbe").deploy()


def number(rng: random.Random, bits: int) -> int:
    """Any integer of the type, often at its bounds."""
    return rng.choice(
        (0, 1, (1 << bits) - 1, 1 << bits - 1, rng.getrandbits(bits), rng.getrandbits(rng.randint(1, bits)))
    )


def word(rng: random.Random) -> bytes:
    """Any bytes32, sometimes at its bounds."""
    return rng.choice((bytes(32), b"\xff" * 32, rng.randbytes(32), rng.randbytes(32)))


def below(rng: random.Random, bound: int) -> int:
    """A number below the bound, often at it."""
    return rng.choice((0, 1, bound - 1, rng.randrange(bound), rng.randrange(1 << rng.randint(1, 30))))


# --- trees ---


def path_length(count: int, index: int) -> int:
    """How many siblings a leaf has on its way up, by the definition of the tree's shape."""
    length = 0
    while count > 1:
        left = 1 << (count - 1).bit_length() - 1
        count, index = (left, index) if index < left else (count - left, index - left)
        length += 1
    return length


def root_over(count: int, index: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root of a tree of which one leaf and its siblings are known, by RFC 9162's recursive definition."""
    if count == 1:
        assert not path
        return leaf
    left = 1 << (count - 1).bit_length() - 1
    if index < left:
        return merkle.hash_node(root_over(left, index, leaf, path[:-1]), path[-1])
    return merkle.hash_node(path[-1], root_over(count - left, index - left, leaf, path[:-1]))


def drawn_size(rng: random.Random) -> int:
    return rng.choice((*SIZES, rng.randint(1, 300), rng.randint(1, MOST_LEAVES)))


def drawn_index(rng: random.Random, count: int) -> int:
    return rng.choice((0, count - 1, count // 2, rng.randrange(count), max(0, count - rng.randint(1, 9))))


def damaged_proof(
    rng: random.Random, root: bytes, count: int, index: int, leaf: bytes, path: list[bytes]
) -> tuple[bytes, int, int, bytes, list[bytes]]:
    """The proof with one thing changed."""
    level = rng.randrange(len(path)) if path else 0
    changed: list[tuple[bytes, int, int, bytes, list[bytes]]] = [
        (keccak256(root), count, index, leaf, path),
        (root, count, index, keccak256(leaf), path),
        *((root, other, index, leaf, path) for other in (0, count - 1, count + 1, 2 * count, index, (1 << 256) - 1)),
        *((root, count, other, leaf, path) for other in (index ^ 1, index + 1, count, count + index, (1 << 256) - 1)),
        (root, count, index, leaf, [*path, root][:24]),
        (root, count, index, leaf, path[:-1]),
        (root, count, index, leaf, path[:level] + path[level + 1 :]),
        (root, count, index, leaf, [*path[:level], rng.randbytes(32), *path[level + 1 :]]),
        (root, count, index, leaf, path[::-1]),
    ]
    return rng.choice(changed)


def test_proofs_of_leaves(probe: Any) -> None:
    """Right proofs by the tree's definition, and proofs with one thing changed; trees of up to 2^24 leaves."""
    rng = random.Random("leaves")
    verdicts: Counter[bool] = Counter()
    for _ in range(CASES):
        count = drawn_size(rng)
        index, leaf = drawn_index(rng, count), word(rng)
        path = [word(rng) for _ in range(path_length(count, index))]
        root = root_over(count, index, leaf, path)
        assert probe.verify(root, count, index, leaf, path) is merkle.verify(root, count, index, leaf, path) is True
        wrong = damaged_proof(rng, root, count, index, leaf, path)
        verdict = merkle.verify(*wrong)
        assert probe.verify(*wrong) is verdict, wrong
        verdicts[verdict] += 1
    # A change that is none, or a size in which the way to the top is the same, verifies in both.
    assert verdicts[False] > 700


def test_roots_of_chunks(probe: Any) -> None:
    rng = random.Random("chunk roots")
    for case in range(CASES):
        count = case + 1 if case < CHUNK else rng.randint(1, 24)
        leaves = [word(rng) for _ in range(count)]
        assert probe.chunk_root(leaves) == merkle.root(leaves)


def test_proofs_of_chunks(probe: Any) -> None:
    """Last chunks of any size and whole ones, of trees of up to 2^24 leaves; and each with one thing changed."""
    rng = random.Random("chunks")
    met: Counter[bool] = Counter()
    for case in range(CASES):
        is_last = rng.random() < 0.93  # whole chunks take their time
        chunks = rng.choice((1, 2, 3, *((1 << bits) + shift for bits in range(2, 17) for shift in (-1, 0, 1))))
        inside = rng.choice((1, 2, 3, 4, 5, *[rng.randint(1, 16)] * 4, rng.choice((CHUNK - 1, CHUNK))))
        count = min((chunks - 1) * CHUNK + inside, MOST_LEAVES)
        chunks = merkle.chunk_count(count, CHUNK_HEIGHT)
        chunk = chunks - 1 if is_last else drawn_index(rng, chunks)
        first = chunk * CHUNK
        leaves = [rng.randbytes(32) for _ in range(min(CHUNK, count - first))]
        path = [rng.randbytes(32) for _ in range(path_length(chunks, chunk))]
        chunk_root = merkle.root(leaves)
        root = root_over(chunks, chunk, chunk_root, path)
        assert merkle.verify_chunk(root, count, CHUNK_HEIGHT, chunk, chunk_root, path)
        if case % 2 == 0:
            assert probe.verify_chunk(root, count, first, leaves, path)
            met[True] += 1
            continue
        root, count, first, leaves, path = rng.choice(
            (
                (keccak256(root), count, first, leaves, path),
                (root, count, first + 1, leaves, path),
                (root, count, first + CHUNK, leaves, path),
                (root, count + 1, first, leaves, path),
                (root, count - 1, first, leaves, path),
                (root, 0, first, leaves, path),
                (root, count, first, leaves[:-1], path),
                (root, count, first, [*leaves, leaves[-1]][:CHUNK], path),
                (root, count, first, [*leaves[:-1], keccak256(leaves[-1])], path),
                (root, count, first, leaves, path[:-1]),
                (root, count, first, leaves, [*path, root][:24]),
            )
        )
        expected = (
            first % CHUNK == 0
            and first < count
            and len(leaves) == min(CHUNK, count - first)
            and merkle.verify_chunk(root, count, CHUNK_HEIGHT, first // CHUNK, merkle.root(leaves), path)
        )
        assert probe.verify_chunk(root, count, first, leaves, path) is expected
        met[expected] += 1
    assert min(met.values()) > 300


def test_leaves_and_keys(probe: Any) -> None:
    """Every preimage of `modules/preimages.vy`."""
    rng = random.Random("leaves and keys")
    for _ in range(CASES):
        digest, salt, cycle, small = word(rng), word(rng), number(rng, 64), number(rng, 8)
        assert probe.trade_leaf(digest) == preimages.trade_leaf(digest)
        places = [number(rng, 64) for _ in range(2)]
        wh = [number(rng, 64) for _ in range(5)]
        leaf = AllocationLeaf(digest, *places, small, word(rng), cycle, *wh[:4], number(rng, 8), wh[4], salt)
        assert probe.allocation_leaf(astuple(leaf)) == preimages.allocation_leaf(leaf)
        flow = FlowLeaf(digest, small, wh[0], number(rng, 96), salt)
        assert probe.flow_leaf(astuple(flow)) == preimages.flow_leaf(flow)
        record = Commitment(cycle, word(rng), word(rng), *places, wh[0], digest, wh[1])
        assert probe.commitment(astuple(record)) == preimages.commitment_record(record)
        listed = tuple(MemberFlow(word(rng), word(rng), number(rng, 256)) for _ in range(rng.choice((0, 1, 2, 6))))
        runs = [number(rng, 32) for _ in range(3)]
        claim = Claim(cycle, runs[0], digest, wh[0], small, runs[1], number(rng, 8), runs[2], wh[1], listed)
        assert probe.claim(astuple(claim)) == preimages.claim_record(claim)
        assert probe.allocation_salt(salt, cycle, small) == preimages.allocation_salt(salt, cycle, small)
        assert probe.flow_salt(salt, cycle, small) == preimages.flow_salt(salt, cycle, small)
        assert probe.tree(digest, cycle) == preimages.posted_tree(digest, cycle)
        assert probe.group(digest, salt, cycle, small) == preimages.group_key(digest, salt, cycle, small)
        assert probe.side(digest, small) == preimages.side_key(digest, small)


# --- signed objects ---


def test_locks(probe: Any) -> None:
    """One lock in a list: the one signed struct that is never signed alone."""
    rng = random.Random("locks")
    for _ in range(CASES):
        locks = TradeLocks(word(rng), (Lock(word(rng), word(rng), number(rng, 96)),))
        assert probe.hash_trade_locks(*astuple(locks)) == typed_data.struct_hash(locks)


def test_signatures(probe: Any) -> None:
    """Signatures, and such with one thing changed: both sides find the same signer, or none."""
    rng = random.Random("signatures")
    found: Counter[bool] = Counter()
    for case in range(CASES):
        key = rng.choice((b"\1".rjust(32, b"\0"), (ORDER - 1).to_bytes(32, "big"), rng.randbytes(32)))
        digest = word(rng)
        signature = typed_data.sign(key, digest)
        if case % 2:
            s = int.from_bytes(signature.s, "big")
            signature = rng.choice(
                (
                    replace(signature, v=55 - signature.v),
                    replace(signature, v=number(rng, 8)),
                    replace(signature, r=word(rng)),
                    replace(signature, s=word(rng)),
                    replace(signature, s=(ORDER - s).to_bytes(32, "big")),
                    Signature(55 - signature.v, signature.r, (ORDER - s).to_bytes(32, "big")),
                    replace(signature, s=(typed_data.HALF_ORDER + rng.randint(-1, 1)).to_bytes(32, "big")),
                    replace(signature, r=ORDER.to_bytes(32, "big")),
                )
            )
        expected = typed_data.recover(digest, signature)
        assert probe.recover(digest, astuple(signature)) == (to_checksum_address(expected) if expected else ZERO)
        found[expected is not None] += 1
        if case % 2 == 0:
            assert expected == typed_data.address_of(key)
    assert min(found.values()) > 100


# --- programs ---


@pytest.fixture(scope="module")
def evaluating() -> Market:
    market = deploy(only=("RevenueFlows",))
    register_templates(market)
    return market


@pytest.mark.parametrize("template", SHIPPED, ids=lambda template: template.title)
def test_shipped_programs(evaluating: Market, template: Template) -> None:
    """Every flow of a template on each of the inputs, so each program 1 000 times."""
    rng = random.Random(template.title)
    for _ in range(CASES):
        quantities = Quantities(*(below(rng, WH_BOUND) for _ in range(4)))
        rates = [below(rng, RATE_BOUND) for _ in template.rate_names]
        found = evaluating.flows.evaluate(template.template_id, astuple(quantities), rates)
        expected = [(flow.payer, flow.payee, evaluate(flow.program, quantities, rates)) for flow in template.flows]
        assert [tuple(flow) for flow in found] == expected
        assert all(amount < AMOUNT_BOUND for _, _, amount in expected)


# --- allocations ---


def drawn_leaf(rng: random.Random, honest: AllocationLeaf, rule: int) -> AllocationLeaf:
    """A leaf that mostly has what the rule gives or one Wh beside it, at sizes up to the largest that fit."""
    size = rng.choice((2, 10, 5_000, WH_BOUND, MAX))
    contracted = rng.choice((0, 1, size, rng.randint(0, size)))
    before = rng.choice((0, 0, rng.randint(0, size)))
    total = min(MAX, before + contracted + rng.choice((0, 0, 1, rng.randint(0, size))) - rng.choice((0, 0, 0, 1)))
    total = max(0, total)
    edges = (0, before, before + 1, before + contracted, total, total - 1, total + 1, rng.randint(0, size), MAX)
    read = min(MAX, max(0, rng.choice(edges)))
    share = share_rule(rule)(read, contracted, before, total)
    return replace(
        honest,
        side=rng.choice((0, 1)),
        status=rng.choice((0, 0, 0, 1, 1, 2)),
        contracted_wh=contracted,
        contracted_before=before,
        contracted_total_wh=total,
        meter_wh=read,
        allocated_wh=min(MAX, max(0, share + rng.choice((0, 0, 0, -1, 1)))),
    )


@pytest.mark.parametrize("rule", [PRO_RATA, FIFO], ids=["pro-rata", "fifo"])
def test_allocation_rule(check: Any, rule: int) -> None:
    rng = random.Random(f"rule {rule}")
    honest = AllocationLeaf(bytes(32), 1, 0, 0, bytes(32), 0, 0, 0, 0, 0, 0, 0, bytes(32))
    met: Counter[Fault] = Counter()
    for _ in range(2 * CASES):
        leaf = drawn_leaf(rng, honest, rule)
        expected = fault_by_rule(leaf, rule)
        assert check.fault_by_rule(astuple(leaf), rule) == expected, leaf
        met[expected] += 1
    assert met[Fault.NONE] > 500
    assert min(met[fault] for fault in (Fault.NOT_THE_RULES, Fault.ABOVE_CONTRACTED, Fault.BEFORE_ABOVE_TOTAL)) > 50


def test_leaf_against_its_trade(check: Any, results: Market) -> None:
    rng = random.Random("against its trade")
    met: Counter[Fault] = Counter()
    for case in range(CASES):
        wh = rng.choice((0, 1, WH_BOUND - 1, MAX, rng.getrandbits(40)))
        trade = trade_of(results, case, contracted_wh=wh, slot_start=number(rng, 64), salt=word(rng))
        if rng.random() < 0.3:
            trade = replace(trade, seller_utility=trade.buyer_utility, seller_meter=trade.buyer_meter)
        cycle, side = number(rng, 64), rng.choice((0, 1))
        salt = preimages.allocation_salt(trade.salt, cycle, side)
        leaf = leaf_of(results, trade, side, contracted_wh=wh, meter_wh=0, contracted_total_wh=0, salt=salt)
        placed = PlacedTrade(leaf.trade_digest, trade, 1, 0, wh)
        utility = placed.utility(Side(side))
        changes: dict[str, Any] = rng.choice(
            (
                {},
                {"side": 1 - side},
                {"meter": word(rng)},
                {"meter": placed.meter(Side(1 - side))},
                {"slot_start": trade.slot_start ^ 1},
                {"contracted_wh": wh ^ 1},
                {"salt": word(rng)},
                {"salt": preimages.allocation_salt(trade.salt, cycle ^ 1, side)},
                {"meter": word(rng), "slot_start": trade.slot_start ^ 1, "salt": word(rng)},
            )
        )
        leaf = replace(leaf, **changes)
        posted_by = rng.choice((utility, utility, utility, placed.utility(Side(1 - side)), word(rng)))
        expected = fault_by_trade(leaf, posted_by, placed, cycle)
        assert check.fault_by_trade(astuple(leaf), posted_by, astuple(trade), wh, cycle) == expected
        met[expected] += 1
    assert set(met) == {Fault.NONE, *range(Fault.OTHER_UTILITY, Fault.OTHER_SALT + 1)}
    assert min(met.values()) > 20


# --- sealed inputs ---


def test_accumulator(evaluating: Market) -> None:
    """Acts as TradeBook and AllocationFaults tell them, at the block times at which they do."""
    book, faults = str(boa.env.generate_address()), str(boa.env.generate_address())
    oracle = source("AllocationOracle").deploy(evaluating.registry.address, book, faults, ZERO)
    rng = random.Random("accumulator")
    accumulated: dict[int, bytes] = {}
    for _ in range(CASES):
        cycle = rng.choice((0, 1, CYCLE, MAX))
        time = number(rng, 47)
        boa.env.evm.patch.timestamp = time
        place, what, side = number(rng, 64), word(rng), number(rng, 8)
        kind = rng.choice((preimages.Act.COMMITMENT, preimages.Act.CURTAILMENT, preimages.Act.VOID))
        if kind is preimages.Act.VOID:
            utility, meter, run = rng.randbytes(32), word(rng), rng.randrange(4)
            with boa.env.prank(faults):
                assert oracle.mark_void(cycle, run, utility, meter, place, side)
            what, place = preimages.group_key(utility, meter, place, side), run
        else:
            with boa.env.prank(book):
                if kind is preimages.Act.COMMITMENT:
                    assert oracle.record_commitment(cycle, place, what)[0] == evaluating.registry.config_version()
                else:
                    oracle.record_curtailment(cycle, place, what)
        before = accumulated.get(cycle, preimages.EMPTY_ACCUMULATOR)
        accumulated[cycle] = preimages.accumulate(before, kind, place, time, what)
        assert oracle.accumulator(cycle) == accumulated[cycle]


# --- results ---


@pytest.fixture(scope="module")
def results() -> Market:
    return deploy_results()


def test_what_figures_settle_at(results: Market) -> None:
    """Any two figures (recorded ones, which need no leaves), any curtailment, run and template."""
    rng = random.Random("settle")
    last = CONFIG.last_run
    terms = figures.Terms.of(CYCLE, CONFIG)
    outcomes: Counter[str] = Counter()
    for name in ("utility_a", "utility_b"):
        results.oracle.set_posted(member_id(results, name), [bytes(32)] * (last + 1))
    for case in range(CASES):
        template = rng.choice(SHIPPED)
        contracted = max(1, below(rng, WH_BOUND))
        trade = trade_of(
            results,
            case,
            template=template.template_id,
            rates=tuple(below(rng, RATE_BOUND) for _ in template.rate_names),
            contracted_wh=contracted,
            grid_operator=member_id(results, "utility_b") if 3 in template.roles else ZERO_HASH,
            market_agent=member_id(results, "platform_c") if 6 in template.roles else ZERO_HASH,
        )
        digest, run = results.domain.digest(trade), rng.choice((rng.randint(0, last), last))
        if rng.random() < 0.3:
            contracted = rng.choice((0, 1, rng.randint(0, contracted)))
            contracted = min(contracted, trade.contracted_wh)
            results.book.set_curtailed(digest, contracted)
        found: list[Figure | None] = []
        for side in Side:
            wh = rng.choice((0, contracted, rng.randint(0, contracted)))
            recorded_run = rng.randint(0, last)
            if rng.random() < 0.7:
                marks = SideMarks(rng.getrandbits(4), rng.getrandbits(4), rng.getrandbits(4), wh, recorded_run)
                results.oracle.set_marks(digest, side, marks.to_word())
                if recorded_run <= run:
                    found.append(Figure(wh, Origin.RECORDED, recorded_run))
                    continue
            found.append(None)
        settled = figures.settle(contracted, run, *found, terms)
        outcomes[settled.outcome.value] += 1
        settles, settled_wh, listed = results.result.result_of(astuple(trade), run, [], [])
        if settled.quantities is None:
            assert (settles, settled_wh, listed) == (False, 0, [])
            continue
        assert (settles, settled_wh) == (True, settled.quantities.settled)
        expected = flows.member_flows(trade, SHIPPED_BY_ID[trade.template], settled.quantities)
        assert [MemberFlow(*flow) for flow in listed] == list(expected)
    assert min(outcomes[one] for one in ("settles", "waits", "nothing")) > 50, outcomes
