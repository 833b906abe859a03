"""The leaves of an attested row, as they were published: they stand in the data of the calls, not in events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chain.errors import ChainError
from chain.evidence import struct
from chain.rpc import binary
from member.market import Market
from member.pairs import PendingRow
from settlement.errors import SettlementError
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, Row


class LeavesUnreadable(Exception):
    """The published leaves of a row cannot be found in the transactions that published them."""


def published_row(market: Market, pending: PendingRow) -> RowContent:
    """The whole row, from the calls that published it. Raises LeavesUnreadable."""
    leaves: list[FlowLeaf] = []
    for transaction in dict.fromkeys(pending.chunks):
        for row, chunk in _publications(market, transaction):
            if row == pending.row:
                leaves += chunk
    try:
        content = RowContent(pending.row.payer, pending.row.payee, tuple(leaves))
    except SettlementError as error:
        raise LeavesUnreadable(f"row 0x{pending.digest.hex()}: {error.message}") from error
    if (content.count, content.root) != (pending.row.count, pending.row.root):
        raise LeavesUnreadable(f"row 0x{pending.digest.hex()}: {content.count} leaves found of {pending.row.count}")
    return content


def _publications(market: Market, transaction: str) -> Iterator[tuple[Row, list[FlowLeaf]]]:
    """Every call of `publish` in a transaction, in order."""
    for data in _calls_to_settlement(market, transaction):
        try:
            function, arguments = market.read_call("Settlement", data)
        except ChainError:
            continue
        if function == "publish":
            row, leaves, _ = arguments
            yield struct(Row, row), [struct(FlowLeaf, leaf) for leaf in leaves]


def _calls_to_settlement(market: Market, transaction: str) -> Iterator[bytes]:
    target = market.record.contracts["Settlement"].address
    sent = market.ask_node("eth_getTransactionByHash", transaction)
    if sent is None:
        raise LeavesUnreadable(f"the node does not know transaction {transaction}")
    if (sent["to"] or "").lower() == target:
        yield binary(sent["input"])
        return
    # Whoever publishes by way of a contract of its own does not escape: nodes that trace show the inner calls.
    try:
        trace = market.ask_node("debug_traceTransaction", transaction, {"tracer": "callTracer"})
    except ChainError as error:
        raise LeavesUnreadable(f"transaction {transaction} cannot be traced: {error}") from error
    yield from _inner_calls(trace, target)


def _inner_calls(call: Mapping[str, Any], target: str) -> Iterator[bytes]:
    if call.get("type") == "CALL" and str(call.get("to", "")).lower() == target and "error" not in call:
        yield binary(call["input"])
    for inner in call.get("calls", ()):
        yield from _inner_calls(inner, target)
