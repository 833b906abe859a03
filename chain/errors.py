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
