"""The OpenAPI document: routes from the application, schemas from the dataclasses that are exchanged."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import bodies, examples
from api.batches import BatchView
from api.policy import POLICIES, Role
from api.relaying import TransactionView
from api.routes.batches import PlaceProof
from api.routes.market import MemberView
from api.schema import MONEY, NUMBER, WORD, Schema, Schemas, list_of, nullable, problem_schema
from api.trades import TradeView
from api.views.cycles import CycleSummary, CycleView
from api.views.debts import AccountView, NoticeView, ObligationView
from api.views.finality import Finality
from api.views.rows import RowView
from settlement.trade import Signature

TITLE: Final = "Clearwatt gateway"
VERSION: Final = "1"
DESCRIPTION: Final = """\
Signatures decide: whatever moves value carries those of the members that it binds, and the gateway only relays. State
is read off the chain each time it is asked for. Energy is integer Wh, money decimal text in base units, times UTC epoch
seconds. Refusals are problem documents (RFC 9457)."""

_TEXT: Final[Schema] = {"type": "string"}
_FINALITY: Final[Schema] = {"type": "string", "enum": [one.value for one in Finality]}
_ORDER: Final[dict[str, Schema]] = {
    **dict.fromkeys(("transaction_id", "order_item_id", "template", "buyer_meter", "seller_meter"), _TEXT),
    **dict.fromkeys(("buyer_platform", "seller_platform", "buyer_utility", "seller_utility", "grid_operator"), WORD),
    **dict.fromkeys(("slot_start", "contracted_wh", "traded_at", "valid_until"), NUMBER),
    "rates": list_of(MONEY),
}
_ADDRESS: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-f]{40}$"}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application; made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
        made["openapi"] = "3.1.0"
        made["components"] = {"schemas": _schemas(), "securitySchemes": _SECURITY}
        _give_examples(made)
        app.openapi_schema = made
    return app.openapi_schema


_SECURITY: Final = {
    "member": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "An HTTP message signature (RFC 9421) by the member's hot key; docs/protocol.md says of what.",
    },
    "auditor": {"type": "http", "scheme": "bearer", "description": "An API key; it only reads."},
}


def _schemas() -> dict[str, Schema]:
    schemas = Schemas()
    for kind in (
        bodies.NewTrade,
        bodies.MoreSignatures,
        bodies.NewBatch,
        bodies.NewRows,
        bodies.NewNotice,
        bodies.NewAcknowledgement,
        bodies.NewWithdrawal,
    ):
        schemas.of(kind)
    block = schemas.named("Block", {"number": NUMBER, "hash": WORD, "time": NUMBER}, "A block of the chain.")
    as_of = {"finality": _FINALITY, "as_of_block": block}
    to_sign = schemas.named(
        "ToSign",
        {"member": WORD, "digest": WORD, "typed_data": {"type": "object", "description": "EIP-712 typed data"}},
        "A signature that is missing.",
    )

    def answered(name: str, description: str, **properties: Schema) -> None:
        schemas.named(name, properties | as_of, description)

    def resource(name: str, kind: Any, policy: str | None = None, **extra: Schema) -> Schema:
        """A class, and under `name` the same with what an answer of it alone carries besides."""
        item = schemas.of(kind, hidden=_hidden(policy, kind), extra=extra)
        answered(name, schemas.found[kind.__name__]["description"], **schemas.found[kind.__name__]["properties"])
        return item

    trade = resource("TradeAnswer", TradeView, "trade", to_sign=nullable(list_of(to_sign)))
    resource("BatchAnswer", BatchView, "batch", to_sign=nullable(list_of(to_sign)))
    resource("ProofAnswer", PlaceProof)
    resource("CycleAnswer", CycleView)
    transaction = resource("TransactionAnswer", TransactionView)
    answered("Transactions", "Calls that were relayed.", items=list_of(transaction))
    answered("TradePage", "A page of trades.", items=list_of(trade), next=nullable(_TEXT))
    order = schemas.named("Order", _ORDER, "One agreed sale in one slot, before its meters are coded.")
    kept = schemas.named(
        "KeptOrder",
        {"trade_id": WORD, "order": order, "document": _TEXT},
        "An order, and the canonical text (RFC 8785) that the trade's `order_hash` is over, behind its salt.",
    )
    answered("Orders", "Orders from messages.", items=list_of(kept), next=_TEXT)
    answered("Cycles", "Cycles, ascending.", items=list_of(schemas.of(CycleSummary)))
    answered("Rows", "The rows of a cycle.", items=list_of(schemas.of(RowView)))
    answered("Members", "The members of the market.", items=list_of(schemas.of(MemberView)))
    answered(
        "Obligations",
        "What is owed outside the escrow.",
        accounts=list_of(schemas.of(AccountView)),
        obligations=list_of(schemas.of(ObligationView)),
        notices=list_of(schemas.of(NoticeView, hidden=_hidden("notice", NoticeView))),
    )
    item = schemas.named(
        "FeedItem",
        {
            "seq": NUMBER,
            "type": _TEXT,
            "subject": _TEXT,
            "block": schemas.named("FeedBlock", {"number": NUMBER, "hash": WORD}, "The event's block."),
            "log_index": NUMBER,
            "undoes": nullable(NUMBER),
            "payload": {"type": "object"},
            "prev_hash": WORD,
            "hash": WORD,
            "finality": _FINALITY,
        },
        "An event; `hash` is Keccak-256 of the canonical JSON of all other members but `finality`.",
    )
    answered("Feed", "Items after the one asked for.", items=list_of(item), next=NUMBER)
    answered(
        "FeedHead",
        "The newest item, signed.",
        market=WORD,
        seq=NUMBER,
        hash=WORD,
        digest=WORD,
        key=_ADDRESS,
        signature=schemas.of(Signature),
    )
    schemas.found["Problem"] = problem_schema()
    return dict(sorted(schemas.found.items()))


def _hidden(policy: str | None, kind: Any) -> tuple[str, ...]:
    """The fields of a resource that some of those who may see it do not see."""
    if policy is None:
        return ()
    fields = POLICIES[policy]
    everybody = frozenset(role for roles in fields.values() for role in roles) or frozenset(Role)
    return tuple(name for name in kind.__dataclass_fields__ if fields[name] != everybody)


def _give_examples(made: dict[str, Any]) -> None:
    for path in made["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None:
                content["example"] = examples.BODIES[content["schema"]["$ref"].rpartition("/")[2]]
