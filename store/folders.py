"""Record folders on disk (`docs/protocol.md`, section 11): a run of a cycle, complete in itself, as plain files.

The same rows make the same bytes, so a folder can be compared by hash. A member's own folder and the packet that
attestors get use the same tables with what they may see.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from settlement import canonical_json
from settlement.config import Config
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from store.errors import FolderError
from store.tables import Table

R = TypeVar("R")

MANIFEST = "manifest.json"
CYCLE = "cycle.json"

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """`cycle.json`: which market, cycle and run a folder is of, under which parameters, and its sealed inputs.

    `inputs` are those of every run so far, `end` is E, epoch seconds.
    """

    market: str
    market_id: Hash32
    chain_id: int
    cycle: int
    run: int
    config: Config
    config_digest: Hash32
    inputs: tuple[Hash32, ...]
    end: int


def run_folder(data: Path, cycle: int, run: int) -> Path:
    """Where run `run` of a cycle is kept under a data folder."""
    return data / "cycles" / str(cycle) / f"run-{run}"


def run_folders(data: Path) -> tuple[Path, ...]:
    """The run folders under a data folder, by cycle and run. Other names in between raise FolderError."""
    found: list[tuple[int, int, Path]] = []
    for cycle in _children(data / "cycles"):
        for run in _children(cycle):
            if not (re.fullmatch("[0-9]+", cycle.name) and re.fullmatch("run-[0-9]+", run.name)):
                raise FolderError(str(run.relative_to(data)), 0, "", "is no run of a cycle")
            found.append((int(cycle.name), int(run.name.removeprefix("run-")), run))
    return tuple(folder for _, _, folder in sorted(found))


def write_table(folder: Path, table: Table[R], rows: Sequence[R]) -> Path:
    """Writes the rows as `<table>.parquet` and returns its path; the same rows make the same bytes.

    Raises FolderError for a value that its column does not hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / table.file
    pq.write_table(table.to_arrow(rows), file, compression="zstd", store_schema=False)
    return file


def read_table(folder: Path, table: Table[R]) -> tuple[R, ...]:
    """The rows of `<table>.parquet` in order.

    Raises FolderError (row number from 1 and column) for another schema, values out of bounds and what is no Parquet,
    FileNotFoundError where the file is missing.
    """
    return table.from_arrow(read_columns(folder, table))


def read_columns(folder: Path, table: Table[Any]) -> pa.Table:
    """The same as Arrow columns, unchecked, for those who compute on columns."""
    file = folder / table.file
    if not file.is_file():
        raise FileNotFoundError(file)
    try:
        return pq.ParquetFile(file).read()
    except (pa.ArrowException, OSError) as error:
        raise FolderError(table.file, 0, "", f"is no Parquet file: {error}") from error


def write_cycle(folder: Path, record: CycleRecord) -> None:
    """Writes `cycle.json`."""
    document = {field.name: getattr(record, field.name) for field in fields(record)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CYCLE).write_bytes(canonical_json.dumps({**document, "config": config_document(record.config)}))


def read_cycle(folder: Path) -> CycleRecord:
    """The record in `cycle.json`. Raises FolderError, naming the key, and FileNotFoundError."""
    document = _document(folder / CYCLE)
    reader = _Reader(CYCLE, document, {field.name for field in fields(CycleRecord)})
    config = config_from_document(CYCLE, document["config"])
    return CycleRecord(
        market=reader.text("market"),
        market_id=reader.word("market_id"),
        chain_id=reader.integer("chain_id"),
        cycle=reader.integer("cycle"),
        run=reader.integer("run"),
        config=config,
        config_digest=reader.word("config_digest"),
        inputs=reader.words("inputs"),
        end=reader.integer("end"),
    )


def config_document(config: Config) -> dict[str, canonical_json.Json]:
    """A market's parameters as JSON: words as hex, the payable unit (money) as text, everything else as numbers."""
    document: dict[str, Any] = {field.name: getattr(config, field.name) for field in fields(config)}
    return {**document, "payable_unit": str(config.payable_unit)}


def config_from_document(file: str, document: Any) -> Config:
    """The parameters back from JSON. Raises FolderError that names `file` and the key."""
    reader = _Reader(file, document, {field.name for field in fields(Config)})
    values: dict[str, Any] = {}
    for field in fields(Config):
        match field.name:
            case "currency":
                values[field.name] = reader.word(field.name)
            case "rails":
                values[field.name] = reader.words(field.name)
            case "run_deadlines":
                values[field.name] = reader.integers(field.name)
            case "payable_unit":
                values[field.name] = reader.amount(field.name)
            case _:
                values[field.name] = reader.integer(field.name)
    return Config(**values)


def write_manifest(folder: Path, cycle: int, run: int) -> None:
    """Writes `manifest.json` over every other file of the folder."""
    hashes: canonical_json.Json = _hashes(folder)
    (folder / MANIFEST).write_bytes(canonical_json.dumps({"cycle": cycle, "run": run, "files": hashes}))


def check_manifest(folder: Path) -> tuple[FolderError, ...]:
    """Every way in which the folder differs from its manifest; none where it is whole.

    Raises FolderError where the manifest itself cannot be read, FileNotFoundError where there is none.
    """
    document = _document(folder / MANIFEST)
    reader = _Reader(MANIFEST, document, {"cycle", "run", "files"})
    reader.integer("cycle")
    reader.integer("run")
    listed = document["files"]
    if not isinstance(listed, Mapping):
        raise FolderError(MANIFEST, 0, "files", "must be an object of hashes")
    found = _hashes(folder)
    faults = [FolderError(name, 0, "", "is missing") for name in sorted(listed.keys() - found.keys())]
    faults += [FolderError(name, 0, "", "is not in the manifest") for name in sorted(found.keys() - listed.keys())]
    faults += [
        FolderError(name, 0, "sha256", f"is {found[name]}, the manifest says {listed[name]}")
        for name in sorted(found.keys() & listed.keys())
        if found[name] != listed[name]
    ]
    return tuple(faults)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _children(folder)
        if file.name != MANIFEST and file.is_file()
    }


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _document(file: Path) -> Any:
    raw = file.read_bytes()
    try:
        return canonical_json.loads(raw)
    except SettlementError as error:
        raise FolderError(file.name, 0, "", error.message) from error


class _Reader:
    """Typed access to the keys of a JSON object; refusals name file and key."""

    def __init__(self, file: str, document: Any, keys: set[str]) -> None:
        if not isinstance(document, Mapping):
            raise FolderError(file, 0, "", "must be a JSON object")
        for key in sorted(keys ^ document.keys()):
            raise FolderError(file, 0, key, "is missing" if key in keys else "is unknown")
        self._file = file
        self._document = document

    def integer(self, key: str) -> int:
        """A non-negative integer."""
        return self._number(key, self._document[key])

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of them."""
        return tuple(self._number(key, value) for value in self._list(key))

    def amount(self, key: str) -> int:
        """An amount of money, written as decimal text."""
        text = self.text(key)
        if not re.fullmatch("0|[1-9][0-9]{0,38}", text, re.ASCII):
            raise self._refusal(key, "must be an amount as decimal text")
        return int(text)

    def text(self, key: str) -> str:
        """Text."""
        value = self._document[key]
        if not isinstance(value, str):
            raise self._refusal(key, "must be text")
        return value

    def word(self, key: str) -> Hash32:
        """32 bytes."""
        return self._word(key, self._document[key])

    def words(self, key: str) -> tuple[Hash32, ...]:
        """A list of them."""
        return tuple(self._word(key, value) for value in self._list(key))

    def _list(self, key: str) -> list[Any]:
        value = self._document[key]
        if not isinstance(value, list):
            raise self._refusal(key, "must be a list")
        return value

    def _number(self, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._refusal(key, "must be a non-negative integer")
        return value

    def _word(self, key: str, value: Any) -> Hash32:
        if not isinstance(value, str) or len(value) != 66 or not _HEX.fullmatch(value):
            raise self._refusal(key, "must be 32 bytes as 0x and lower-case hex")
        return bytes.fromhex(value[2:])

    def _refusal(self, key: str, message: str) -> FolderError:
        return FolderError(self._file, 0, key, message)
