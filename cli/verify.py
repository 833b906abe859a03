"""`clearwatt verify`: recomputes a data folder and says whether it holds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from audit.findings import Verdict
from audit.verify import verify as audit
from chain.errors import ConnectionFailed, DeploymentMismatch
from cli.exits import CHECK_FALSE, FINE, BadInput, SomethingMissing
from store.errors import FolderError


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The data folder: deployment.json, cycles/, obligations and notices.",
)
@click.option("--rpc", required=True, metavar="URL", help="A node of the market's chain, http://host:port.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole verdict as JSON.")
def verify(data: Path, rpc: str, as_json: bool) -> int:
    """Recomputes everything in a data folder and compares it with the chain: VALID or TAMPERED.

    Every finding names file, row (from 1), column, what follows from the other records and what stands there.
    """
    if not data.is_dir():
        raise SomethingMissing(f"there is no folder {data}")
    try:
        verdict = audit(data, rpc)
    except (FileNotFoundError, ConnectionFailed) as error:
        raise SomethingMissing(str(error)) from error
    except (DeploymentMismatch, FolderError) as error:
        raise BadInput(str(error)) from error
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rpc") from error
    click.echo(json.dumps(verdict.document(), indent=2) if as_json else verdict_text(verdict))
    return FINE if verdict.is_valid else CHECK_FALSE


def verdict_text(verdict: Verdict) -> str:
    """The verdict for people: the answer first, then what was looked at, found and noted."""
    counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(verdict.counts.items()))
    passed = sum(verdict.checks.values())
    lines = [verdict.answer, f"{passed} of {len(verdict.checks)} checks hold: {counts}"]
    lines += [f"  {finding}" for finding in verdict.findings]
    lines += [f"  note: {note}" for note in verdict.notes]
    return "\n".join(lines)
