"""Vectors of the rules: programs, templates, allocations, figures, rows."""

from __future__ import annotations

from dataclasses import asdict, replace
from random import Random
from typing import Any

from scripts.vectors.form import plain, seeded
from scripts.vectors.market import CYCLE, CYCLE_START, DOMAIN, draw_bytes, draw_cycle, draw_marks, draw_trade
from settlement import allocation, figures, preimages
from settlement.config import FIFO, PRO_RATA
from settlement.cycle import CycleInputs, SlotReading, allocate_utility, compute_cycle
from settlement.errors import FormulaError, ProgramError
from settlement.faults import conflict_of, fault_of, same_group
from settlement.figures import Figure, Origin, SeenLeaf, SideMarks, Terms
from settlement.formula import templates
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.program import Op, Operation, Quantities, check_program, encode, evaluate
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf
from settlement.units import RATE_BOUND, WH_BOUND

RATE_NAMES = ("price", "wheeling", "fee#FLAT")
FORMULAS = (
    "settled × price",
    "settled*price",
    "fee",
    "settled × price × 0.025 + fee",
    "settled × wheeling + max(0, contracted − settled) × price",
    "settled × (price - wheeling)",
    "abs(contracted − settled) × price",
    "min(settled × price, fee, 0.1 × fee)",
    "−(contracted − settled) × price",
    "0.5 × fee × 100",
    "min(contracted, buyerAllocated, sellerAllocated) × price",
)
REFUSED_FORMULAS = (
    "settled / price",
    "settled price",
    "settled ×",
    "(settled × price",
    "settled × tariff",
    "contracted-settled × price",
    "computeTariffPrice(price) × settled",
    "settled + price",
    "settled × settled",
    "settled",
    "settled × price + 5",
    "min(settled) × price",
    "settled × price × 5",
)
REFUSED_PROGRAMS = (
    "",
    "00" + "4100" * 128,
    "134100",
    "00",
    "000202",
    "0000",
    "0005",
    "0018",
    "0025",
    "0040",
    "0051" + "01" * 17,
    "0020",
    "000220",
    "00" + "02" * 17,
    "0002" + "0220" * 32,
    "0041",
    "00420001",
    "004200",
    "0012",
    "004f01" + "00" * 14,
    "005001" + "00" * 15,
    "00101022",
    "004e03e80000000000000000000000001021",  # the bound less a rate that may be 0
    "004e03e80000000000000000000000000221",  # and less a quantity that may be 0
)
BOUNDS = (0, 1, 999, 1_000, 10_000, WH_BOUND - 1)


def program_vectors() -> Any:
    """Programs with their values at and between the bounds, and refused programs with the reason."""
    random = seeded("programs")
    known = [compile_formula(text, Binding.plain(RATE_NAMES)) for text in FORMULAS]
    known += [flow.program for template in templates.SHIPPED for flow in template.flows]
    known += [
        bytes.fromhex("12021022"),
        encode(18, [Operation(Op.CONSTANT, (1 << 120) - 1)]),
        encode(0, [Operation(Op.CONSTANT, (1 << 96) * 1_000 - 1)]),
        bytes([0]) + b"\x02" * 16 + b"\x20" * 15,
    ]
    accepted = {program: None for program in known if _reason(program, 4) is None}
    refused = {bytes.fromhex(text): None for text in REFUSED_PROGRAMS}
    while len(accepted) < 80 or len(refused) < 80:
        program = _drawn_program(random)
        if _reason(program, 4) is None:
            accepted.setdefault(program)
        elif len(refused) < 80:
            refused.setdefault(program)
    return plain(
        {
            "accepted": [
                {"program": one, "rate_count": 4, "values": [_drawn_value(random, one) for _ in range(4)]}
                for one in accepted
            ],
            "refused": [
                {"program": one, "rate_count": count, "reason": _reason(one, count)}
                for one in refused
                for count in (2, 4)
                if _reason(one, count) is not None
            ],
        }
    )


def _reason(program: bytes, rate_count: int) -> str | None:
    try:
        check_program(program, rate_count)
    except ProgramError as error:
        return error.message
    return None


def _drawn_program(random: Random) -> bytes:
    steps: list[Operation] = []
    depth = 0
    for _ in range(random.randrange(1, 14)):
        if depth >= 2 and random.random() < 0.55:
            steps.append(Operation(random.choice((Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX))))
            depth -= 1
        else:
            kind = random.choice(
                (Op.CONTRACTED, Op.SETTLED, Op.BUYER_ALLOCATED, Op.SELLER_ALLOCATED, Op.RATE, Op.CONSTANT)
            )
            value = {Op.RATE: random.randrange(4), Op.CONSTANT: random.randrange(1 << random.choice((1, 8, 40, 100)))}
            steps.append(Operation(kind, value.get(kind, 0)))
            depth += 1
    steps += [Operation(random.choice((Op.ADD, Op.SUB, Op.MIN, Op.MAX)))] * (depth - 1)
    program = encode(random.choice((0, 0, 1, 3, 18)), steps)
    if random.randrange(3) == 0:  # a flipped byte, for the refusals
        place = random.randrange(len(program))
        program = program[:place] + bytes([random.randrange(256)]) + program[place + 1 :]
    return program


def _drawn_quantities(random: Random) -> Quantities:
    return Quantities(*(random.choice((*BOUNDS, random.randrange(WH_BOUND))) for _ in range(4)))


def _drawn_rates(random: Random, count: int) -> list[int]:
    return [random.choice((0, 1, 6_000_000, RATE_BOUND - 1, random.randrange(RATE_BOUND))) for _ in range(count)]


def _drawn_value(random: Random, program: bytes) -> dict[str, Any]:
    quantities, rates = _drawn_quantities(random), _drawn_rates(random, 4)
    return {**asdict(quantities), "rates": rates, "amount": evaluate(program, quantities, rates)}


def template_vectors() -> Any:
    """The shipped templates with ids and amounts, and formula texts with their programs or the column refused."""
    random = seeded("templates")
    binding = Binding.plain(RATE_NAMES)
    shipped = []
    for template in templates.SHIPPED:
        cases = []
        for _ in range(6):
            quantities, rates = _drawn_quantities(random), _drawn_rates(random, len(template.rate_names))
            amounts = [evaluate(flow.program, quantities, rates) for flow in template.flows]
            cases.append({**asdict(quantities), "rates": rates, "amounts": amounts})
        shipped.append(
            {
                "name": template.name,
                "version": template.version,
                "rate_names": template.rate_names,
                "flows": template.flows,
                "id": template.template_id,
                "cases": cases,
            }
        )
    refused = []
    for text in REFUSED_FORMULAS:
        try:
            compile_formula(text, binding)
        except FormulaError as error:
            refused.append({"text": text, "column": error.position})
    return plain(
        {
            "templates": shipped,
            "formulas": [
                {"text": text, "rate_names": RATE_NAMES, "program": compile_formula(text, binding)} for text in FORMULAS
            ],
            "refused_formulas": refused,
        }
    )


def allocation_vectors() -> Any:
    """Both rules, honest leaves with hashes, faulty leaves by code, and leaves of a group that contradict."""
    random = seeded("allocation")
    divisions = [
        {
            "rule": rule,
            "meter_wh": wh,
            "quantities": list(quantities),
            "allocated": allocation.rule(rule)(wh, quantities),
        }
        for rule in (PRO_RATA, FIFO)
        for wh, quantities in (
            (15_000, (10_000, 10_000)),
            (8_000, (5_000, 4_000)),
            (7_000, (5_000, 4_000)),
            (0, (0, 0)),
            (5, ()),
            (3, (0, 2, 0, 5, 1)),
            (WH_BOUND - 2, (WH_BOUND - 1, WH_BOUND - 1)),
            *((random.randrange(50_000), tuple(random.randrange(20_000) for _ in range(n))) for n in (1, 2, 3, 5, 9)),
        )
    ]
    leaves, faults, conflicts = [], [], []
    for rule in (PRO_RATA, FIFO):
        first, second, utility, placed = _shared_reading(rule)
        leaves += [{"leaf": leaf, "hash": preimages.allocation_leaf(leaf)} for leaf in (first, second)]
        for changes in ({}, *_corruptions(random)):
            leaf = replace(first, **changes)
            faults.append({"rule": rule, "leaf": leaf, "fault": fault_of(leaf, utility, placed, CYCLE, rule)})
            other = replace(second, **changes)
            if same_group(first, other):
                conflict = conflict_of(first, other, rule)
                conflicts.append({"rule": rule, "first": first, "second": other, "conflict": conflict})
    against = {"trade": placed.trade, "utility": utility, "cycle": CYCLE, "contracted_wh": placed.contracted_wh}
    return plain(
        {"divisions": divisions, "leaves": leaves, "against": against, "faults": faults, "conflicts": conflicts}
    )


def _shared_reading(rule: int) -> tuple[AllocationLeaf, AllocationLeaf, bytes, PlacedTrade]:
    """Seller's leaves of two trades of 10 and 6 kWh that share a reading of 8 kWh, their utility, the first trade."""
    fixed = seeded("shared reading")
    one = replace(draw_trade(fixed, templates.DEFAULT), contracted_wh=10_000)
    other = replace(one, contracted_wh=6_000, salt=draw_bytes(fixed))
    trades = [PlacedTrade(DOMAIN.digest(one), one, 3, 7, 10_000), PlacedTrade(DOMAIN.digest(other), other, 3, 8, 6_000)]
    readings = {(one.seller_meter, one.slot_start, Side.SELLER): SlotReading(8_000)}
    posted = allocate_utility(one.seller_utility, trades, readings, CYCLE, rule)
    first, second = (leaf for leaf in posted.leaves if leaf.side == Side.SELLER)
    return first, second, one.seller_utility, trades[0]


def _corruptions(random: Random) -> list[dict[str, Any]]:
    """Changes of single fields, and of several where a single one shows an earlier fault."""
    return [
        *({"side": side} for side in (0, 2, 255)),
        *({"status": status} for status in (1, 2, 3, 255)),
        {"status": 2, "meter_wh": 0},
        {"status": 2, "meter_wh": 0, "allocated_wh": 0},
        *({"contracted_before": before} for before in (0, 1, 6_000, 6_001, 9_999, 10_000, 2**64 - 1)),
        *({"contracted_total_wh": total} for total in (0, 9_999, 15_999, 16_000, 16_001, 2**64 - 1)),
        *({"meter_wh": wh} for wh in (0, 7_999, 8_001, 16_000, 2**64 - 1)),
        *({"allocated_wh": wh} for wh in (0, 4_999, 5_001, 10_001, 2**64 - 1)),
        *({"contracted_wh": wh} for wh in (0, 9_999, 10_001)),
        {"contracted_wh": 9_999, "allocated_wh": 4_999},
        {"contracted_before": 10_000, "contracted_wh": 0, "allocated_wh": 0},
        {"meter": draw_bytes(random)},
        {"slot_start": CYCLE_START - 1},
        {"salt": draw_bytes(random)},
        *({"index": index} for index in (0, 6, 9)),
        {"commitment": 2},
    ]


def figure_vectors() -> Any:
    """Figures of a side from leaves and marks over runs, and what two figures settle at."""
    random = seeded("figures")
    cases = []
    for _ in range(60):
        run = random.randrange(4)
        inputs = draw_cycle(random, 2, run)
        seen = _seen(inputs)
        placed = random.choice(inputs.trades)
        side = random.choice(tuple(Side))
        own = [one for one in seen if (one.leaf.trade_digest, one.leaf.side) == (placed.digest, side)]
        own = [replace(one, leaf=_unusable(random, one.leaf)) if random.randrange(8) == 0 else one for one in own]
        own += [random.choice(own)] if own and random.randrange(8) == 0 else []  # one trade and side twice in a tree
        marks = draw_marks(random, run, placed.contracted_wh) if random.randrange(2) else figures.UNMARKED
        if random.randrange(2):
            marks = SideMarks(contested=marks.contested)
        void = random.getrandbits(run + 1) if random.randrange(3) == 0 else 0
        terms = Terms.of(inputs.cycle, inputs.config)
        figure = figures.figure_of(placed, side, run, own, marks, void, terms)
        cases.append(
            {
                "terms": terms,
                "run": run,
                "side": side,
                "placed": placed,
                "leaves": own,
                "marks_word": marks.to_word(),
                "void_runs": void,
                "figure": figure,
            }
        )
    return plain({"figures": cases, "results": _settling_cases()})


def _unusable(random: Random, leaf: AllocationLeaf) -> AllocationLeaf:
    changes = ({"salt": bytes(32)}, {"allocated_wh": leaf.contracted_wh + 1}, {"meter": draw_bytes(random)})
    return replace(leaf, **random.choice(changes))


def _settling_cases() -> list[dict[str, Any]]:
    terms = Terms(CYCLE, PRO_RATA, 3)
    options = (None, Figure(0, Origin.LEAF, 0), Figure(7_000, Origin.LEAF, 1), Figure(10_000, Origin.RECORDED, 2))
    return [
        {
            "contracted_wh": contracted,
            "run": run,
            "last_run": terms.last_run,
            "buyer": buyer,
            "seller": seller,
            "settled": figures.settle(contracted, run, buyer, seller, terms),
        }
        for contracted in (0, 10_000)
        for run in (2, 3)
        for buyer in options
        for seller in options
    ]


def row_vectors() -> Any:
    """Whole runs: trades, leaves and marks give rows with their roots and the locks to keep; and sealed inputs."""
    random = seeded("rows")
    cases = []
    for count in (0, 1, 2, 3, 4, 5, 8, 9, 16, 17):
        inputs = draw_cycle(random, count, random.randrange(4))
        result = compute_cycle(inputs).result
        cases.append(
            {
                "terms": Terms.of(inputs.cycle, inputs.config),
                "run": inputs.run,
                "trades": inputs.trades,
                "leaves": _seen(inputs),
                "void_runs": [{"group": key, "mask": mask} for key, mask in inputs.marks.void_runs.items()],
                "marks": [{"side": key, "word": marks.to_word()} for key, marks in inputs.marks.sides.items()],
                "rows": [
                    {"payer": payer, "payee": payee, "amount": row.amount, "root": row.root, "leaves": row.leaves}
                    for (payer, payee), row in result.rows.items()
                ],
                "keep": [
                    {"payer": payer, "payee": payee, "amount": amount} for (payer, payee), amount in result.keep.items()
                ],
            }
        )
    return plain({"cases": cases, "inputs": _sealing(random)})


def _seen(inputs: CycleInputs) -> list[SeenLeaf]:
    return [leaf for (run, _), posted in compute_cycle(inputs).allocations.items() for leaf in posted.seen(run)]


def _sealing(random: Random) -> list[dict[str, Any]]:
    sealed, steps = draw_bytes(random), []
    for run in range(3):
        accumulator, acts = preimages.EMPTY_ACCUMULATOR, []
        for act in random.sample(list(preimages.Act), k=3 * run):
            number, time, what = random.randrange(2**64), random.randrange(2**64), draw_bytes(random)
            accumulator = preimages.accumulate(accumulator, act, number, time, what)
            acts.append({"kind": act, "number": number, "block_time": time, "what": what, "accumulator": accumulator})
        previous, sealed = sealed, preimages.sealed_inputs(sealed, accumulator)
        steps.append({"previous": previous, "acts": acts, "inputs": sealed})
    return steps
