"""What a sender must know of a network, and what a node says of itself when it is asked first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rlp import decode as rlp_decode
from rlp.exceptions import DecodingError

from chain.errors import RpcError
from chain.rpc import Rpc, binary, integer

IsFinal = Callable[[int, str], bool]
"""Whether the block of this number and hash can no longer leave the chain."""


class Fees(Enum):
    """What a transaction offers for its gas."""

    NONE = "none"
    """Nothing: a permissioned chain."""
    ASKED = "asked"
    """What the node names when the transaction is signed."""


@dataclass(frozen=True, slots=True)
class NetworkProfile:
    """How to send on one network.

    `gas_cap`: no transaction asks for more. `in_flight`: so many of a signer's transactions wait for a block at once.
    `replacement`: the network takes a dearer transaction in the place of a waiting one, so that one can be cancelled.
    """

    chain_id: int
    gas_cap: int = 15_000_000
    in_flight: int = 8
    replacement: bool = False
    fees: Fees = Fees.NONE


def at_once(_number: int, _block_hash: str) -> bool:
    """The finality of chains whose blocks are final as soon as they are seen."""
    return True


# --- asking a node ---

_BFT_MARK: Final = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"  # in a header's mixHash
_VANITY: Final = 32
_SEAL: Final = 65
_BFT_ITEMS: Final = 5
_NOWHERE: Final = "0x" + "00" * 20
_UNKNOWN_HASH: Final = "0x" + "ee" * 32


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a node and its chain can do, as found by asking.

    `consensus` is a guess from the newest header. `base_fee` and `gas_price` are in the chain's base units (None: the
    node knows no such thing). `finalized` and `safe`: how many blocks behind the newest the tags are (None: the node
    does not know them). `logs_by_hash`: whether the logs of one block can be asked for, and a block that the node does
    not know is refused. `old_states`: whether it answers from the first block's state. `pool`: how it can be looked at.
    """

    client: str
    chain_id: int
    genesis: str
    head: int
    consensus: str
    gas_limit: int
    base_fee: int | None
    gas_price: int | None
    finalized: int | None
    safe: int | None
    pool: str
    logs_by_hash: bool
    old_states: bool
    traces: bool

    def unfit(self, network: NetworkProfile) -> tuple[str, ...]:
        """Why a sender with this profile would not get on with the node; nothing where it would."""
        wrong = []
        if self.chain_id != network.chain_id:
            wrong.append(f"the chain's id is {self.chain_id}, the profile's {network.chain_id}")
        if self.gas_limit < network.gas_cap:
            wrong.append(f"a block holds {self.gas_limit} gas, less than the profile's cap of {network.gas_cap}")
        if network.fees is Fees.NONE and (self.base_fee or self.gas_price):
            price = self.base_fee or self.gas_price
            wrong.append(f"gas costs {price} here, and the profile offers nothing")
        if not self.logs_by_hash:
            wrong.append("the logs of a block cannot be asked for by its hash, as following needs")
        return tuple(wrong)


def preflight(rpc: Rpc) -> Capabilities:
    """Asks a node about itself and its chain; sends nothing. Raises ConnectionFailed, RpcError for no node at all."""
    head = rpc.block()
    number = integer(head["number"])
    return Capabilities(
        client=str(_ask(rpc, "web3_clientVersion") or "not told"),
        chain_id=rpc.chain_id(),
        genesis=str(rpc.block(0)["hash"]),
        head=number,
        consensus=consensus_of(head),
        gas_limit=integer(head["gasLimit"]),
        base_fee=_number(head.get("baseFeePerGas")),
        gas_price=_number(_ask(rpc, "eth_gasPrice")),
        finalized=_behind(rpc, "finalized", number),
        safe=_behind(rpc, "safe", number),
        pool=_pool(rpc),
        logs_by_hash=_refuses_unknown_blocks(rpc, head["hash"]),
        old_states=_ask(rpc, "eth_getTransactionCount", _NOWHERE, "0x0") is not None,
        traces=_ask(rpc, "debug_traceCall", {"to": _NOWHERE}, "latest", {"tracer": "callTracer"}) is not None,
    )


def consensus_of(header: Mapping[str, Any]) -> str:
    """How the chain agrees, as far as a header lets one guess."""
    extra = binary(header.get("extraData") or "0x")
    if header.get("mixHash") == _BFT_MARK:
        return _bft(extra)
    if integer(header.get("difficulty") or "0x0") in (1, 2) and len(extra) >= _VANITY + _SEAL:
        return "Clique: no block is final by itself, use depth"
    if integer(header.get("difficulty") or "0x0") > 0:
        return "proof of work"
    return "proof of stake or CometBFT, as the tags say; or a development node"


def _bft(extra: bytes) -> str:
    try:
        items = rlp_decode(extra)
    except DecodingError:
        return "IBFT: each block is final"
    if not isinstance(items, list) or len(items) != _BFT_ITEMS:
        return "IBFT: each block is final"
    # A round is four bytes in IBFT 2.0, a number in QBFT.
    return "IBFT 2.0: each block is final" if len(items[3]) == 4 else "QBFT: each block is final"


def _ask(rpc: Rpc, method: str, *params: object) -> Any:
    """The answer, or None where the node refuses."""
    try:
        return rpc.call(method, *params)
    except RpcError:
        return None


def _number(quantity: str | None) -> int | None:
    return None if quantity is None else integer(quantity)


def _behind(rpc: Rpc, tag: str, head: int) -> int | None:
    block = _ask(rpc, "eth_getBlockByNumber", tag, False)
    return None if block is None else max(0, head - integer(block["number"]))


def _pool(rpc: Rpc) -> str:
    for method, kind in (("txpool_status", "txpool (geth's)"), ("txpool_besuStatistics", "txpool (Besu's)")):
        if _ask(rpc, method) is not None:
            return kind
    return "cannot be looked at"


def _refuses_unknown_blocks(rpc: Rpc, known: str) -> bool:
    return (
        _ask(rpc, "eth_getLogs", {"blockHash": known, "address": _NOWHERE}) is not None
        and _ask(rpc, "eth_getLogs", {"blockHash": _UNKNOWN_HASH, "address": _NOWHERE}) is None
    )
