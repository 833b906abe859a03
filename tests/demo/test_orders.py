"""The orders files that the demo puts into inboxes, read by the platforms' own reader."""

from __future__ import annotations

from pathlib import Path

from demo import calendar
from demo.homes import Home
from demo.market import plan_trades
from demo.members import Members, make_members
from demo.orders import order_line, parties, write_orders
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY, SHIPPED
from settlement.hashing import ZERO_HASH
from settlement.identity import canonical_meter_id
from settlement.validity import MemberRole
from trading.exported import Market, read_trades


def _market(members: Members) -> Market:
    roles = {one.id: MemberRole(one.roles) for one in members.everyone}
    return Market(calendar.CONFIG, roles, {one.title: one for one in SHIPPED}, calendar.ZONE)


def test_every_match_reads_back_as_what_was_planned(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    members = make_members(tmp_path)
    plans = plan_trades(homes)
    path = tmp_path / "orders" / "week.csv"
    write_orders(path, (order_line(members, homes, plan, number) for number, plan in enumerate(plans)))
    read = read_trades(path, _market(members))
    assert len(read) == len(plans) == 1_127
    for plan, order in zip(plans, read, strict=True):
        buyer, seller = parties(members, homes, plan)
        buying, selling = homes[plan.buyer_home], homes[plan.seller_home]
        assert (order.buyer_platform, order.seller_platform) == (buyer.id, seller.id)
        assert (order.contracted_wh, order.slot_start) == (plan.wh, calendar.slot(plan.day, plan.hour))
        assert order.buyer_meter == canonical_meter_id(buying.meter_id)
        assert order.seller_meter == canonical_meter_id(selling.meter_id)
        assert order.valid_until == order.slot_start - calendar.CONFIG.gate
        if buying.utility == selling.utility:
            assert (order.template, order.grid_operator) == (FIXED_PRICE_SETTLED, members.grid_operator.id)
            assert order.rates == (plan.price, 200_000)
        else:
            assert (order.template, order.grid_operator) == (INTER_UTILITY, ZERO_HASH)
            assert order.rates == (plan.price, 250_000, 300_000, 0)


def test_a_watched_folder_never_shows_half_a_file(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    members = make_members(tmp_path)
    plan = plan_trades(homes)[0]
    seen: list[list[str]] = []

    def lines() -> object:
        for number in range(3):
            seen.append([file.name for file in tmp_path.glob("*.csv")])
            yield order_line(members, homes, plan, number)

    write_orders(tmp_path / "day.csv", lines())  # type: ignore[arg-type]
    assert seen == [[], [], []]
    assert [file.name for file in tmp_path.iterdir()] == ["day.csv"]
