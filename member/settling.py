"""Everything that settles, as every member has it: the stages in their order, and the routes that go with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter

from member import attesting, debts, exchange, payments, row_pages
from member.attesting import Attestor
from member.claiming import Claiming
from member.cranks import Cranks
from member.debts import Debts
from member.exchange import Exchange
from member.soliciting import Soliciting
from member.watching import Watching

if TYPE_CHECKING:
    from member.daemon import Daemon, Stage

STAGES: Final[tuple[Callable[[Daemon[Any]], Stage], ...]] = (
    Cranks,
    Watching,
    Exchange,
    Attestor,
    Soliciting,
    Claiming,
    Debts,
)
"""Faults are proven before anything is settled, agreement is tried before attestation, and that before claims."""

ROUTERS: Final[tuple[Callable[[Daemon[Any]], APIRouter], ...]] = (
    exchange.routes,
    row_pages.routes,
    attesting.routes,
    debts.routes,
    payments.routes,
)
