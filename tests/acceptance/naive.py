"""A second settlement, as plain as can be, written from `docs/protocol.md` and from nothing else.

It shares no code with the rules: pyarrow to read, eth_abi and eth_hash for the primitives. Slow where slow is clearer.
Only what the demo uses is here: pro rata, two templates, void groups as the only marks, runs before the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from eth_abi import encode  # type: ignore[attr-defined]
from eth_hash.auto import keccak

Line = dict[str, Any]
Pair = tuple[bytes, bytes]

BUYER, SELLER = 0, 1
READ, MISSING = 0, 2
VOID = 4
STATUS = {"READ": READ, "ESTIMATED": 1, "MISSING": MISSING}

TRADE_TYPE = (
    "Trade(bytes32 tradeId,bytes32 template,bytes32 buyerPlatform,bytes32 sellerPlatform,bytes32 buyerUtility,"
    "bytes32 sellerUtility,bytes32 gridOperator,bytes32 marketAgent,bytes32 buyerMeter,bytes32 sellerMeter,"
    "uint64 slotStart,uint64 slotEnd,uint64 contractedWh,uint64 tradedAt,uint64 validUntil,uint256[] rates,"
    "bytes32 orderHash,bytes32 salt)"
)
ROW_TYPE = (
    "Row(uint64 cycle,uint32 run,uint32 version,bytes32 payer,bytes32 payee,uint96 amount,uint64 count,bytes32 root,"
    "uint96 keep,bytes32 inputs)"
)
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
LEAF_TYPE = "(bytes32,uint64,uint64,uint8,bytes32,uint64,uint64,uint64,uint64,uint64,uint8,uint64,bytes32)"


@dataclass
class NaiveRun:
    """What a run's folder comes to.

    `digests` by place, `roots` (root, count) by (run, utility) by the rule, `rows` (amount, count, root) and `settled`
    Wh by digest, of trades that do not wait.
    """

    digests: dict[tuple[int, int], bytes] = field(default_factory=dict)
    commitment_roots: dict[int, bytes] = field(default_factory=dict)
    roots: dict[tuple[int, bytes], tuple[bytes, int]] = field(default_factory=dict)
    settled: dict[bytes, int] = field(default_factory=dict)
    rows: dict[Pair, tuple[int, int, bytes]] = field(default_factory=dict)


def read(folder: Path, name: str) -> list[Line]:
    """A table's rows."""
    rows: list[Line] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


def merkle_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word, with Keccak-256; `leaves` are data."""
    if not leaves:
        return keccak(b"")
    if len(leaves) == 1:
        return keccak(b"\x00" + leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return keccak(b"\x01" + merkle_root(leaves[:half]) + merkle_root(leaves[half:]))


def recompute(data: Path, folder: Path) -> NaiveRun:
    """Settles the run of `folder` from its trades, curtailments, readings and marks."""
    deployment = json.loads((data / "deployment.json").read_text())
    cycle = json.loads((folder / "cycle.json").read_text())
    number, run = cycle["cycle"], cycle["run"]
    result = NaiveRun()
    trades = read(folder, "trades")
    for trade in trades:
        trade["digest"] = typed_digest(deployment, struct_hash(TRADE_TYPE, trade))
        result.digests[trade["number"], trade["index"]] = trade["digest"]
    for commitment in {place[0] for place in result.digests}:
        indices = sorted(index for n, index in result.digests if n == commitment)
        result.commitment_roots[commitment] = merkle_root([result.digests[commitment, index] for index in indices])

    for curtailment in read(folder, "curtailments"):
        for trade in trades:
            if trade["digest"] == curtailment["trade_digest"]:
                trade["contracted_wh"] = min(trade["contracted_wh"], curtailment["contracted_wh"])

    marks = read(folder, "marks")
    if any(mark["kind"] != VOID for mark in marks):
        raise NotImplementedError("marks other than void")
    allocated: dict[tuple[int, bytes, int], int] = {}
    for posted_run, utility in sorted({(line["run"], line["utility"]) for line in read(folder, "allocations")}):
        leaves = allocate(folder, number, posted_run, utility, trades)
        result.roots[posted_run, utility] = merkle_root([encode([LEAF_TYPE], [leaf]) for leaf in leaves]), len(leaves)
        for leaf in leaves:
            if leaf[10] != MISSING and not is_void(marks, posted_run, utility, leaf):
                allocated[posted_run, leaf[0], leaf[3]] = leaf[11]

    flows: dict[Pair, list[tuple[bytes, int, int, int, bytes]]] = {}
    for trade in trades:
        buyer = newest(allocated, run, trade["digest"], BUYER)
        seller = newest(allocated, run, trade["digest"], SELLER)
        if buyer is None or seller is None or trade["contracted_wh"] == 0:
            continue
        settled = min(buyer, seller, trade["contracted_wh"])
        result.settled[trade["digest"]] = settled
        for flow, (payer, payee, amount) in enumerate(amounts(deployment, trade, settled)):
            if payer != payee and amount > 0:
                salt = keccak(encode(["bytes32", "uint64", "uint8"], [trade["salt"], number, flow]))
                flows.setdefault((payer, payee), []).append((trade["digest"], flow, settled, amount, salt))
    for pair, leaves_of_pair in flows.items():
        leaves_of_pair.sort()
        data_of_leaves = [encode(["(bytes32,uint8,uint64,uint96,bytes32)"], [leaf]) for leaf in leaves_of_pair]
        amount = sum(leaf[3] for leaf in leaves_of_pair)
        result.rows[pair] = amount, len(leaves_of_pair), merkle_root(data_of_leaves)
    return result


def struct_hash(type_text: str, line: Line) -> bytes:
    """EIP-712's hashStruct: the type's hash, then a word for each member in the type's order."""
    words = [keccak(type_text.encode())]
    for member in type_text[type_text.index("(") + 1 : -1].split(","):
        value = line["".join(f"_{c.lower()}" if c.isupper() else c for c in member.split()[1])]
        if isinstance(value, list):
            value = keccak(b"".join(int(item).to_bytes(32, "big") for item in value))
        words.append(value if isinstance(value, bytes) else int(value).to_bytes(32, "big"))
    return keccak(b"".join(words))


def typed_digest(deployment: Line, hashed: bytes) -> bytes:
    """What is signed."""
    separator = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address", "bytes32"],
            [
                keccak(DOMAIN_TYPE.encode()),
                keccak(b"Clearwatt"),
                keccak(b"1"),
                deployment["chain_id"],
                deployment["contracts"]["MemberRegistry"]["address"],
                bytes.fromhex(deployment["market_id"][2:]),
            ],
        )
    )
    return keccak(b"\x19\x01" + separator + hashed)


def allocate(folder: Path, cycle: int, run: int, utility: bytes, trades: list[Line]) -> list[tuple[Any, ...]]:
    """A utility's leaves of a run, in order, by the pro-rata rule."""
    readings = {
        (line["meter"], line["slot_start"], BUYER if line["direction"] == "import" else SELLER): line
        for line in read(folder, "readings")
        if line["run"] == run and line["utility"] == utility
    }
    mine = []
    for trade in trades:
        if trade["buyer_utility"] == utility:
            mine.append((trade["buyer_meter"], trade["slot_start"], BUYER, trade["number"], trade["index"], trade))
        if trade["seller_utility"] == utility:
            mine.append((trade["seller_meter"], trade["slot_start"], SELLER, trade["number"], trade["index"], trade))
    mine.sort(key=lambda one: one[:5])
    leaves = []
    for meter, slot, side, number, index, trade in mine:
        group = [other[5] for other in mine if other[:3] == (meter, slot, side)]
        total = sum(other["contracted_wh"] for other in group)
        before = sum(other["contracted_wh"] for other in group if (other["number"], other["index"]) < (number, index))
        reading = readings.get((meter, slot, side), {"wh": 0, "quality": "MISSING"})
        share = trade["contracted_wh"]
        if reading["wh"] < total:
            share = share * reading["wh"] // total
        salt = keccak(encode(["bytes32", "uint64", "uint8"], [trade["salt"], cycle, side]))
        leaves.append(
            (
                trade["digest"],
                number,
                index,
                side,
                meter,
                slot,
                trade["contracted_wh"],
                before,
                reading["wh"],
                total,
                STATUS[reading["quality"]],
                share,
                salt,
            )
        )
    return leaves


def is_void(marks: list[Line], run: int, utility: bytes, leaf: tuple[Any, ...]) -> bool:
    """Whether the leaf's group was proven wrong in this run."""
    return any(
        (mark["run"], mark["utility"], mark["meter"], mark["slot_start"], mark["side"])
        == (run, utility, leaf[4], leaf[5], leaf[3])
        for mark in marks
    )


def newest(allocated: dict[tuple[int, bytes, int], int], run: int, digest: bytes, side: int) -> int | None:
    """The figure of a side: what the newest leaf that counts allocates."""
    for earlier in range(run, -1, -1):
        if (earlier, digest, side) in allocated:
            return allocated[earlier, digest, side]
    return None


def amounts(deployment: Line, trade: Line, settled: int) -> list[tuple[bytes, bytes, int]]:
    """(payer, payee, amount) of each flow, by hand for each template that the demo uses."""
    titles = {bytes.fromhex(identity[2:]): title for title, identity in deployment["templates"].items()}
    title = titles[trade["template"]]
    rates = [int(rate) for rate in trade["rates"]]
    buyer, seller = trade["buyer_platform"], trade["seller_platform"]
    if title == "p2p.fixed-price.settled.v1":
        price, wheeling = rates
        return [
            (buyer, seller, settled * price // 1000),
            (buyer, trade["grid_operator"], settled * wheeling // 1000),
        ]
    if title == "p2p.inter-utility.v1":
        price, buyer_wheeling, seller_wheeling, penalty = rates
        short = max(0, trade["contracted_wh"] - settled)
        return [
            (buyer, seller, settled * price // 1000),
            (buyer, trade["buyer_utility"], settled * buyer_wheeling // 1000),
            (seller, trade["seller_utility"], (settled * seller_wheeling + short * penalty) // 1000),
        ]
    raise NotImplementedError(title)
