"""Migrations make exactly the tables that the code declares, and a database that has others is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, inspect, text

from store import migrate
from store.database import Database, load_tables
from store.errors import DatabaseUnfit, DatabaseUnreachable
from store.schema import metadata

ROOT = Path(__file__).resolve().parents[2]
UPGRADE = "run `clearwatt db upgrade --database {}`"


def differences(database: Database) -> list[object]:
    """What Alembic would change to get from the database's tables to the declared ones."""
    load_tables()
    with database.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def tables(database: Database) -> set[str]:
    """The names of the tables."""
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_migrations_make_what_the_code_declares(database_url: str) -> None:
    with Database(database_url) as database:
        assert migrate.upgrade(database) == migrate.head()
        assert migrate.check(database) == migrate.head()
        assert tables(database) == {*metadata.tables, "alembic_version"}
        assert differences(database) == []


def test_a_difference_would_be_found(database_url: str) -> None:
    with Database(database_url) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            connection.execute(text("ALTER TABLE desk_facts ADD COLUMN more INTEGER"))
            connection.execute(text("DROP INDEX ix_desk_places_cycle"))
        found = [item[0] for item in differences(database) if isinstance(item, tuple)]
        assert sorted(found) == ["add_index", "remove_column"]


def test_migrations_make_the_same_constraints_as_tests_run_on(database_url: str) -> None:
    """Alembic compares neither primary keys nor checks, and references only by their columns."""
    with Database(database_url) as database:
        migrate.upgrade(database)
        migrated = constraints(database)
        with database.transaction() as connection:
            metadata.drop_all(connection)
        database.create()
        assert migrated == constraints(database)


def constraints(database: Database) -> dict[str, object]:
    """Keys, references and checks of every table."""
    with database.reading() as connection:
        found = inspect(connection)
        return {
            name: (
                found.get_pk_constraint(name),
                sorted(map(str, found.get_foreign_keys(name))),
                sorted(map(str, found.get_unique_constraints(name))),
                sorted(map(str, found.get_check_constraints(name))),
                [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
            )
            for name in sorted(metadata.tables)
        }


def test_every_file_of_the_room_that_has_tables_is_listed() -> None:
    script = (
        "import importlib, sys\n"
        "from store.database import load_tables\n"
        "from store.schema import metadata\n"
        "load_tables()\n"
        "listed = set(metadata.tables)\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*sorted(set(metadata.tables) - listed))\n"
    )
    files = [f"store.{file.stem}" for file in sorted((ROOT / "store").glob("*.py"))]
    ran = subprocess.run([sys.executable, "-c", script, *files], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_down_and_up_again(database_url: str) -> None:
    with Database(database_url) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            command.downgrade(migrate.alembic_config(connection), "base")
        assert tables(database) == {"alembic_version"}
        migrate.upgrade(database)
        assert differences(database) == []


def test_upgrading_again_keeps_what_is_there(database_url: str) -> None:
    with Database(database_url) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            connection.execute(text("INSERT INTO desk_facts VALUES ('kind', 'key', '1')"))
        migrate.upgrade(database)
        with database.reading() as connection:
            assert connection.execute(text("SELECT key FROM desk_facts")).all() == [("key",)]


def test_a_failed_upgrade_leaves_nothing(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, broken)
    (revision,) = (broken / "versions").glob("0001_*.py")
    revision.write_text(
        revision.read_text().replace("\n\n\ndef downgrade", "\n    raise InterruptedError\n\n\ndef downgrade")
    )
    with Database(database_url) as database:
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "MIGRATIONS", broken)
            with pytest.raises(InterruptedError):
                migrate.upgrade(database)
        assert tables(database) == set()
        migrate.upgrade(database)
        assert differences(database) == []


# --- refusals ---


def test_a_database_without_tables_is_refused(database_url: str) -> None:
    with Database(database_url) as database:
        with database.transaction():  # makes the file
            pass
        with pytest.raises(DatabaseUnfit) as refused:
            migrate.check(database)
        assert str(refused.value) == f"{database.name} has no tables yet; {UPGRADE.format(database.name)}"


def test_another_revision_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(database_url) as database:
        migrate.upgrade(database)
        current = migrate.head()
        monkeypatch.setattr(migrate, "head", lambda: "9999")
        with pytest.raises(DatabaseUnfit) as refused:
            migrate.check(database)
        assert str(refused.value) == (
            f"{database.name} is at revision {current}, this program needs 9999; {UPGRADE.format(database.name)}"
        )


def test_a_database_of_a_newer_program_is_refused(database_url: str) -> None:
    with Database(database_url) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        for use in (migrate.check, migrate.upgrade):
            with pytest.raises(DatabaseUnfit, match="at revision 9999, which this program does not know: a newer one"):
                use(database)


def test_tables_that_no_migration_made_are_refused_and_left_alone(database_url: str) -> None:
    foreign = Table("somebody_elses", MetaData(), Column("id", Integer))
    with Database(database_url) as database:
        with database.transaction() as connection:
            foreign.create(connection)
        for use in (migrate.check, migrate.upgrade):
            with pytest.raises(DatabaseUnfit, match="holds tables that no migration made: somebody_elses"):
                use(database)
        assert tables(database) == {"somebody_elses"}


def test_checking_a_missing_file_does_not_make_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/file")
    with pytest.raises(DatabaseUnreachable, match="there is no such file; run `clearwatt db upgrade"):
        migrate.check(database)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite:///{}/missing/file", "postgresql://me:secret@127.0.0.1:1/name"])
def test_what_cannot_be_reached_is_told_in_one_line_without_passwords(url: str, tmp_path: Path) -> None:
    with Database(url.format(tmp_path)) as database, pytest.raises(DatabaseUnreachable) as refused:
        migrate.upgrade(database)
    assert "cannot be used: " in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
