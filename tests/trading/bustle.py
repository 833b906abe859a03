"""A market at work: real daemons of platforms and utilities, driven by the files that are put into their inboxes."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from member.daemon import Daemon
from oracle.config import UtilityConfig
from oracle.daemon import parts_of_utility
from oracle.meters import COLUMNS as READING_COLUMNS
from settlement.config import HOUR
from settlement.hashing import Hash32, keccak256
from settlement.identity import trade_id
from settlement.units import kwh_text
from tests.member.scene import DAY_END, DAY_START, GENESIS_TIME, Scene, subscriber_of
from trading.config import PlatformConfig
from trading.daemon import parts_of_platform
from trading.exported import COLUMNS as ORDER_COLUMNS

METERS = {"eastpower": ("E-1", "E-2"), "westpower": ("W-1", "W-2")}

Line = dict[str, str]


def text(time: int) -> str:
    """A time as files have it."""
    return datetime.fromtimestamp(time, UTC).isoformat()


def order_line(
    number: int = 1,
    hour: int = 10,
    kwh: str = "0.5",
    buyer: tuple[str, str, str] = ("sunmarket", "eastpower", "E-1"),
    seller: tuple[str, str, str] = ("rooftrade", "westpower", "W-1"),
    **changes: str,
) -> Line:
    """A line of an order file: buyer and seller as platform, utility, meter."""
    start = DAY_START + hour * HOUR
    line = {
        "transaction_id": f"tx-{number}",
        "order_item_id": "item",
        "buyer_platform": subscriber_of(buyer[0]),
        "seller_platform": subscriber_of(seller[0]),
        "buyer_utility": subscriber_of(buyer[1]),
        "seller_utility": subscriber_of(seller[1]),
        "grid_operator": "",
        "buyer_meter": buyer[2],
        "seller_meter": seller[2],
        "slot_start": text(start),
        "quantity": kwh,
        "unit": "kWh",
        "currency": "INR",
        "template": "p2p.inter-utility.v1",
        "rates": "price=6;buyerWheeling=0.2;sellerWheeling=0.3;penalty=0",
        "traded_at": text(GENESIS_TIME),
        "valid_until": text(start - HOUR),
    }
    return line | changes


class Bustle(Scene):
    """The scene with its members as platforms and utilities of their own."""

    def platform(self, name: str, tables: str = "", platform: str = "", **changed: str) -> Daemon[PlatformConfig]:
        """Starts (or restarts) a platform; `platform` is TOML in its table."""
        self._secret(name)
        stages, routers = parts_of_platform()
        own = f'[platform]\nsalt_secret = "salts.key"\n{platform}\n'
        return self.daemon(name, stages, routers, PlatformConfig, own + tables, **changed)

    def utility(self, name: str, tables: str = "", utility: str = "", **changed: str) -> Daemon[UtilityConfig]:
        """Starts (or restarts) a utility with its two meters; `utility` is TOML in its table."""
        self._secret(name)
        meters = self.home(name) / "meters.csv"
        if not meters.exists():
            lines = (f"{meter},5000,8000" for meter in METERS.get(name, ()))
            meters.write_text("\n".join(("meter_id,export_wh,import_wh", *lines, "")))
        stages, routers = parts_of_utility()
        own = f'[utility]\nmeters = "meters.csv"\nsalt_secret = "salts.key"\n{utility}\n'
        return self.daemon(name, stages, routers, UtilityConfig, own + tables, **changed)

    def everybody(self, tables: str = "") -> None:
        """Starts all of them."""
        for name in self.utilities:
            self.utility(name)
        for name in self.platforms:
            self.platform(name, tables)

    def order(self, name: str, lines: Iterable[Line], lane: str = "batched", file: str = "orders.csv") -> Path:
        """Puts an order file into a platform's inbox."""
        return self._put(name, Path("orders") / lane / file, ORDER_COLUMNS, lines)

    def read(self, name: str, wh: dict[tuple[str, str], int], file: str = "day.csv", quality: str = "READ") -> Path:
        """Puts a readings file for hour 10 into a utility's inbox: Wh by (meter, direction)."""
        start = DAY_START + 10 * HOUR
        lines = [
            {
                "meter_id": meter,
                "slot_start": text(start),
                "slot_end": text(start + HOUR),
                "direction": direction,
                "kwh": "" if quality == "MISSING" else kwh_text(figure),
                "quality": quality,
            }
            for (meter, direction), figure in wh.items()
        ]
        return self._put(name, Path("readings") / file, READING_COLUMNS, lines)

    def trade_id(self, line: Line) -> Hash32:
        """The id of the trade that an order line makes."""
        buyer, seller = (self._id_of(line[f"{side}_platform"]) for side in ("buyer", "seller"))
        start = int(datetime.fromisoformat(line["slot_start"]).timestamp())
        return trade_id(buyer, seller, line["transaction_id"], line["order_item_id"], start)

    def before_gate(self, hour: int = 10, seconds: int = 30 * 60) -> None:
        """Moves to some time before the gate of an hour closes."""
        self.move_to(DAY_START + hour * HOUR - self.config.gate - seconds)

    def after_day(self, seconds: int = HOUR) -> None:
        """Moves past the cycle's end."""
        self.move_to(DAY_END + seconds)

    def _id_of(self, subscriber: str) -> Hash32:
        return self.id(subscriber.partition(".")[0])

    def _put(self, name: str, file: Path, columns: Sequence[str], lines: Iterable[Any]) -> Path:
        path = self.home(name) / "inbox" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(lines)
        return path

    def _secret(self, name: str) -> None:
        self.home(name).mkdir(parents=True, exist_ok=True)
        file = self.home(name) / "salts.key"
        file.touch(mode=0o600)
        file.write_text(keccak256(b"salts", name.encode()).hex())


def reasons(daemon: Daemon[Any]) -> list[str]:
    """What a daemon waits for, in words."""
    return [one["reason"] for one in daemon.status()["waiting"]]


def problems(daemon: Daemon[Any]) -> list[str]:
    """What a daemon has for its operator."""
    return [one["what"] for one in daemon.status()["problems"]]


def clearwatt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, whose logs are its own."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


class Crash(BaseException):
    """The process dies here: nothing of a daemon's catches it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, where: Any, method: str, is_after: bool, skip: int = 0) -> None:
    """Lets a program die before or after a method has done its work, at the call after `skip` others."""
    original = getattr(where, method)
    calls = iter(range(skip))

    def dying(*arguments: Any, **named: Any) -> Any:
        if next(calls, None) is not None:
            return original(*arguments, **named)
        if is_after:
            original(*arguments, **named)
        raise Crash(method)

    monkeypatch.setattr(where, method, dying)
