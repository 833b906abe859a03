"""Chains for tests, without what slows them down the longer a process runs."""

from __future__ import annotations

from typing import Any

import boa  # type: ignore[import-untyped]
from boa.contracts.vyper.vyper_contract import StorageModel  # type: ignore[import-untyped]

SHA3, SSTORE = 0x20, 0x55


def own_chain() -> Any:
    """A chain with nothing on it, which is quicker than one that many tests have deployed on: at each call the EVM goes
    through all accounts of its chain that ever stored anything.

    To say of a refused call what its contract stores, titanoboa notes every word that is stored on any chain, for all
    chains of the process: nobody reads that, so it is not noted.
    """
    chain = boa.Env()
    opcodes = chain.evm.vm.state.computation_class.opcodes
    while hasattr(opcodes[SHA3], "sha3"):
        opcodes[SHA3] = opcodes[SHA3].sha3
    while hasattr(opcodes[SSTORE], "sstore"):
        opcodes[SSTORE] = opcodes[SSTORE].sstore
    StorageModel.dump = dict
    return chain
