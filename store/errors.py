"""The error family of what is remembered."""

from __future__ import annotations


class StoreError(ValueError):
    """What is stored cannot be read as what it should be."""


class FolderError(StoreError):
    """A file of a record folder is not as `docs/protocol.md`, section 11, says.

    `line` is the row's number from 1, or 0 where the whole file is meant; `field` is the column or key, empty where
    no single one is meant.
    """

    def __init__(self, file: str, line: int, field: str, message: str) -> None:
        place = ":".join(str(part) for part in (file, line or "", field) if part != "")
        super().__init__(f"{place}: {message}")
        self.file = file
        self.line = line
        self.field = field
        self.message = message


class DatabaseUnfit(Exception):
    """The database is of a kind, or in a state, that this program cannot work with."""


class IndexOutrun(Exception):
    """The index is no longer where its follower left it: another one follows into the same database."""


class DatabaseUnreachable(DatabaseUnfit):
    """The database is not there, cannot be opened, or another process works with it."""
