"""Bringing a market's contracts onto a chain, and the record that tells others where they stand.

Every contract takes its collaborators as immutables in its constructor. Their addresses are known before any of them
exists, because an address follows from the deployer and its nonce; so there is no wiring step that could be forgotten
or done twice, and the deployment fails unless each contract comes to stand where the others expect it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from chain import abi, artifacts
from chain.account import Account, created_address
from chain.artifacts import Artifact
from chain.contract import GAS_LIMIT, Contract, await_receipt
from chain.errors import DeploymentMismatch
from chain.rpc import Rpc, binary
from settlement import canonical_json
from settlement.errors import SettlementError

FILE: Final = "deployment.json"

AddressBook = Mapping[str, str]

_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """One contract to deploy; `arguments` makes its constructor's arguments once everybody's address is known."""

    name: str
    arguments: Callable[[AddressBook], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Deployed:
    """Where a contract stands, and the hash of its code there."""

    address: str
    runtime_sha256: str


def deploy(
    rpc: Rpc,
    account: Account,
    steps: Sequence[Step],
    load: Callable[[Sequence[str]], Mapping[str, Artifact]] = artifacts.load_all,
) -> dict[str, Deployed]:
    """Deploys the steps in order from one account and checks each; the result is by name, in the same order.

    Raises DeploymentMismatch when a contract's constructor refuses, or it does not stand where it should with the code
    that was compiled; CannotEncode for unfit arguments.
    """
    compiled = load([step.name for step in steps])
    first = account.nonce
    book = {step.name: created_address(account.address, first + place) for place, step in enumerate(steps)}
    return {
        step.name: _deploy(rpc, account, compiled[step.name], book[step.name], step.arguments(book)) for step in steps
    }


@dataclass(frozen=True)
class DeploymentRecord:
    """`deployment.json` (docs/protocol.md, section 12): a market, its chain, its contracts, its first members.

    `block` is that of the last deployment; `config` the market's parameters as a document; `members` by subscriber
    id, with `id` and `roles`; `templates` the ids by `name.vN`.
    """

    market: str
    market_id: bytes
    chain_id: int
    genesis_hash: bytes
    block: int
    evm: str
    vyper: str
    contracts: Mapping[str, Deployed]
    config: Mapping[str, Any]
    config_digest: bytes
    members: Mapping[str, Mapping[str, Any]]
    templates: Mapping[str, bytes]

    def save(self, folder: Path) -> Path:
        """Writes the record into a data folder and returns its path."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        document["contracts"] = {
            name: {"address": made.address, "runtime_sha256": made.runtime_sha256}
            for name, made in self.contracts.items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / FILE
        file.write_bytes(canonical_json.dumps(document))
        return file

    @classmethod
    def load(cls, folder: Path) -> DeploymentRecord:
        """The record of a data folder. Raises DeploymentMismatch, naming the key, for what is no such record."""
        try:
            document = canonical_json.loads((folder / FILE).read_bytes())
        except SettlementError as error:
            raise DeploymentMismatch(f"{FILE}: {error.message}") from error
        names = {field.name for field in fields(cls)}
        if not isinstance(document, dict) or document.keys() != names:
            raise DeploymentMismatch(f"{FILE}: the keys must be {', '.join(sorted(names))}")
        return cls(
            market=_text(document, "market"),
            market_id=_word(document, "market_id"),
            chain_id=_number(document, "chain_id"),
            genesis_hash=_word(document, "genesis_hash"),
            block=_number(document, "block"),
            evm=_text(document, "evm"),
            vyper=_text(document, "vyper"),
            contracts={name: _deployed(name, made) for name, made in _object(document, "contracts").items()},
            config=_object(document, "config"),
            config_digest=_word(document, "config_digest"),
            members=_members(_object(document, "members")),
            templates={name: _word(document["templates"], name) for name in _object(document, "templates")},
        )

    def check(self, rpc: Rpc) -> None:
        """Whether the chain behind `rpc` is the recorded one, with the recorded code at each address.

        Raises DeploymentMismatch at the first difference.
        """
        if (found := rpc.chain_id()) != self.chain_id:
            raise DeploymentMismatch(f"chain id {found}, the record says {self.chain_id}")
        if (genesis := binary(rpc.block(0)["hash"])) != self.genesis_hash:
            raise DeploymentMismatch(f"genesis 0x{genesis.hex()}, the record says 0x{self.genesis_hash.hex()}")
        for name, made in self.contracts.items():
            if hashlib.sha256(rpc.code(made.address)).hexdigest() != made.runtime_sha256:
                raise DeploymentMismatch(f"the code at {made.address} is not the {name} of the record")

    def connect(self, rpc: Rpc, load: Callable[[str], Artifact] = artifacts.load) -> dict[str, Contract]:
        """The contracts by name, ready to call. `check` says whether they are the recorded ones."""
        return {name: Contract(name, made.address, load(name).abi, rpc) for name, made in self.contracts.items()}


def _deploy(rpc: Rpc, account: Account, artifact: Artifact, address: str, arguments: Sequence[object]) -> Deployed:
    inputs: Sequence[abi.Parameter] = next(
        (entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), []
    )
    receipt = await_receipt(rpc, account.send(artifact.bytecode + abi.encode(inputs, arguments), GAS_LIMIT))
    if not receipt.succeeded:
        raise DeploymentMismatch(f"{artifact.name}: the constructor refused its arguments")
    if (receipt.created or "").lower() != address:
        raise DeploymentMismatch(f"{artifact.name} stands at {receipt.created}, its collaborators expect {address}")
    code = rpc.code(address)
    # Immutables are appended to what the compiler made.
    if not artifact.runtime or not code.startswith(artifact.runtime):
        raise DeploymentMismatch(f"the code at {address} is not what {artifact.name} was compiled to")
    return Deployed(address, hashlib.sha256(code).hexdigest())


def _deployed(name: str, value: Any) -> Deployed:
    if not isinstance(value, dict) or value.keys() != {"address", "runtime_sha256"}:
        raise DeploymentMismatch(f"{FILE}: contracts.{name}: address and runtime_sha256 are wanted")
    address, digest = _text(value, "address"), _text(value, "runtime_sha256")
    if not _ADDRESS.fullmatch(address) or not _SHA256.fullmatch(digest):
        raise DeploymentMismatch(f"{FILE}: contracts.{name}: no address or no hash")
    return Deployed(address, digest)


def _members(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    members: dict[str, Mapping[str, Any]] = {}
    for name in document:
        entry = _object(document, name)
        if entry.keys() != {"id", "roles"}:
            raise DeploymentMismatch(f"{FILE}: members.{name}: id and roles are wanted")
        members[name] = {"id": _word(entry, "id"), "roles": _number(entry, "roles")}
    return members


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document[key]
    if not isinstance(value, dict):
        raise DeploymentMismatch(f"{FILE}: {key} must be an object")
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        raise DeploymentMismatch(f"{FILE}: {key} must be text")
    return value


def _number(document: Mapping[str, Any], key: str) -> int:
    value = document[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DeploymentMismatch(f"{FILE}: {key} must be a non-negative integer")
    return value


def _word(document: Mapping[str, Any], key: str) -> bytes:
    value = _text(document, key)
    if not re.fullmatch("0x[0-9a-f]{64}", value, re.ASCII):
        raise DeploymentMismatch(f"{FILE}: {key} must be 32 bytes as 0x and lower-case hex")
    return bytes.fromhex(value[2:])
