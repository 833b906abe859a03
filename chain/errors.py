"""The error family of the chain room."""

from __future__ import annotations


class ChainError(Exception):
    """Something between this program and the contracts went wrong."""


class NodeMissing(ChainError):
    """The local chain's program is not installed."""


class PortTaken(ChainError):
    """Another process listens where the local chain was told to."""


class NodeFailed(ChainError):
    """The local chain ended or did not answer; the message carries what it said."""


class RpcError(ChainError):
    """A node's refusal of a call, as JSON-RPC gives it."""

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class ConnectionFailed(ChainError):
    """The node cannot be reached, or answers with something that is not JSON-RPC."""


class CompileFailed(ChainError):
    """The compiler refuses a contract; the message is the compiler's."""


class CannotEncode(ChainError):
    """A value does not fit the parameter that it is given for."""


class Reverted(ChainError):
    """A contract refused a call; `reason` is its own text, or the raw data where it gave no text."""

    def __init__(self, contract: str, function: str, reason: str) -> None:
        super().__init__(f"{contract}.{function}: {reason or 'reverted without a reason'}")
        self.contract = contract
        self.function = function
        self.reason = reason


class DeploymentMismatch(ChainError):
    """What stands at an address, or in a deployment record, is not what it should be."""


class WrongChain(ChainError):
    """The node serves another chain than the one that it was configured for."""


class ChainReset(ChainError):
    """The chain is not the one that transactions were sent to before: it began anew, or lost what was final."""


class NodeBehind(ChainError):
    """The node does not know a block yet that it must know, or its chain began anew and is shorter."""


class GasRefused(ChainError):
    """A transaction would need more gas than the network profile, or a block, allows."""


class NotReplaceable(ChainError):
    """A transaction cannot be cancelled: it waits no longer, or its network takes no replacement."""


class SenderHeld(ChainError):
    """The signer sends nothing: its operator suspended it, or somebody else uses its key."""


class FinalityBroken(ChainError):
    """The node's chain lacks a block that was final: going on would undo what was settled by it."""


class NothingFollowed(ChainError):
    """The chain is asked for what happened on it before its first block has been followed."""
