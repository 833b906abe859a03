"""The market's parameters, in the order in which their digest binds them to a cycle."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from settlement.hashing import Hash32, abi_encode, keccak256

HOUR = 3_600
DAY = 24 * HOUR
MAX_RUNS = 4

PRO_RATA = 0
FIFO = 1


def code(text: str) -> Hash32:
    """A short ASCII code (currency, rail) as bytes32, padded right with zeros. ValueError beyond 32 characters."""
    raw = text.encode("ascii")
    if len(raw) > 32:
        raise ValueError(f"code of {len(raw)} characters: {text!r}")
    return raw.ljust(32, b"\0")


INR = code("INR")
INDIAN_RAILS = tuple(code(rail) for rail in ("UPI", "NEFT", "RTGS", "IMPS"))


@dataclass(frozen=True, slots=True)
class Config:
    """One version of a market's parameters; times are seconds. The chain keeps every version."""

    currency: Hash32 = INR
    money_decimals: int = 6
    payable_unit: int = 10_000
    slot_length: int = HOUR
    cycle_length: int = DAY
    anchor: int = 18 * HOUR + HOUR // 2  # midnight in India, 18:30 UTC
    allocation_rule: int = PRO_RATA
    gate: int = 0
    commit_ahead: int = 7 * DAY
    key_grace: int = 7 * DAY
    run_deadlines: tuple[int, ...] = (12 * HOUR, 14 * DAY, 45 * DAY, 120 * DAY)
    least_intake: int = 12 * HOUR
    window: int = 24 * HOUR
    window_blocks: int = 10
    demand_time: int = 12 * HOUR
    open_demands: int = 50
    contests_per_cycle: int = 50
    contest_time: int = 10 * DAY
    attest_wait: int = 6 * HOUR
    publish_time: int = 24 * HOUR
    row_window: int = 24 * HOUR
    row_demands: int = 4
    claim_window: int = 24 * HOUR
    close_delay: int = 30 * DAY
    close_limit: int = 180 * DAY
    due_time: int = 72 * HOUR
    fall_due_interval: int = 24 * HOUR
    set_off: int = 8
    notice_silence: int = 24 * HOUR
    rails: tuple[Hash32, ...] = INDIAN_RAILS
    arbiter_quorum: int = 2

    @property
    def last_run(self) -> int:
        """The number of the market's last run, in which a missing figure no longer waits."""
        return len(self.run_deadlines) - 1

    def digest(self) -> Hash32:
        """`keccak256(abi.encode(...))` over all parameters as one flat tuple."""
        types: list[str] = []
        values: list[Any] = []
        for field in fields(self):
            types.append(_ABI.get(field.name, "uint64"))
            values.append(getattr(self, field.name))
        return keccak256(abi_encode(types, values))


_ABI = {"currency": "bytes32", "run_deadlines": "uint64[]", "rails": "bytes32[]"}
