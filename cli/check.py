"""`clearwatt check`: says whether input would be taken, before it is given to anybody; changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from chain.deployment import FILE, DeploymentRecord
from chain.errors import DeploymentMismatch
from cli.exits import BadInput, SomethingMissing
from member.lines import NO_ZONE, LineError
from oracle.gaps import Gap, gaps
from oracle.meters import read_meters, read_readings
from settlement.errors import FormulaError, SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.templates import SHIPPED_BY_ID, Flow, Role, Template
from settlement.units import epoch_seconds, kwh_text, time_text
from settlement.validity import MemberRole
from store.errors import FolderError
from store.folders import config_from_document
from trading.exported import Market, read_trades

Command = Callable[..., Any]

_FILE = click.Path(dir_okay=False, path_type=Path)


class Zone(click.ParamType[tzinfo]):
    """The name of a time zone."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """The zone. Fails where there is none of this name."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"there is no time zone {value!r}", param, ctx)


def market_options(command: Command) -> Command:
    """The options of every check that needs to know the market."""
    zone = click.option(
        "--zone",
        type=Zone(),
        default=NO_ZONE,
        help="The market's time zone, for times that state no offset; without it such times are refused.",
    )
    market = click.option("--market", "record", type=_FILE, required=True, help=f"The market's {FILE}.")
    return market(zone(command))


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result, or the refusal, as JSON.")


@click.group()
def check() -> None:
    """Say whether readings, trades or a formula would be taken, and if not, where the fault is.

    Nothing is changed or sent. Exit code 3: refused, with file, line and field.
    """


@check.command()
@click.argument("file", type=_FILE)
@market_options
@click.option("--meters", type=_FILE, required=True, help="The meters that the utility knows: CSV, header meter_id.")
@as_json_option
def readings(file: Path, record: Path, zone: tzinfo, meters: Path, as_json: bool) -> None:
    """Check a utility's readings CSV.

    Readings that are missing are no fault; they are listed.

    \b
    Example: clearwatt check readings day.csv --market deployment.json --meters meters.csv
    """
    with _refusals(as_json):
        market = _market(record, zone)
        known = read_meters(meters)
        found = read_readings(file, market.calendar, frozenset(known), zone)
    lacking = gaps(found, known, market.calendar)
    qualities = Counter(one.quality for one in found)
    if as_json:
        _print_json(
            file=str(file),
            meters=len(known),
            readings=len(found),
            qualities={quality: qualities[quality] for quality in sorted(qualities)},
            cycles=sorted({market.calendar.cycle_of(one.slot_start) for one in found}),
            gaps=[
                {
                    "meter_id": gap.meter_id,
                    "direction": gap.direction,
                    "slot_start": time_text(gap.slot_start),
                    "slots": gap.slots,
                }
                for gap in lacking
            ],
        )
        return
    counts = ", ".join(f"{qualities[quality]} {quality}" for quality in sorted(qualities)) or "none"
    click.echo(f"{file}: {_counted(len(found), 'reading')} of {_counted(len(known), 'meter')} ({counts})")
    for gap in lacking:
        click.echo(f"  {_gap_text(gap)}")


@check.command()
@click.argument("file", type=_FILE)
@market_options
@click.option("--at", metavar="TIME", help="Refuse also what can no longer be committed at this time (ISO 8601).")
@as_json_option
def trades(file: Path, record: Path, zone: tzinfo, at: str | None, as_json: bool) -> None:
    """Check a platform's trades CSV against a market: members, roles, slots, rates.

    \b
    Example: clearwatt check trades trades.csv --market deployment.json --at 2026-08-01T19:00:00+05:30
    """
    try:
        moment = None if at is None else epoch_seconds(at, zone)
    except SettlementError as error:
        raise click.BadParameter(error.message, param_hint="--at") from error
    with _refusals(as_json):
        market = _market(record, zone)
        found = read_trades(file, market, moment)
    energy = sum(one.contracted_wh for one in found)
    templates = Counter(one.template.title for one in found)
    cycles = sorted({market.calendar.cycle_of(one.slot_start) for one in found})
    if as_json:
        _print_json(
            file=str(file),
            trades=len(found),
            contracted_wh=energy,
            currency=market.currency,
            cycles=cycles,
            templates={title: templates[title] for title in sorted(templates)},
        )
        return
    click.echo(f"{file}: {_counted(len(found), 'trade')} in {_counted(len(cycles), 'cycle')}, {kwh_text(energy)} kWh")
    for title in sorted(templates):
        click.echo(f"  {templates[title]} by {title}")


@check.command()
@click.argument("text")
@click.option("--rates", default="", metavar="NAMES", help="Names of the template's rates in order, by commas.")
@as_json_option
def formula(text: str, rates: str, as_json: bool) -> None:
    """Compile a revenue-flow formula; print its program and what the chain's bytes say as text.

    \b
    Example: clearwatt check formula "settled × price + max(0, contracted − settled) × penalty" --rates price,penalty
    """
    names = tuple(rates.split(",")) if rates else ()
    try:
        program = compile_formula(text, Binding.energy_contract(names))
        template = Template("checked", 1, names, (Flow(Role.BUYER, Role.SELLER, program),))
    except FormulaError as error:
        message = f"formula: column {error.position}: {error.message}"
        raise _refused(as_json, message, field="formula", column=error.position, message=error.message) from error
    except SettlementError as error:
        raise _refused(as_json, str(error), field=error.field, message=error.message) from error
    (printed,) = template.texts()
    if as_json:
        _print_json(program="0x" + program.hex(), text=printed, rates=list(names))
        return
    click.echo(f"program  0x{program.hex()}")
    click.echo(f"text     {printed}")


def _market(file: Path, zone: tzinfo) -> Market:
    """The market of a deployment record, as far as this program knows its templates."""
    if file.name != FILE:
        raise click.BadParameter(f"a market's record is called {FILE}", param_hint="--market")
    record = DeploymentRecord.load(file.parent)
    return Market(
        config=config_from_document(FILE, record.config),
        roles={member["id"]: MemberRole(member["roles"]) for member in record.members.values()},
        templates={title: SHIPPED_BY_ID[one] for title, one in record.templates.items() if one in SHIPPED_BY_ID},
        zone=zone,
    )


def _gap_text(gap: Gap) -> str:
    slots = _counted(gap.slots, "slot")
    return f"missing: {gap.meter_id} {gap.direction}, {slots} from {time_text(gap.slot_start)}"


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


@contextmanager
def _refusals(as_json: bool) -> Iterator[None]:
    """Turns what readers raise into the command's endings."""
    try:
        yield
    except LineError as error:
        raise _refused(
            as_json, str(error), file=str(error.file), line=error.line, field=error.field, message=error.message
        ) from error
    except (DeploymentMismatch, FolderError) as error:
        raise _refused(as_json, str(error), file=FILE, message=str(error)) from error
    except FileNotFoundError as error:
        raise SomethingMissing(f"there is no file {error.filename}") from error


def _refused(as_json: bool, sentence: str, **where: str | int) -> BadInput:
    """The refusal for stderr; as JSON also on stdout, for programs."""
    if as_json:
        _print_json(refused=where)
    return BadInput(sentence)


def _print_json(**document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
