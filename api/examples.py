"""Examples of every body, for the OpenAPI document: well formed, in a market that does not exist."""

from __future__ import annotations

from typing import Any, Final

from api import bodies
from api.calls import SignedRow
from api.trades import Lane
from settlement import preimages, typed_data
from settlement.config import INDIAN_RAILS
from settlement.documents import document
from settlement.formula.templates import DEFAULT, Role
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import market_id, member_id, trade_id
from settlement.merkle import Tree
from settlement.trade import Acknowledgement, Lock, PaymentNotice, Row, Signature, Trade, TradeBatch, Withdrawal
from settlement.typed_data import Domain
from store.records import MemberSignature

_DOMAIN: Final = Domain(8_217, "0x" + "11" * 20, market_id(keccak256(b"example"), "example-market"))
_BUYER, _SELLER, _UTILITY = (member_id(f"{name}.example") for name in ("buying", "selling", "utility"))
_SLOT: Final = 1_785_609_000
_CYCLE: Final = 20_666


def _signed(member: Hash32, value: object) -> Signature:
    return typed_data.sign(keccak256(b"example", member), _DOMAIN.digest(value))


def _by(value: object, *members: Hash32) -> tuple[MemberSignature, ...]:
    return tuple(MemberSignature.of(member, _signed(member, value)) for member in members)


_TRADE: Final = Trade(
    trade_id=trade_id(_BUYER, _SELLER, "order-17", "item-1", _SLOT),
    template=DEFAULT.template_id,
    buyer_platform=_BUYER,
    seller_platform=_SELLER,
    buyer_utility=_UTILITY,
    seller_utility=_UTILITY,
    grid_operator=_UTILITY if Role.GRID_OPERATOR in DEFAULT.roles else ZERO_HASH,
    market_agent=ZERO_HASH,
    buyer_meter=keccak256(b"example meter of a buyer"),
    seller_meter=keccak256(b"example meter of a seller"),
    slot_start=_SLOT,
    slot_end=_SLOT + 3_600,
    contracted_wh=1_500,
    traded_at=_SLOT - 43_200,
    valid_until=_SLOT - 14_400,
    rates=(6_500_000, 750_000),
    order_hash=keccak256(b"example order"),
    salt=keccak256(b"example salt"),
)
_DIGEST: Final = _DOMAIN.digest(_TRADE)
_PLATFORMS: Final = (min(_BUYER, _SELLER), max(_BUYER, _SELLER))
_ROOT: Final = Tree([preimages.trade_leaf(_DIGEST)]).root
_LOCKS: Final = (Lock(_BUYER, _SELLER, 9_750_000),)
_BATCH: Final = TradeBatch(_CYCLE, _PLATFORMS[0], _PLATFORMS[1], 1, _SLOT, 1, _ROOT, _LOCKS)
_ROW: Final = Row(_CYCLE, 0, 1, _BUYER, _SELLER, 9_750_000, 1, keccak256(b"example root"), 0, keccak256(b"inputs"))
_NOTICE: Final = PaymentNotice(_BUYER, _SELLER, (1,), 9_750_000, INDIAN_RAILS[0], _SLOT + 259_200, keccak256(b"UTR"))
_WORD: Final = Acknowledgement(_SELLER, _BUYER, _NOTICE.reference_hash, 9_750_000)
_WITHDRAWAL: Final = Withdrawal(_SELLER, 9_750_000, 0)

BODIES: Final[dict[str, Any]] = {
    type(one).__name__: document(one)
    for one in (
        bodies.NewTrade(_TRADE, _by(_TRADE, _BUYER), Lane.REGISTERED, (), ()),
        bodies.MoreSignatures(_by(_TRADE, _SELLER), ()),
        bodies.NewBatch(_BATCH, (bodies.BatchedTrade(_TRADE, _by(_TRADE, *_TRADE.signers)),), _by(_BATCH, *_PLATFORMS)),
        bodies.NewRows((SignedRow(_ROW, _signed(_BUYER, _ROW), _signed(_SELLER, _ROW)),)),
        bodies.NewNotice(_NOTICE, _signed(_BUYER, _NOTICE)),
        bodies.NewAcknowledgement(_WORD, _signed(_SELLER, _WORD)),
        bodies.NewWithdrawal(_WITHDRAWAL, _signed(_SELLER, _WITHDRAWAL)),
    )
}
"""A document for each body, by the name of its class."""
