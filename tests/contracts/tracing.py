"""A pytest plugin (`-p tests.contracts.tracing`) that records which way every jump of the contracts went.

Coverage reports made from line numbers lose conditions that span lines, and do not count assertions at all. What the
machine did is in its trace: the lines whose code ran, and for each conditional jump whether it was ever taken and ever
not taken. Constructors are left out (their code is not the deployed code). `scripts/contract_coverage.py` reads it.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boa.environment import Env  # type: ignore[import-untyped]

FOLDER = "CLEARWATT_TRACES"
JUMPI = 0x57

Node = tuple[str, str, int, int, int]
"""File, kind of syntax node, first line, column, last line."""

# By identity of a contract's source map: the map and the code, and the pairs of places that followed each other.
_contracts: dict[int, tuple[dict[int, Any], bytes]] = {}
_steps: dict[int, set[tuple[int, int]]] = {}


def _trace(env: Any, computation: Any, contract: Any = None) -> None:
    if contract is None and computation.msg.code_address:
        contract = env._lookup_contract_fast(computation.msg.code_address)
    if contract is not None and hasattr(contract, "source_map") and not computation.msg.is_create:
        nodes = contract.source_map["pc_raw_ast_map"]
        _contracts.setdefault(id(nodes), (nodes, computation.code._raw_code_bytes))
        places = computation.code._trace
        _steps.setdefault(id(nodes), set()).update(zip(places, [*places[1:], -1], strict=True))
    for child in computation.children:
        if child.msg.code_address != b"":
            _trace(env, child, env._lookup_contract_fast(child.msg.code_address))


def _node(node: Any) -> Node:
    where = str(node.module_node.resolved_path), type(node).__name__
    return (*where, node.lineno, node.col_offset, node.end_lineno)


def _seen() -> Iterator[tuple[Node, bool, set[bool], bool]]:
    """Each node: whether it ran, which ways its jump went, whether it has one."""
    for key, (nodes, code) in _contracts.items():
        ran = {place for place, _ in _steps[key]}
        for place, node in nodes.items():
            if node is None:
                continue
            jumps = place < len(code) and code[place] == JUMPI
            ways = {after == place + 1 for before, after in _steps[key] if before == place} if jumps else set()
            yield _node(node), place in ran, ways, jumps


def pytest_configure(config: pytest.Config) -> None:
    """Turns boa's tracing on, with our recorder."""
    Env._coverage_enabled = True
    Env._trace_computation = _trace


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes what this process saw."""
    folder = Path(os.environ[FOLDER])
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    (folder / f"{worker}.pickle").write_bytes(pickle.dumps(list(_seen())))
