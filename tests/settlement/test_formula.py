"""Formula texts: what they compile to, what is refused and where, and back to text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import FormulaError, ProgramError, SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.decompiler import decompile
from settlement.formula.program import Op, Quantities, check_program, evaluate

RATES = ("price", "wheeling", "fee#FLAT")
PLAIN = Binding.plain(RATES)
CONTRACT = Binding.energy_contract(("price", "wheeling"))
QUANTITIES = Quantities(10_000, 8_000, 10_000, 8_000)
MONEY = [6_000_000, 1_000_000, 2_500_000]


def value(text: str, quantities: Quantities = QUANTITIES) -> int:
    return evaluate(compile_formula(text, PLAIN), quantities, MONEY)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("settled × price", "00021022"),
        ("settled * price", "00021022"),
        ("price × settled", "00100222"),
        ("fee", "0012" + "4203e8" + "22"),
        ("settled × price × 0.025", "03021022" + "4119" + "22"),
        ("settled × price × 0.0250", "03021022" + "4119" + "22"),
        ("settled × price × 2.0", "00021022" + "4102" + "22"),
        ("settled × price × 0.5 + fee", "01021022" + "4105" + "22" + "12" + "422710" + "22" + "20"),
        ("settled × price × 0.5 + settled × wheeling", "01021022" + "410522" + "021122" + "410a22" + "20"),
        ("−settled × price", "00" + "4100" + "02" + "21" + "10" + "22"),
        ("-(settled × price)", "00" + "4100" + "021022" + "21"),
        ("abs(contracted − settled) × price", "00" + "010221" + "4100" + "010221" + "21" + "24" + "1022"),
        ("min(contracted, settled, buyerAllocated) × price", "00" + "010223" + "0323" + "1022"),
    ],
)
def test_programs(text: str, program: str) -> None:
    assert compile_formula(text, PLAIN).hex() == program


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("settled × price", 48_000_000),
        ("fee", 2_500_000),
        ("settled × price + fee", 50_500_000),
        ("settled × price × 0.5 + fee", 26_500_000),
        ("fee × 0.1", 250_000),
        ("max(0, contracted − settled) × price", 12_000_000),
        ("max(0, settled − contracted) × price", 0),
        ("max(settled × price, 10 × fee)", 48_000_000),
        ("abs(settled − contracted) × price", 12_000_000),
        ("settled × (price + wheeling)", 56_000_000),
        ("settled × (price − 0.1 × wheeling)", 47_200_000),
        ("-settled × price", 0),
        ("settled × price - fee", 45_500_000),
    ],
)
def test_values(text: str, amount: int) -> None:
    assert value(text) == amount


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("settled / price", 9, "unexpected '/'"),
        ("settled × price;", 16, "unexpected ';'"),
        ("settled price", 9, "unexpected 'price'"),
        ("settled ×", 10, "unexpected end of text"),
        ("", 1, "unexpected end of text"),
        ("(settled × price", 17, "expected ')'"),
        ("settled × tariff", 11, "unknown name tariff"),
        ("contracted-settled × price", 1, "unknown name contracted-settled"),
        ("computeTariffPrice(price) × settled", 1, "unknown function computeTariffPrice"),
        ("settled + price", 9, "energy and rate do not combine"),
        ("settled × settled", 9, "energy × energy has no meaning"),
        ("settled × price × price", 17, "money × rate has no meaning"),
        ("settled", 1, "must be money, this is energy"),
        ("price", 1, "must be money, this is rate"),
        ("5", 1, "must be money, this is number"),
        ("settled × price + 5", 17, "money and number do not combine"),
        ("min(settled) × price", 1, "min takes two or more arguments"),
        ("abs(settled, contracted) × price", 1, "abs takes one argument"),
        ("max() × price", 5, "unexpected ')'"),
        ("settled × price × 0.0000000000000000001", 1, "more than 18 decimals"),
        ("settled × price × " + "9" * 39, 19, "number too long"),
        ("settled × price × 5", 1, "amount too large"),
        ("settled × price × 9999999999999999999", 1, "intermediate too large"),
        ("abs(abs(abs(abs(abs(abs(settled × price))))))", 9, "too many operations"),
        ("(" * 40 + "settled" + ")" * 40 + " × price", 33, "nested too deeply"),
        ("settled × price" + " " * 2000, 2001, "formula too long"),
        ("1.5.2 × settled × price", 4, "unexpected '.'"),
        ("_ × settled", 1, "unknown name _"),
        ("settled × prîce", 13, "unexpected 'î'"),
    ],
)
def test_refusals_name_the_column(text: str, position: int, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        compile_formula(text, PLAIN)
    assert message in str(caught.value)
    assert caught.value.position == position


def test_paths_of_energy_contracts() -> None:
    buy = "roles.BUYER.roleInputs.contractedQuantity × roles.SELLER.roleInputs.pricePerKWh"
    assert compile_formula(buy, CONTRACT) == compile_formula("contracted × price", CONTRACT)
    wheel = "deliveredQuantity × roles.GRID_OPERATOR.roleInputs.wheelingCharges"
    assert compile_formula(wheel, CONTRACT) == compile_formula("settled × wheeling", CONTRACT)


def test_paths_with_hyphens_and_an_index() -> None:
    binding = Binding(
        ("price",),
        {
            "telemetrySources.cdr-ev-charger-ccs2-001.energyKWh": Op.SETTLED,
            "roles.MARKET_CLEARING_AGENT.roleInputs.clearedPower[PROSUMER.era]": Op.CONTRACTED,
        },
        {"roles.SELLER.roleInputs.pricePerKWh": "price"},
    )
    ev = "roles.SELLER.roleInputs.pricePerKWh × telemetrySources.cdr-ev-charger-ccs2-001.energyKWh"
    assert compile_formula(ev, binding).hex() == "00100222"
    market = "abs(roles.MARKET_CLEARING_AGENT.roleInputs.clearedPower[{}]) × roles.SELLER.roleInputs.pricePerKWh"
    assert compile_formula(market.format("PROSUMER.era"), binding).hex() == "000141000121241022"
    with pytest.raises(FormulaError, match="column 5"):
        compile_formula(market.format("PROSUMER.other"), binding)


def test_bindings_are_checked() -> None:
    with pytest.raises(SettlementError, match="bound to unknown rate"):
        Binding(("price",), {}, {"a": "fee"})
    with pytest.raises(SettlementError, match="bound to no quantity"):
        Binding(("price",), {"a": Op.ADD})
    with pytest.raises(SettlementError, match="at most 8 rates"):
        Binding(tuple(f"r{i}" for i in range(9)), {})


@pytest.mark.parametrize(
    "text",
    [
        "settled × price",
        "fee",
        "settled × price × 0.025 + fee",
        "settled × wheeling + max(0, contracted − settled) × price",
        "settled × (price + wheeling)",
        "settled × (price − wheeling × 0.5)",
        "−(contracted − settled) × price",
        "contracted × price − (settled × price − fee)",
        "abs(contracted − settled) × price",
        "0.5 × fee × 100",
        "0.125 × settled × price × 10",
        "settled × price × 2 + fee × 1000 × 0.25",
        "min(settled × price, fee, 0.1 × fee)",
        "(1.5 + 10) × 0.25 × fee",
    ],
)
def test_text_survives_the_chain(text: str) -> None:
    program = compile_formula(text, PLAIN)
    assert compile_formula(decompile(program, RATES), PLAIN) == program


def test_the_decompiler_prints_plain_text() -> None:
    def printed(text: str) -> str:
        return decompile(compile_formula(text, PLAIN), RATES)

    assert printed("settled * price * 0.0250 + fee") == "settled × price × 0.025 + fee"
    assert printed("settled × (price - wheeling)") == "settled × (price − wheeling)"
    assert printed("max( 0, contracted − settled )×wheeling") == "max(0, contracted − settled) × wheeling"
    assert printed("abs(contracted − settled) × price") == "abs(contracted − settled) × price"
    assert printed("fee × 0.5 + 3 × settled × price") == "fee × 0.5 + 3 × settled × price"


def test_programs_without_text_are_said_to_have_none() -> None:
    with pytest.raises(SettlementError, match="has no formula text"):
        decompile(bytes.fromhex("0002"), RATES)  # energy paid as money
    with pytest.raises(ProgramError, match="bad opcode"):
        decompile(b"\x00\xff", RATES)


ENERGY = st.sampled_from(["settled", "contracted", "buyerAllocated", "sellerAllocated"])
RATE = st.sampled_from(["price", "wheeling"])
NUMBER = st.sampled_from(["0.5", "2", "10", "0.025", "1.10", "100", "0"])


def energy(depth: int) -> st.SearchStrategy[str]:
    if not depth:
        return ENERGY
    inner = energy(depth - 1)
    return st.one_of(
        ENERGY,
        st.builds("max(0, {} − {})".format, inner, inner),
        st.builds("abs({})".format, inner),
        st.builds("({} + {})".format, inner, inner),
        st.builds("{} × {}".format, NUMBER, inner),
    )


def flow(depth: int) -> st.SearchStrategy[str]:
    single = st.builds("{} × {}".format, energy(1), RATE) | st.just("fee")
    if not depth:
        return single
    inner = flow(depth - 1)
    return st.one_of(
        single,
        st.builds("{} + {}".format, inner, inner),
        st.builds("({} − {})".format, inner, inner),
        st.builds("({}) × {}".format, inner, NUMBER),
        st.builds("min({}, {})".format, inner, inner),
        st.builds("−({})".format, inner),
    )


@given(flow(3))
def test_every_text_that_compiles_survives_the_chain(text: str) -> None:
    try:
        program = compile_formula(text, PLAIN)
    except FormulaError:
        return
    check_program(program, len(RATES))
    assert compile_formula(decompile(program, RATES), PLAIN) == program
