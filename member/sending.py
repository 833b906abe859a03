"""Sending what a stage has found is to be done, however often it finds so before the chain shows that it is done."""

from __future__ import annotations

from typing import Final

import structlog

from chain.errors import Reverted
from chain.outbox import REVERTED, SUPERSEDED
from member.market import Market

MOST_ATTEMPTS: Final = 8
_FAILED: Final = frozenset({REVERTED, SUPERSEDED})

_log = structlog.get_logger("member.sending")


def send_once(market: Market, intent: str, contract: str, function: str, *arguments: object) -> bool:
    """Sends a call unless it was sent for this intent before; whether this did.

    A call that the contract would refuse now is not sent: somebody else may have been quicker, or its time has not
    come. One that was sent and failed in its block is sent again, `MOST_ATTEMPTS` times at most.
    """
    for attempt in range(1, MOST_ATTEMPTS + 1):
        name = intent if attempt == 1 else f"{intent}#{attempt}"
        sent = market.sender.find(name)
        if sent is not None and sent.state in _FAILED:
            continue
        if sent is not None:
            return False
        try:
            market.submit(name, contract, function, *arguments)
        except Reverted as error:
            _log.debug("not sent", intent=name, reason=error.reason)
            return False
        _log.info("sent", intent=name)
        return True
    return False


def was_sent(market: Market, intent: str) -> bool:
    """Whether something was sent for this intent that has not failed."""
    for attempt in range(1, MOST_ATTEMPTS + 1):
        sent = market.sender.find(intent if attempt == 1 else f"{intent}#{attempt}")
        if sent is None:
            return False
        if sent.state not in _FAILED:
            return True
    return False
