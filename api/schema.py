"""JSON schemas of what is exchanged, read off the dataclasses that `settlement.documents` writes and reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from settlement.canonical_json import MAX_INTEGER
from settlement.documents import DECIMAL_TEXT
from wire.problem_types import PROBLEM_TYPES

Schema = dict[str, Any]

WORD: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-f]{64}$", "description": "32 bytes"}
MONEY: Final[Schema] = {
    "type": "string",
    "pattern": "^(0|[1-9][0-9]{0,77})$",
    "description": "base units, 10^-6 of the market's currency; rates are base units per kWh",
}
NUMBER: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER}


class Schemas:
    """The schemas of a document, each class once, under the name of the class."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def of(self, kind: Any, *, hidden: Iterable[str] = (), extra: Mapping[str, Schema] | None = None) -> Schema:
        """A reference to the schema of a dataclass. `hidden` fields may be null; `extra` ones come besides its own."""
        if kind.__name__ not in self.found:
            self.found[kind.__name__] = {}  # a class may contain itself
            hints = get_type_hints(kind)
            properties = {field.name: self._value(hints[field.name], field.name) for field in fields(kind)}
            properties |= {**(extra or {})}
            for name in hidden:
                properties[name] = nullable(properties[name])
            self.found[kind.__name__] = {
                "type": "object",
                "description": (kind.__doc__ or "").strip(),
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{kind.__name__}"}

    def named(self, name: str, properties: Mapping[str, Schema], description: str) -> Schema:
        """A reference to an object schema of our own making."""
        self.found[name] = {
            "type": "object",
            "description": description,
            "properties": dict(properties),
            "required": list(properties),
            "additionalProperties": False,
        }
        return {"$ref": f"#/components/schemas/{name}"}

    def _value(self, hint: Any, name: str) -> Schema:
        origin = get_origin(hint)
        if origin is tuple:
            return {"type": "array", "items": self._value(get_args(hint)[0], name)}
        if origin is UnionType:
            return nullable(self._value(next(one for one in get_args(hint) if one is not NoneType), name))
        if isinstance(hint, type) and is_dataclass(hint):
            return self.of(hint)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return {"type": "string", "enum": [one.value for one in hint]}
        if hint is bytes:
            return dict(WORD)
        if hint is bool:
            return {"type": "boolean"}
        if hint is int:
            return dict(MONEY if name in DECIMAL_TEXT else NUMBER)
        return {"type": "string"}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return schema if schema.get("anyOf") else {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}


def problem_schema() -> Schema:
    """A problem document; beside these members it may have facts of its own."""
    return {
        "type": "object",
        "description": "RFC 9457; docs/problems.md says what each code means.",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": sorted(PROBLEM_TYPES)},
            "trace_id": {"type": "string"},
            "errors": list_of(
                {
                    "type": "object",
                    "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                    "required": ["pointer", "detail"],
                }
            ),
        },
        "required": ["type", "title", "status", "detail", "code", "trace_id"],
    }
