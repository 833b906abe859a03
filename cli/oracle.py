"""`clearwatt oracle`: a utility's daemon, and ways to look at what it does without its key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cli.daemons import config_option, endings, json_option, load, once, ready_option, run, tell_findings
from cli.exits import CHECK_FALSE, FINE, SomethingMissing
from member.checking import Finding, look, member_findings, secret_finding
from oracle.config import UtilityConfig
from oracle.daemon import open_utility
from oracle.metering import read_own_meters
from oracle.planning import Plan
from oracle.surveying import Recomputed, survey
from settlement.documents import document
from settlement.trade import AllocationLeaf
from settlement.units import kwh_text, time_text
from settlement.validity import MemberRole


@click.group()
def oracle() -> None:
    """A utility's daemon: reads its meters, allocates, signs, posts, serves, watches, settles its rows."""


@oracle.command("run")
@config_option
@ready_option
def run_oracle(file: Path, ready_file: Path | None) -> int:
    """Run until SIGTERM or Ctrl-C. Logs go to stderr, a JSON line a fact.

    \b
    Example: clearwatt oracle run --config utility.toml
    """
    return run(open_utility, load(UtilityConfig, file), ready_file)


@oracle.command("once")
@config_option
@json_option
def once_oracle(file: Path, as_json: bool) -> int:
    """Do what there is to do at this moment, and tell how things then stand. Exit code 1: there are problems."""
    return once(open_utility, load(UtilityConfig, file), as_json)


@oracle.command("dry-run")
@config_option
@json_option
def dry_run(file: Path, as_json: bool) -> int:
    """Compute every allocation that is open now, to its root; nothing is signed, sent or written.

    Works without the hot key, also while the daemon runs. Exit code 1: something would keep an allocation from being
    signed.
    """
    config = load(UtilityConfig, file)
    with endings(), survey(config) as seen:
        plans = seen.plans()
        refused = dict(seen.readings.refused)
        against = {(plan.cycle, plan.run): list(seen.against(plan, config.utility.outlier_percent)) for plan in plans}
    if as_json:
        _print(
            plans=[_plan_document(plan, against[plan.cycle, plan.run]) for plan in plans],
            refused=list(refused.values()),
        )
    else:
        for plan in plans:
            for line in _plan_lines(plan, against[plan.cycle, plan.run]):
                click.echo(line)
        if not plans:
            click.echo("no cycle takes an allocation of this utility now, or what is posted stands")
        for text in refused.values():
            click.echo(f"refused: {text}")
    return CHECK_FALSE if refused or any(against.values()) else FINE


@oracle.command()
@config_option
@click.option("--cycle", type=click.IntRange(min=0), required=True, help="The cycle's number.")
@click.option("--run", "run_number", type=click.IntRange(0, 3), default=0, show_default=True, help="The run.")
@json_option
def recompute(file: Path, cycle: int, run_number: int, as_json: bool) -> int:
    """Compute a posted allocation again: the same root, or the first leaf that differs.

    Exit code 1: another root comes out; 4: nothing was posted in this run.
    """
    config = load(UtilityConfig, file)
    with endings(), survey(config) as seen:
        found = seen.recompute(cycle, run_number)
    if found is None:
        raise SomethingMissing(f"{config.subscriber} posted nothing in run {run_number} of cycle {cycle}")
    if as_json:
        _print(**_recomputed_document(found))
    else:
        for line in _recomputed_lines(found):
            click.echo(line)
    return FINE if found.is_same else CHECK_FALSE


@oracle.command()
@config_option
@json_option
def check(file: Path, as_json: bool) -> int:
    """Say whether everything the daemon needs is there and fits. Exit code 1: something is not."""
    config = load(UtilityConfig, file)
    own = (
        look("meters", lambda: f"{len(read_own_meters(config.utility.meters))} meters"),
        secret_finding("salt secret", config.utility.salt_secret),
    )
    fine = Finding("config", True, str(file))
    return tell_findings((fine, *own, *member_findings(config, MemberRole.UTILITY)), as_json)


# --- what is printed ---


def _plan_lines(plan: Plan, against: list[str]) -> Iterator[str]:
    yield f"cycle {plan.cycle}, run {plan.run}: {plan.verdict.value}: {plan.reason}"
    metered = sum(one.wh for one in plan.draft.readings)
    yield (
        f"  root 0x{plan.draft.root.hex()}, {len(plan.draft.allocation.leaves)} leaves, "
        f"{len(plan.draft.readings)} readings ({kwh_text(metered)} kWh), {len(plan.draft.lacking)} missing, "
        f"intake until {time_text(plan.deadline)}"
    )
    for text in against:
        yield f"  would not be signed: {text}"


def _plan_document(plan: Plan, against: list[str]) -> dict[str, Any]:
    return {
        "cycle": plan.cycle,
        "run": plan.run,
        "verdict": plan.verdict.value,
        "reason": plan.reason,
        "root": "0x" + plan.draft.root.hex(),
        "leaves": len(plan.draft.allocation.leaves),
        "readings": len(plan.draft.readings),
        "missing": len(plan.draft.lacking),
        "deadline": time_text(plan.deadline),
        "against": against,
    }


def _recomputed_lines(found: Recomputed) -> Iterator[str]:
    where = f"cycle {found.cycle}, run {found.run}, attempt {found.attempt}"
    if found.is_same:
        yield f"{where}: the same root, 0x{found.posted.hex()}"
        return
    yield f"{where}: 0x{found.posted.hex()} is posted, 0x{found.computed.hex()} comes out"
    if found.difference is None:
        yield "  the leaves that were signed are not kept here"
        return
    position, own, signed = found.difference
    yield f"  first difference at leaf {position}:"
    yield f"    signed    {_leaf_text(signed)}"
    yield f"    comes out {_leaf_text(own)}"


def _recomputed_document(found: Recomputed) -> dict[str, Any]:
    difference = None
    if found.difference is not None:
        position, own, signed = found.difference
        difference = {
            "position": position,
            "signed": None if signed is None else document(signed),
            "computed": None if own is None else document(own),
        }
    return {
        "cycle": found.cycle,
        "run": found.run,
        "attempt": found.attempt,
        "same": found.is_same,
        "posted": "0x" + found.posted.hex(),
        "computed": "0x" + found.computed.hex(),
        "difference": difference,
    }


def _leaf_text(leaf: AllocationLeaf | None) -> str:
    if leaf is None:
        return "no leaf"
    side = "seller" if leaf.side else "buyer"
    return (
        f"trade 0x{leaf.trade_digest.hex()[:12]}…, {side}, {leaf.allocated_wh} of {leaf.contracted_wh} Wh, "
        f"reading {leaf.meter_wh} Wh, slot {time_text(leaf.slot_start)}"
    )


def _print(**found: Any) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
