"""The account of a run, for people: tables and a little colour on a terminal, plain ASCII text elsewhere.

It shows money in INR rounded to paise and energy in kWh; the exact figures stand in the summary it is made from:

    {"market": {name: value}, "chain": {name: value},
     "days": [{"day", "date", "shows", "ends", "trades", "contracted_wh", "allocated_wh", "settled_wh", "waiting_wh",
               "rows": [{"payer", "payee", "way", "run", "version", "leaves", "amount", "paid", "owed", "owed_back"}],
               "facts": [text]}],
     "members": [{"name", "received", "paid", "owed", "is_owed", "withdrawn"}],
     "gas": [{"operation", "count", "median", "max", "target"}],
     "durations": {phase: milliseconds}, "roots": {name: hash}, "senders": {program: {function: count}},
     "transactions": count, "checks": {name: passed}}

Amounts are decimal strings of base units (10^-6 INR). A row's `amount` is cumulative, its `paid`, `owed` and
`owed_back` are what it moved. `target` is null where an operation has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDTH = 100
_BASE_UNITS_A_PAISA = 10_000
_INDENT = 2
_LABEL_WIDTH = 8
_MOST_ROOTS = 8
_COLOURS = {"paid": "green", "owed": "yellow", "owed_back": "yellow"}

Summary = Mapping[str, Any]


def open_console(file: TextIO) -> Console:
    """A console for the account or the progress line: as wide as the terminal up to 100 columns, 100 elsewhere."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def summary_text(summary: Summary) -> str:
    """What summary.json holds and `--json` prints."""
    return json.dumps(summary, indent=2, ensure_ascii=False) + "\n"


def print_account(summary: Summary, console: Console, files: Mapping[str, str] | None = None) -> None:
    """Prints the account; `files` says what lies where, in the order given."""
    page = _Page(console.is_terminal)
    with console.capture() as capture:
        for part in page.parts(summary, files or {}):
            console.print(part)
    # Cells are padded to their column: on paper that is white space at the end of lines.
    text = capture.get()
    lines = text.splitlines() if console.is_terminal else (line.rstrip() for line in text.splitlines())
    console.file.write("".join(f"{line}\n" for line in lines))
    console.file.flush()


class Progress:
    """Says what is going on: one line that is rewritten on a terminal, a line a phase elsewhere. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def phase(self, name: str) -> None:
        """Begins a phase."""
        self._phase = name
        if self._live:
            self._rewrite(self._live, "")
        else:
            self._console.print(name)

    def step(self, done: int, total: int, text: str) -> None:
        """Where the phase has got to: `done` of `total`, and what is being done. Only a terminal shows it."""
        if self._live:
            self._rewrite(self._live, f"{done} of {total}  {text}")

    def _rewrite(self, live: Live, detail: str) -> None:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(self._phase, "bold").append(f"  {detail}", "dim")
        live.update(line, refresh=True)


def money_text(amount: str | int) -> str:
    """Base units as INR, rounded to the nearest paisa: "1234567890" is "1,234.57"."""
    value = int(amount)
    paise = (abs(value) + _BASE_UNITS_A_PAISA // 2) // _BASE_UNITS_A_PAISA
    sign = "-" if value < 0 and paise else ""
    return f"{sign}{paise // 100:,}.{paise % 100:02d}"


def energy_text(wh: int) -> str:
    """Wh as kWh with one to three decimals: 1234500 is "1,234.5"."""
    whole, thousandths = divmod(wh, 1000)
    decimals = f"{thousandths:03d}".rstrip("0") or "0"
    return f"{whole:,}.{decimals}"


class _Page:
    """The parts of the account, for a terminal or for paper."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._dot = " · " if terminal else ", "

    def parts(self, summary: Summary, files: Mapping[str, str]) -> Iterator[RenderableType]:
        yield from self._headline(summary)
        for day in summary["days"]:
            yield from self._day(day)
        yield from self._members(summary["members"])
        yield from self._gas(summary["gas"])
        yield from self._end(summary, files)

    def _headline(self, summary: Summary) -> Iterator[RenderableType]:
        days: Sequence[Mapping[str, Any]] = summary["days"]
        rows = [row for day in days for row in day["rows"]]
        name = str(summary["market"].get("name", "Clearwatt"))
        span = f"{_date(days[0]['date'])} to {_date(days[-1]['date'])}" if days else "no days"
        yield Text.assemble((name, "bold"), f"  {span}")
        yield self._joined(
            f"{sum(day['trades'] for day in days):,} trades",
            f"{energy_text(sum(day['contracted_wh'] for day in days))} kWh contracted",
            f"{energy_text(sum(day['settled_wh'] for day in days))} kWh settled",
        )
        yield self._joined(
            f"INR {money_text(_sum(rows, 'paid'))} paid at once",
            f"INR {money_text(_sum(rows, 'owed'))} owed with a due date",
        )
        details = [f"{value} {_words(key)}" for key, value in _scalars(summary["market"]) if key != "name"]
        yield Text(self._dot.join((*details, f"{summary['transactions']:,} transactions")), "dim")

    def _day(self, day: Mapping[str, Any]) -> Iterator[RenderableType]:
        yield self._title(f"Day {day['day']}", f"{_date(day['date'])}, {day['trades']:,} trades")
        energy = self._joined(
            *(f"{energy_text(day[f'{part}_wh'])} {part}" for part in ("contracted", "allocated", "settled", "waiting"))
        )
        facts = [("" if index else "seen", Text(fact)) for index, fact in enumerate(day["facts"])]
        yield _labelled([("shows", Text(day["shows"])), ("ends", Text(day["ends"])), ("kWh", energy), *facts])
        if day["rows"]:
            yield self._ways(day["rows"])

    def _ways(self, rows: Iterable[Mapping[str, Any]]) -> RenderableType:
        """The day's rows summed by how and in which run they were settled, in the order of their first."""
        groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for row in rows:
            groups.setdefault((row["way"], row["run"]), []).append(row)
        table = _table(
            *(("settled by", 16), ("rows", 5), ("leaves", 6)),
            *(("INR", 10), ("paid at once", 12), ("owed", 10), ("owed back", 9)),
        )
        for (way, run), members in groups.items():
            table.add_row(
                f"{way}, run {run}",
                f"{len(members):,}",
                f"{sum(row['leaves'] for row in members):,}",
                *(_money(_sum(members, key), _COLOURS.get(key, "")) for key in ("amount", "paid", "owed", "owed_back")),
            )
        return Padding(table, (0, 0, 0, _INDENT))

    def _members(self, members: Iterable[Mapping[str, Any]]) -> Iterator[RenderableType]:
        yield self._title("Members", "INR")
        titles = {key: _words(key) for key in ("received", "paid", "owed", "is_owed", "withdrawn")} | {"owed": "owes"}
        table = _table(("", 16), *((title, 11) for title in titles.values()))
        for member in members:
            table.add_row(member["name"], *(_money(int(member[key]), _COLOURS.get(key, "")) for key in titles))
        yield Padding(table, (0, 0, 0, _INDENT))

    def _gas(self, lines: Iterable[Mapping[str, Any]]) -> Iterator[RenderableType]:
        yield self._title("Gas", "of a call, row or leaf; the median beside its target")
        table = _table(("", 34), ("count", 5), ("median", 9), ("max", 9), ("target", 9), ("", 5))
        for line in lines:
            above = line["target"] is not None and line["median"] > line["target"]
            target = "-" if line["target"] is None else f"{line['target']:,}"
            figures = (f"{line[column]:,}" for column in ("count", "median", "max"))
            table.add_row(line["operation"], *figures, target, Text("above" if above else "", "red"))
        yield Padding(table, (0, 0, 0, _INDENT))

    def _end(self, summary: Summary, files: Mapping[str, str]) -> Iterator[RenderableType]:
        checks: Mapping[str, bool] = summary["checks"]
        failed = [name for name, passed in checks.items() if not passed]
        yield self._title("Checks", "")
        if failed:
            yield Padding(Text(f"{len(failed)} of {len(checks)} failed:", "bold red"), (0, 0, 0, _INDENT))
            yield from (Padding(Text(f"failed  {name}", "red"), (0, 0, 0, _INDENT)) for name in failed)
        else:
            yield Padding(Text(f"all {len(checks)} checks true", "green"), (0, 0, 0, _INDENT))
        roots = list(_scalars(summary["roots"]))
        if roots:
            shown = [(_words(name), Text(str(value), "dim", overflow="fold")) for name, value in roots[:_MOST_ROOTS]]
            more = [("", Text(f"and {len(roots) - _MOST_ROOTS} more", "dim"))] if len(roots) > _MOST_ROOTS else []
            yield self._title("Roots", "")
            yield _labelled([*shown, *more])
        durations: Mapping[str, int] = summary["durations"]
        spent = self._joined(*(f"{_words(phase)} {_seconds(ms)}" for phase, ms in durations.items()))
        yield self._title("Time", f"{_seconds(sum(durations.values()))} in all")
        yield Padding(spent, (0, 0, 0, _INDENT))
        if files:
            yield self._title("Files", "")
            yield _labelled([(name, Text(path, overflow="fold")) for name, path in files.items()])

    def _title(self, name: str, rest: str) -> RenderableType:
        return Padding(Text.assemble((name, "bold cyan"), f"  {rest}"), (1, 0, 0, 0))

    def _joined(self, *parts: str) -> Text:
        return Text(self._dot.join(parts))


def _table(*columns: tuple[str, int]) -> Table:
    """Columns by title and least width, the first on the left, figures on the right; no rules, they fill the page."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for index, (title, width) in enumerate(columns):
        table.add_column(title, justify="right" if index else "left", min_width=width, no_wrap=index > 0)
    return table


def _labelled(lines: Iterable[tuple[str, Text]]) -> RenderableType:
    """Texts with a label before each; a text that needs more lines stays in its column."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", min_width=_LABEL_WIDTH)
    grid.add_column()
    for label, text in lines:
        grid.add_row(label, text)
    return Padding(grid, (0, 0, 0, _INDENT))


def _money(amount: int, style: str = "") -> Text:
    return Text(money_text(amount), style) if amount else Text("-", "dim")


def _sum(rows: Iterable[Mapping[str, Any]], key: str) -> int:
    return sum(int(row[key]) for row in rows)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000 // 100} s"


def _date(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day:%a} {day.day} {day:%b %Y}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The entries that are one value each, nested ones by their names together."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {inner}", one) for inner, one in _scalars(value))
        elif value is not None and not isinstance(value, list | tuple):
            yield name, value
