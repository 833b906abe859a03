"""The error family of the settlement rules: every refusal names the field, the value and the reason."""

from __future__ import annotations


class SettlementError(ValueError):
    """A value that the rules refuse. `field` names it, `value` is what was given, `message` says why."""

    def __init__(self, field: str, value: object, message: str) -> None:
        super().__init__(f"{field}: {message} (got {_shown(value)})")
        self.field = field
        self.value = value
        self.message = message


class ProgramError(SettlementError):
    """A formula program that registration would refuse; `message` is the contract's reason, word for word."""

    def __init__(self, value: object, message: str) -> None:
        super().__init__("program", value, message)


class FormulaError(SettlementError):
    """A formula text that is refused at `position`, a column counted from 1."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__("formula", f"column {position}", message)
        self.position = position


def _shown(value: object) -> str:
    # A hostile message must not fill the log through an error text.
    text = "0x" + value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
