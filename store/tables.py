"""The tables of a record folder: each the columns of one row class, as Parquet and back.

The schema is read off the row class: a value inside it stands for its columns, a tuple is a list, bytes are 32 bytes.
What Python does not say, how wide an integer is kept, goes by the column's name, which means the same in every table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from settlement.units import AMOUNT_BOUND
from store import records
from store.errors import FolderError

R = TypeVar("R")

BYTES = frozenset({"v", "side", "status", "flow", "kind", "reason", "buyer_origin", "seller_origin"})
SMALL = frozenset({"run", "attempt", "version", "buyer_run", "seller_run"})
MONEY = frozenset({"amount", "keep", "closed", "acknowledged"})
RATES = "rates"
RATE_STORAGE_BOUND = 10**38


@dataclass(frozen=True, slots=True)
class Kind:
    """How one value is kept: its Arrow type, from Python, back to Python. The functions raise ValueError."""

    arrow: pa.DataType
    store: Callable[[Any], Any]
    load: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `path` leads from the row to its value."""

    name: str
    kind: Kind
    path: tuple[str, ...]


@dataclass(frozen=True)
class Table(Generic[R]):
    """A table of rows of class `row`, kept in `<name>.parquet`."""

    name: str
    row: type[R]

    @property
    def file(self) -> str:
        """The file's name inside its folder."""
        return f"{self.name}.parquet"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns in order."""
        return tuple(_columns(self.row, ()))

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema; no column may be null."""
        return pa.schema([pa.field(column.name, column.kind.arrow, nullable=False) for column in self.columns])

    def to_arrow(self, rows: Sequence[R]) -> pa.Table:
        """The rows as columns. Raises FolderError for a value that its column does not hold."""
        return pa.table([self._stored(column, rows) for column in self.columns], schema=self.schema)

    def from_arrow(self, table: pa.Table) -> tuple[R, ...]:
        """The rows of a table in this schema. Raises FolderError for another schema and for values out of bounds."""
        self._check_schema(table.schema)
        loaded = {column.path: self._loaded(column, table.column(column.name)) for column in self.columns}
        return tuple(_built(self.row, (), loaded, table.num_rows))

    def _stored(self, column: Column, rows: Sequence[R]) -> pa.Array:
        values = []
        for line, row in enumerate(rows, 1):
            value: Any = row
            for step in column.path:
                value = getattr(value, step)
            values.append(self._converted(column, line, column.kind.store, value))
        return pa.array(values, column.kind.arrow)

    def _loaded(self, column: Column, values: pa.ChunkedArray) -> list[Any]:
        return [
            self._converted(column, line, column.kind.load, value) for line, value in enumerate(values.to_pylist(), 1)
        ]

    def _converted(self, column: Column, line: int, convert: Callable[[Any], Any], value: Any) -> Any:
        try:
            return convert(value)
        except (ValueError, TypeError) as error:
            raise FolderError(self.file, line, column.name, str(error)) from error

    def _check_schema(self, schema: pa.Schema) -> None:
        if schema.names != self.schema.names:
            expected = ", ".join(self.schema.names)
            raise FolderError(self.file, 0, "", f"its columns are {', '.join(schema.names)}, expected {expected}")
        for found, expected in zip(schema, self.schema, strict=True):
            if found.type != expected.type:
                raise FolderError(self.file, 0, found.name, f"is {found.type}, expected {expected.type}")


def _columns(row: type, path: tuple[str, ...]) -> Iterator[Column]:
    hints = get_type_hints(row)
    for field in fields(row):
        hint, here = hints[field.name], (*path, field.name)
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _columns(hint, here)
        else:
            yield Column(field.name, _kind(field.name, hint), here)


def _built(row: type, path: tuple[str, ...], loaded: Mapping[tuple[str, ...], list[Any]], count: int) -> Iterator[Any]:
    """`count` values of class `row`, whose fields' values stand in `loaded` under `path`."""
    hints = get_type_hints(row)
    parts: list[Iterator[Any]] = []
    for field in fields(row):
        here = (*path, field.name)
        nested = hints[field.name]
        parts.append(iter(loaded[here]) if here in loaded else _built(nested, here, loaded, count))
    return (row(*values) for values in zip(*parts, strict=True))


def _kind(name: str, hint: Any) -> Kind:
    if get_origin(hint) is tuple:
        return _list_of(_kind(name, get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct_of(hint)
    if hint is bytes:
        return _HASH
    if hint is str:
        return _TEXT
    if name in MONEY:
        return _AMOUNT
    if name == RATES:
        return _RATE
    if name in BYTES:
        return _BYTE
    return _SMALL if name in SMALL else _LARGE


def _list_of(item: Kind) -> Kind:
    return Kind(
        pa.list_(pa.field("element", item.arrow, nullable=False)),
        lambda values: [item.store(value) for value in values],
        lambda values: tuple(item.load(value) for value in _present(values)),
    )


def _struct_of(row: type) -> Kind:
    columns = tuple(_columns(row, ()))
    return Kind(
        pa.struct([pa.field(column.name, column.kind.arrow, nullable=False) for column in columns]),
        lambda value: {column.name: column.kind.store(getattr(value, column.name)) for column in columns},
        lambda value: row(*(column.kind.load(_present(value)[column.name]) for column in columns)),
    )


def _present(value: Any) -> Any:
    if value is None:
        raise ValueError("is null")
    return value


def _integer(bound: int) -> Callable[[Any], int]:
    def checked(value: Any) -> int:
        number = int(_present(value))
        if not 0 <= number < bound:
            raise ValueError(f"{number} is outside 0 to {bound - 1}")
        return number

    return checked


def _decimal(bound: int) -> Kind:
    checked = _integer(bound)
    return Kind(pa.decimal128(38, 0), lambda value: Decimal(checked(value)), checked)


def _word(value: Any) -> bytes:
    if len(_present(value)) != 32:
        raise ValueError(f"{len(value)} bytes, expected 32")
    return bytes(value)


_HASH = Kind(pa.binary(32), _word, _word)
_TEXT = Kind(pa.string(), _present, _present)
_BYTE = Kind(pa.int32(), _integer(1 << 8), _integer(1 << 8))
_SMALL = Kind(pa.int32(), _integer(1 << 31), _integer(1 << 31))
_LARGE = Kind(pa.int64(), _integer(1 << 63), _integer(1 << 63))
_AMOUNT = _decimal(AMOUNT_BOUND)
_RATE = _decimal(RATE_STORAGE_BOUND)  # a trade whose rate is beyond its bound must be storable to be refused


COMMITMENTS = Table("commitments", records.RecordedCommitment)
LOCKS = Table("locks", records.RecordedLock)
TRADES = Table("trades", records.PlacedTrade)
CURTAILMENTS = Table("curtailments", records.RecordedCurtailment)
READINGS = Table("readings", records.RecordedReading)
ALLOCATIONS = Table("allocations", records.PostedAllocation)
ALLOCATION_LEAVES = Table("allocation_leaves", records.RecordedLeaf)
MARKS = Table("marks", records.RecordedMark)
FLOW_LEAVES = Table("flow_leaves", records.RecordedFlow)
ROWS = Table("rows", records.SettledRow)
CLAIMS = Table("claims", records.RecordedClaim)
OBLIGATIONS = Table("obligations", records.RecordedObligation)
NOTICES = Table("notices", records.RecordedNotice)

CYCLE_TABLES: tuple[Table[Any], ...] = (
    COMMITMENTS,
    LOCKS,
    TRADES,
    CURTAILMENTS,
    READINGS,
    ALLOCATIONS,
    ALLOCATION_LEAVES,
    MARKS,
    FLOW_LEAVES,
    ROWS,
    CLAIMS,
)
TABLES: Mapping[str, Table[Any]] = MappingProxyType(
    {table.name: table for table in (*CYCLE_TABLES, OBLIGATIONS, NOTICES)}
)
