"""Formula texts: what they compile to, what is refused and where."""

from __future__ import annotations

import pytest

from settlement.errors import FormulaError, SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.program import Op, Quantities, evaluate

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
        ("(" * 70 + "settled" + ")" * 70 + " × price", 65, "nested too deeply"),
        ("settled × price" + " " * 2000, 2001, "formula too long"),
        ("1.5.2 × settled × price", 4, "unexpected '.'"),
        ("_ × settled", 1, "unknown name _"),
        ("settled × prîce", 13, "unexpected 'î'"),
        ("settled × price + + fee", 19, "unexpected '+'"),
        ("+settled × price", 1, "unexpected '+'"),
        ("× price", 1, "unexpected '×'"),
        ("settled × ()", 12, "unexpected ')'"),
        ("settled × price)", 16, "unexpected ')'"),
        ("min(settled, ) × price", 14, "unexpected ')'"),
        ("min(settled contracted) × price", 13, "expected ')'"),
        ("min settled × price", 1, "unknown name min"),
        ("settled, contracted", 8, "unexpected ','"),
        ("settled. × price", 8, "unexpected '.'"),
        ("settled × clearedPower[PROSUMER.era", 23, "unexpected '['"),
        ("settled × clearedPower[]", 23, "unexpected '['"),
        ("settled × clearedPower[PROSUMER.era]", 11, "unknown name clearedPower[PROSUMER.era]"),
        ("settled × price × 1e3", 20, "unexpected 'e3'"),
        ("settled × .5 × price", 11, "unexpected '.'"),
        ("settled ÷ price", 9, "unexpected '÷'"),
        ("settled ^ 2 × price", 9, "unexpected '^'"),
        ("settled\n × price\n ÷ 2", 19, "unexpected '÷'"),
        ("settled × price > 0", 17, "unexpected '>'"),
        ("price × wheeling", 7, "rate × rate has no meaning"),
        ("settled × fee", 9, "energy × money has no meaning"),
        ("fee × fee", 5, "money × money has no meaning"),
        ("max(settled, price) × 2", 1, "energy and rate do not combine"),
        ("settled × price × (1 − settled)", 22, "number and energy do not combine"),
        ("+".join(["fee"] * 17), 64, "too many operations"),
        (" + ".join(["0.1 × fee", *["settled × price"] * 13]), 1, "too many operations"),
        ("settled × (" + "price + (" * 16 + "price" + ")" * 17, 1, "stack too deep"),
        (f"fee × 0 × min({', '.join(['9' * 36] * 17)})", 1, "program too long"),
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
