"""What is wrong between a signer's memory and the chain: nonces that somebody else used, gaps, a chain that lags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chain.errors import ChainReset, NodeBehind, WrongChain
from chain.outbox import Outbox, Signer, Transaction
from chain.rpc import Rpc, integer


@dataclass(frozen=True, slots=True)
class Use:
    """The transaction that used a nonce, and the block that it is in."""

    hash: str
    block_number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Drift:
    """Where a signer stands: on the node, and in its own memory.

    `latest` and `pending` are how many nonces the node counts in the chain, and with what waits there; `next_nonce` is
    ours, `lowest` the lowest nonce whose end is not known for good (None: all are done), `last_error` the newest one in
    its history. `findings` say what is wrong, in sentences.
    """

    chain_id: int
    address: str
    latest: int
    pending: int
    next_nonce: int
    unfinished: int
    lowest: int | None
    last_error: str | None
    findings: tuple[str, ...]


def examine(rpc: Rpc, outbox: Outbox, chain_id: int, address: str) -> Drift:
    """Compares a signer's memory with the chain; changes nothing.

    Raises KeyError where this signer never sent, WrongChain, ChainReset, NodeBehind, ConnectionFailed, RpcError.
    """
    check_chain_id(rpc, chain_id)
    signer = outbox.known(chain_id, address)
    if signer is None:
        raise KeyError(address)
    check_history(rpc, signer, outbox.newest_final(signer.id))
    latest, pending = (integer(rpc.call("eth_getTransactionCount", address, block)) for block in ("latest", "pending"))
    unfinished = outbox.unfinished(signer.id)
    lowest = unfinished[0] if unfinished else None
    return Drift(
        chain_id=chain_id,
        address=address,
        latest=latest,
        pending=pending,
        next_nonce=signer.next_nonce,
        unfinished=len(unfinished),
        lowest=None if lowest is None else lowest.nonce,
        last_error=None if lowest is None else _last_error(lowest),
        findings=tuple(_findings(rpc, signer, lowest, latest, pending)),
    )


def _findings(rpc: Rpc, signer: Signer, lowest: Transaction | None, latest: int, pending: int) -> Iterator[str]:
    done = signer.next_nonce if lowest is None else lowest.nonce
    if signer.suspended is not None:
        yield f"suspended: {signer.suspended}"
    if signer.conflict is not None:
        yield f"nonce {signer.conflict} was used by somebody else; `resume` once it is clear by whom"
    if max(latest, pending) > signer.next_nonce:
        yield f"the node counts {max(latest, pending)} transactions, {signer.next_nonce} are ours: somebody else sends"
    if latest < done:
        yield f"the node counts {latest} transactions in the chain, {done} were final: it is behind"
    elif lowest is not None and latest == done and not _is_at(rpc, lowest):
        yield f"the node does not have nonce {done}, which the others wait for: the next tick sends it again"


def _is_at(rpc: Rpc, one: Transaction) -> bool:
    return any(rpc.call("eth_getTransactionByHash", attempt.hash) for attempt in one.attempts)


def _last_error(one: Transaction) -> str | None:
    failed = [action for action in one.history if action.error is not None]
    return max(failed, key=lambda action: action.last).error if failed else None


def check_chain_id(rpc: Rpc, expected: int) -> None:
    """Raises WrongChain where the node serves another chain."""
    if (found := rpc.chain_id()) != expected:
        raise WrongChain(f"the node serves chain {found}, expected {expected}")


def check_history(rpc: Rpc, signer: Signer, newest_final: Transaction | None) -> None:
    """Whether the chain is the one that was sent to before: its beginning, and what was final in it.

    Raises ChainReset where it is not; NodeBehind where the node cannot say yet.
    """
    if (genesis := rpc.block(0)["hash"]) != signer.genesis:
        raise ChainReset(f"the chain begins with {genesis}; what was sent before was sent to {signer.genesis}")
    if newest_final is None or newest_final.block_number is None:
        return
    number = newest_final.block_number
    found = rpc.call("eth_getBlockByNumber", hex(number), False)
    if found is None:
        raise NodeBehind(f"the node has no block {number}, in which {newest_final.hash} was final")
    if found["hash"] != newest_final.block_hash:
        raise ChainReset(
            f"{newest_final.hash} was final in block {number}, {newest_final.block_hash}; now it is another"
        )


def used_by(rpc: Rpc, address: str, nonce: int) -> Use | None:
    """The transaction of `address` with this nonce, where the chain has one; needs the node's state of that time.

    None is no proof that there is none: the node may be behind, or lose the block in between.
    """

    def used(number: int) -> bool:
        return integer(rpc.call("eth_getTransactionCount", address, hex(number))) > nonce

    high = rpc.block_number()
    if not used(high):
        return None
    # Backwards with longer and longer steps first, because nodes forget old states.
    low, step = max(0, high - 1), 2
    while low > 0 and used(low):
        high, low, step = low, max(0, low - step), step * 2
    while high - low > 1:
        middle = (high + low) // 2
        low, high = (low, middle) if used(middle) else (middle, high)
    block = rpc.call("eth_getBlockByNumber", hex(high), True) or {"transactions": []}
    for one in block["transactions"]:
        if one["from"].lower() == address and integer(one["nonce"]) == nonce:
            return Use(one["hash"], high, block["hash"])
    return None
