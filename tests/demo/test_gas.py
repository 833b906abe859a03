"""The gas table: calls of one kind together, divided by what they carry."""

from __future__ import annotations

from typing import Any

from demo.calls import Call
from demo.gas import gas_table


def _call(function: str, gas: int, **arguments: Any) -> Call:
    return Call("Contract", function, arguments, "0x" + "00" * 20, gas)


def test_operations_are_told_apart_by_what_they_carry() -> None:
    calls = [
        _call("commit_batch", 100_000, signatures=[1, 2], batch={"locks": []}),
        _call("commit_batch", 180_000, signatures=[1, 2], batch={"locks": [1, 2]}),
        _call("commit_batch", 104_000, signatures=[1, 2], batch={"locks": []}),
        _call("commit_batch", 120_000, signatures=[1, 2], batch={"locks": []}),
        _call("attest", 131_000, mask=0b1011),
        _call("register_trade", 200_000, signatures=[1] * 4, locks=[1]),
    ]
    table = {line.pop("operation"): line for line in gas_table(calls, 4)}
    assert table == {
        "attest a row, 3 of 4": {"count": 1, "median": 131_000, "max": 131_000, "target": 130_000},
        "commit a batch, 2 signatures, 0 locks": {"count": 3, "median": 104_000, "max": 120_000, "target": 105_000},
        "commit a batch, 2 signatures, 2 locks": {"count": 1, "median": 180_000, "max": 180_000, "target": None},
        "register a trade, 4 signatures, 1 lock": {"count": 1, "median": 200_000, "max": 200_000, "target": None},
    }


def test_rows_and_leaves_divide_the_gas_of_their_call() -> None:
    calls = [_call("settle", 120_000, rows=[1, 2, 3]), _call("publish", 9_000, leaves=[1, 2])]
    assert [(line["operation"], line["median"]) for line in gas_table(calls, 4)] == [
        ("publish leaves, a leaf", 4_500),
        ("settle agreed rows, a row", 40_000),
    ]


def test_what_the_council_does_is_no_part_of_it() -> None:
    assert gas_table([_call("admit", 1), _call("set_attestors", 1)], 4) == []
