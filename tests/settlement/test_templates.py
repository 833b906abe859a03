"""The shipped templates and the vectors that they must reproduce."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi import encode  # type: ignore[attr-defined]
from eth_hash.auto import keccak

from settlement import units
from settlement.errors import ProgramError, SettlementError
from settlement.formula import templates
from settlement.formula.program import Quantities, evaluate
from settlement.formula.templates import Flow, Role, Template, template_from_text


def paid(template: Template, kwh: tuple[str, str, str, str], *rates: str) -> list[str]:
    """The flows' amounts in main units; quantities as contracted, settled, buyer's and seller's allocation."""
    quantities = Quantities(*(units.traded_wh(value) for value in kwh))
    base = [units.rate_per_kwh(value) for value in rates]
    return [units.money_text(evaluate(flow.program, quantities, base)) for flow in template.flows]


def test_names_and_ids() -> None:
    assert [one.title for one in templates.SHIPPED] == [
        "p2p.fixed-price.contracted.v1",
        "p2p.fixed-price.settled.v1",
        "p2p.inter-utility.v1",
        "p2p.deviation.v1",
        "p2p.market.v1",
    ]
    assert len(templates.SHIPPED_BY_ID) == 5
    assert templates.DEFAULT.title == "p2p.fixed-price.settled.v1"
    default = templates.DEFAULT
    assert default.template_id == keccak(
        encode(
            ["string", "uint32", "string[]", "(uint8,uint8,bytes)[]"],
            [
                "p2p.fixed-price.settled",
                1,
                ["price", "wheeling"],
                [(1, 2, bytes.fromhex("00021022")), (1, 3, bytes.fromhex("00021122"))],
            ],
        )
    )


def test_the_text_does_not_change_the_id() -> None:
    bare = replace(templates.DEFAULT, flows=tuple(replace(flow, text="") for flow in templates.DEFAULT.flows))
    assert bare.template_id == templates.DEFAULT.template_id


@pytest.mark.parametrize("template", templates.SHIPPED, ids=lambda one: one.title)
def test_shipped_texts_print_as_they_were_written(template: Template) -> None:
    assert template.texts() == tuple(flow.text for flow in template.flows)


def test_roles() -> None:
    assert templates.DEFAULT.roles == {Role.BUYER, Role.SELLER, Role.GRID_OPERATOR}
    assert Role.MARKET_AGENT in templates.MARKET.roles


def test_v1_settled_quantity() -> None:
    """10 kWh at 6, load 15, generation 8: settled 8, P2P 48, wheeling 8."""
    assert paid(templates.FIXED_PRICE_SETTLED, ("10", "8", "10", "8"), "6", "1") == ["48.00", "8.00"]


def test_v7_v9_partial_delivery() -> None:
    """100 kWh at 6, load 80, generation 70: settled 70, 420."""
    assert paid(templates.FIXED_PRICE_SETTLED, ("100", "70", "80", "70"), "6", "0") == ["420.00", "0.00"]


def test_v8_deviation() -> None:
    """10 at 6, load 8, generation 7, export 4, import 8: buyer 52, seller 36, utilities +24 and -8."""
    assert paid(templates.DEVIATION, ("10", "7", "8", "7"), "6", "4", "8") == ["60.00", "8.00", "24.00"]


def test_v9_deviation() -> None:
    """100 at 6, load 80, generation 70: buyer 600 - 80 = 520, seller 600 - 240 = 360."""
    assert paid(templates.DEVIATION, ("100", "70", "80", "70"), "6", "4", "8") == ["600.00", "80.00", "240.00"]


def test_v10_contracted_quantity() -> None:
    """10 × 0.15 + 10 × 0.025 = 1.75, and 15 × 0.15 + 10 × 0.18 = 4.05 over two trades."""
    assert paid(templates.FIXED_PRICE_CONTRACTED, ("10", "0", "0", "0"), "0.15", "0.025") == ["1.50", "0.25"]
    morning = paid(templates.FIXED_PRICE_CONTRACTED, ("15", "0", "0", "0"), "0.15", "0")[0]
    evening = paid(templates.FIXED_PRICE_CONTRACTED, ("10", "0", "0", "0"), "0.18", "0")[0]
    assert units.money(morning) + units.money(evening) == units.money("4.05")


def test_v10a_flat_wheeling() -> None:
    """10 × 0.15 plus a flat 2.50 is 4.00, whatever is delivered."""
    flat = template_from_text(
        "test.flat",
        1,
        ("price", "wheeling#FLAT"),
        ((Role.BUYER, Role.SELLER, "contracted × price"), (Role.BUYER, Role.GRID_OPERATOR, "wheeling")),
    )
    base = [units.rate_per_kwh("0.15"), units.flat_rate("2.50")]
    amounts = [evaluate(flow.program, Quantities(10_000, 0, 0, 0), base) for flow in flat.flows]
    assert [units.money_text(amount) for amount in amounts] == ["1.50", "2.50"]


def test_v13_inter_utility() -> None:
    """Requested 20.5, delivered 20 at 12.5; wheeling .25 and .30, penalty .50: -255, +243.75, +5, +6.25."""
    flows = paid(templates.INTER_UTILITY, ("20.5", "20", "20", "20"), "12.5", "0.25", "0.30", "0.50")
    assert flows == ["250.00", "5.00", "6.25"]
    assert paid(templates.INTER_UTILITY, ("20.5", "20", "20", "20"), "12.5", "0", "0", "0") == [
        "250.00",
        "0.00",
        "0.00",
    ]


def test_market() -> None:
    assert paid(templates.MARKET, ("5", "5", "5", "5"), "0.0625", "0.01", "0.025") == ["0.3625", "0.3125", "0.125"]


def test_refused_templates() -> None:
    flow = Flow(Role.BUYER, Role.SELLER, bytes.fromhex("00021022"))
    good = Template("a", 1, ("price",), (flow,))
    for changes, message in (
        ({"name": ""}, "printable ASCII"),
        ({"name": "n" * 65}, "longer than 64"),
        ({"name": "é"}, "printable ASCII"),
        ({"version": 0}, "version"),
        ({"rate_names": ("p", "p")}, "must differ"),
        ({"rate_names": ("p" * 33,)}, "longer than 32"),
        ({"rate_names": tuple("abcdefghi")}, "at most 8"),
        ({"rate_names": ()}, "bad rate index"),
        ({"flows": ()}, "from 1 to 6"),
        ({"flows": (flow,) * 7}, "from 1 to 6"),
        ({"flows": (replace(flow, payee=Role.BUYER),)}, "one role"),
        ({"flows": (replace(flow, program=b"\x00\x02\x10"),)}, "one value must remain"),
    ):
        with pytest.raises((SettlementError, ProgramError), match=message):
            replace(good, **changes)
