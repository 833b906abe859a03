"""Programs back to text: what is printed, and that compiling it gives the program again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.errors import FormulaError, ProgramError, SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.decompiler import decompile
from settlement.formula.program import QUANTITIES, Op, Operation, check_program, encode
from settlement.formula.templates import SHIPPED, Template
from tests.settlement.formula_texts import flow_texts

RATES = ("price", "wheeling", "fee#FLAT")
PLAIN = Binding.plain(RATES)
CONTRACT = Binding.energy_contract(("price", "wheeling#FLAT", "clearingPrice", "fee"))


@pytest.mark.parametrize(
    "text",
    [
        "settled × price",
        "fee",
        "settled × price × 0.025 + fee",
        "settled × wheeling + max(0, contracted − settled) × price",
        "settled × (price + wheeling)",
        "settled × (price − wheeling × 0.5)",
        "(−(contracted − settled)) × price",
        "contracted × price − (settled × price − fee)",
        "contracted × price − (−fee)",
        "−fee + contracted × price",
        "abs(contracted − settled) × price",
        "0.5 × fee × 100",
        "0.125 × settled × price × 10",
        "settled × price × 2 + fee × 1000 × 0.25",
        "min(settled × price, fee, 0.1 × fee)",
        "min(fee, min(fee, settled × price))",
        "(0.15 + 1) × 2.5 × fee",
        "10 × fee + 0.1 × settled × price",
        "0.001 × (settled + 0.001 × contracted) × price",
        "0 × fee",
    ],
)
def test_plain_texts_are_printed_as_they_are(text: str) -> None:
    assert decompile(compile_formula(text, PLAIN), PLAIN) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("settled * price * 0.0250 + fee", "settled × price × 0.025 + fee"),
        ("settled×(price -wheeling)", "settled × (price − wheeling)"),
        ("max( 0, contracted − settled )×wheeling", "max(0, contracted − settled) × wheeling"),
        ("((settled)) × ((price))", "settled × price"),
        ("max(settled, −settled) × price", "abs(settled) × price"),
        ("0 − fee", "−fee"),
        ("max(max(0, settled), contracted) × price", "max(0, settled, contracted) × price"),
        ("10.0 × fee + 0.50 × fee", "10 × fee + 0.5 × fee"),
        # The decimals of a product belong to no factor: any reading that gives the same bytes is right.
        ("0.5 × fee × 0.5", "5 × fee × 0.05"),
    ],
)
def test_texts_are_printed_in_one_form(text: str, printed: str) -> None:
    program = compile_formula(text, PLAIN)
    assert decompile(program, PLAIN) == printed
    assert compile_formula(printed, PLAIN) == program


@pytest.mark.parametrize("template", SHIPPED, ids=lambda one: one.title)
def test_shipped_templates_print_in_both_vocabularies(template: Template) -> None:
    for binding in (Binding.plain(template.rate_names), Binding.energy_contract(template.rate_names)):
        for flow in template.flows:
            assert compile_formula(decompile(flow.program, binding), binding) == flow.program
    assert template.texts() == tuple(flow.text for flow in template.flows)


def test_energy_contracts_get_their_own_paths() -> None:
    def printed(text: str) -> str:
        return decompile(compile_formula(text, CONTRACT), CONTRACT)

    buy = "roles.BUYER.roleInputs.contractedQuantity × roles.SELLER.roleInputs.pricePerKWh"
    assert printed("contracted × price") == buy == printed(buy)
    assert printed("settled × price + wheeling") == (
        "deliveredQuantity × roles.SELLER.roleInputs.pricePerKWh + roles.GRID_OPERATOR.roleInputs.wheelingCharges"
    )
    # What such contracts have no path for keeps its short name.
    assert printed("sellerAllocated × fee") == (
        "sellerAllocated × roles.MARKET_CLEARING_AGENT.roleInputs.marketMakingFee"
    )
    indexed = "roles.MARKET_CLEARING_AGENT.roleInputs.clearedPower[PROSUMER.era]"
    binding = Binding(("price",), {indexed: Op.CONTRACTED, "contracted": Op.CONTRACTED}, {"cdr-001.price": "price"})
    assert decompile(compile_formula("abs(contracted) × cdr-001.price", binding), binding) == (
        f"abs({indexed}) × cdr-001.price"
    )


@pytest.mark.parametrize(
    "text",
    [
        "-(" * 13 + "settled × price" + ") × 1" * 13,
        "-" * 15 + "settled × price",
        "-(fee - (" * 7 + "fee" + "))" * 7,
        "max(min(" * 10 + "fee" + ", 0), fee)" * 10,
        "fee - (" * 14 + "fee" + ")" * 14,
        "abs(-abs(-abs(fee)))",
    ],
)
def test_the_deepest_programs_have_texts_too(text: str) -> None:
    program = compile_formula(text, PLAIN)
    assert compile_formula(decompile(program, PLAIN), PLAIN) == program


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("0002", "energy paid as money"),
        ("0012", "a flat amount without its thousandths"),
        ("00124203e722", "a flat amount times 999"),
        ("0012" + "4203e8" + "22" + "4101" + "20", "a number added to money"),
        ("01021022", "a scale that nothing carries"),
        ("01021022" + "4114" + "22", "2.0, whose zero is never written"),
        ("01" + "12" + "4203e8" + "22" + "410a" + "22", "a flat amount is lifted with its thousandths"),
    ],
)
def test_programs_without_text_are_said_to_have_none(program: str, why: str) -> None:
    with pytest.raises(SettlementError, match="has no formula text"):
        decompile(bytes.fromhex(program), PLAIN)


@pytest.mark.parametrize(
    ("program", "reason"),
    [("00ff", "bad opcode"), ("00021002", "one value must remain"), ("00021322", "bad rate index")],
)
def test_programs_that_registration_refuses(program: str, reason: str) -> None:
    with pytest.raises(ProgramError, match=reason):
        decompile(bytes.fromhex(program), PLAIN)


@pytest.mark.parametrize(
    ("rate_names", "readable"),
    [
        (("settled",), False),  # the quantity takes the name
        (("fee#FLAT", "fee"), False),  # the last of one input name has it
        (("fee", "fee#FLAT"), False),
        (("2nd",), False),
        (("a+b",), False),
        (("abs",), True),  # a function only where a parenthesis follows
        (("peak-hours.price[PROSUMER.era]",), True),
    ],
)
def test_rate_names_that_no_text_can_say(rate_names: tuple[str, ...], readable: bool) -> None:
    binding = Binding.plain(rate_names)
    program = bytes.fromhex("00104203e822" if rate_names[0].endswith("#FLAT") else "00021022")
    if readable:
        assert compile_formula(decompile(program, binding), binding) == program
    else:
        with pytest.raises(SettlementError, match="has no formula text"):
            decompile(program, binding)


def test_a_name_that_a_quantity_has_taken_is_not_used() -> None:
    binding = Binding(("price",), {"price": Op.SETTLED}, {"price": "price", "rate": "price"})
    assert decompile(bytes.fromhex("00021022"), binding) == "price × rate"


@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(flow_texts(["settled", "contracted", "buyerAllocated", "sellerAllocated"], ["price", "wheeling"], ["fee"]))
def test_every_text_that_compiles_survives_the_chain(text: str) -> None:
    _survives(text, PLAIN)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    flow_texts(
        ["deliveredQuantity", "roles.BUYER.roleInputs.contractedQuantity", "sellerAllocated"],
        ["roles.SELLER.roleInputs.pricePerKWh", "clearingPrice"],
        ["roles.GRID_OPERATOR.roleInputs.wheelingCharges", "wheeling"],
        depth=2,
    )
)
def test_so_do_texts_of_energy_contracts(text: str) -> None:
    _survives(text, CONTRACT)


STEPS = st.one_of(
    st.sampled_from([Operation(op) for op in sorted(QUANTITIES)]),
    st.builds(Operation, st.just(Op.RATE), st.integers(0, 2)),
    st.builds(Operation, st.just(Op.CONSTANT), st.sampled_from([0, 1, 5, 10, 100, 1000, 10_000])),
)
OPERATIONS = st.sampled_from([Operation(op) for op in (Op.ADD, Op.SUB, Op.MUL, Op.MUL, Op.MIN, Op.MAX)])


@st.composite
def programs(draw: st.DrawFn) -> bytes:
    """Programs of sound stack discipline that mostly no compiler made."""
    steps = [draw(STEPS)]
    depth = 1
    for _ in range(draw(st.integers(0, 6))):
        if depth > 1 and draw(st.booleans()):
            steps.append(draw(OPERATIONS))
            depth -= 1
        else:
            steps.append(draw(STEPS))
            depth += 1
    steps += [draw(OPERATIONS) for _ in range(depth - 1)]
    return encode(draw(st.integers(0, 3)), steps)


@settings(max_examples=1_000, deadline=None)
@given(programs())
def test_a_program_has_a_text_that_compiles_to_it_or_none(program: bytes) -> None:
    try:
        text = decompile(program, PLAIN)
    except SettlementError:
        return
    assert compile_formula(text, PLAIN) == program


def _survives(text: str, binding: Binding) -> None:
    try:
        program = compile_formula(text, binding)
    except FormulaError:
        return
    check_program(program, len(binding.rate_names))
    printed = decompile(program, binding)
    assert compile_formula(printed, binding) == program
    assert decompile(compile_formula(printed, binding), binding) == printed
