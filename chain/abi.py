"""Between Python values and ABI words, by the names that a contract's ABI gives them.

Into the chain: a struct may be a dataclass or a mapping (fields by name) or a sequence (fields by place). Out of it: a
struct is a dict by field names, an array a list, bytes32 are bytes, an address is 0x and lower-case hex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from typing import Any

from eth_abi import decode as abi_decode  # type: ignore[attr-defined]
from eth_abi import encode as abi_encode  # type: ignore[attr-defined]
from eth_abi.exceptions import DecodingError, EncodingError

from chain.errors import CannotEncode, ChainError
from settlement.hashing import keccak256

Parameter = Mapping[str, Any]

_MISFIT = (EncodingError, TypeError, ValueError, OverflowError)


def signature_type(parameter: Parameter) -> str:
    """The canonical type: a tuple's components in parentheses, array suffixes kept."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(signature_type(component) for component in parameter["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def encode(parameters: Sequence[Parameter], values: Sequence[object]) -> bytes:
    """The ABI encoding of values for parameters. Raises CannotEncode, which names the parameter, on any misfit."""
    if len(parameters) != len(values):
        raise CannotEncode(f"{len(values)} values for {len(parameters)} parameters")
    plain = [_positional(parameter, value) for parameter, value in zip(parameters, values, strict=True)]
    types = [signature_type(parameter) for parameter in parameters]
    try:
        return abi_encode(types, plain)
    except _MISFIT as error:
        raise CannotEncode(_culprit(parameters, types, plain) or str(error)) from error


def decode(parameters: Sequence[Parameter], data: bytes) -> list[Any]:
    """The values of parameters. Raises ChainError where `data` is not their encoding."""
    try:
        values = abi_decode([signature_type(parameter) for parameter in parameters], data)
    except DecodingError as error:
        raise ChainError(f"not the encoding of {len(parameters)} values: {error}") from error
    return [_named(parameter, value) for parameter, value in zip(parameters, values, strict=True)]


@dataclass(frozen=True)
class FunctionAbi:
    """One function: how it is called, what it answers."""

    name: str
    inputs: Sequence[Parameter]
    outputs: Sequence[Parameter]

    @cached_property
    def selector(self) -> bytes:
        return keccak256(_signature(self.name, self.inputs))[:4]

    def call_data(self, arguments: Sequence[object]) -> bytes:
        """What a call with these arguments sends. Raises CannotEncode."""
        return self.selector + encode(self.inputs, arguments)

    def answer(self, data: bytes) -> Any:
        """None, the one value, or the tuple of values that the function returned."""
        values = decode(self.outputs, data)
        return tuple(values) if len(values) > 1 else values[0] if values else None


@dataclass(frozen=True)
class EventAbi:
    """One event: how its logs are told from others, and read."""

    name: str
    inputs: Sequence[Parameter]

    @cached_property
    def topic(self) -> bytes:
        return keccak256(_signature(self.name, self.inputs))

    def fields(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The fields of a log by name, in the event's order.

        An indexed text, array or struct comes as the hash that the log has of it.
        """
        plain = iter(decode([field for field in self.inputs if not field["indexed"]], data))
        indexed = iter(topics[1:])
        return {
            field["name"]: _from_topic(field, next(indexed)) if field["indexed"] else next(plain)
            for field in self.inputs
        }


def _culprit(parameters: Sequence[Parameter], types: Sequence[str], values: Sequence[Any]) -> str | None:
    for parameter, kind, value in zip(parameters, types, values, strict=True):
        try:
            abi_encode([kind], [value])
        except _MISFIT as error:
            return f"{parameter['name'] or kind}: {error}"
    return None


def _signature(name: str, inputs: Sequence[Parameter]) -> bytes:
    return f"{name}({','.join(signature_type(parameter) for parameter in inputs)})".encode()


def _from_topic(field: Parameter, topic: bytes) -> Any:
    kind: str = field["type"]
    if kind in ("string", "bytes") or kind.startswith("tuple") or kind.endswith("]"):
        return topic
    return decode([field], topic)[0]


def _element(parameter: Parameter) -> Parameter | None:
    """The parameter of one element, where the parameter is an array."""
    kind: str = parameter["type"]
    if not kind.endswith("]"):
        return None
    return {**parameter, "type": kind[: kind.rindex("[")]}


def _positional(parameter: Parameter, value: Any) -> Any:
    element = _element(parameter)
    if element is not None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise CannotEncode(f"{parameter['name']}: a list is wanted, not {type(value).__name__}")
        return [_positional(element, item) for item in value]
    if parameter["type"] != "tuple":
        return value
    components: Sequence[Parameter] = parameter["components"]
    return tuple(
        _positional(component, item)
        for component, item in zip(components, _fields(parameter, components, value), strict=True)
    )


def _fields(parameter: Parameter, components: Sequence[Parameter], value: Any) -> list[Any]:
    names = [component["name"] for component in components]
    where = parameter["name"] or "struct"
    try:
        if is_dataclass(value) and not isinstance(value, type):
            return [getattr(value, name) for name in names]
        if isinstance(value, Mapping):
            if len(value) != len(names):
                raise CannotEncode(f"{where}: fields {sorted(value)} instead of {sorted(names)}")
            return [value[name] for name in names]
    except (AttributeError, KeyError) as error:
        raise CannotEncode(f"{where}: {type(value).__name__} lacks a field: {error}") from error
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != len(names):
        raise CannotEncode(f"{where}: {len(names)} fields are wanted: {', '.join(names)}")
    return list(value)


def _named(parameter: Parameter, value: Any) -> Any:
    element = _element(parameter)
    if element is not None:
        return [_named(element, item) for item in value]
    if parameter["type"] != "tuple":
        return value
    components: Sequence[Parameter] = parameter["components"]
    return {component["name"]: _named(component, item) for component, item in zip(components, value, strict=True)}
