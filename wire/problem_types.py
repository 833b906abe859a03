"""The list of all problems: the one place where a code gets its status, its title and its meaning.

`python -m wire.problem_types` prints `docs/problems.md`; a test compares the two, and every code in the sources with
this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What is the same for all problems of one code: HTTP status, title, and what it means for whoever gets it."""

    code: str
    status: int
    title: str
    meaning: str


_GROUPS: Final[Mapping[str, tuple[ProblemType, ...]]] = {
    "Any request": (
        ProblemType("body-malformed", 400, "The body is not JSON", "Numbers must be integers, a key may stand once."),
        ProblemType("not-found", 404, "There is no such thing", "The address, or what it names, is not known here."),
        ProblemType("method-not-allowed", 405, "The address takes another method", "See the list of addresses."),
        ProblemType("body-too-large", 413, "The body is too large", "Send it in parts."),
        ProblemType(
            "value-refused",
            422,
            "The rules refuse a value",
            "`errors` names the field by a JSON pointer and says why. The same request will be refused again.",
        ),
        ProblemType("too-many-requests", 429, "Too many requests", "Wait a minute before the next one."),
        ProblemType("internal-error", 500, "A defect of this program", "It is in the log of whoever answered."),
        ProblemType("try-again", 503, "Not possible at this moment", "The same request may succeed later."),
    ),
    "Signed requests": (
        ProblemType(
            "signature-missing",
            401,
            "The request is not signed",
            "`Signature-Input` and `Signature` are wanted, and `Content-Digest` where there is a body.",
        ),
        ProblemType(
            "signature-malformed",
            401,
            "The signature cannot be read",
            "Its components, parameters or bytes are not as the protocol's section on requests between members says.",
        ),
        ProblemType("signature-stale", 401, "The signature's time is not now", "Compare the clocks of both machines."),
        ProblemType("signature-replayed", 401, "The nonce was used before", "Each request has a nonce of its own."),
        ProblemType(
            "signature-wrong",
            401,
            "The signature is not the member's",
            "The request was changed on its way, is addressed to another URL, or was signed with another key.",
        ),
        ProblemType("digest-differs", 401, "The body is not the signed one", "The body was changed on its way."),
        ProblemType("member-unknown", 403, "Not a member of this market", "Only members that hold a key may ask."),
        ProblemType("not-yours", 403, "Not this member's business", "Only those it concerns may see or say this."),
    ),
    "Trades": (
        ProblemType("trade-unknown", 404, "The trade is not known here", "Its digest was never seen."),
        ProblemType(
            "trade-refused",
            409,
            "The trade is not signed here",
            "It breaks a limit, a rule of the market, or an earlier signature for the same trade id.",
        ),
        ProblemType("place-invalid", 422, "The place is not valid", "In the words of the contract that judges it."),
        ProblemType("batch-refused", 409, "The batch is not signed here", "Its trades, locks or gate do not fit."),
        ProblemType("meter-unknown", 404, "Not a meter of this utility", "The meter is another utility's."),
    ),
    "Rows": (
        ProblemType(
            "row-differs",
            409,
            "The rows of the two members differ",
            "`amount`, `count` and `root` are what the answering member computes; walk down to the first leaf.",
        ),
        ProblemType("row-not-ready", 409, "The row cannot be computed yet", "Its run is not sealed, or leaves miss."),
        ProblemType("row-settled", 409, "The row is settled", "A row of this or a later version has applied."),
        ProblemType(
            "row-version",
            409,
            "The row needs another version",
            "Another row was attested or signed under this version; `version` is the lowest that is free.",
        ),
        ProblemType("attestation-refused", 409, "The row is not attested", "The recomputed row is another."),
        ProblemType("packet-incomplete", 422, "The packet does not carry the row", "A trade, place or leaf fails."),
        ProblemType("allocation-unknown", 404, "There is no such allocation", "Nothing was posted in this run."),
    ),
    "The gateway": (
        ProblemType(
            "idempotency-key-missing",
            400,
            "An Idempotency-Key is wanted",
            "1 to 255 printable characters, chosen once for what is meant, sent again with every repetition.",
        ),
        ProblemType(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key was used for something else",
            "Under this key another body was sent to this address in the last seven days.",
        ),
        ProblemType(
            "request-running",
            409,
            "The same request is being worked on",
            "Wait for `Retry-After` seconds and send it again: the answer will be the first one's.",
        ),
        ProblemType("api-key-wrong", 401, "The API key is not known", "It is none of ours, or its time is over."),
        ProblemType("scope-missing", 403, "The API key does not reach this far", "Ask the gateway's operator."),
        ProblemType(
            "member-signature-wrong",
            422,
            "A signature is not the member's",
            "`errors` names each one that is not by the hot key which the registry has for the member now.",
        ),
        ProblemType("trade-differs", 409, "The trade is kept with other terms", "Its lane or its locks are others."),
        ProblemType("batch-unknown", 404, "The batch is not known here", "Its digest was never seen."),
        ProblemType(
            "batch-differs", 422, "The trades are not the batch's", "Their root or number is not what the batch says."
        ),
        ProblemType(
            "contract-refuses",
            422,
            "The contract would refuse this",
            "`reason` has its words. Nothing was sent; once the reason is gone the same request may succeed.",
        ),
        ProblemType(
            "not-committed",
            409,
            "The trade is not committed yet",
            "It has no place on the chain, so there is no proof.",
        ),
        ProblemType(
            "index-stale", 503, "The gateway is behind the chain", "Proofs are served again once it has caught up."
        ),
    ),
    "Money": (ProblemType("contract-refused", 409, "The contract refuses it now", "In the words of the contract."),),
}

PROBLEM_TYPES: Final[Mapping[str, ProblemType]] = {one.code: one for group in _GROUPS.values() for one in group}
"""Every problem by its code."""


def page() -> str:
    """`docs/problems.md`."""
    lines = [
        "# Problems",
        "",
        "A refusal is a problem document (RFC 9457, `application/problem+json`) with `type`, `title`, `status`,",
        "`detail`, `code`, and where fields are meant `errors`, each with a JSON `pointer` into the body and a",
        "`detail`. `type` is `urn:clearwatt:problem:` and the code. Codes do not change their meaning.",
        "",
        "This page is written from `wire/problem_types.py`: `python -m wire.problem_types > docs/problems.md`.",
    ]
    for title, group in _GROUPS.items():
        lines += ["", f"## {title}", "", "| code | status | title | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{one.code}` | {one.status} | {one.title} | {one.meaning} |" for one in group]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
