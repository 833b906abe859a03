"""Every field of everything that is signed or stands in a signed tree, and what becomes of it where it is wrong.

A field has two liars. A *carrier* changes what others signed: the chain refuses that, with one reason a kind
(`ALTERED`). A *signer* signs it wrong; then it is in one of the classes below, by whom it could harm (`FATES`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from settlement import trade as objects
from settlement.hashing import keccak256
from settlement.typed_data import TYPE_STRINGS


class Class(Enum):
    """Who is harmed by a field that its signers got wrong, and what is done about it."""

    REFUSED = "refused, whoever signed"
    PROVEN = "a fault, a demand or a contest ends it"
    OWN_WORD = "its own word: whom it binds signed it"
    LIMITED = "a party's right, limited in number and time; at most it delays"
    HARMLESS = "no figure and no amount depends on it"
    NOT_PROMISED = "no computation decides it; those named for it do, or nobody"


@dataclass(frozen=True)
class Fate:
    """The class of a field, and its remedy: the reasons of refusals, or what is done."""

    klass: Class
    remedies: tuple[str, ...]


def refused(*reasons: str) -> Fate:
    return Fate(Class.REFUSED, reasons)


def proven(*remedies: str) -> Fate:
    return Fate(Class.PROVEN, remedies)


def own(remedy: str) -> Fate:
    return Fate(Class.OWN_WORD, (remedy,))


def limited(remedy: str) -> Fate:
    return Fate(Class.LIMITED, (remedy,))


def harmless(remedy: str) -> Fate:
    return Fate(Class.HARMLESS, (remedy,))


def not_promised(remedy: str) -> Fate:
    return Fate(Class.NOT_PROMISED, (remedy,))


ALTERED = {
    objects.Trade: "TradeBook: not a party's key",
    objects.Lock: "TradeBook: not a party's key",
    objects.TradeLocks: "TradeBook: not a party's key",
    objects.TradeBatch: "TradeBook: wrong signature",
    objects.Curtailment: "TradeBook: no neutral utility signed",
    objects.Allocation: "AllocationOracle: wrong signature",
    objects.Row: "Settlement: no row applied",
    objects.RowAttestation: "Settlement: not attestor's key",
    objects.Withdrawal: "SettlementEscrow: not signed by member",
    objects.PaymentNotice: "ObligationLedger: not signed by debtor",
    objects.Acknowledgement: "ObligationLedger: not signed by creditor",
    objects.BankAttestation: "ObligationLedger: not signed by bank",
    objects.Denial: "ObligationLedger: not signed by creditor",
    objects.NoticeRuling: "ObligationLedger: not ruled",
    objects.EscrowPayment: "ObligationLedger: not signed by debtor",
    objects.HotKeyChange: "MemberRegistry: not the cold key",
    objects.PayoutChange: "MemberRegistry: not the cold key",
    objects.KeyCompromised: "MemberRegistry: not the cold key",
    objects.Demand: "Disputes: not signed by member",
    objects.Contest: "Disputes: not signed by member",
    objects.FigureAgreement: "Disputes: not agreed by all",
    objects.Ruling: "Disputes: not ruled",
    objects.RowDemand: "RowDemands: not signed by member",
    objects.MissingLeaf: "RowFaults: not the payee's word",
    objects.Statement: "StatementRegistry: wrong signature",
    objects.CouncilAct: "Council: wrong approval",
    objects.CouncilCancel: "Council: wrong approval",
}

_SIGNERS = "all its signers signed it"
_NO_ROLE = refused("TradeBook: not its signers' signatures")
_INACTIVE = refused("TradeBook: signer not active")
_NO_NOTICE = refused("ObligationLedger: more than notified")
_NO_RULING = refused("ObligationLedger: nothing to rule on")
_NOT_LIVE = refused("ObligationLedger: no live notice")
_NO_MEMBER = refused("MemberRegistry: never a member")
_NOT_NEWEST = refused("Settlement: not the newest inputs")
_SEQUENCE = refused("MemberRegistry: not the cold key")
_BY_TREE = "no leaf of the tree can be shown: demand"
_SPLIT = own("both agree what moves between them")

FATES: dict[type, dict[str, Fate]] = {
    objects.Trade: {
        "trade_id": own("for people; the digest is what counts"),
        "template": own("unknown: no valid place, so nothing is ever owed"),
        **dict.fromkeys(("buyer_platform", "seller_platform", "buyer_utility"), _INACTIVE),
        **dict.fromkeys(("seller_utility", "grid_operator", "market_agent"), _NO_ROLE),
        **dict.fromkeys(("buyer_meter", "seller_meter"), not_promised("that two pseudonyms are two meters")),
        **dict.fromkeys(("slot_start", "slot_end"), refused("TradeBook: not one slot")),
        **dict.fromkeys(("contracted_wh", "valid_until", "rates"), own(_SIGNERS)),
        **dict.fromkeys(("traded_at", "order_hash", "salt"), not_promised("as the platforms say, whom it binds")),
    },
    objects.Lock: {
        "payer": refused("TradeBook: wrong number of signatures"),
        "payee": own("the payer locks what is its own, until the cycle is closed"),
        "amount": own("the payer locks what is its own, until the cycle is closed"),
    },
    objects.TradeLocks: {
        "trade_digest": refused("TradeBook: not a party's key"),
        "locks": own("each payer in them signed, and the platforms"),
    },
    objects.TradeBatch: {
        "cycle": refused("TradeBook: not in the cycle"),
        "platform_a": _INACTIVE,
        "platform_b": refused("TradeBook: wrong number of signatures"),
        "sequence": own("both platforms'; it only rises"),
        "earliest_slot": refused("TradeBook: not on the slot grid", "TradeBook: not in the cycle"),
        "count": own("both platforms': no proof, no allocation"),
        "root": own("both platforms': no proof, no allocation"),
        "locks": own("each payer in them signed"),
    },
    objects.Curtailment: {
        "commitment": refused("TradeBook: another place was signed"),
        "index": refused("TradeBook: another place was signed"),
        "contracted_wh": limited("it only lowers, by a neutral utility before delivery"),
        "reason": harmless("for people"),
    },
    objects.Allocation: {
        "cycle": refused("AllocationOracle: not in the intake"),
        "run": refused("AllocationOracle: another run"),
        "attempt": harmless("a higher one replaces what the same utility said"),
        "utility": refused("AllocationOracle: not a utility"),
        "root": proven(_BY_TREE),
        "count": proven(_BY_TREE),
        "config_digest": refused("AllocationOracle: another config"),
    },
    objects.Row: {
        "cycle": refused("Settlement: no row applied"),
        "run": refused("Settlement: no row applied"),
        "version": own("both members': it only rises"),
        "payer": refused("Settlement: no row applied"),
        "payee": refused("Settlement: no row applied"),
        **dict.fromkeys(("amount", "count", "root", "keep"), _SPLIT),
        "inputs": refused("Settlement: no row applied"),
    },
    objects.RowAttestation: {"row_digest": refused("Settlement: not attestor's key")},
    objects.Withdrawal: {
        "member": refused("SettlementEscrow: not signed by member"),
        "amount": own("to its own registered address"),
        "sequence": refused("SettlementEscrow: wrong sequence"),
    },
    objects.PaymentNotice: {
        "debtor": refused("ObligationLedger: not signed by debtor"),
        "creditor": refused("ObligationLedger: not of this pair"),
        "obligations": refused(
            "ObligationLedger: not of this pair",
            "ObligationLedger: obligation twice",
            "ObligationLedger: more than is open",
        ),
        "amount": limited("closes nothing until the creditor, a bank or the arbiters say that it arrived"),
        "rail": refused("ObligationLedger: rail not allowed"),
        "value_date": limited("closes nothing until the creditor, a bank or the arbiters say that it arrived"),
        "reference_hash": limited("closes nothing until the creditor, a bank or the arbiters say that it arrived"),
    },
    objects.Acknowledgement: {
        "creditor": refused("ObligationLedger: not signed by creditor"),
        "debtor": _NO_NOTICE,
        "reference_hash": _NO_NOTICE,
        "acknowledged": own("the creditor's own claim; too little: a bank attests, the arbiters rule"),
    },
    objects.BankAttestation: {
        **dict.fromkeys(("creditor", "debtor", "reference_hash"), _NO_NOTICE),
        "attested": not_promised("that a settlement bank says the truth; never more than was notified"),
    },
    objects.Denial: {
        "creditor": refused("ObligationLedger: not signed by creditor"),
        "debtor": _NOT_LIVE,
        "reference_hash": _NOT_LIVE,
    },
    objects.NoticeRuling: {
        **dict.fromkeys(("creditor", "debtor", "reference_hash"), _NO_RULING),
        "arrived": not_promised("that arbiters find the truth; never more than was notified"),
    },
    objects.EscrowPayment: {
        "debtor": refused("ObligationLedger: not signed by debtor"),
        "creditor": refused("ObligationLedger: not of this pair"),
        "obligations": refused(
            "ObligationLedger: not of this pair",
            "ObligationLedger: obligation twice",
            "ObligationLedger: more than is open",
        ),
        "amount": own("from its own balance, at most what is open"),
        "sequence": refused("ObligationLedger: wrong sequence"),
    },
    objects.HotKeyChange: {"member": _NO_MEMBER, "key": own("its own key"), "sequence": _SEQUENCE},
    objects.PayoutChange: {"member": _NO_MEMBER, "payout": own("its own address"), "sequence": _SEQUENCE},
    objects.KeyCompromised: {
        "member": _NO_MEMBER,
        "key": refused("MemberRegistry: not its key"),
        "sequence": _SEQUENCE,
    },
    objects.Demand: {
        "cycle": refused("Disputes: another cycle"),
        "run": refused("Disputes: another run"),
        "member": refused("Disputes: no signer of the trade"),
        "trade_digest": refused("Disputes: another trade"),
        "side": limited("the leaf shown within the demand time lifts it"),
    },
    objects.Contest: {
        "cycle": refused("Disputes: another cycle"),
        "run": refused("Disputes: another run"),
        "member": refused("Disputes: no signer of the trade"),
        "trade_digest": refused("Disputes: another trade"),
        "side": refused("Disputes: no such side", "Disputes: another side's leaf"),
        "evidence": harmless("for the arbiters"),
    },
    objects.FigureAgreement: {
        "cycle": refused("Disputes: another cycle"),
        "trade_digest": refused("Disputes: another trade"),
        "side": refused("Disputes: no such side", "Disputes: not contested"),
        "wh": own(_SIGNERS),
    },
    objects.Ruling: {
        "cycle": refused("Disputes: another cycle"),
        "trade_digest": refused("Disputes: another trade"),
        "side": refused("Disputes: no such side", "Disputes: not contested"),
        "wh": not_promised("that arbiters find the truth; never more than is contracted"),
    },
    objects.RowDemand: {
        "row_digest": refused("RowDemands: another row"),
        "index": limited("four open each, in the row's window; an answer lifts it"),
        "member": refused("RowDemands: not of the pair"),
    },
    objects.MissingLeaf: {
        "row_digest": refused("RowFaults: another row"),
        "trade_digest": refused("RowFaults: another trade is missing"),
        "flow": refused("RowFaults: nothing is missing"),
    },
    objects.Statement: {
        "member": refused("StatementRegistry: wrong signature"),
        "counterparty": refused("StatementRegistry: pair not in order"),
        **dict.fromkeys(("subject", "period", "digest"), own("a digest of its own accounts; it moves nothing")),
    },
    objects.CouncilAct: {
        "target": refused("Council: no contract"),
        "data": limited("waits in the open, within coded bounds; nothing it calls moves money"),
        "sequence": refused("Council: wrong approval"),
    },
    objects.CouncilCancel: {"act": refused("Council: not waiting")},
    # What stands in the trees; the codes are AllocationFaults' (docs/protocol.md, section 6).
    objects.AllocationLeaf: {
        "trade_digest": proven("demand", "twice", "void by trade (6 to 9)", "void by pair (16, 17)"),
        "commitment": proven("void by pair (17), where FIFO reads it; else it changes nothing"),
        "index": proven("void by pair (17), where FIFO reads it; else it changes nothing"),
        "side": proven("demand", "void by rule (11)", "void by trade (6, 7)", "twice"),
        "meter": proven("void by trade (7)"),
        "slot_start": proven("void by trade (8)"),
        "contracted_wh": proven("void by trade (9)"),
        "contracted_before": proven("void by rule (3, 5)", "void by pair (16, 17)"),
        "meter_wh": proven("void by rule (2, 5)", "void by pair (13)", "contest, where it is the whole group's"),
        "contracted_total_wh": proven(
            "void by rule (3, 5)", "void by pair (14)", "contest, where it is the whole group's"
        ),
        "status": proven("void by rule (1, 2)", "void by pair (15)", "contest, where the reading was missing"),
        "allocated_wh": proven("void by rule (2, 4, 5)"),
        "salt": proven("void by trade (10)"),
    },
    objects.FlowLeaf: {
        "trade_digest": proven("missing leaf", "unfounded leaf", "never published: out of order"),
        **dict.fromkeys(("flow", "settled_wh", "salt"), proven("wrong leaf")),
        "amount": proven("wrong leaf", "struck at publication: leaves do not add up"),
    },
}

# A row that a quorum attests binds members that did not sign it. Refused, never published, or struck.
ATTESTED_ROW: dict[str, Fate] = {
    **dict.fromkeys(("cycle", "run", "inputs"), _NOT_NEWEST),
    "version": refused("Settlement: not the next version"),
    "payer": proven("wrong leaf"),
    "payee": proven("wrong leaf"),
    "amount": proven("leaves do not add up"),
    "count": proven("Settlement: not the next chunk", "Settlement: malformed row"),
    "root": proven("Settlement: not the next chunk"),
    "keep": refused("Settlement: malformed row"),
}

SIGNED = tuple(TYPE_STRINGS)
LEAVES = (objects.AllocationLeaf, objects.FlowLeaf)


def table() -> Iterator[tuple[str, str, Fate]]:
    """Struct, field and fate of everything; an attested row's fields once more."""
    for kind in (*SIGNED, *LEAVES):
        for field in fields(kind):
            yield kind.__name__, field.name, FATES[kind][field.name]
    for field in fields(objects.Row):
        yield "Row, attested", field.name, ATTESTED_ROW[field.name]


def changed(value: Any) -> list[Any]:
    """Other values of the same type; of a list, with an item changed, left out, or added."""
    if isinstance(value, bytes):
        return [keccak256(value)] if len(value) == 32 else [value[:-1], value + b"\0"]
    if isinstance(value, int):
        return [value + 1, *([value - 1] if value else [])]
    if isinstance(value, str):
        return ["0x" + keccak256(value.encode())[:20].hex()]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return [replace(value, **{name: one}) for name in names for one in changed(getattr(value, name))]
    others = [(*value[:place], one, *value[place + 1 :]) for place, item in enumerate(value) for one in changed(item)]
    return [*others, value[:-1], (*value, *value[:1])]
