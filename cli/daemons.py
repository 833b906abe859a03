"""What the commands of all members' daemons have in common: their options, their endings, and what they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError

from chain.errors import ConnectionFailed, DeploymentMismatch
from cli.exits import CHECK_FALSE, FINE, BadInput, SomethingMissing
from member.checking import Finding
from member.config import MemberConfig
from member.daemon import Daemon
from member.errors import ConfigError, KeyRefused
from member.lines import LineError
from member.logs import configure_logs
from settlement.canonical_json import dumps
from store.errors import DatabaseUnfit, DatabaseUnreachable

Command = Callable[..., Any]
C = TypeVar("C", bound=MemberConfig)

_FILE = click.Path(dir_okay=False, path_type=Path)


def config_option(command: Command) -> Command:
    """`--config`."""
    return click.option("--config", "file", type=_FILE, required=True, help="The member's configuration, a TOML file.")(
        command
    )


def ready_option(command: Command) -> Command:
    """`--ready-file`."""
    return click.option(
        "--ready-file", type=_FILE, help="Written once requests are answered: JSON with the address and process id."
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def load(kind: type[C], file: Path) -> C:
    """The configuration in a file. Raises SomethingMissing without the file, BadInput naming the key."""
    if not file.exists():
        raise SomethingMissing(f"there is no file {file}")
    with endings():
        return kind.load(file)


@contextmanager
def endings() -> Iterator[None]:
    """Turns what keeps a daemon from working into the command's endings."""
    try:
        yield
    except (ConnectionFailed, DatabaseUnreachable) as error:
        raise SomethingMissing(str(error)) from error
    except FileNotFoundError as error:
        raise SomethingMissing(f"there is no file {error.filename}") from error
    except (ConfigError, KeyRefused, LineError, DeploymentMismatch, DatabaseUnfit) as error:
        raise BadInput(str(error)) from error
    except SQLAlchemyError as error:
        raise SomethingMissing(f"the database: {type(error).__name__}") from error


def run(make: Callable[[C], Daemon[C]], config: C, ready_file: Path | None) -> int:
    """Runs a daemon until it is told to end."""
    configure_logs()
    with endings():
        try:
            make(config).run(ready_file)
        except OSError as error:
            if error.filename is None and error.strerror:
                raise SomethingMissing(f"cannot listen at {config.listen}: {error.strerror}") from error
            raise
    return FINE


def once(make: Callable[[C], Daemon[C]], config: C, as_json: bool) -> int:
    """Lets a daemon do what there is to do at this moment, and tells how it then stands."""
    configure_logs()
    with endings(), make(config) as daemon:
        daemon.once()
        status = json.loads(dumps(daemon.status()))
    if as_json:
        click.echo(json.dumps(status, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{status['subscriber']}: followed to block {status['head']}")
        for one in status["problems"]:
            click.echo(f"  problem: {one['stage']}: {one['what']}")
        for one in status["waiting"]:
            whom = f" ({', '.join(one['for_whom'])})" if one["for_whom"] else ""
            click.echo(f"  waits: {one['stage']}: cycle {one['cycle']}: {one['reason']}{whom}")
    return CHECK_FALSE if status["problems"] else FINE


def tell_findings(findings: Iterable[Finding], as_json: bool) -> int:
    """A table of what was looked at; exit code 1 where something is not as it must be."""
    found = list(findings)
    if as_json:
        document = [{"what": one.what, "fine": one.is_fine, "found": one.found} for one in found]
        click.echo(json.dumps({"fine": all(one.is_fine for one in found), "checks": document}, indent=2))
    else:
        width = max(len(one.what) for one in found)
        for one in found:
            click.echo(f"{'ok ' if one.is_fine else 'NO '} {one.what:<{width}}  {one.found}", file=sys.stdout)
    return FINE if all(one.is_fine for one in found) else CHECK_FALSE
