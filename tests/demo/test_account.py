"""The account of a run: its figures in words, plain on paper, and nothing cut off."""

from __future__ import annotations

import copy
import io
import json
from contextlib import suppress
from typing import Any

import pytest
from rich.console import Console

from demo.account import Progress, energy_text, money_text, open_console, print_account, summary_text


def _row(way: str, run: int, amount: int, paid: int) -> dict[str, Any]:
    return {
        "payer": "sunmarket",
        "payee": "rooftrade",
        "way": way,
        "run": run,
        "version": run + 1,
        "leaves": 40,
        "amount": str(amount),
        "paid": str(paid),
        "owed": str(amount - paid),
        "owed_back": "0",
    }


SUMMARY: dict[str, Any] = {
    "market": {"name": "Clearwatt demo", "homes": 17, "platforms": 3},
    "chain": {"market_id": "0x" + "ab" * 32, "chain_id": 31337},
    "days": [
        {
            "day": 1,
            "date": "2026-08-02",
            "shows": "An ordinary day.",
            "ends": "All rows agreed.",
            "trades": 1196,
            "contracted_wh": 1_062_353,
            "allocated_wh": 40_000,
            "settled_wh": 19_290,
            "waiting_wh": 0,
            "rows": [
                _row("agreed", 0, 1_200_000_000, 1_000_000_000),
                _row("agreed", 0, 34_567_890, 34_567_890),
                _row("attested", 1, 50_000_000, 0),
            ],
            "facts": ["nobody objected", "the window was open for a day"],
        },
        {
            "day": 2,
            "date": "2026-08-03",
            "shows": "A day without rows.",
            "ends": "It waits.",
            "trades": 1,
            "contracted_wh": 500,
            "allocated_wh": 0,
            "settled_wh": 0,
            "waiting_wh": 500,
            "rows": [],
            "facts": [],
        },
    ],
    "members": [
        {
            "name": "sunmarket",
            "received": "0",
            "paid": "1034567890",
            "owed": "250000000",
            "is_owed": "0",
            "withdrawn": "0",
        }
    ],
    "gas": [
        {"operation": "post an allocation", "count": 4, "median": 76_120, "max": 79_013, "target": 80_000},
        {"operation": "contest", "count": 1, "median": 205_001, "max": 205_001, "target": 205_000},
        {"operation": "seal", "count": 2, "median": 81_200, "max": 90_000, "target": None},
    ],
    "durations": {"set_up": 6_123, "settling": 14_800},
    "roots": {"applied_rows": "0x" + "12" * 32},
    "transactions": 1612,
    "checks": {"every pair nets to zero": True, "tokens cover balances": True},
}


def _paper(summary: dict[str, Any]) -> list[str]:
    file = io.StringIO()
    print_account(summary, open_console(file), {"summary": "build/demo/summary.json"})
    return file.getvalue().splitlines()


def _line(lines: list[str], start: str) -> list[str]:
    """The words of the one line that starts so."""
    (line,) = [line for line in lines if line.strip().startswith(start)]
    return line.split()


def _terminal(width: int) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system="standard")
    assert console.is_terminal
    return console


def test_on_paper_it_is_ascii_of_100_columns_without_white_space_at_the_ends() -> None:
    lines = _paper(SUMMARY)
    assert all(line.isascii() and len(line) <= 100 and line == line.rstrip() for line in lines)
    assert "\x1b" not in "".join(lines)


def test_the_headline_sums_the_days() -> None:
    lines = _paper(SUMMARY)
    assert lines[0] == "Clearwatt demo  Sun 2 Aug 2026 to Mon 3 Aug 2026"
    assert lines[1] == "1,197 trades, 1,062.853 kWh contracted, 19.29 kWh settled"
    assert lines[2] == "INR 1,034.57 paid at once, INR 250.00 owed with a due date"
    assert lines[3] == "17 homes, 3 platforms, 1,612 transactions"


def test_a_day_says_what_happened_and_how_it_ended() -> None:
    text = "\n".join(_paper(SUMMARY))
    assert "Day 1  Sun 2 Aug 2026, 1,196 trades\n  shows     An ordinary day.\n  ends      All rows agreed.\n" in text
    assert "  kWh       1,062.353 contracted, 40.0 allocated, 19.29 settled, 0.0 waiting\n" in text
    assert "  seen      nobody objected\n            the window was open for a day\n" in text


def test_rows_are_summed_by_way_and_run() -> None:
    lines = _paper(SUMMARY)
    assert _line(lines, "agreed") == ["agreed,", "run", "0", "2", "80", "1,234.57", "1,034.57", "200.00", "-"]
    assert _line(lines, "attested") == ["attested,", "run", "1", "1", "40", "50.00", "-", "50.00", "-"]


def test_a_day_without_rows_has_no_table() -> None:
    assert sum("settled by" in line for line in _paper(SUMMARY)) == 1


def test_members_in_rupees() -> None:
    assert _line(_paper(SUMMARY), "sunmarket") == ["sunmarket", "-", "1,034.57", "250.00", "-", "-"]


def test_gas_above_its_target_is_marked() -> None:
    lines = _paper(SUMMARY)
    assert _line(lines, "contest") == ["contest", "1", "205,001", "205,001", "205,000", "above"]
    assert _line(lines, "post an") == ["post", "an", "allocation", "4", "76,120", "79,013", "80,000"]
    assert _line(lines, "seal") == ["seal", "2", "81,200", "90,000", "-"]


def test_checks_are_counted_and_only_failing_ones_listed() -> None:
    assert "  all 2 checks true" in _paper(SUMMARY)
    broken = copy.deepcopy(SUMMARY)
    broken["checks"]["tokens cover balances"] = False
    lines = _paper(broken)
    assert "  1 of 2 failed:" in lines
    assert "  failed  tokens cover balances" in lines
    assert not any("every pair" in line for line in lines)


def test_many_roots_are_not_all_listed() -> None:
    many = SUMMARY | {"roots": {f"day {day}": "0x" + "12" * 32 for day in range(10)}}
    assert _line(_paper(many), "and") == ["and", "2", "more"]


def test_time_and_files() -> None:
    lines = _paper(SUMMARY)
    assert "Time  20.9 s in all" in lines
    assert "  set up 6.1 s, settling 14.8 s" in lines
    assert "  summary   build/demo/summary.json" in lines


def test_no_days_is_still_an_account() -> None:
    assert _paper(SUMMARY | {"days": []})[0] == "Clearwatt demo  no days"


@pytest.mark.parametrize("width", [80, 100])
def test_on_a_terminal_it_has_colour_and_fits(width: int) -> None:
    console = _terminal(width)
    print_account(SUMMARY, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b[31mabove\x1b[0m" in text
    assert "owed back" in text
    assert "1,197 trades · 1,062.853 kWh contracted" in text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("4999", "0.00"),
        ("5000", "0.01"),
        ("-4999", "0.00"),
        ("-5000", "-0.01"),
        ("1234567890", "1,234.57"),
        (str((1 << 96) - 1), "79,228,162,514,264,337,593,543.95"),
    ],
)
def test_money_is_rounded_to_paise(amount: str, text: str) -> None:
    assert money_text(amount) == text


@pytest.mark.parametrize(("wh", "text"), [(0, "0.0"), (1, "0.001"), (21_820, "21.82"), (1_234_567_000, "1,234,567.0")])
def test_energy_has_one_to_three_decimals(wh: int, text: str) -> None:
    assert energy_text(wh) == text


def test_the_summary_as_text_is_the_summary() -> None:
    assert json.loads(summary_text(SUMMARY)) == SUMMARY
    assert summary_text(SUMMARY).endswith("}\n")


def test_progress_on_a_pipe_is_a_line_a_phase() -> None:
    file = io.StringIO()
    with Progress(open_console(file)) as progress:
        progress.phase("setting up")
        progress.step(1, 2, "deploying")
        progress.phase("the week")
    assert file.getvalue() == "setting up\nthe week\n"


def test_progress_on_a_terminal_is_one_line_that_vanishes() -> None:
    console = _terminal(40)
    with Progress(console) as progress:
        progress.phase("the week")
        progress.step(3, 9, "an action with a name that is longer than the line")
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert "3 of 9" in written
    assert written.count("\n") == 1
    assert written.endswith("\x1b[2K")  # the line is cleared at the end


def test_progress_gives_the_cursor_back_after_an_error() -> None:
    console = _terminal(40)
    progress = Progress(console)
    with suppress(RuntimeError), progress:
        progress.phase("the week")
        raise RuntimeError
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[?25h" in console.file.getvalue()
