"""Which template governs: by the flows that a message states, ours and those of public example messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from settlement.errors import SettlementError
from settlement.formula.compiler import Binding
from settlement.formula.decompiler import decompile
from settlement.formula.matching import FIELD, ROLES, StatedFlow, governing_template, stated_flows
from settlement.formula.templates import (
    DEFAULT,
    FIXED_PRICE_CONTRACTED,
    FIXED_PRICE_SETTLED,
    SHIPPED,
    Role,
    Template,
    template_from_text,
)

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "deg"
QUANTITY = "roles.BUYER.roleInputs.contractedQuantity"
PRICE = "roles.SELLER.roleInputs.pricePerKWh"
WHEELING = "roles.GRID_OPERATOR.roleInputs.wheelingCharges"
TARIFF = template_from_text("p2p.tariff", 1, ("price",), ((Role.BUYER, Role.SELLER, "settled × price"),))


def message(*flows: tuple[str, str, str]) -> dict[str, Any]:
    """A `revenueFlows` object."""
    return {
        "flows": [{"from": payer, "to": payee, "formula": text, "description": "…"} for payer, payee, text in flows],
        "netZero": True,
    }


def governing(found: Any, templates: tuple[Template, ...] = SHIPPED) -> Template:
    return governing_template(stated_flows(found), templates)


@pytest.mark.parametrize("template", SHIPPED, ids=lambda one: one.title)
@pytest.mark.parametrize("vocabulary", [Binding.plain, Binding.energy_contract])
def test_a_template_governs_the_message_that_its_own_text_makes(template: Template, vocabulary: Any) -> None:
    binding = vocabulary(template.rate_names)
    flows = [(flow.payer.name, flow.payee.name, decompile(flow.program, binding)) for flow in template.flows]
    assert governing(message(*flows)) is template
    assert governing(message(*reversed(flows))) is template


def test_writing_does_not_matter_and_the_role_of_a_market_agent_has_two_names() -> None:
    flows = ("BUYER", "SELLER", f"(({QUANTITY}))*{PRICE}"), ("BUYER", "GRID_OPERATOR", f"{QUANTITY} × {WHEELING}")
    assert governing(message(*flows)) is FIXED_PRICE_CONTRACTED
    market = governing(
        message(
            ("BUYER", "MARKET_CLEARING_AGENT", "deliveredQuantity × (clearingPrice + fee)"),
            ("MARKET_CLEARING_AGENT", "SELLER", "deliveredQuantity × clearingPrice"),
            ("MARKET_AGENT", "GRID_OPERATOR", f"deliveredQuantity × {WHEELING}"),
        )
    )
    assert market.title == "p2p.market.v1"


def test_without_formulas_the_default_governs() -> None:
    assert governing_template(None, SHIPPED) is DEFAULT
    assert governing_template(None, SHIPPED, TARIFF) is TARIFF


BUY = "BUYER", "SELLER", f"{QUANTITY} × {PRICE}"
WHEEL = "BUYER", "GRID_OPERATOR", f"{QUANTITY} × {WHEELING}"


@pytest.mark.parametrize(
    ("flows", "where", "why"),
    [
        ((BUY,), FIELD, "no template of the market has these flows"),
        ((BUY, WHEEL, WHEEL), FIELD, "no template of the market has these flows"),
        ((("SELLER", "BUYER", BUY[2]), WHEEL), FIELD, "no template of the market has these flows"),
        (((*BUY[:2], f"{PRICE} × {QUANTITY}"), WHEEL), FIELD, "no template of the market has these flows"),
        (((*BUY[:2], BUY[2] + " × 5"), WHEEL), f"{FIELD}.flows[0].formula", "column 1: amount too large"),
        ((BUY, (*WHEEL[:2], f"{QUANTITY} / 2")), f"{FIELD}.flows[1].formula", "column 43: unexpected '/'"),
        ((BUY, (*WHEEL[:2], "")), f"{FIELD}.flows[1].formula", "column 1: unexpected end of text"),
        (
            ((*BUY[:2], "settled × pricePerKWh"), WHEEL),
            f"{FIELD}.flows[0].formula",
            "column 11: unknown name pricePerKWh",
        ),
        # Nobody between these roles has a clearing price, though another template has.
        (
            ((*BUY[:2], "settled × clearingPrice"), WHEEL),
            f"{FIELD}.flows[0].formula",
            "column 11: unknown name clearingPrice",
        ),
    ],
)
def test_unknown_formulas_are_refused(flows: tuple[tuple[str, str, str], ...], where: str, why: str) -> None:
    with pytest.raises(SettlementError) as caught:
        governing(message(*flows))
    assert (caught.value.field, caught.value.message) == (where, why)


def test_the_best_attempt_is_told() -> None:
    """Of two templates between the same roles that one counts which read further."""
    taxed = template_from_text("taxed", 1, ("price", "tax"), ((Role.BUYER, Role.SELLER, "settled × (price + tax)"),))
    for templates in ((TARIFF, taxed), (taxed, TARIFF)):
        with pytest.raises(SettlementError) as caught:
            governing(message((*BUY[:2], "settled × (price + tax + vat)")), templates)
        assert caught.value.message == "column 26: unknown name vat"


def test_a_market_without_templates_refuses_all_formulas() -> None:
    with pytest.raises(SettlementError, match="no template of the market"):
        governing(message(BUY, WHEEL), ())


@pytest.mark.parametrize(
    ("found", "where", "why"),
    [
        (None, "flows", "must be a list of 1 to 6 flows"),
        ([], "flows", "must be a list of 1 to 6 flows"),
        ({"flows": []}, "flows", "must be a list of 1 to 6 flows"),
        (message(*[BUY] * 7), "flows", "must be a list of 1 to 6 flows"),
        (message(BUY) | {"netZero": False}, "netZero", "always net to zero"),
        ({"flows": ["x"]}, "flows[0]", "must be an object"),
        ({"flows": [message(BUY)["flows"][0], {"from": "BUYER"}]}, "flows[1].formula", "must be text"),
        ({"flows": [{"from": "BUYER", "to": "SELLER", "formula": 3}]}, "flows[0].formula", "must be text"),
        (message(("PROSUMER", "SELLER", "x")), "flows[0].from", "must be one of BUYER, SELLER"),
        (message(("BUYER", "seller", "x")), "flows[0].to", "must be one of BUYER, SELLER"),
        ({"flows": [{"from": ["BUYER"], "to": "SELLER", "formula": "x"}]}, "flows[0].from", "must be one of"),
    ],
)
def test_malformed_flows_are_refused_where_they_are(found: Any, where: str, why: str) -> None:
    with pytest.raises(SettlementError) as caught:
        stated_flows(found)
    assert caught.value.field == f"{FIELD}.{where}"
    assert why in caught.value.message


def test_stated_flows_are_read_as_they_are() -> None:
    assert stated_flows(message(BUY)) == (StatedFlow(Role.BUYER, Role.SELLER, BUY[2]),)
    without = {"flows": message(BUY)["flows"]}
    assert stated_flows(without) == stated_flows(message(BUY))


def _examples() -> Iterator[tuple[str, Any]]:
    """Every `revenueFlows` in the example messages, with the file's path."""

    def within(found: Any) -> Iterator[Any]:
        if isinstance(found, dict):
            for key, value in found.items():
                if key == FIELD:
                    yield value
                yield from within(value)
        elif isinstance(found, list):
            for value in found:
                yield from within(value)

    for file in sorted(EXAMPLES.rglob("*.json")):
        for flows in within(json.loads(file.read_bytes())):
            yield file.relative_to(EXAMPLES).as_posix(), flows


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public example messages are not beside this checkout")
def test_the_public_examples() -> None:
    """Fixed-price messages have their template; varying tariffs and signed cleared power are expressed by none."""
    reasons: dict[str, set[str]] = {}
    for file, flows in _examples():
        folder = file.split("/")[0]
        try:
            reasons.setdefault(folder, set()).add(governing(flows).title)
        except SettlementError as error:
            reasons.setdefault(folder, set()).add(f"{error.field}: {error.message}")
    assert reasons == {
        "g2x-fixed": {"p2p.fixed-price.contracted.v1"},
        "g2x-market": {f"{FIELD}.flows[0].from: must be one of {', '.join(ROLES)}"},
        "g2x-tariff": {f"{FIELD}.flows[0].formula: column 1: unknown function computeTariffPrice"},
    }


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the public example messages are not beside this checkout")
def test_a_tariff_resolved_at_confirm_has_the_template_of_its_rate() -> None:
    """What is left of the examples' formula once the tariff's function has become one rate."""
    tariffs = [flows for file, flows in _examples() if file.startswith("g2x-tariff/")]
    assert tariffs
    for found in tariffs:
        (flow,) = found["flows"]
        call, times, quantity = flow["formula"].rpartition(" × ")
        assert call.startswith("computeTariffPrice(")
        resolved = found | {"flows": [flow | {"formula": f"{quantity}{times}{PRICE}"}]}
        assert governing(resolved, (*SHIPPED, TARIFF)) is TARIFF


def test_the_settled_template_is_not_the_contracted_one() -> None:
    settled = message(
        ("BUYER", "SELLER", f"deliveredQuantity × {PRICE}"),
        ("BUYER", "GRID_OPERATOR", f"deliveredQuantity × {WHEELING}"),
    )
    assert governing(settled) is FIXED_PRICE_SETTLED
    with pytest.raises(SettlementError, match="no template"):
        governing(settled, tuple(one for one in SHIPPED if one is not FIXED_PRICE_SETTLED))
    renamed = replace(FIXED_PRICE_SETTLED, name="ours")
    assert governing(settled, (renamed, FIXED_PRICE_SETTLED)) is renamed
