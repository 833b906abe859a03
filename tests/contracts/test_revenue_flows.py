"""RevenueFlows: registration, refusals, and programs that give what Python says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_abi import decode as abi_decode

from settlement.errors import ProgramError
from settlement.formula import program as programs
from settlement.formula.program import Op, Operation, Quantities
from settlement.formula.templates import SHIPPED, Flow, Role, Template
from settlement.hashing import keccak256
from settlement.units import AMOUNT_BOUND, RATE_BOUND, WH_BOUND
from tests.contracts.market import Market, deploy

ALL_QUANTITIES = (Op.CONTRACTED, Op.SETTLED, Op.BUYER_ALLOCATED, Op.SELLER_ALLOCATED)
BINARY = (Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX)
SETTLED_TIMES_RATE = bytes.fromhex("00021022")
LARGEST = Quantities(WH_BOUND - 1, WH_BOUND - 1, WH_BOUND - 1, WH_BOUND - 1)


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy(only=("RevenueFlows",))


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


@pytest.fixture(scope="module")
def flows(deployed: Market) -> Any:
    return deployed.flows


def arguments(template: Template) -> tuple[Any, ...]:
    return (
        template.name,
        template.version,
        list(template.rate_names),
        [(int(flow.payer), int(flow.payee), flow.program) for flow in template.flows],
    )


def register(market: Market, *given: Any) -> bytes:
    with boa.env.prank(market.council):
        return bytes(market.flows.register(*given))


def one_flow(program: bytes = SETTLED_TIMES_RATE, payer: int = 1, payee: int = 2) -> list[tuple[int, int, bytes]]:
    return [(payer, payee, program)]


def template_id(name: str, version: int, rates: list[str], listed: list[tuple[int, int, bytes]]) -> bytes:
    """The id that Python gives a template."""
    flows = tuple(Flow(Role(payer), Role(payee), program) for payer, payee, program in listed)
    return Template(name, version, tuple(rates), flows).template_id


# --- registration ---


@pytest.mark.parametrize("template", SHIPPED, ids=lambda template: template.title)
def test_shipped_templates_register_under_their_id(market: Market, template: Template) -> None:
    flows = market.flows
    assert not flows.is_registered(template.template_id)
    assert flows.shape(template.template_id) == 0
    identity = register(market, *arguments(template))
    (event,) = flows.get_logs()
    assert type(event).__name__ == "TemplateRegistered"
    assert event.template == identity == template.template_id
    assert (event.name, event.version) == (template.name, template.version)
    assert tuple(event.rate_names) == template.rate_names
    assert [tuple(flow) for flow in event.flows] == arguments(template)[3]

    assert flows.is_registered(identity)
    shape = flows.shape(identity)
    assert shape & 255 == len(template.rate_names)
    assert (shape >> 8) & 255 == len(template.flows)
    for role in range(16):
        assert (shape >> (16 + role)) & 1 == (role in template.roles)
        assert (shape >> (32 + role)) & 1 == (role in {flow.payer for flow in template.flows})
    assert (shape >> 48) & 0xFFFF == 0
    assert shape >> 64 == boa.env.evm.patch.timestamp
    for number, flow in enumerate(template.flows):
        assert flows.program(identity, number) == flow.program
    for number in range(len(template.flows), 7):
        assert flows.program(identity, number) == b""

    rng = random.Random(template.title)
    for _ in range(200):
        quantities, rates = generated_inputs(rng, len(template.rate_names))
        expected = [
            (int(flow.payer), int(flow.payee), programs.evaluate(flow.program, quantities, rates))
            for flow in template.flows
        ]
        assert [tuple(flow) for flow in flows.evaluate(identity, astuple(quantities), rates)] == expected


def test_the_largest_template_keeps_every_program(market: Market) -> None:
    """Six flows of 256 bytes under eight rates: eight words each, constants across the words' borders."""
    listed = []
    for number in range(6):
        steps = [Operation(Op.RATE, number)]
        while len(steps) < 31:
            steps += [Operation(Op.CONSTANT, (1 << 112) - len(steps) - number), Operation(Op.MIN)]
        program = programs.encode(18, steps)
        program += bytes([Op.RATE + 7, Op.MAX]) * ((256 - len(program)) // 2)
        program = program[:256]
        programs.check_program(program, 8)
        assert len(program) > 250
        listed.append((1 + number, 1 + (number + 1) % 6, program))
    names = ["r" * 31 + str(number) for number in range(8)]
    identity = register(market, "n" * 64, 2**32 - 1, names, listed)
    for number, (_, _, program) in enumerate(listed):
        assert market.flows.program(identity, number) == program
    rates = [(number + 1) * 10**17 for number in range(8)]
    given = Quantities(0, 0, 0, 0)
    assert [tuple(flow) for flow in market.flows.evaluate(identity, astuple(given), rates)] == [
        (payer, payee, programs.evaluate(program, given, rates)) for payer, payee, program in listed
    ]


def test_a_program_of_256_bytes_registers_whole(market: Market) -> None:
    # 15 constants of 16 bytes are 255 bytes with their opcodes, which leaves no room for operators; of 14 bytes they
    # and the operators between them are 255.
    steps = [Operation(Op.CONSTANT, (1 << 112) - 1)]
    for _ in range(15):
        steps += [Operation(Op.CONSTANT, (1 << 111) + 12345), Operation(Op.MIN)]
    program = programs.encode(18, steps)
    assert len(program) == 256
    identity = register(market, "long", 1, [], one_flow(program))
    assert market.flows.program(identity, 0) == program
    assert market.flows.evaluate(identity, (0, 0, 0, 0), []) == [(1, 2, ((1 << 111) + 12345) // (1000 * 10**18))]


def test_a_name_and_version_stand_for_one_template(market: Market) -> None:
    first = register(market, "name", 1, ["price"], one_flow())
    with boa.reverts("RevenueFlows: version taken"):
        register(market, "name", 1, ["price"], one_flow())
    with boa.reverts("RevenueFlows: version taken"):
        register(market, "name", 1, ["rate"], one_flow())
    second = register(market, "name", 2, ["price"], one_flow())
    assert first != second == template_id("name", 2, ["price"], one_flow())
    assert market.flows.is_registered(first)


def test_only_the_council_registers(market: Market) -> None:
    for sender in (boa.env.generate_address(), market.guardian):
        with boa.env.prank(sender), boa.reverts("RevenueFlows: not the council"):
            market.flows.register("name", 1, ["price"], one_flow())


@pytest.mark.parametrize("name", ["", "two words", "tab\t", "\x7f", "newline\n", "x" * 63 + " "])
def test_names_are_printable(market: Market, name: str) -> None:
    with boa.reverts("RevenueFlows: bad name"):
        register(market, name, 1, ["price"], one_flow())
    with boa.reverts("RevenueFlows: bad rate name"):
        register(market, "name", 1, ["first", name[-32:]], one_flow())


def test_names_take_the_outermost_characters(market: Market) -> None:
    assert register(market, "!~", 1, ["~!", "price#FLAT"], one_flow()) == template_id(
        "!~", 1, ["~!", "price#FLAT"], one_flow()
    )


def test_versions_count_from_one(market: Market) -> None:
    with boa.reverts("RevenueFlows: bad version"):
        register(market, "name", 0, ["price"], one_flow())


@pytest.mark.parametrize("names", [["a", "a"], ["a", "b", "c", "a"], ["a", "b", "c", "d", "e", "f", "g", "g"]])
def test_rate_names_differ(market: Market, names: list[str]) -> None:
    with boa.reverts("RevenueFlows: rate name twice"):
        register(market, "name", 1, names, one_flow())


def test_a_template_has_flows(market: Market) -> None:
    with boa.reverts("RevenueFlows: no flows"):
        register(market, "name", 1, ["price"], [])


@pytest.mark.parametrize(("payer", "payee"), [(0, 1), (1, 0), (7, 1), (1, 7), (255, 1), (1, 255)])
def test_flows_are_between_roles(market: Market, payer: int, payee: int) -> None:
    with boa.reverts("RevenueFlows: bad role"):
        register(market, "name", 1, ["price"], one_flow(payer=payer, payee=payee))


@pytest.mark.parametrize("role", range(1, 7))
def test_no_role_pays_itself(market: Market, role: int) -> None:
    with boa.reverts("RevenueFlows: pays itself"):
        register(market, "name", 1, ["price"], one_flow(payer=role, payee=role))


def test_a_refused_program_refuses_the_template(market: Market) -> None:
    listed = [*one_flow(), (1, 3, bytes.fromhex("00021122"))]
    with boa.reverts("RevenueFlows: bad rate index"):
        register(market, "name", 1, ["price"], listed)
    assert register(market, "name", 1, ["price", "wheeling"], listed) == template_id(
        "name", 1, ["price", "wheeling"], listed
    )


# --- evaluation ---


def test_evaluate_refuses_what_no_trade_may_have(market: Market) -> None:
    flows = market.flows
    identity = register(market, "name", 1, ["price"], one_flow())
    with boa.reverts("RevenueFlows: unknown template"):
        flows.evaluate(keccak256(identity), (1, 1, 1, 1), [1])
    for rates in ([], [1, 1]):
        with boa.reverts("RevenueFlows: number of rates"):
            flows.evaluate(identity, (1, 1, 1, 1), rates)
    for place in range(4):
        quantities = [1, 1, 1, 1]
        quantities[place] = WH_BOUND
        with boa.reverts("RevenueFlows: quantity too large"):
            flows.evaluate(identity, tuple(quantities), [1])
        with boa.reverts("RevenueFlows: quantity too large"):
            flows.evaluate_program(SETTLED_TIMES_RATE, tuple(quantities), [1])
    with boa.reverts("RevenueFlows: rate too large"):
        flows.evaluate(identity, (1, 1, 1, 1), [RATE_BOUND])
    with boa.reverts("RevenueFlows: rate too large"):
        flows.evaluate_program(SETTLED_TIMES_RATE, (1, 1, 1, 1), [RATE_BOUND])
    largest = (WH_BOUND - 1) * (RATE_BOUND - 1) // 1000
    assert flows.evaluate(identity, astuple(LARGEST), [RATE_BOUND - 1]) == [(1, 2, largest)]


@pytest.mark.parametrize(
    ("text", "quantities", "rates", "amount"),
    [
        ("00" + "0110" + "22", (999, 0, 0, 0), [1], 0),
        ("00" + "0110" + "22", (1000, 0, 0, 0), [1], 1),
        ("00" + "0110" + "22", (1999, 0, 0, 0), [1], 1),
        ("00" + "0110" + "22", (2500, 0, 0, 0), [5_000_000], 12_500_000),
        ("00" + "0201" + "21" + "10" + "22", (7, 3, 0, 0), [10**6], 0),  # negative: clamped
        ("00" + "0201" + "21" + "10" + "22", (3, 7, 0, 0), [10**6], 4000),
        ("00" + "4100" + "0201" + "21" + "10" + "22" + "21", (7, 3, 0, 0), [10**6], 4000),  # minus a negative
        ("00" + "0201" + "21" + "0201" + "21" + "22", (7, 3, 0, 0), [], 0),
        ("00" + "0201" + "21" + "0201" + "21" + "22", (1007, 3, 0, 0), [], 1008),
        ("00" + "03" + "04" + "23" + "10" + "22", (0, 0, 5000, 3000), [7], 21),
        ("00" + "03" + "04" + "24" + "10" + "22", (0, 0, 5000, 3000), [7], 35),
        ("02" + "02" + "4164" + "22" + "10" + "22", (0, 1000, 0, 0), [9], 9),
        ("12" + "0210" + "22", (0, 1000, 0, 0), [9], 0),
        ("00" + "17", (0, 0, 0, 0), [0, 0, 0, 0, 0, 0, 0, 5000], 5),
        ("00" + "4203e8", (0, 0, 0, 0), [], 1),
    ],
)
def test_amounts(flows: Any, text: str, quantities: tuple[int, ...], rates: list[int], amount: int) -> None:
    program = bytes.fromhex(text)
    assert programs.evaluate(program, Quantities(*quantities), rates) == amount
    assert flows.evaluate_program(program, quantities, rates) == amount


@pytest.mark.parametrize(
    ("text", "rates", "reason"),
    [
        ("", 0, "empty program"),
        ("13" + "01", 0, "bad scale"),
        ("ff" + "01", 0, "bad scale"),
        ("00", 0, "one value must remain"),
        ("00" + "0102", 0, "one value must remain"),
        ("00" + "00", 0, "bad opcode"),
        ("00" + "05", 0, "bad opcode"),
        ("00" + "0f", 8, "bad opcode"),
        ("00" + "18", 8, "bad opcode"),
        ("00" + "1f", 8, "bad opcode"),
        ("00" + "010125", 0, "bad opcode"),
        ("00" + "40", 0, "bad opcode"),
        ("00" + "51" + "01" * 17, 0, "bad opcode"),
        ("00" + "ff", 0, "bad opcode"),
        ("00" + "20", 0, "stack underflow"),
        ("00" + "0121", 0, "stack underflow"),
        ("00" + "01" * 17, 0, "stack too deep"),
        ("00" + "01" + "0123" * 32, 0, "too many operations"),
        ("00" + "41", 0, "bad constant"),
        ("00" + "4201", 0, "bad constant"),
        ("00" + "420001", 0, "bad constant"),
        ("00" + "10", 0, "bad rate index"),
        ("00" + "17", 7, "bad rate index"),
        ("00" + "50" + "01" + "00" * 15, 0, "intermediate too large"),
        ("00" + "4100" + "50" + "01" + "00" * 15 + "21", 0, "intermediate too large"),
        ("00" + "101022", 1, "intermediate too large"),
        ("00" + "4100" + "1021" + "1022", 1, "intermediate too large"),
        ("00" + "4f" + "ff" * 15, 0, "amount too large"),
    ],
)
def test_refusals(flows: Any, text: str, rates: int, reason: str) -> None:
    program = bytes.fromhex(text)
    with pytest.raises(ProgramError, match=reason):
        programs.check_program(program, rates)
    with boa.reverts(f"RevenueFlows: {reason}"):
        flows.check_program(program, rates)
    with boa.reverts(f"RevenueFlows: {reason}"):
        flows.evaluate_program(program, (1, 1, 1, 1), [1] * rates)


@pytest.mark.parametrize(
    "reason",
    [
        "RevenueFlows: empty program",
        "RevenueFlows: bad scale",
        "RevenueFlows: bad opcode",
        "RevenueFlows: bad constant",
        "RevenueFlows: bad rate index",
        "RevenueFlows: stack underflow",
        "RevenueFlows: stack too deep",
        "RevenueFlows: too many operations",
        "RevenueFlows: one value must remain",
        "RevenueFlows: intermediate too large",
        "RevenueFlows: amount too large",
    ],
)
def test_each_reason_is_met_by_the_table_above(reason: str) -> None:
    mark = next(mark for mark in test_refusals.pytestmark if "reason" in mark.args[0])  # type: ignore[attr-defined]
    assert reason.removeprefix("RevenueFlows: ") in {row[2] for row in mark.args[1]}


def test_a_program_that_is_too_long_is_no_argument(flows: Any) -> None:
    program = bytes(1) + bytes.fromhex("4100") + bytes.fromhex("410020") * 85
    assert len(program) == 258
    with pytest.raises(ProgramError, match="program too long"):
        programs.check_program(program, 0)
    with pytest.raises(Exception, match=r"258|exceed|Bytes|too long|encod"):
        flows.check_program(program, 0)


def test_bounds_are_exact(flows: Any) -> None:
    """The largest that passes and the smallest that does not, for amounts, intermediates, depth and operations."""

    def accepted(program: bytes, rates: int = 0) -> bool:
        verdict = python_verdict(program, rates)
        assert chain_verdict(flows, program, rates) == verdict
        return verdict == ""

    amount = AMOUNT_BOUND * 1000
    assert accepted(programs.encode(0, [Operation(Op.CONSTANT, amount - 1)]))
    assert not accepted(programs.encode(0, [Operation(Op.CONSTANT, amount)]))
    for scale in (1, 5, 18):
        least = min(AMOUNT_BOUND * 1000 * 10**scale, 1 << 120)
        assert accepted(programs.encode(scale, [Operation(Op.CONSTANT, least - 1)]))
        assert not accepted(programs.encode(scale, [Operation(Op.CONSTANT, least)]))
    half = Operation(Op.CONSTANT, 1 << 119)
    one, add, sub = Operation(Op.CONSTANT, 1), Operation(Op.ADD), Operation(Op.SUB)
    zero = Operation(Op.CONSTANT, 0)
    assert not accepted(programs.encode(18, [half, half, add]))
    assert accepted(programs.encode(18, [half, half, one, sub, add]))
    assert not accepted(programs.encode(18, [zero, half, sub, half, sub]))
    assert accepted(programs.encode(18, [zero, half, sub, half, one, sub, sub]))
    # Rates and quantities reach up to their own bounds, and no further.
    multiply = Operation(Op.MUL)
    for read, bound in ((Operation(Op.RATE), RATE_BOUND), (Operation(Op.SETTLED), WH_BOUND)):
        least = -(-(1 << 120) // (bound - 1))
        assert accepted(programs.encode(18, [read, Operation(Op.CONSTANT, least - 1), multiply]), 1)
        assert not accepted(programs.encode(18, [read, Operation(Op.CONSTANT, least), multiply]), 1)
    deep = [one] * 16 + [add] * 15
    assert accepted(programs.encode(0, deep))
    assert not accepted(programs.encode(0, [one] * 17 + [add] * 16))
    assert accepted(programs.encode(0, [one, *[one, add] * 31]))
    assert not accepted(programs.encode(0, [one, *[one, add] * 32]))
    for code in range(256):
        accepted(bytes([code, Op.SETTLED]), 8)
        accepted(bytes([0, 1, 1, code]), 8)
        accepted(bytes([0, code, *[1] * 17]), 8)


# --- generated programs ---


def generated_inputs(rng: random.Random, rate_count: int) -> tuple[Quantities, list[int]]:
    def below(bound: int) -> int:
        return rng.choice((0, 1, bound - 1, rng.randrange(bound), rng.randrange(1 << rng.randint(1, 30))))

    return Quantities(*(below(WH_BOUND) for _ in range(4))), [below(RATE_BOUND) for _ in range(rate_count)]


def generated_program(rng: random.Random, rate_count: int) -> bytes:
    """A program with stack discipline, mostly; bounds are hit or missed by chance."""
    steps: list[Operation] = []
    depth = 0
    for _ in range(rng.randint(1, rng.choice((3, 4, 5, 6, 6, 8, 8, 8, 10, 12, 16, 70)))):
        if depth >= 2 and rng.random() < 0.55:
            steps.append(Operation(rng.choice((Op.ADD, Op.SUB, Op.SUB, Op.MIN, Op.MAX, Op.MUL))))
            depth -= 1
            continue
        kind = rng.random()
        if kind < 0.4:
            steps.append(Operation(rng.choice(ALL_QUANTITIES)))
        elif kind < 0.6 and rate_count:
            steps.append(Operation(Op.RATE, rng.randrange(rate_count)))
        else:
            steps.append(Operation(Op.CONSTANT, rng.getrandbits(rng.choice((1, 4, 16, 40, 100)))))
        depth += 1
    while depth > 1:
        steps.append(Operation(rng.choice((Op.ADD, Op.SUB, Op.MIN, Op.MAX))))
        depth -= 1
    return programs.encode(rng.choice((0, 0, 1, 2, 6, 18)), steps)


def damaged(rng: random.Random, program: bytes) -> bytes:
    """The program with one byte changed, taken out or put in."""
    place = rng.randrange(len(program))
    byte = rng.choice((rng.randrange(256), rng.choice((1, 2, 0x10, 0x17, 0x20, 0x22, 0x24, 0x40, 0x41, 0x50))))
    return rng.choice(
        (
            program[:place] + bytes([byte]) + program[place + 1 :],
            program[:place] + program[place + 1 :],
            program[:place] + bytes([byte]) + program[place:],
        )
    )


def python_verdict(program: bytes, rate_count: int) -> str:
    try:
        programs.check_program(program, rate_count)
    except ProgramError as error:
        return error.message
    return ""


def chain_verdict(flows: Any, program: bytes, rate_count: int) -> str:
    """The contract's reason, or nothing; by a raw call, since a stack trace for each refusal takes its time."""
    computation = boa.env.execute_code(
        to_address=flows.address, data=flows.check_program.prepare_calldata(program, rate_count)
    )
    if not computation.is_error:
        return ""
    selector, output = computation.output[:4], computation.output[4:]
    assert selector == keccak256(b"Error(string)")[:4]
    reason: str = abi_decode(["string"], output)[0]
    assert reason.startswith("RevenueFlows: ")
    return reason.removeprefix("RevenueFlows: ")


def test_generated_programs_are_judged_and_evaluated_alike(flows: Any) -> None:
    rng = random.Random("programs")
    accepted, refused = 0, dict[str, int]()
    clamped = positive = 0
    while accepted < 1_000:
        rate_count = rng.randint(0, 8)
        program = generated_program(rng, rate_count)
        if rng.random() < 0.5:
            program = damaged(rng, program)
        if len(program) > programs.MAX_LENGTH:
            continue
        verdict = python_verdict(program, rate_count)
        if verdict:
            if refused.setdefault(verdict, 0) < 150:
                assert chain_verdict(flows, program, rate_count) == verdict, program.hex()
                refused[verdict] += 1
            continue
        accepted += 1
        quantities, rates = generated_inputs(rng, rate_count)
        amount = programs.evaluate(program, quantities, rates)
        assert flows.evaluate_program(program, astuple(quantities), rates) == amount, program.hex()
        assert amount < AMOUNT_BOUND
        clamped += amount == 0
        positive += amount > 0
    assert min(clamped, positive) > 200
    assert sum(refused.values()) > 500, refused
    assert set(refused) >= {
        "bad opcode",
        "bad constant",
        "bad rate index",
        "stack underflow",
        "too many operations",
        "intermediate too large",
        "amount too large",
        "one value must remain",
    }


def test_random_bytes_are_judged_alike(flows: Any) -> None:
    rng = random.Random("bytes")
    codes = [*range(1, 5), *range(0x10, 0x18), *range(0x20, 0x25), 0x41, 0x42, 0x50, 0, 5, 0x18, 0x25, 0x40, 0x51]
    for _ in range(1_000):
        program = bytes([rng.choice((0, 1, 18, 19))] + [rng.choice(codes) for _ in range(rng.randint(0, 12))])
        rate_count = rng.randint(0, 8)
        assert chain_verdict(flows, program, rate_count) == python_verdict(program, rate_count), program.hex()
