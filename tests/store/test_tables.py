"""Every table of a record folder: rows out and back, the schema of the protocol page, refusals with their place."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import tables
from store.errors import FolderError
from store.folders import read_table, write_table
from store.tables import TABLES, Table

WORDS = st.binary(min_size=32, max_size=32)


def values_of(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Any value that the column `name` holds."""
    if get_origin(hint) is tuple:
        return st.lists(values_of(name, get_args(hint)[0]), max_size=3).map(tuple)
    if is_dataclass(hint):
        return rows_of(hint)
    if hint is bytes:
        return WORDS
    if hint is str:
        return st.text(max_size=12)
    if name == tables.RATES:
        return st.integers(0, tables.RATE_STORAGE_BOUND - 1)
    if name in tables.MONEY:
        return st.integers(0, (1 << 96) - 1)
    bits = 8 if name in tables.BYTES else 31 if name in tables.SMALL else 63
    return st.integers(0, (1 << bits) - 1)


def rows_of(row: Any) -> st.SearchStrategy[Any]:
    """Any value of a row class, nested values included."""
    hints = get_type_hints(row)
    return st.builds(row, *(values_of(field.name, hints[field.name]) for field in fields(row)))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_rows_come_back_and_make_the_same_bytes(table: Table[Any], tmp_path: Path) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(rows=st.lists(rows_of(table.row), max_size=5))
    def check(rows: list[Any]) -> None:
        file = write_table(tmp_path, table, rows)
        first = file.read_bytes()
        assert read_table(tmp_path, table) == tuple(rows)
        assert write_table(tmp_path, table, read_table(tmp_path, table)).read_bytes() == first

    check()


def test_columns_are_those_of_the_protocol_page() -> None:
    assert {name: table.schema.names for name, table in TABLES.items()} == {
        name: columns.split() for name, columns in COLUMNS.items()
    }


COLUMNS = {
    "commitments": "number cycle platform_a platform_b sequence earliest_slot count root committed_at",
    "locks": "number payer payee amount",
    "trades": (
        "digest trade_id template buyer_platform seller_platform buyer_utility seller_utility grid_operator "
        "market_agent buyer_meter seller_meter slot_start slot_end contracted_wh traded_at valid_until rates "
        "order_hash salt number index path signatures"
    ),
    "curtailments": "number index trade_digest contracted_wh reason recorded_at",
    "readings": "run utility meter meter_id salt slot_start slot_end direction wh raw_kwh quality",
    "allocations": "run attempt utility root count config_digest v r s posted_at",
    "allocation_leaves": (
        "run utility position trade_digest commitment index side meter slot_start contracted_wh contracted_before "
        "meter_wh contracted_total_wh status allocated_wh salt"
    ),
    "marks": "kind run utility meter slot_start side trade_digest wh recorded_at",
    "flow_leaves": "payer payee position trade_digest flow settled_wh amount salt",
    "rows": (
        "cycle run version payer payee amount count root keep inputs digest way signatures attestation_mask applied_at"
    ),
    "claims": (
        "cycle run trade_digest settled_wh buyer_origin buyer_run seller_origin seller_run claimed_at flows "
        "applied_at struck_at"
    ),
    "obligations": "number debtor creditor amount closed due_at fell_due_at",
    "notices": ("debtor creditor obligations amount rail value_date reference_hash v r s acknowledged acknowledged_at"),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_storage_types_are_those_of_the_protocol_page(table: Table[Any], tmp_path: Path) -> None:
    schema = pq.read_schema(write_table(tmp_path, table, []))
    types = {pa.binary(32), pa.int64(), pa.int32(), pa.decimal128(38, 0), pa.string()}
    for field in schema:
        leaves = [field.type.value_type] if pa.types.is_list(field.type) else [field.type]
        if pa.types.is_struct(leaves[0]):
            leaves = [leaves[0].field(i).type for i in range(leaves[0].num_fields)]
        assert set(leaves) <= types, field
        assert not field.nullable
    assert pa.types.is_decimal(schema.field("amount").type) if "amount" in schema.names else True


OBLIGATION = tables.records.RecordedObligation(1, bytes(31) + b"\1", bytes(31) + b"\2", 7, 0, 1, 2)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"amount": 1 << 96}, "amount", "is outside 0 to"),
        ({"amount": -1}, "amount", "-1 is outside 0 to"),
        ({"due_at": 1 << 63}, "due_at", "is outside 0 to"),
        ({"debtor": b"short"}, "debtor", "5 bytes, expected 32"),
        ({"creditor": None}, "creditor", "is null"),
    ],
)
def test_writing_refuses_what_a_column_does_not_hold(
    change: dict[str, Any], field: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(FolderError, match=message) as caught:
        write_table(tmp_path, tables.OBLIGATIONS, [OBLIGATION, replace(OBLIGATION, **change)])
    assert (caught.value.file, caught.value.line, caught.value.field) == ("obligations.parquet", 2, field)


def rewritten(folder: Path, change: Any) -> None:
    """Writes the table again after `change`, as another program might."""
    file = write_table(folder, tables.OBLIGATIONS, [OBLIGATION, OBLIGATION])
    pq.write_table(change(pq.read_table(file)), file)


def test_reading_names_row_and_column_of_a_negative_value(tmp_path: Path) -> None:
    rewritten(tmp_path, lambda table: table.set_column(5, "due_at", pa.array([1, -1])))
    with pytest.raises(FolderError, match=r"obligations\.parquet:2:due_at: -1 is outside") as caught:
        read_table(tmp_path, tables.OBLIGATIONS)
    assert (caught.value.line, caught.value.field) == (2, "due_at")


def test_reading_names_row_and_column_of_a_null(tmp_path: Path) -> None:
    rewritten(tmp_path, lambda table: table.set_column(5, "due_at", pa.array([None, 1], pa.int64())))
    with pytest.raises(FolderError, match=r"obligations\.parquet:1:due_at: is null"):
        read_table(tmp_path, tables.OBLIGATIONS)


def test_reading_refuses_another_schema(tmp_path: Path) -> None:
    rewritten(tmp_path, lambda table: table.drop_columns(["closed"]))
    with pytest.raises(FolderError, match="its columns are number, debtor, creditor, amount, due_at"):
        read_table(tmp_path, tables.OBLIGATIONS)
    rewritten(tmp_path, lambda table: table.set_column(5, "due_at", pa.array([1, 1], pa.int32())))
    with pytest.raises(FolderError, match=r"obligations\.parquet:due_at: is int32, expected int64"):
        read_table(tmp_path, tables.OBLIGATIONS)


def test_reading_refuses_what_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "obligations.parquet").write_bytes(b"number,debtor")
    with pytest.raises(FolderError, match="is no Parquet file"):
        read_table(tmp_path, tables.OBLIGATIONS)
    (tmp_path / "obligations.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path, tables.OBLIGATIONS)
