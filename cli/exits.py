"""How the command ends: the meaning of its exit codes, and the errors that carry them."""

from __future__ import annotations

from typing import Final

import click

FINE: Final = 0
CHECK_FALSE: Final = 1
USAGE: Final = 2
BAD_INPUT: Final = 3
MISSING: Final = 4
DEFECT: Final = 70
INTERRUPTED: Final = 130


class CheckFalse(click.ClickException):
    """What was checked does not hold: TAMPERED, a difference, an amount that is not the expected one."""

    exit_code = CHECK_FALSE


class BadInput(click.ClickException):
    """A file or value given to the command cannot be read as what it should be."""

    exit_code = BAD_INPUT


class SomethingMissing(click.ClickException):
    """A file, program or service that the command needs is not there."""

    exit_code = MISSING
