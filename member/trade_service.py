"""Trades between members over HTTP: asking for signatures in bulk, and handing over what all have signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response

from member.cosigning import SIGNED, Cosigner, Refusal, SignedTrade, signature_fault
from member.daemon import Daemon
from member.service import Body, Caller, answer
from settlement.canonical_json import Json
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from store.records import MemberSignature, OpenTrade
from wire.problems import FieldProblem, Refused

MOST_TRADES: Final = 256
"""So many trades go into one request."""


def routes(daemon: Daemon[Any], cosigner: Cosigner) -> APIRouter:
    """`POST /v1/trades/sign`, `POST /v1/trades/signed`."""
    router = APIRouter(prefix="/v1")

    @router.post("/trades/sign")
    def sign(caller: Caller, body: Body) -> Response:
        """This member's signatures on trades that the caller has signed, each by itself signed or refused."""
        asked = signed_trades(body)
        for place, one in enumerate(asked):
            # Whoever asks is bound first: else asking for nothing would use up the limits of others' meters.
            if caller not in {by.member for by in one.signatures}:
                raise Refused(
                    "not-yours",
                    "the member that asks has to sign first",
                    errors=(FieldProblem(f"#/trades/{place}/signatures", "the asking member's is missing"),),
                )
        answers = cosigner.sign(asked)
        refused = [one for one in answers if isinstance(one, Refusal)]
        if len(refused) < len(answers):
            daemon.wake()
        daemon.log.info(
            "trades asked", by=daemon.market.name(caller), signed=len(answers) - len(refused), refused=len(refused)
        )
        return answer({"answers": [_answered(one) for one in answers]})

    @router.post("/trades/signed")
    def signed(caller: Caller, body: Body) -> Response:
        """Keeps trades that all their signers have signed."""
        given = signed_trades(body)
        daemon.store.keep_signed(
            [_complete(daemon, caller, f"#/trades/{place}", one) for place, one in enumerate(given)]
        )
        daemon.wake()
        return answer({"taken": len(given)})

    return router


def signed_trades(body: Any) -> tuple[SignedTrade, ...]:
    """The trades in a body `{"trades": […]}`. Raises SettlementError, naming the field."""
    if not isinstance(body, dict) or body.keys() != {"trades"}:
        raise SettlementError("$", None, "must be an object with trades")
    found: tuple[SignedTrade, ...] = value_of(tuple[SignedTrade, ...], body["trades"], "$.trades")
    if len(found) > MOST_TRADES:
        raise SettlementError("$.trades", len(found), f"at most {MOST_TRADES} at a time")
    return found


def read_answers(asked: Sequence[Hash32], found: Any) -> list[MemberSignature | Refusal]:
    """What a member answered to `asked` (digests), one for one. Raises SettlementError for anything else."""
    listed = found.get("answers") if isinstance(found, dict) else None
    if not isinstance(listed, list) or len(listed) != len(asked):
        raise SettlementError("answers", None, "must be one for each trade")
    return [_answer_of(one, f"$.answers[{place}]") for place, one in enumerate(listed)]


def in_parts(trades: Iterable[Any]) -> list[list[Any]]:
    """Trades in lists of what goes into one request."""
    listed = list(trades)
    return [listed[first : first + MOST_TRADES] for first in range(0, len(listed), MOST_TRADES)]


def _answer_of(found: Any, where: str) -> MemberSignature | Refusal:
    if isinstance(found, dict) and "reason" in found:
        return value_of(Refusal, found, where)
    return value_of(MemberSignature, found, where)


def _answered(one: MemberSignature | Refusal) -> Json:
    found: Json = document(one)
    return found


def _complete(daemon: Daemon[Any], caller: Hash32, where: str, one: SignedTrade) -> OpenTrade:
    """The trade as it is kept. Raises Refused unless it is this member's and the caller's, and signed by all."""
    signers = one.trade.signers
    if daemon.me.id not in signers or caller not in signers:
        raise Refused("not-yours", "a trade is handed over between its signers")
    terms = daemon.market.terms(one.trade.slot_start)
    digest = daemon.market.domain.digest(one.trade)
    fault = signature_fault(digest, signers, one.signatures, terms)
    if fault is not None or {by.member for by in one.signatures} != set(signers):
        reason = fault.reason if fault else "signatures are missing"
        raise Refused("trade-refused", reason, errors=(FieldProblem(f"{where}/signatures", reason),))
    return OpenTrade(digest, one.trade, terms.calendar.cycle_of(one.trade.slot_start), SIGNED, one.signatures)
