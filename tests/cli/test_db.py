"""`clearwatt db`: what it says, as text and as JSON, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from cli import exits
from cli.main import run
from store import migrate
from store.database import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where there is no database yet."""
    return f"sqlite:///{tmp_path}/file"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of `clearwatt db ...`."""
    code = run(["db", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_upgrade_makes_the_tables_and_check_finds_them(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    head = migrate.head()
    assert said(capsys, "upgrade", "--database", url) == (exits.FINE, f"{url} is at revision {head}\n", "")
    assert said(capsys, "check", "--database", url) == (exits.FINE, f"{url} is fit: revision {head}\n", "")
    for action, more in (("upgrade", {}), ("check", {"fit": True})):
        code, out, _ = said(capsys, action, "--database", url, "--json")
        assert (code, json.loads(out)) == (exits.FINE, {"database": url, "revision": head, **more})


def test_check_says_what_is_wrong_with_the_tables(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(url) as database, database.transaction():
        pass
    reason = f"{url} has no tables yet; run `clearwatt db upgrade --database {url}`"
    assert said(capsys, "check", "--database", url) == (exits.CHECK_FALSE, f"{reason}\n", "")
    code, out, _ = said(capsys, "check", "--database", url, "--json")
    assert (code, json.loads(out)) == (exits.CHECK_FALSE, {"database": url, "fit": False, "reason": reason})


def test_a_missing_database_is_missing(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "check", "--database", url)
    assert (code, out) == (exits.MISSING, "")
    assert err == f"Error: {url}: there is no such file; run `clearwatt db upgrade --database {url}`\n"
    assert list(tmp_path.iterdir()) == []


def test_a_database_in_use_is_not_upgraded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(url) as running:
        running.claim()
        code, out, err = said(capsys, "upgrade", "--database", url)
    assert (code, out) == (exits.MISSING, "")
    assert err.startswith(f"Error: {url} is in use by process ")


def test_what_no_migration_made_is_not_upgraded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(url) as database, database.transaction() as connection:
        connection.execute(text("CREATE TABLE somebody_elses (id INTEGER)"))
    code, out, err = said(capsys, "upgrade", "--database", url)
    assert (code, out) == (exits.BAD_INPUT, "")
    assert err == f"Error: {url} holds tables that no migration made: somebody_elses\n"


@pytest.mark.parametrize("action", ["upgrade", "check"])
def test_other_kinds_of_databases_are_refused(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, action, "--database", "mysql://host/name")
    assert (code, err) == (exits.BAD_INPUT, "Error: mysql: the database must be SQLite or PostgreSQL\n")


def test_the_url_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "upgrade")
    assert code == exits.USAGE
    assert "Missing option '--database'" in err
