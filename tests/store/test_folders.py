"""Run folders: where they lie, `cycle.json`, and the manifest over every other file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from settlement import canonical_json
from settlement.config import Config, code
from store.errors import FolderError
from store.folders import (
    CYCLE,
    MANIFEST,
    CycleRecord,
    check_manifest,
    config_document,
    config_from_document,
    read_cycle,
    run_folder,
    run_folders,
    write_cycle,
    write_manifest,
)

RECORD = CycleRecord(
    market="test-market",
    market_id=bytes(range(32)),
    chain_id=31337,
    cycle=20_000,
    run=1,
    config=Config(rails=(code("UPI"),), payable_unit=1 << 60),
    config_digest=Config().digest(),
    inputs=(b"\1" * 32, b"\2" * 32),
    end=1_800_000_000,
)


def test_cycle_record_comes_back(tmp_path: Path) -> None:
    write_cycle(tmp_path, RECORD)
    assert read_cycle(tmp_path) == RECORD


def test_config_of_a_document_has_the_digest_of_what_was_written() -> None:
    document = canonical_json.loads(canonical_json.dumps(config_document(RECORD.config)))
    assert config_from_document("file", document).digest() == RECORD.config.digest()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cycle", -1, "must be a non-negative integer"),
        ("cycle", True, "must be a non-negative integer"),
        ("market_id", "0x00", "must be 32 bytes"),
        ("inputs", "0x", "must be a list"),
        ("market", 1, "must be text"),
        ("extra", 1, "is unknown"),
        ("config", {}, "is missing"),
    ],
)
def test_reading_names_the_key_it_refuses(key: str, value: canonical_json.Json, message: str, tmp_path: Path) -> None:
    write_cycle(tmp_path, RECORD)
    document = canonical_json.loads((tmp_path / CYCLE).read_bytes())
    (tmp_path / CYCLE).write_bytes(canonical_json.dumps({**document, key: value}))
    with pytest.raises(FolderError, match=message) as caught:
        read_cycle(tmp_path)
    assert caught.value.file == CYCLE
    assert caught.value.field == (key if key != "config" else "allocation_rule")


def test_a_record_that_is_not_canonical_is_refused(tmp_path: Path) -> None:
    write_cycle(tmp_path, RECORD)
    (tmp_path / CYCLE).write_bytes((tmp_path / CYCLE).read_bytes() + b"\n")
    with pytest.raises(FolderError, match="not canonical"):
        read_cycle(tmp_path)


def test_run_folders_come_by_cycle_and_run(tmp_path: Path) -> None:
    for cycle, run in ((10, 0), (9, 1), (9, 0)):
        write_cycle(run_folder(tmp_path, cycle, run), replace(RECORD, cycle=cycle, run=run))
    assert [folder.relative_to(tmp_path / "cycles").as_posix() for folder in run_folders(tmp_path)] == [
        "9/run-0",
        "9/run-1",
        "10/run-0",
    ]
    (tmp_path / "cycles" / "9" / "notes").mkdir()
    with pytest.raises(FolderError, match="is no run of a cycle"):
        run_folders(tmp_path)


def test_no_folder_is_no_run(tmp_path: Path) -> None:
    assert run_folders(tmp_path) == ()


def test_manifest_tells_every_difference(tmp_path: Path) -> None:
    write_cycle(tmp_path, RECORD)
    (tmp_path / "a.parquet").write_bytes(b"a")
    (tmp_path / "b.parquet").write_bytes(b"b")
    write_manifest(tmp_path, 20_000, 1)
    assert check_manifest(tmp_path) == ()

    (tmp_path / "a.parquet").write_bytes(b"A")
    (tmp_path / "b.parquet").rename(tmp_path / "c.parquet")
    assert [(fault.file, fault.message.split(",")[0]) for fault in check_manifest(tmp_path)] == [
        ("b.parquet", "is missing"),
        ("c.parquet", "is not in the manifest"),
        ("a.parquet", f"is {'559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd'}"),
    ]


def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b'{"cycle":1,"files":[],"run":0}')
    with pytest.raises(FolderError, match="must be an object"):
        check_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"{}")
    with pytest.raises(FolderError, match="cycle: is missing"):
        check_manifest(tmp_path)
