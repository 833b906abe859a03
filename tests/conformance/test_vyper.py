"""The vectors, run against the contracts: the same files as for the Python reference, read by themselves.

What has no counterpart on chain runs in Python alone: canonical JSON; of the ids those of members, meters, trades and
codes, which reach the chain as hashes, and the key of a figure; formula texts, of which the chain keeps the programs;
contradictions between two leaves. `test_every_kind_of_vector_is_known_here` lists them, so that a new kind of vector
cannot be left out unseen. Leaves that stand twice in a tree are marked so, which on the chain somebody has to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_abi import decode as abi_decode

from settlement import trade as objects
from settlement.config import Config
from settlement.figures import SeenLeaf
from settlement.formula.program import Quantities
from settlement.hashing import keccak256
from settlement.merkle import Tree
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf, FlowLeaf, ShownLeaf, Signature, Trade
from settlement.typed_data import HALF_ORDER
from tests.conformance.reading import hashes, hex_bytes, integers, read, vectors
from tests.conformance.test_python import each
from tests.contracts.market import CONTRACTS, source

DOMAIN = vectors("typed_data")["domain"]
CONFIG = read(Config, vectors("config")["configs"][0]["config"])
GENESIS, MARKET = keccak256(b"genesis block"), "conformance"
ZERO = "0x" + "00" * 20
ORDER = 2 * HALF_ORDER + 1
CHUNK = 128
MISSING = 2


def load(name: str, *arguments: Any) -> Any:
    """A deployed contract or mock."""
    return source(name).deploy(*arguments)


@pytest.fixture(scope="module")
def probe() -> Any:
    return load("mocks/ModuleProbe")


@pytest.fixture(scope="module")
def check() -> Any:
    return load("mocks/AllocationCheckProbe")


@dataclass
class Market:
    """The market that the vectors are signed for, its trade book and oracle stand-ins that say what a vector says."""

    council: str
    registry: Any
    flows: Any
    book: Any
    oracle: Any
    result: Any
    probe: Any
    check: Any

    def fits(self, leaf: AllocationLeaf, utility: bytes, placed: PlacedTrade, cycle: int, rule: int) -> bool:
        """Whether a leaf shows no fault, as the contracts judge."""
        arguments = (astuple(leaf), utility, astuple(placed.trade), placed.contracted_wh, cycle)
        return self.check.fault_by_rule(astuple(leaf), rule) == 0 and self.check.fault_by_trade(*arguments) == 0


@pytest.fixture(scope="module")
def market(probe: Any, check: Any) -> Market:
    """Config version 1 is pro rata, version 2 FIFO."""
    council = str(boa.env.generate_address("council"))
    chain_id = boa.env.evm.patch.chain_id
    boa.env.evm.patch.chain_id = int(DOMAIN["chain_id"])
    registry = source("MemberRegistry").deploy(
        council, ZERO, GENESIS, MARKET, astuple(CONFIG), override_address=DOMAIN["registry"]
    )
    flows = load("RevenueFlows", registry.address)
    book, oracle = load("mocks/BookStandIn"), load("mocks/OracleStandIn")
    result = load("TradeResult", registry.address, flows.address, book.address, oracle.address)
    boa.env.evm.patch.chain_id = chain_id
    found = Market(council, registry, flows, book, oracle, result, probe, check)
    with boa.env.prank(council):
        registry.set_config(astuple(replace(CONFIG, allocation_rule=1)))
        for one in vectors("templates")["templates"]:
            flows.register(*template_of(one))
    return found


def template_of(case: Any) -> tuple[Any, ...]:
    """A template of vectors as arguments of its registration."""
    flows = [(int(flow["payer"]), int(flow["payee"]), hex_bytes(flow["program"])) for flow in case["flows"]]
    return case["name"], int(case["version"]), case["rate_names"], flows


def test_every_kind_of_vector_is_known_here() -> None:
    kinds = {
        "merkle": {"empty_root", "trees", "refused"},
        # Of these: markets, salts, keys without those of figures.
        "identity": {"members", "meters", "trades", "markets", "codes", "salts", "keys"},
        "typed_data": {"domain", "private_key", "address", "types", "objects"},
        "config": {"configs"},
        "programs": {"accepted", "refused"},
        # Texts are refused before there is a program.
        "templates": {"templates", "formulas", "refused_formulas"},
        "allocation": {"divisions", "leaves", "against", "faults", "conflicts"},
        "figures": {"figures", "results"},
        "rows": {"cases", "inputs"},
        # None of these.
        "canonical_json": {"documents", "refused"},
    }
    assert {path.stem for path in Path(__file__).parent.glob("*.json")} == set(kinds)
    for subject, known in kinds.items():
        assert set(vectors(subject)) == known


# --- trees ---


@each("merkle", "trees")
def test_trees(probe: Any, case: Any) -> None:
    """Every leaf enters: those with a proof by themselves, all of them by their chunks."""
    count, root = int(case["count"]), hex_bytes(case["root"])
    leaves = [keccak256(b"\x00", index.to_bytes(4, "big")) for index in range(count)]
    for proof in case["proofs"]:
        index = int(proof["index"])
        assert hex_bytes(proof["leaf_hash"]) == leaves[index]
        assert probe.verify(root, count, index, leaves[index], list(hashes(proof["path"])))
    assert len(case["chunks"]) == -(-count // CHUNK)
    for chunk in case["chunks"]:
        first = int(chunk["chunk"]) * CHUNK
        inside, path = leaves[first : first + CHUNK], list(hashes(chunk["path"]))
        assert probe.chunk_root(inside) == hex_bytes(chunk["chunk_root"])
        assert probe.verify_chunk(root, count, first, inside, path)
        assert not probe.verify_chunk(root, count, first, [*inside[:-1], keccak256(root)], path)
        assert not probe.verify_chunk(root, count, first + CHUNK, inside, path)
    if 0 < count <= CHUNK:
        assert probe.chunk_root(leaves) == root


def test_refused_proofs(probe: Any) -> None:
    for case in vectors("merkle")["refused"]:
        root, leaf_hash = hex_bytes(case["root"]), hex_bytes(case["leaf_hash"])
        assert not probe.verify(root, int(case["count"]), int(case["index"]), leaf_hash, list(hashes(case["path"])))
    empty = hex_bytes(vectors("merkle")["empty_root"])
    assert not probe.verify(empty, 0, 0, empty, [])
    assert empty == keccak256(b"")  # as AllocationOracle has it


# --- ids ---


def test_markets() -> None:
    for one in vectors("identity")["markets"]:
        registry = load(
            "MemberRegistry",
            boa.env.generate_address(),
            ZERO,
            hex_bytes(one["genesis_hash"]),
            one["name"],
            astuple(CONFIG),
        )
        assert registry.market_id() == hex_bytes(one["id"])


def test_salts_and_keys(probe: Any) -> None:
    for one in vectors("identity")["salts"]:
        arguments = hex_bytes(one["salt"]), int(one["cycle"]), int(one["number"])
        assert probe.allocation_salt(*arguments) == hex_bytes(one["allocation_salt"])
        assert probe.flow_salt(*arguments) == hex_bytes(one["flow_salt"])
    for one in vectors("identity")["keys"]:
        side, meter = int(one["side"]), hex_bytes(one["meter"])
        assert probe.group(hex_bytes(one["utility"]), meter, int(one["slot_start"]), side) == hex_bytes(one["group"])
        assert probe.side(hex_bytes(one["trade_digest"]), side) == hex_bytes(one["side_key"])


# --- signed objects ---

# Hashed from their fields; the others from a struct.
FLAT = {
    "TradeLocks",
    "RowAttestation",
    "HotKeyChange",
    "PayoutChange",
    "KeyCompromised",
    "CouncilAct",
    "CouncilCancel",
}


def test_domain(market: Market) -> None:
    assert market.registry.address.lower() == DOMAIN["registry"]
    assert market.registry.market_id() == hex_bytes(DOMAIN["market_id"])
    assert market.registry.domain_separator() == hex_bytes(DOMAIN["separator"])


@each("typed_data", "types")
def test_type_strings(case: Any) -> None:
    text = case["type_string"]
    assert f'keccak256("{text}")' in (CONTRACTS / "modules" / "typed_data.vy").read_text(encoding="utf-8")
    assert keccak256(text.encode()) == hex_bytes(case["type_hash"])


@each("typed_data", "objects")
def test_signed_objects(market: Market, case: Any) -> None:
    probe, name = market.probe, case["type"]
    value = read(getattr(objects, name), case["value"])
    hash_of = getattr(probe, "hash_" + re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower())
    struct_hash = hash_of(*astuple(value)) if name in FLAT else hash_of(astuple(value))
    assert struct_hash == hex_bytes(case["struct_hash"])
    digest = hex_bytes(case["digest"])
    assert probe.digest(market.registry.domain_separator(), struct_hash) == digest
    if name == "Trade":
        assert market.result.trade_digest(astuple(value)) == digest

    signature = read(Signature, case["signature"])
    signer = vectors("typed_data")["address"]
    assert probe.recover(digest, astuple(signature)).lower() == signer
    assert probe.recover(struct_hash, astuple(signature)).lower() != signer
    twin = (ORDER - int.from_bytes(signature.s, "big")).to_bytes(32, "big")
    assert probe.recover(digest, (55 - signature.v, signature.r, twin)) == ZERO
    for v in (0, 1, 26, 29, 255):
        assert probe.recover(digest, (v, signature.r, signature.s)) == ZERO
    assert probe.recover(digest, (signature.v, bytes(32), signature.s)) == ZERO
    assert probe.recover(digest, (signature.v, signature.r, bytes(32))) == ZERO
    assert probe.recover(digest, (55 - signature.v, signature.r, signature.s)).lower() != signer


@each("config", "configs")
def test_config_digests(case: Any) -> None:
    config, digest = read(Config, case["config"]), hex_bytes(case["digest"])
    assert load("mocks/ConfigProbe").digest(astuple(config)) == digest
    arguments = ("MemberRegistry", boa.env.generate_address(), ZERO, GENESIS, MARKET, astuple(config))
    if not config.rails:  # a digest like any other, of parameters that no registry takes
        with boa.reverts("MemberRegistry: bad rails"):
            load(*arguments)
        return
    registry = load(*arguments)
    assert registry.config_digest(1) == digest
    assert registry.config_version() == 1


# --- formulas ---


def quantities_of(case: Any) -> tuple[int, ...]:
    """Quantities of a vector as a contract argument."""
    return tuple(int(case[name]) for name in Quantities.__dataclass_fields__)


def refusal(contract: Any, function: str, *arguments: Any) -> str:
    """The reason that a view reverts with; by a raw call, since a stack trace for each refusal takes its time."""
    data = getattr(contract, function).prepare_calldata(*arguments)
    computation = boa.env.execute_code(to_address=contract.address, data=data)
    assert computation.is_error
    assert computation.output[:4] == keccak256(b"Error(string)")[:4]
    reason: str = abi_decode(["string"], computation.output[4:])[0]
    return reason


@each("programs", "accepted")
def test_programs(market: Market, case: Any) -> None:
    program = hex_bytes(case["program"])
    market.flows.check_program(program, int(case["rate_count"]))
    for value in case["values"]:
        amount = market.flows.evaluate_program(program, quantities_of(value), integers(value["rates"]))
        assert amount == int(value["amount"])


@each("programs", "refused")
def test_refused_programs(market: Market, case: Any) -> None:
    program, rate_count = hex_bytes(case["program"]), int(case["rate_count"])
    if len(program) > 256:
        # No argument of this length reaches the contract: its ABI decoder refuses it.
        assert case["reason"] == "program too long"
        with pytest.raises(Exception, match=r"exceed|Bytes|too long|encod"):
            market.flows.check_program(program, rate_count)
        return
    reason = f"RevenueFlows: {case['reason']}"
    assert refusal(market.flows, "check_program", program, rate_count) == reason
    assert refusal(market.flows, "evaluate_program", program, (1, 1, 1, 1), [1] * rate_count) == reason
    flows = [(1, 2, program)]
    with boa.env.prank(market.council), boa.reverts(reason):
        market.flows.register("refused", 1, [f"rate-{number}" for number in range(rate_count)], flows)


@each("templates", "templates")
def test_templates(market: Market, case: Any) -> None:
    """Registered in a contract of their own, for the event."""
    flows = load("RevenueFlows", market.registry.address)
    identity = hex_bytes(case["id"])
    with boa.env.prank(market.council):
        assert flows.register(*template_of(case)) == identity
    (event,) = flows.get_logs()
    assert type(event).__name__ == "TemplateRegistered"
    assert event.template == identity
    assert (event.name, event.version, event.rate_names, [tuple(flow) for flow in event.flows]) == template_of(case)
    for number, flow in enumerate(case["flows"]):
        assert flows.program(identity, number) == hex_bytes(flow["program"])
    for value in case["cases"]:
        found = flows.evaluate(identity, quantities_of(value), integers(value["rates"]))
        assert [tuple(one) for one in found] == [
            (int(flow["payer"]), int(flow["payee"]), int(amount))
            for flow, amount in zip(case["flows"], value["amounts"], strict=True)
        ]


@each("templates", "formulas")
def test_formulas(market: Market, case: Any) -> None:
    """What the texts compile to is a program that the chain takes."""
    market.flows.check_program(hex_bytes(case["program"]), len(case["rate_names"]))


# --- allocations ---


@each("allocation", "divisions")
def test_divisions(market: Market, case: Any) -> None:
    """A leaf of each trade with what the vector allocates is without fault; with any other energy it is not."""
    rule, quantities, allocated = int(case["rule"]), integers(case["quantities"]), integers(case["allocated"])
    base = read(AllocationLeaf, vectors("allocation")["leaves"][0]["leaf"])
    assert len(quantities) == len(allocated)
    before = 0
    for quantity, wh in zip(quantities, allocated, strict=True):
        leaf = replace(
            base,
            contracted_wh=quantity,
            contracted_before=before,
            contracted_total_wh=sum(quantities),
            meter_wh=int(case["meter_wh"]),
            allocated_wh=wh,
        )
        assert market.check.fault_by_rule(astuple(leaf), rule) == 0
        for other in {0, wh - 1, wh + 1, quantity, quantity + 1} - {wh, -1}:
            expected = 4 if other > quantity else 5
            assert market.check.fault_by_rule(astuple(replace(leaf, allocated_wh=other)), rule) == expected
        before += quantity


def test_allocation_leaves_and_faults(market: Market) -> None:
    given = vectors("allocation")
    for one in given["leaves"]:
        assert market.probe.allocation_leaf(astuple(read(AllocationLeaf, one["leaf"]))) == hex_bytes(one["hash"])
    against = given["against"]
    trade = read(Trade, against["trade"])
    arguments = hex_bytes(against["utility"]), astuple(trade), int(against["contracted_wh"]), int(against["cycle"])
    met = set()
    for one in given["faults"]:
        leaf = astuple(read(AllocationLeaf, one["leaf"]))
        fault = market.check.fault_by_rule(leaf, int(one["rule"])) or market.check.fault_by_trade(leaf, *arguments)
        assert fault == int(one["fault"])
        met.add(fault)
    assert met == set(range(12))
    met = set()
    for one in given["conflicts"]:
        first, second = (astuple(read(AllocationLeaf, one[name])) for name in ("first", "second"))
        conflict = market.check.conflict(first, second, int(one["rule"]))
        assert conflict == int(one["conflict"])
        met.add(conflict)
    assert met == {0, 13, 14, 15, 16, 17}


# --- figures and rows ---


@dataclass
class Inputs:
    """What the oracle is told of a cycle up to a run; marks by (digest, side), void runs by group."""

    market: Market
    cycle: int
    rule: int
    run: int
    seen: Sequence[SeenLeaf]
    marks: dict[tuple[bytes, int], int] = field(default_factory=dict)
    void_runs: dict[bytes, int] = field(default_factory=dict)

    @cached_property
    def posted(self) -> dict[bytes, dict[int, list[AllocationLeaf]]]:
        """The leaves of each utility's trees, by run."""
        found: dict[bytes, dict[int, list[AllocationLeaf]]] = {}
        for one in self.seen:
            found.setdefault(one.utility, {}).setdefault(one.run, []).append(one.leaf)
        return found

    @cached_property
    def trees(self) -> dict[tuple[bytes, int], Tree]:
        """The trees, over leaves that the contracts hash."""
        return {
            (utility, run): Tree([self.market.probe.allocation_leaf(astuple(leaf)) for leaf in leaves])
            for utility, by_run in self.posted.items()
            for run, leaves in by_run.items()
        }

    def tell(self) -> None:
        """Tells the stand-ins; leaves that stand twice are marked, as anyone may."""
        oracle = self.market.oracle
        oracle.set_version(1 + self.rule)
        for utility in self.posted:
            trees = [self.trees.get((utility, run)) for run in range(self.run + 1)]
            oracle.set_posted(
                utility, [self.market.probe.tree(tree.root, tree.count) if tree else bytes(32) for tree in trees]
            )
            for run, leaves in self.posted[utility].items():
                sides = sorted((leaf.trade_digest, leaf.side) for leaf in leaves)
                for first, second in pairwise(sides):
                    if first == second:
                        self.marks[first] = self.marks.get(first, 0) | 1 << 16 + run
        for (digest, side), word in self.marks.items():
            oracle.set_marks(digest, side, word)
        for group, runs in self.void_runs.items():
            oracle.set_void_runs(group, runs)

    def place(self, placed: PlacedTrade, side: Side) -> None:
        """A trade of the cycle; a utility of it that posted nothing is known all the same."""
        if placed.contracted_wh < placed.trade.contracted_wh:
            self.market.book.set_curtailed(placed.digest, placed.contracted_wh)
        if placed.utility(side) not in self.posted:
            self.market.oracle.set_posted(placed.utility(side), [bytes(32)] * (self.run + 1))

    def shown(self, placed: PlacedTrade, side: Side) -> list[Any]:
        """What shows the figure: the leaves of all runs that no mark lets pass, down to one without fault."""
        utility, trade = placed.utility(side), placed.trade
        word = self.marks.get((placed.digest, side), 0)
        if word >> 24 & 1 and word >> 32 & 255 <= self.run:
            return []
        void = self.void_runs.get(self.market.probe.group(utility, placed.meter(side), trade.slot_start, side), 0)
        found = []
        for run in range(self.run, -1, -1):
            leaves = self.posted.get(utility, {}).get(run, [])
            index = next(
                (n for n, one in enumerate(leaves) if (one.trade_digest, one.side) == (placed.digest, side)), -1
            )
            since = (2 << self.run) - (1 << run)
            contested = word & since == since and self.run < CONFIG.last_run
            if index < 0 or (void | word >> 8 | word >> 16) >> run & 1 or contested:
                continue
            tree, leaf = self.trees[utility, run], leaves[index]
            found.append(astuple(ShownLeaf(run, tree.root, tree.count, index, leaf, tree.path(index))))
            if leaf.status != MISSING and self.market.fits(leaf, utility, placed, self.cycle, self.rule):
                break
        return found


@each("figures", "figures")
def test_figures(market: Market, case: Any) -> None:
    side, run, cycle = Side(int(case["side"])), int(case["run"]), int(case["terms"]["cycle"])
    placed = read(PlacedTrade, case["placed"])
    seen = [read(SeenLeaf, one) for one in case["leaves"]]
    group = market.probe.group(placed.utility(side), placed.meter(side), placed.trade.slot_start, side)
    inputs = Inputs(
        market,
        cycle,
        int(case["terms"]["allocation_rule"]),
        run,
        seen,
        {(placed.digest, side): int(case["marks_word"])},
        {group: int(case["void_runs"])},
    )
    inputs.tell()
    inputs.place(placed, side)
    assert int(case["terms"]["last_run"]) == CONFIG.last_run
    assert market.result.trade_digest(astuple(placed.trade)) == placed.digest
    found = tuple(market.result.figure(astuple(placed.trade), side, run, inputs.shown(placed, side)))
    given = case["figure"]
    expected = (True, *(int(given[name]) for name in ("wh", "origin", "run"))) if given else (False, 0, 0, 0)
    assert found == expected


# Each quantity times a rate of 1 000 base units per kWh, which is one a Wh.
QUANTITIES = [(1, 2, "00011022"), (2, 1, "00021022"), (1, 3, "00031022"), (3, 1, "00041022")]


@each("figures", "results")
def test_results(market: Market, case: Any) -> None:
    """From both figures, each as a leaf that counts or as recorded: outcome and all four quantities."""
    with boa.env.prank(market.council):
        flows = [(payer, payee, bytes.fromhex(program)) for payer, payee, program in QUANTITIES]
        template = market.flows.register("quantities", 1, ["one"], flows)
    against = vectors("allocation")["against"]
    cycle, run = int(against["cycle"]), int(case["run"])
    trade = replace(read(Trade, against["trade"]), template=template, rates=(1_000,))
    digest = market.result.trade_digest(astuple(trade))
    placed = PlacedTrade(digest, trade, 1, 0, int(case["contracted_wh"]))
    assert trade.contracted_wh == 10_000
    seen, marks = [], {}
    for side, given in zip(Side, (case["buyer"], case["seller"]), strict=True):
        if given is None:
            continue
        wh = int(given["wh"])
        if int(given["origin"]) == 2:
            marks[digest, int(side)] = 1 << 24 | int(given["run"]) << 32 | wh << 64
            continue
        leaf = AllocationLeaf(
            trade_digest=digest,
            commitment=1,
            index=0,
            side=side,
            meter=placed.meter(side),
            slot_start=trade.slot_start,
            contracted_wh=trade.contracted_wh,
            contracted_before=0,
            meter_wh=wh,
            contracted_total_wh=trade.contracted_wh,
            status=0,
            allocated_wh=wh,
            salt=market.probe.allocation_salt(trade.salt, cycle, side),
        )
        seen.append(SeenLeaf(int(given["run"]), placed.utility(side), leaf))
    inputs = Inputs(market, cycle, 0, run, seen, marks)
    inputs.tell()
    for side in Side:
        inputs.place(placed, side)
    proofs = [inputs.shown(placed, side) if placed.contracted_wh else [] for side in Side]
    settles, settled_wh, listed = market.result.result_of(astuple(trade), run, *proofs)
    quantities = case["settled"]["quantities"]
    # The chain says that nothing settles; whether it waits follows from the run.
    assert settles is (case["settled"]["outcome"] == "settles") is (quantities is not None)
    if quantities is None:
        assert (settled_wh, listed) == (0, [])
    else:
        assert settled_wh == int(quantities["settled"])
        assert tuple(flow.amount for flow in listed) == quantities_of(quantities)


@each("rows", "cases")
def test_rows(market: Market, case: Any) -> None:
    """Every trade's result from its proofs; the flows as leaves, hashed and put under their roots by the contracts."""
    probe, run = market.probe, int(case["run"])
    terms = case["terms"]
    cycle, last_run = int(terms["cycle"]), int(terms["last_run"])
    trades = [read(PlacedTrade, one) for one in case["trades"]]
    words = {hex_bytes(one["side"]): int(one["word"]) for one in case["marks"]}
    marks = {
        (placed.digest, int(side)): words.pop(probe.side(placed.digest, side))
        for placed in trades
        for side in Side
        if probe.side(placed.digest, side) in words
    }
    assert not words
    inputs = Inputs(
        market,
        cycle,
        int(terms["allocation_rule"]),
        run,
        [read(SeenLeaf, one) for one in case["leaves"]],
        marks,
        {hex_bytes(one["group"]): int(one["mask"]) for one in case["void_runs"]},
    )
    inputs.tell()
    rows: dict[tuple[bytes, bytes], list[FlowLeaf]] = {}
    keep: dict[tuple[bytes, bytes], int] = {}
    for placed in trades:
        trade = placed.trade
        for side in Side:
            inputs.place(placed, side)
        proofs = [inputs.shown(placed, side) if placed.contracted_wh else [] for side in Side]
        settles, settled_wh, listed = market.result.result_of(astuple(trade), run, *proofs)
        if not settles and placed.contracted_wh and run < last_run:
            for pair, amount in waiting(market, placed):
                keep[pair] = keep.get(pair, 0) + amount
        for number, (payer, payee, amount) in enumerate(listed):
            if payer != payee and amount:
                salt = probe.flow_salt(trade.salt, cycle, number)
                leaf = FlowLeaf(placed.digest, number, settled_wh, amount, salt)
                rows.setdefault((payer, payee), []).append(leaf)
    found = []
    for pair in sorted(rows):
        leaves = sorted(rows[pair], key=lambda leaf: (leaf.trade_digest, leaf.flow))
        root = probe.chunk_root([probe.flow_leaf(astuple(leaf)) for leaf in leaves])
        found.append((*pair, sum(leaf.amount for leaf in leaves), root, tuple(leaves)))
    assert found == [
        (
            hex_bytes(row["payer"]),
            hex_bytes(row["payee"]),
            int(row["amount"]),
            hex_bytes(row["root"]),
            tuple(read(FlowLeaf, leaf) for leaf in row["leaves"]),
        )
        for row in case["rows"]
    ]
    assert [(*pair, keep[pair]) for pair in sorted(keep) if keep[pair]] == [
        (hex_bytes(one["payer"]), hex_bytes(one["payee"]), int(one["amount"])) for one in case["keep"]
    ]


def waiting(market: Market, placed: PlacedTrade) -> Iterator[tuple[tuple[bytes, bytes], int]]:
    """What each flow of a waiting trade may come to: the larger amount at 0 and at the contracted Wh."""
    trade, wh = placed.trade, placed.contracted_wh
    members = (
        trade.buyer_platform,
        trade.seller_platform,
        trade.grid_operator,
        trade.buyer_utility,
        trade.seller_utility,
        trade.market_agent,
    )
    at_nothing, at_all = (
        market.flows.evaluate(trade.template, (wh, *[other] * 3), list(trade.rates)) for other in (0, wh)
    )
    for low, high in zip(at_nothing, at_all, strict=True):
        payer, payee = members[low.payer - 1], members[low.payee - 1]
        if payer != payee:
            yield (payer, payee), max(low.amount, high.amount)


# --- sealed inputs ---


def pass_window(oracle: Any, cycle: int) -> None:
    """From the intake of the next run to where it can be sealed."""
    patch = boa.env.evm.patch
    patch.timestamp += CONFIG.run_deadlines[-1]
    oracle.open_window(cycle)
    patch.timestamp += CONFIG.window
    patch.block_number += CONFIG.window_blocks


def test_sealed_inputs(market: Market) -> None:
    """The oracle's own accumulator at the vector's block times, and its own seal of the run after the one given."""
    patch = boa.env.evm.patch
    book = boa.env.generate_address("book")
    oracle = load("AllocationOracle", market.registry.address, book, ZERO, ZERO)
    for cycle, step in enumerate(vectors("rows")["inputs"], start=20_000):
        patch.timestamp = CONFIG.anchor + cycle * CONFIG.cycle_length
        with boa.env.prank(book):
            oracle.record_commitment(cycle, 1, bytes(32))
        patch.timestamp += CONFIG.cycle_length
        pass_window(oracle, cycle)
        oracle.seal(cycle)
        assert oracle.accumulator(cycle) == bytes(32)
        oracle.eval(f"self.inputs[{cycle}][0] = {step['previous']}")
        begin, accumulator = patch.timestamp, bytes(32)
        for act in step["acts"]:
            patch.timestamp = int(act["block_time"])
            oracle.internal._accumulate(cycle, int(act["kind"]), int(act["number"]), hex_bytes(act["what"]))
            accumulator = hex_bytes(act["accumulator"])
            assert oracle.accumulator(cycle) == accumulator
        patch.timestamp = begin
        pass_window(oracle, cycle)
        oracle.seal(cycle)
        (event,) = oracle.get_logs()
        assert oracle.inputs(cycle, 1) == event.inputs == hex_bytes(step["inputs"])
        assert event.accumulator == accumulator
        assert oracle.accumulator(cycle) == bytes(32)
