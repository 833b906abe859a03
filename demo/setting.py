"""The market's programs set up: keys, configuration, meters and folders for each member, and the command that runs it.

Everything lies under the data folder, `members/<name>/` for a member and `gateway/` for the gateway, so that each can
be looked at, and started again by hand.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo import calendar
from demo.files import write_lines
from demo.homes import Home
from demo.members import GATEWAY, Member, Members, demo_key
from demo.orders import utility_of
from demo.processes import Child
from member.listening import Address
from oracle.meters import METER_COLUMNS
from settlement.config import DAY, HOUR

CONFIG_FILE: Final = "config.toml"
LOG_FILE: Final = "log.jsonl"
POLL_MS: Final = 50
MOST_REQUESTS: Final = 1_000_000
MAIN: Final = "cli.main"
ERRING_DAY: Final = 5
ANSWER_MS: Final = 1_000

# Chain time. Orders come three hours before the day, and its first trades can be committed for four hours more.
BATCH_BEFORE_GATE: Final = 3 * HOUR
ALLOCATE_AFTER: Final = HOUR
ATTEST_AFTER: Final = HOUR
CLAIM_AFTER: Final = 4 * HOUR
CLAIM_NEVER: Final = 60 * DAY
CRANK_DELAY: Final = 10 * 60

Document = Mapping[str, Any]


@dataclass
class Setting:
    """Where everybody is reached and what everybody is told. `lock_percent` of a pair's worst case is locked."""

    data: Path
    rpc_url: str
    members: Members
    homes: Sequence[Home]
    lock_percent: Mapping[frozenset[str], int]
    claimant: str
    addresses: dict[str, Address] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*(member.name for member in self.members.programs), GATEWAY):
            self.addresses[name] = Address()

    def write(self) -> None:
        """Writes keys, meters and configurations of all."""
        for member in self.members.programs:
            self._write_keys(member)
            self.write_config(member)
        for utility in self.members.utilities:
            mine = [home for home in self.homes if utility_of(self.members, home) is utility]
            write_lines(utility.folder / "meters.csv", METER_COLUMNS, ((home.meter_id,) for home in mine))
        _write_key(self.data / GATEWAY / "relayer.key", demo_key("relayer", GATEWAY))
        _write(self.data / GATEWAY / CONFIG_FILE, self._gateway_document())

    def write_config(self, member: Member, early_with: Collection[str] = ()) -> None:
        """Writes a member's configuration; `early_with` names those with whom it signs rows without waiting."""
        _write(member.folder / CONFIG_FILE, self._document(member, early_with))

    def gateway(self) -> Child:
        """The gateway's program."""
        return self._child(GATEWAY, self.data / GATEWAY, self.addresses[GATEWAY], MAIN, "serve")

    def member(self, member: Member) -> Child:
        """A member's program."""
        role = "oracle" if member in self.members.utilities else "platform"
        address = self.addresses[member.name]
        if member is self.members.serving[0]:
            cycle = str(calendar.cycle(ERRING_DAY))
            return self._child(member.name, member.folder, address, "demo.erring", "--cycle", cycle)
        return self._child(member.name, member.folder, address, MAIN, role, "run")

    def close(self) -> None:
        """Gives all addresses back."""
        for address in self.addresses.values():
            address.close()

    def _child(self, name: str, folder: Path, status: Address, module: str, *arguments: str) -> Child:
        config = str((folder / CONFIG_FILE).absolute())
        command = [sys.executable, "-m", module, *arguments, "--config", config]
        return Child(name, command, status, folder / LOG_FILE)

    def _write_keys(self, member: Member) -> None:
        for name in ("hot", "relayer"):
            _write_key(member.folder / f"{name}.key", getattr(member, f"{name}_key"))
        _write_key(member.folder / "salt.key", member.salt_secret)

    def _document(self, member: Member, early_with: Collection[str]) -> Document:
        return {
            "subscriber": member.subscriber,
            "deployment": "../..",
            "database": "sqlite:///desk.db",
            "listen": self.addresses[member.name].listen,
            "gateway": self.addresses[GATEWAY].url,
            "poll_ms": POLL_MS,
            "answer_ms": ANSWER_MS,
            "chain": {"rpc_url": self.rpc_url},
            "keys": {"hot": "hot.key", "relayer": "relayer.key"},
            "market": {"zone": calendar.ZONE.key},
            "timings": {
                "attest_after": ATTEST_AFTER,
                "claim_after": CLAIM_AFTER if member.name == self.claimant else CLAIM_NEVER,
                "crank_delay": CRANK_DELAY,
            },
            "peers": {
                other.subscriber: self.addresses[other.name].url
                for other in self.members.programs
                if other is not member
            },
            "partners": [
                {
                    "subscriber": other.subscriber,
                    "early": other.name in early_with,
                    "lock_percent": self.lock_percent.get(frozenset({member.name, other.name}), 0),
                }
                for other in self.members.platforms
                if other is not member
            ],
            **self._role(member),
        }

    def _role(self, member: Member) -> Document:
        if member in self.members.utilities:
            return {
                "utility": {"meters": "meters.csv", "salt_secret": "salt.key", "allocate_after": ALLOCATE_AFTER},
            }
        # The second platform leaves sending to the gateway; what it proposes carries all signatures it needs.
        relay = GATEWAY if member is self.members.platforms[1] else "own"
        return {
            "platform": {"salt_secret": "salt.key", "batch_before_gate": BATCH_BEFORE_GATE, "relay": relay},
        }

    def _gateway_document(self) -> Document:
        return {
            "deployment": "..",
            "database": "sqlite:///gateway.db",
            "listen": self.addresses[GATEWAY].listen,
            "poll_ms": POLL_MS,
            "chain": {"rpc_url": self.rpc_url},
            "keys": {"relayer": "relayer.key"},
            # A week passes in a minute here, and everybody asks as often as in a week.
            "rates": {name: {"burst": MOST_REQUESTS} for name in ("read", "write", "proof")},
        }


def _write_key(path: Path, key: bytes) -> None:
    """A key in hex that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"0x{key.hex()}\n")


def _write(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_toml(document)) + "\n", "utf-8")


def _toml(document: Document, name: str = "") -> list[str]:
    """A document as TOML: plain values first, then tables and lists of tables. JSON's texts are TOML's too."""
    plain = {key: value for key, value in document.items() if not _is_table(value)}
    lines = [f"[{name}]"] if name and plain else []
    lines += [f"{_key(key)} = {json.dumps(value)}" for key, value in plain.items()]
    for key, value in document.items():
        inner = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, Mapping):
            lines += ["", *_toml(value, inner)]
        elif _is_table(value):
            for one in value:
                lines += ["", f"[[{inner}]]", *_toml(one)]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json.dumps(name)
