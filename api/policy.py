"""Who sees which field of what the gateway shows. Whole rows are a matter of the queries; this is about their fields.

A field that is not listed here is shown to nobody, and a test fails for it; so whoever adds one decides who sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Role(StrEnum):
    """What a caller is to a thing: it signs it, it is a party of what it is about, it audits for one of those, or is
    any other member of the market (`MEMBER`).
    """

    SIGNER = "signer"
    PARTY = "party"
    AUDITOR = "auditor"
    MEMBER = "member"


S, P, A, M = Role.SIGNER, Role.PARTY, Role.AUDITOR, Role.MEMBER
_EVERYBODY: Final = frozenset({S, P, A, M})
_CONCERNED: Final = frozenset({S, P, A})
_SIGNERS: Final = frozenset({S})

Policy = Mapping[str, frozenset[Role]]

TRADE: Final[Policy] = dict.fromkeys(
    (
        "digest",
        "trade",
        "lane",
        "cycle",
        "state",
        "reason",
        "contracted_wh",
        "number",
        "run",
        "signatures",
        "missing",
        "locks",
        "lock_signatures",
        "transaction",
        "finality",
    ),
    frozenset({S, A}),
) | {"to_sign": _SIGNERS}

# A party of a batch signs one of its trades and not the batch: the other trades are not its business.
BATCH: Final[Policy] = dict.fromkeys(
    ("id", "batch", "state", "number", "transaction", "signatures", "missing", "finality"), _CONCERNED
) | {"trades": frozenset({S, A}), "to_sign": _SIGNERS}

TRANSACTION: Final[Policy] = dict.fromkeys(
    (
        "id",
        "kind",
        "subject",
        "state",
        "hash",
        "nonce",
        "block_number",
        "block_hash",
        "reason",
        "finality",
        "history",
    ),
    _CONCERNED,
)

NOTICE: Final[Policy] = dict.fromkeys(
    (
        "debtor",
        "creditor",
        "obligations",
        "amount",
        "acknowledged",
        "arrived",
        "is_live",
        "rail",
        "value_date",
        "notified_at",
        "finality",
    ),
    _EVERYBODY,
) | {"reference_hash": frozenset({P, A})}

POLICIES: Final[Mapping[str, Policy]] = {
    "trade": TRADE,
    "batch": BATCH,
    "transaction": TRANSACTION,
    "notice": NOTICE,
}


def shown(policy: Policy, role: Role, document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with the fields that the role does not see set to null."""
    return {name: value if role in policy.get(name, ()) else None for name, value in document.items()}
