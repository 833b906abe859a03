"""What auditors get of a scene: the deployment record, the runs' folders, obligations and notices."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.findings import Verdict
from audit.verify import audit
from chain.deployment import Deployed, DeploymentRecord
from settlement import canonical_json
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY
from store import tables
from store.folders import CycleRecord, config_document, run_folder, write_cycle, write_manifest, write_table
from tests.audit.fake_chain import (
    ADDRESSES,
    CHAIN_ID,
    CONFIG,
    CYCLE,
    DEPLOYED_IN_BLOCK,
    END,
    GENESIS,
    IDS,
    MARKET,
    ROLES,
    load,
    runtime,
)
from tests.audit.scene import Scene


def deployment_record(scene: Scene) -> DeploymentRecord:
    """The deployment record."""
    return DeploymentRecord(
        market=MARKET,
        market_id=scene.domain.market_id,
        chain_id=CHAIN_ID,
        genesis_hash=GENESIS,
        block=DEPLOYED_IN_BLOCK,
        evm="london",
        vyper="0.4.3",
        contracts={
            name: Deployed(address, hashlib.sha256(runtime(name)).hexdigest()) for name, address in ADDRESSES.items()
        },
        config=canonical_json.loads(canonical_json.dumps(config_document(CONFIG))),
        config_digest=CONFIG.digest(),
        members={f"{name}.example": {"id": IDS[name], "roles": int(roles)} for name, roles in ROLES.items()},
        templates={one.title: one.template_id for one in (FIXED_PRICE_SETTLED, INTER_UTILITY)},
    )


def write_folder(scene: Scene, data: Path) -> None:
    """The data folder."""
    for run in (0, 1):
        folder = run_folder(data, CYCLE, run)
        inputs = tuple(scene.inputs[: run + 1])
        write_cycle(
            folder,
            CycleRecord(MARKET, scene.domain.market_id, CHAIN_ID, CYCLE, run, CONFIG, CONFIG.digest(), inputs, END),
        )
        rows: dict[tables.Table[Any], Sequence[Any]] = {
            tables.COMMITMENTS: scene.commitments,
            tables.LOCKS: scene.locks,
            tables.TRADES: scene.placed,
            tables.CURTAILMENTS: scene.curtailments,
            tables.READINGS: [one for earlier in range(run + 1) for one in scene.readings[earlier]],
            tables.ALLOCATIONS: [one for one in scene.posted if one.run <= run],
            tables.ALLOCATION_LEAVES: [one for one in scene.leaves if one.run <= run],
            tables.MARKS: [one for one in scene.marks if one.run <= run],
            tables.FLOW_LEAVES: scene.flows[run],
            tables.ROWS: scene.rows[run],
            tables.CLAIMS: scene.claims[run],
        }
        for table, content in rows.items():
            write_table(folder, table, content)
        write_manifest(folder, CYCLE, run)
    write_table(data, tables.OBLIGATIONS, scene.obligations)
    write_table(data, tables.NOTICES, scene.notices)


def verdict_of(scene: Scene, data: Path) -> Verdict:
    """The audit of a folder against the scene's chain."""
    return audit(data, deployment_record(scene), scene.chain, load)
