"""`clearwatt db`: makes the tables of a database, brings them up to date, and says whether they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from cli.exits import CHECK_FALSE, FINE, BadInput, SomethingMissing
from store import migrate
from store.database import Database
from store.errors import DatabaseUnfit, DatabaseUnreachable

Command = Callable[..., Any]


def _options(command: Command) -> Command:
    as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    url = click.option(
        "--database",
        "url",
        required=True,
        metavar="URL",
        help="sqlite:///file, or postgresql://user@host/name.",
    )
    return url(as_json(command))


@click.group()
def db() -> None:
    """Make the tables of a database, bring them up to date, and check that they are."""


@db.command()
@_options
def upgrade(url: str, as_json: bool) -> int:
    """Make the tables, or bring them up to date, in one transaction.

    Whatever runs on a SQLite file must be stopped for it. Exit code 3: it holds tables of others or is newer than
    this program; 4: it cannot be reached or is in use.
    """
    database = _database(url)
    with database:
        try:
            database.claim()
            revision = migrate.upgrade(database)
        except DatabaseUnreachable as error:
            raise SomethingMissing(str(error)) from error
        except DatabaseUnfit as error:
            raise BadInput(str(error)) from error
    _say(as_json, f"{database.name} is at revision {revision}", database=database.name, revision=revision)
    return FINE


@db.command()
@_options
def check(url: str, as_json: bool) -> int:
    """Say whether the tables are what this program works with; changes nothing.

    Exit code 1: they are not; 4: the database is not there or cannot be reached.
    """
    with _database(url) as database:
        try:
            revision = migrate.check(database)
        except DatabaseUnreachable as error:
            raise SomethingMissing(str(error)) from error
        except DatabaseUnfit as error:
            _say(as_json, str(error), database=database.name, fit=False, reason=str(error))
            return CHECK_FALSE
    text = f"{database.name} is fit: revision {revision}"
    _say(as_json, text, database=database.name, fit=True, revision=revision)
    return FINE


def _database(url: str) -> Database:
    try:
        return Database(url)
    except DatabaseUnfit as error:
        raise BadInput(str(error)) from error


def _say(as_json: bool, text: str, **document: Any) -> None:
    click.echo(json.dumps(document, indent=2) if as_json else text)
