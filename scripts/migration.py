"""Writes migrations of the database from the difference between its tables in `store/` and the revisions so far.

Usage: migration.py add "What changes" | migration.py first

`add` writes the next revision; it is to be read and, where rows have to be carried over, completed. `first` replaces
all revisions by one that makes every table: before a first release only, for databases made earlier cannot follow.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from alembic import command

from store.database import Database, load_tables
from store.migrate import MIGRATIONS, alembic_config, upgrade

VERSIONS = MIGRATIONS / "versions"


def main(arguments: Sequence[str]) -> int:
    """Writes the revision and prints its path; returns the process's exit code."""
    load_tables()
    match list(arguments):
        case ["first"]:
            for revision in VERSIONS.glob("*.py"):
                revision.unlink()
            print(written("Every table"))
        case ["add", what]:
            print(written(what))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def written(what: str) -> Path:
    """The next revision, from the tables as they are declared and as the revisions so far make them."""
    VERSIONS.mkdir(exist_ok=True)
    number = f"{len(list(VERSIONS.glob('*.py'))) + 1:04}"
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/database.sqlite") as database:
        if number != "0001":
            upgrade(database)
        with database.transaction() as connection:
            command.revision(alembic_config(connection), what, autogenerate=True, rev_id=number)
    file = next(VERSIONS.glob(f"{number}_*.py"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.lstrip().startswith("# ###")))
    for tool in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        subprocess.run([Path(sys.executable).with_name("ruff"), *tool, file], check=True)
    return file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
