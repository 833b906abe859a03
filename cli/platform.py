"""`clearwatt platform`: a platform's daemon."""

from __future__ import annotations

from pathlib import Path

import click

from cli.daemons import config_option, json_option, load, once, ready_option, run, tell_findings
from member.checking import Finding, member_findings, secret_finding
from settlement.validity import MemberRole
from trading.config import PlatformConfig
from trading.daemon import open_platform


@click.group()
def platform() -> None:
    """A platform's daemon: has its trades signed, commits them in batches, settles its rows and pays."""


@platform.command("run")
@config_option
@ready_option
def run_platform(file: Path, ready_file: Path | None) -> int:
    """Run until SIGTERM or Ctrl-C. Logs go to stderr, a JSON line a fact.

    \b
    Example: clearwatt platform run --config platform.toml
    """
    return run(open_platform, load(PlatformConfig, file), ready_file)


@platform.command("once")
@config_option
@json_option
def once_platform(file: Path, as_json: bool) -> int:
    """Do what there is to do at this moment, and tell how things then stand. Exit code 1: there are problems."""
    return once(open_platform, load(PlatformConfig, file), as_json)


@platform.command()
@config_option
@json_option
def check(file: Path, as_json: bool) -> int:
    """Say whether everything the daemon needs is there and fits. Exit code 1: something is not."""
    config = load(PlatformConfig, file)
    secret = secret_finding("salt secret", config.platform.salt_secret)
    fine = Finding("config", True, str(file))
    return tell_findings((fine, secret, *member_findings(config, MemberRole.PLATFORM)), as_json)
