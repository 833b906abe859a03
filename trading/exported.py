"""Trades as platforms export them: a strict reader of the trades CSV.

The format is the protocol's (`docs/protocol.md`, section 13). What a trade is judged by is the market: its parameters,
its members with their roles, its templates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from pathlib import Path

from member.lines import Cells, FieldError, field_value, read_lines
from settlement.config import Config
from settlement.errors import SettlementError
from settlement.formula.compiler import FLAT_SUFFIX
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.identity import canonical_meter_id, member_id
from settlement.order import Order
from settlement.units import Calendar, epoch_seconds, flat_rate, rate_per_kwh, stamp_seconds, time_text, traded_wh
from settlement.validity import MemberRole

COLUMNS = (
    "transaction_id",
    "order_item_id",
    "buyer_platform",
    "seller_platform",
    "buyer_utility",
    "seller_utility",
    "grid_operator",
    "buyer_meter",
    "seller_meter",
    "slot_start",
    "quantity",
    "unit",
    "currency",
    "template",
    "rates",
    "traded_at",
    "valid_until",
)


@dataclass(frozen=True)
class Market:
    """What trades are judged by: `roles` by member id, `templates` by title, `zone` for times without an offset."""

    config: Config
    roles: Mapping[Hash32, MemberRole]
    templates: Mapping[str, Template]
    zone: tzinfo

    @cached_property
    def calendar(self) -> Calendar:
        """The market's slots and cycles."""
        return Calendar(self.config.anchor, self.config.slot_length, self.config.cycle_length)

    @cached_property
    def currency(self) -> str:
        """The code of the market's one currency."""
        return self.config.currency.rstrip(b"\0").decode("ascii", "replace")


def read_trades(path: Path, market: Market, at: int | None = None) -> tuple[Order, ...]:
    """The trades of a file, in its order; a line that repeats an earlier one is dropped.

    `at` (epoch seconds) also refuses what can no longer be committed at that time. Raises LineError at the first line
    that breaks a rule, OSError where the file cannot be read.
    """
    return read_lines(
        path, COLUMNS, lambda cells: _trade(cells, market, at), _identity, "transaction, item, platforms and slot"
    )


def _identity(trade: Order) -> tuple[object, ...]:
    """What makes a trade one, as in `settlement.identity.trade_id`."""
    return trade.buyer_platform, trade.seller_platform, trade.transaction_id, trade.order_item_id, trade.slot_start


def _trade(cells: Cells, market: Market, at: int | None) -> Order:
    template = _template(cells["template"], market)
    slot_start = _slot(cells["slot_start"], market, at)
    traded_at, valid_until = _validity(cells, market, slot_start, at)
    _check_currency(cells["currency"], market)
    return Order(
        transaction_id=_label("transaction_id", cells),
        order_item_id=_label("order_item_id", cells),
        template=template,
        buyer_platform=_member("buyer_platform", cells, market, MemberRole.PLATFORM),
        seller_platform=_member("seller_platform", cells, market, MemberRole.PLATFORM),
        buyer_utility=_member("buyer_utility", cells, market, MemberRole.UTILITY),
        seller_utility=_member("seller_utility", cells, market, MemberRole.UTILITY),
        grid_operator=_grid_operator(cells, market, template),
        buyer_meter=field_value("buyer_meter", cells["buyer_meter"], canonical_meter_id),
        seller_meter=field_value("seller_meter", cells["seller_meter"], canonical_meter_id),
        slot_start=slot_start,
        contracted_wh=_contracted(cells),
        rates=_rates(cells["rates"], template),
        traded_at=traded_at,
        valid_until=valid_until,
    )


def _label(field: str, cells: Cells) -> str:
    text = cells[field]
    if not text or not text.isprintable():
        raise FieldError(field, "must be printable text", text)
    return text


def _member(field: str, cells: Cells, market: Market, role: MemberRole) -> Hash32:
    text = cells[field]
    member = field_value(field, text, member_id)
    held = market.roles.get(member)
    if held is None:
        raise FieldError(field, "unknown member", text)
    if not held & role:
        raise FieldError(field, f"is not a {role.name} of this market", text)
    return member


def _grid_operator(cells: Cells, market: Market, template: Template) -> Hash32:
    text = cells["grid_operator"]
    if Role.GRID_OPERATOR in template.roles:
        if not text:
            raise FieldError("grid_operator", f"needed, a flow of {template.title} names it", text)
        return _member("grid_operator", cells, market, MemberRole.GRID_OPERATOR)
    if text:
        raise FieldError("grid_operator", f"must be empty, no flow of {template.title} names it", text)
    return ZERO_HASH


def _template(text: str, market: Market) -> Template:
    template = market.templates.get(text)
    if template is None:
        raise FieldError("template", f"unknown template, there are {', '.join(sorted(market.templates))}", text)
    if Role.MARKET_AGENT in template.roles:
        raise FieldError("template", "names a market agent, for whom this format has no column", text)
    return template


def _slot(text: str, market: Market, at: int | None) -> int:
    slot_start = field_value("slot_start", text, lambda text: epoch_seconds(text, market.zone))
    if not market.calendar.is_on_grid(slot_start):
        raise FieldError("slot_start", "off the market's grid", text)
    closure = slot_start - market.config.gate
    if at is not None and at > closure:
        raise FieldError("slot_start", f"its gate closed at {time_text(closure)}", text)
    return slot_start


def _validity(cells: Cells, market: Market, slot_start: int, at: int | None) -> tuple[int, int]:
    traded_at = field_value("traded_at", cells["traded_at"], lambda text: stamp_seconds(text, market.zone))
    text = cells["valid_until"]
    valid_until = field_value("valid_until", text, lambda text: epoch_seconds(text, market.zone))
    closure = slot_start - market.config.gate
    if valid_until > closure:
        raise FieldError("valid_until", f"after the gate closes at {time_text(closure)}", text)
    if valid_until < traded_at:
        raise FieldError("valid_until", "before traded_at", text)
    if at is not None and at > valid_until:
        raise FieldError("valid_until", f"over at {time_text(at)}", text)
    return traded_at, valid_until


def _contracted(cells: Cells) -> int:
    unit, text = cells["unit"], cells["quantity"]
    field_value("unit", unit, lambda unit: traded_wh(0, unit))  # what is refused here is the unit itself
    wh = field_value("quantity", text, lambda text: traded_wh(text, unit))
    if wh == 0:
        raise FieldError("quantity", "must be above 0", text)
    return wh


def _check_currency(text: str, market: Market) -> None:
    if text != market.currency:
        raise FieldError("currency", f"all trades of a market are in its one currency, {market.currency}", text)


def _rates(text: str, template: Template) -> tuple[int, ...]:
    """`name=value` pairs in any order, each rate of the template once."""
    rates: dict[str, int] = {}
    for pair in text.split(";") if text else ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise FieldError("rates", "must be name=value pairs separated by ;", text)
        if name not in template.rate_names:
            raise FieldError("rates", f"{template.title} has no rate of this name", name)
        if name in rates:
            raise FieldError("rates", "stands twice", name)
        try:
            rates[name] = flat_rate(value) if name.endswith(FLAT_SUFFIX) else rate_per_kwh(value)
        except SettlementError as error:
            raise FieldError("rates", f"{name}: {error.message}", value) from error
    lacking = [name for name in template.rate_names if name not in rates]
    if lacking:
        raise FieldError("rates", f"lacks {', '.join(lacking)}", text)
    return tuple(rates[name] for name in template.rate_names)
