"""Files of a small market as its members have them: deployment record, list of meters, readings, trades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from chain.deployment import DeploymentRecord
from oracle.meters import COLUMNS as READING_COLUMNS
from settlement.config import HOUR, Config
from settlement.formula.templates import SHIPPED
from settlement.identity import member_id
from settlement.validity import MemberRole
from store.folders import config_document
from trading.exported import COLUMNS as TRADE_COLUMNS

CONFIG = replace(Config(), gate=4 * HOUR)
MEMBERS = {
    "a.platform.example": MemberRole.PLATFORM,
    "b.platform.example": MemberRole.PLATFORM,
    "u.utility.example": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    "v.utility.example": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
}

READING = {
    "meter_id": "der://meter/IN-0001",
    "slot_start": "2026-08-02T12:00:00+05:30",
    "slot_end": "2026-08-02T13:00:00+05:30",
    "direction": "import",
    "kwh": "1.2345",
    "quality": "READ",
}
TRADE = {
    "transaction_id": "tx-1",
    "order_item_id": "item-1",
    "buyer_platform": "a.platform.example",
    "seller_platform": "b.platform.example",
    "buyer_utility": "u.utility.example",
    "seller_utility": "v.utility.example",
    "grid_operator": "v.utility.example",
    "buyer_meter": "der://meter/IN-0001",
    "seller_meter": "der://meter/IN-0002",
    "slot_start": "2026-08-02T12:00:00+05:30",
    "quantity": "1.5",
    "unit": "kWh",
    "currency": "INR",
    "template": "p2p.fixed-price.settled.v1",
    "rates": "price=6.50;wheeling=0.20",
    "traded_at": "2026-08-01T18:05:00+05:30",
    "valid_until": "2026-08-02T08:00:00+05:30",
}


def write_market(folder: Path) -> None:
    """`deployment.json`, and `meters.csv` with two meters."""
    DeploymentRecord(
        market="test market",
        market_id=b"\1" * 32,
        chain_id=1,
        genesis_hash=b"\2" * 32,
        block=1,
        evm="london",
        vyper="0.4.3",
        contracts={},
        config=config_document(CONFIG),
        config_digest=CONFIG.digest(),
        members={name: {"id": member_id(name), "roles": int(roles)} for name, roles in MEMBERS.items()},
        templates={template.title: template.template_id for template in SHIPPED},
    ).save(folder)
    (folder / "meters.csv").write_text("meter_id\nder://meter/IN-0001\nder://meter/IN-0002\n")


def write_readings(folder: Path, *lines: Mapping[str, str]) -> None:
    """`readings.csv`."""
    _write(folder / "readings.csv", READING_COLUMNS, lines)


def write_trades(folder: Path, *lines: Mapping[str, str]) -> None:
    """`trades.csv`."""
    _write(folder / "trades.csv", TRADE_COLUMNS, lines)


def _write(file: Path, columns: tuple[str, ...], lines: Iterable[Mapping[str, str]]) -> None:
    rows = [",".join(columns), *(",".join(line[column] for column in columns) for line in lines)]
    file.write_text("\n".join(rows) + "\n")
