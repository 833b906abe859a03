"""`clearwatt demo`: settles a week of real homes in a market of processes on a local chain."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from cli.exits import BadInput, CheckFalse, SomethingMissing
from demo.account import Progress, open_console, print_account, summary_text
from demo.homes import HomesMissing
from demo.run import Finished, NotOurs, VerifyFailed, finished_demo
from demo.sandbox import let_time_run, sandbox_lines


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Where folders and summary go; made anew by each run.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the local chain; a free one by default.")
@click.option("--keep", is_flag=True, help="Leave the market running afterwards, until Ctrl-C; print URLs and keys.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of the account.")
def demo(data: Path, port: int | None, as_json: bool, keep: bool) -> None:
    """Settle a week of 17 real homes, from signed trade to money, and have it verified.

    Starts a local chain, four utilities, three platforms and a gateway as processes of their own. Writes cycle
    folders, deployment record and summary.json. Exit code 1 if a check is false.
    """
    console = open_console(sys.stderr)
    try:
        with finished_demo(data, Progress(console), port) as finished:
            summary = finished.summary
            _tell(summary, data, as_json)
            if keep:
                _keep(finished, console)
    except HomesMissing as error:
        raise SomethingMissing(str(error)) from error
    except NotOurs as error:
        raise BadInput(str(error)) from error
    except VerifyFailed as error:
        raise CheckFalse(f"the run could not be verified: {error}") from error
    if not all(summary["checks"].values()):
        raise CheckFalse("a check is false")


def _keep(finished: Finished, console: Console) -> None:
    let_time_run(finished.market.world)
    for line in sandbox_lines(finished.market):
        console.print(line)
    console.print("the market goes on; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        signal.pause()


def _tell(summary: dict[str, Any], data: Path, as_json: bool) -> None:
    if as_json:
        click.echo(summary_text(summary), nl=False)
        return
    files = {"summary": str(data / "summary.json"), "cycles": str(data / "cycles")}
    print_account(summary, open_console(sys.stdout), files)
