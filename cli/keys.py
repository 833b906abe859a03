"""`clearwatt keys`: makes key files and tells their addresses; never shows a key."""

from __future__ import annotations

from pathlib import Path

import click

from cli.exits import BadInput
from member.errors import KeyRefused
from member.keys import address_text, load_key, new_key

_FILE = click.Path(dir_okay=False, path_type=Path)

_password_option = click.option(
    "--password-file", type=_FILE, help="File whose first line is the password of an encrypted key."
)


@click.group()
def keys() -> None:
    """Key files of members and relaying accounts."""


@keys.command()
@click.option("--out", type=_FILE, required=True, help="The new file; a file that exists is never written over.")
@_password_option
def new(out: Path, password_file: Path | None) -> None:
    """Make a private key in a file that only its owner may read; print its address.

    \b
    Example: clearwatt keys new --out keys/hot.json --password-file keys/password
    """
    try:
        click.echo(new_key(out, password_file))
    except KeyRefused as error:
        raise BadInput(str(error)) from error


@keys.command()
@click.argument("file", type=_FILE)
@_password_option
def address(file: Path, password_file: Path | None) -> None:
    """Print the address of the key in a file."""
    try:
        click.echo(address_text(load_key(file, password_file)))
    except KeyRefused as error:
        raise BadInput(str(error)) from error
