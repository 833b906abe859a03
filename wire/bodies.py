"""JSON as it travels: written canonically, read from whatever is JSON without fractions and repeated keys."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from settlement import canonical_json
from settlement.errors import SettlementError
from wire.problems import Refused


def body_of(document: Any) -> bytes:
    """The bytes of a document. Raises SettlementError for what has no JSON form."""
    return canonical_json.dumps(document)


def read_body(raw: bytes) -> Any:
    """The document in a body. Raises Refused (`body-malformed`), saying what is wrong with it."""
    if canonical_json.depth_of(raw) > canonical_json.MAX_DEPTH:
        raise Refused("body-malformed", "nested too deeply")
    try:
        found = json.loads(raw, parse_float=_no_number, parse_constant=_no_number, object_pairs_hook=_once)
        canonical_json.dumps(found)  # its integers and texts
    except ValueError as error:
        what = error.message if isinstance(error, SettlementError) else str(error)
        raise Refused("body-malformed", what) from error
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer; amounts are text")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
