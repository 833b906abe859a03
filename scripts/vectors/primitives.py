"""Vectors of what everything rests on: trees, ids, signed objects, the config digest, canonical JSON."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from scripts.vectors.form import plain, seeded
from scripts.vectors.market import CYCLE, DOMAIN, PLATFORMS, UTILITIES, draw_bytes, draw_trade
from settlement import canonical_json, identity, merkle, preimages, trade, typed_data
from settlement.config import Config, code
from settlement.errors import SettlementError
from settlement.formula import templates
from settlement.hashing import ZERO_HASH

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 127, 128, 129, 256, 257, 300)
CHUNK_HEIGHT = 7


def merkle_vectors() -> Any:
    """Trees of growing size over the leaf data `index as 4 bytes`; proofs of leaves and of chunks; refused proofs."""
    trees, refused = [], []
    for count in SIZES:
        hashes = [merkle.hash_leaf(index.to_bytes(4, "big")) for index in range(count)]
        tree = merkle.Tree(hashes)
        indices = sorted({0, 1, count // 2, count - 2, count - 1} & set(range(count)))
        proofs = [{"index": i, "leaf_hash": hashes[i], "path": tree.path(i)} for i in indices]
        chunks = []
        for chunk in range(merkle.chunk_count(count, CHUNK_HEIGHT)):
            chunk_root, path = tree.chunk(CHUNK_HEIGHT, chunk)
            chunks.append({"chunk": chunk, "chunk_root": chunk_root, "path": path})
        trees.append({"count": count, "root": tree.root, "proofs": proofs, "chunks": chunks})
        if proofs:
            refused += _refused_proofs(tree, count, proofs[-1])
    return plain({"empty_root": merkle.EMPTY_ROOT, "trees": trees, "refused": refused})


def _refused_proofs(tree: merkle.Tree, count: int, proof: dict[str, Any]) -> list[dict[str, Any]]:
    good = {"root": tree.root, "count": count, **proof}
    path = proof["path"]
    bad = [
        {**good, "root": ZERO_HASH},
        {**good, "index": count},
        {**good, "count": 0},
        {**good, "leaf_hash": merkle.hash_leaf(b"other")},
        {**good, "path": (*path, tree.root)},
    ]
    if path:
        bad += [
            {**good, "path": path[:-1]},
            {**good, "path": (*path[:-1], merkle.hash_leaf(b"other"))},
            {**good, "index": proof["index"] ^ 1},
        ]
    return bad


def identity_vectors() -> Any:
    """Ids of members, meters, trades and markets, codes, and the keys and salts that are hashed from ids."""
    random = seeded("identity")
    subscribers = ["bap.example.com", "BPP.Example.com", "utility-a.example"]
    meters = ["100200300", "der://meter/100200300", "DER://SSF.Meter/65432100", "TEST_METER_001", "der://98765456"]
    trades = []
    for transaction, item, revision in (("tx-1", "item-1", 0), ("tx-1", "item-1", 1), ("tränsaktion", "", 2**32 - 1)):
        slot_start = random.choice((0, 1_767_938_400, 2**64 - 1))
        arguments = {
            "buyer_platform": PLATFORMS[0],
            "seller_platform": PLATFORMS[1],
            "transaction_id": transaction,
            "order_item_id": item,
            "slot_start": slot_start,
            "revision": revision,
        }
        trades.append(
            {**arguments, "id": identity.trade_id(PLATFORMS[0], PLATFORMS[1], transaction, item, slot_start, revision)}
        )
    salt, digest = draw_bytes(random), draw_bytes(random)
    genesis = draw_bytes(random)
    return plain(
        {
            "members": [{"subscriber_id": one, "id": identity.member_id(one)} for one in subscribers],
            "meters": [
                {
                    "meter_id": one,
                    "canonical": identity.canonical_meter_id(one),
                    "salt": salt,
                    "hash": identity.meter_hash(salt, identity.canonical_meter_id(one)),
                }
                for one in meters
            ],
            "trades": trades,
            "markets": [
                {"genesis_hash": genesis, "name": name, "id": identity.market_id(genesis, name)}
                for name in ("conformance", "दिल्ली")
            ],
            "codes": [{"text": text, "code": code(text)} for text in ("INR", "UPI", "NEFT")],
            "salts": [
                {
                    "salt": salt,
                    "cycle": CYCLE,
                    "number": number,
                    "allocation_salt": preimages.allocation_salt(salt, CYCLE, number),
                    "flow_salt": preimages.flow_salt(salt, CYCLE, number),
                }
                for number in (0, 1)
            ],
            "keys": [
                {
                    "utility": UTILITIES[0],
                    "meter": salt,
                    "slot_start": 3_600,
                    "trade_digest": digest,
                    "side": side,
                    "group": preimages.group_key(UTILITIES[0], salt, 3_600, side),
                    "side_key": preimages.side_key(digest, side),
                    "wh": 7_000,
                    "figure": preimages.figure_key(digest, side, 7_000),
                }
                for side in (0, 1)
            ],
        }
    )


def typed_data_vectors() -> Any:
    """Every signed object, drawn, empty and at its bounds: struct hash, digest, and one signature."""
    random = seeded("typed data")
    key = draw_bytes(random)
    objects = []
    for value in _signed_objects(random):
        digest = DOMAIN.digest(value)
        objects.append(
            {
                "type": type(value).__name__,
                "value": value,
                "struct_hash": typed_data.struct_hash(value),
                "digest": digest,
                "signature": typed_data.sign(key, digest),
            }
        )
    return plain(
        {
            "domain": {
                "chain_id": DOMAIN.chain_id,
                "registry": DOMAIN.registry,
                "market_id": DOMAIN.market_id,
                "separator": DOMAIN.separator,
            },
            "private_key": key,
            "address": typed_data.address_of(key),
            "types": [
                {"type": kind.__name__, "type_string": text, "type_hash": typed_data.type_hash(kind)}
                for kind, text in typed_data.TYPE_STRINGS.items()
            ],
            "objects": objects,
        }
    )


def _signed_objects(random: Random) -> list[object]:
    locks = tuple(trade.Lock(*pair, random.randrange(1, 2**96)) for pair in (PLATFORMS, PLATFORMS[::-1]))
    drawn = draw_trade(random, templates.MARKET)
    address = "0x" + draw_bytes(random, 20).hex()
    word, other = draw_bytes(random), draw_bytes(random)
    lower, higher = sorted(PLATFORMS)
    batch = trade.TradeBatch(CYCLE, lower, higher, 1, drawn.slot_start, 7, word, locks)
    row = trade.Row(CYCLE, 1, 3, *PLATFORMS, 2**96 - 1, 12, word, 5, other)
    return [
        drawn,
        replace(drawn, rates=(), contracted_wh=2**64 - 1, slot_start=2**64 - 1),
        replace(drawn, rates=tuple(range(2**256 - 8, 2**256))),
        trade.TradeLocks(word, locks),
        trade.TradeLocks(word, ()),
        batch,
        replace(batch, locks=(), count=1),
        trade.Curtailment(9, 4, 0, 2),
        trade.Curtailment(2**64 - 1, 2**64 - 1, 2**64 - 1, 255),
        trade.Allocation(CYCLE, 2, 1, UTILITIES[0], word, 9, other),
        row,
        replace(row, amount=0, count=0, root=merkle.EMPTY_ROOT, keep=0, inputs=ZERO_HASH),
        trade.RowAttestation(word),
        trade.Withdrawal(PLATFORMS[0], 12_500_000, 0),
        trade.PaymentNotice(*PLATFORMS, (1, 2, 2**64 - 1), 990_000, code("UPI"), 1_767_938_400, word),
        trade.PaymentNotice(*PLATFORMS, (), 0, code("NEFT"), 0, word),
        trade.Acknowledgement(PLATFORMS[1], PLATFORMS[0], word, 990_000),
        trade.BankAttestation(PLATFORMS[1], PLATFORMS[0], word, 990_000),
        trade.Denial(PLATFORMS[1], PLATFORMS[0], word),
        trade.NoticeRuling(PLATFORMS[1], PLATFORMS[0], word, 2**96 - 1),
        trade.EscrowPayment(*PLATFORMS, (3, 1, 2**64 - 1), 990_000, 7),
        trade.EscrowPayment(*PLATFORMS, (), 0, 2**64 - 1),
        trade.HotKeyChange(PLATFORMS[0], address, 3),
        trade.PayoutChange(PLATFORMS[0], address, 4),
        trade.KeyCompromised(PLATFORMS[0], address, 5),
        trade.Demand(CYCLE, 1, PLATFORMS[0], word, 1),
        trade.Contest(CYCLE, 0, PLATFORMS[1], word, 0, other),
        trade.FigureAgreement(CYCLE, word, 1, 1_234),
        trade.Ruling(CYCLE, word, 0, 2**64 - 1),
        trade.RowDemand(word, 12, PLATFORMS[1]),
        trade.MissingLeaf(word, other, 1),
        trade.Statement(PLATFORMS[0], ZERO_HASH, ZERO_HASH, 202_608, word),
        trade.Statement(min(PLATFORMS), max(PLATFORMS), other, 202_612, word),
        trade.CouncilAct(address, b"", 0),
        trade.CouncilAct(address, bytes(range(100)), 2**64 - 1),
        trade.CouncilCancel(word),
    ]


def config_vectors() -> Any:
    """Configs and their digests."""
    default = Config()
    configs = [
        default,
        replace(default, allocation_rule=1, gate=4 * 3_600, run_deadlines=(3_600,), rails=()),
        replace(default, currency=code("EUR"), anchor=0, slot_length=1_800, rails=(code("SEPA"),), arbiter_quorum=1),
    ]
    return plain({"configs": [{"config": one, "digest": one.digest()} for one in configs]})


def canonical_json_vectors() -> Any:
    """Canonical texts, texts that are not canonical, and JSON that has no canonical form."""
    documents: list[Any] = [
        None,
        True,
        "",
        [],
        {},
        0,
        canonical_json.MAX_INTEGER,
        -canonical_json.MAX_INTEGER,
        {"b": [1, {"d": None, "c": "12500000"}], "a": 'é\u20ac\n\t"\\/\u0007\u007f'},
        {"\U0001f600": 1, "\ufb33": 2, "A": 3, "a": 4, "": 5},
    ]
    refused = [
        '{"a": 1}',
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        '"\\u0041"',
        "1.0",
        "1e3",
        "9007199254740992",
        "-0",
        "{",
        "",
    ]
    for text in refused:
        try:
            canonical_json.loads(text.encode())
        except SettlementError:
            continue
        raise AssertionError(f"canonical after all: {text}")
    # Documents are given as they are: their numbers are what is canonicalised.
    return {
        "documents": [{"document": one, "canonical": canonical_json.dumps(one).decode()} for one in documents],
        "refused": refused,
    }
