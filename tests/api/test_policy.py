"""Who sees which field: every field of everything that is shown, for every role, against a table written by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.batches import BatchView
from api.policy import POLICIES, Policy, Role, shown
from api.relaying import TransactionView
from api.trades import TradeView
from api.views.debts import NoticeView

RESOURCES = {
    "trade": (TradeView, {"to_sign"}),
    "batch": (BatchView, {"to_sign"}),
    "transaction": (TransactionView, set()),
    "notice": (NoticeView, set()),
}

# What is not for everybody who may see the thing at all; all else is.
MAY_SEE = {
    "trade": {Role.SIGNER, Role.AUDITOR},
    "batch": {Role.SIGNER, Role.PARTY, Role.AUDITOR},
    "transaction": {Role.SIGNER, Role.PARTY, Role.AUDITOR},
    "notice": set(Role),
}
NARROWER = {
    ("trade", "to_sign"): {Role.SIGNER},
    ("batch", "to_sign"): {Role.SIGNER},
    ("batch", "trades"): {Role.SIGNER, Role.AUDITOR},
    ("notice", "reference_hash"): {Role.PARTY, Role.AUDITOR},
}


def fields_of(resource: str) -> set[str]:
    kind, extra = RESOURCES[resource]
    return set(kind.__dataclass_fields__) | extra


def matrix() -> Iterator[tuple[str, str, Role]]:
    for resource in RESOURCES:
        for field in sorted(fields_of(resource)):
            for role in Role:
                yield resource, field, role


@pytest.mark.parametrize(("resource", "field", "role"), list(matrix()))
def test_field_for_role(resource: str, field: str, role: Role) -> None:
    document = dict.fromkeys(fields_of(resource), "value")
    is_seen = role in NARROWER.get((resource, field), MAY_SEE[resource])

    assert shown(POLICIES[resource], role, document)[field] == ("value" if is_seen else None)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_field_is_decided(resource: str) -> None:
    assert set(POLICIES[resource]) == fields_of(resource)


def test_unlisted_field_is_nobodys() -> None:
    policy: Policy = {"a": frozenset(Role)}
    assert shown(policy, Role.SIGNER, {"a": 1, "b": 2}) == {"a": 1, "b": None}
