"""Entry point of the `clearwatt` command: finds subcommands, and turns every way of ending into its exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from chain.errors import NodeMissing, PortTaken
from cli import VERSION, exits
from settlement.errors import SettlementError

# Each lives in a module and a command object of its name: `cli.demo.demo`.
SUBCOMMANDS = ("check", "contract", "db", "demo", "doctor", "keys", "openapi", "oracle", "platform", "serve", "verify")


class LazyGroup(click.Group):
    """Imports a subcommand only when it is asked for, so that `--version` does not wait for the chain's libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = getattr(import_module(f"cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="clearwatt")
def clearwatt() -> None:
    """Settles peer-to-peer energy trades on a permissioned chain.

    Exit codes: 0 fine, 1 a check is false (TAMPERED), 2 usage, 3 bad input, 4 something is missing, 70 a defect of
    this program, 130 interrupted.
    """


def run(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code; errors are told in one sentence on stderr."""
    try:
        result = clearwatt.main(list(arguments), prog_name="clearwatt", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.message)
        return exits.USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return exits.INTERRUPTED
    except (NodeMissing, PortTaken) as error:
        return _failed(error, exits.MISSING)
    except SettlementError as error:
        return _failed(error, exits.BAD_INPUT)
    except Exception:
        # A defect must not look like a check that came out false, which is what Python's own exit code 1 means here.
        traceback.print_exc()
        return exits.DEFECT
    return result if isinstance(result, int) else exits.FINE


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def _failed(error: Exception, code: int) -> int:
    click.echo(f"Error: {error}", err=True)
    return code


if __name__ == "__main__":
    main()
