"""`/v1/obligations` and `/v1/withdrawals`: what is owed outside the escrow, and what leaves it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.access import Kind, Scope
from api.bodies import NewAcknowledgement, NewNotice, NewWithdrawal
from api.calls import Acknowledge, Notify, Signed, Withdraw
from api.idempotency import Effect
from api.policy import NOTICE, Role, shown
from api.routes.parts import Parts
from api.routes.settlement import relay_one
from api.serving import Asked, answer, described
from api.views.debts import NoticeView, debts_of
from settlement.documents import document
from settlement.hashing import Hash32
from wire.problems import Refused

_PROBLEMS = ("not-yours", "member-signature-wrong", "contract-refuses")


def routes(parts: Parts) -> APIRouter:
    """The routes of money."""
    router = APIRouter(tags=["money"])
    reader, writer = parts.reception.reader(Scope.MONEY), parts.reception.writer()

    @router.get(
        "/v1/obligations",
        operation_id="listObligations",
        summary="What members owe each other outside the escrow",
        **described(200, "Obligations"),
    )
    def list_obligations(asked: Annotated[Asked, Depends(reader)]) -> Response:
        """Everybody's, as the chain has it; the references of payments only for their two parties."""
        moment = parts.market.moment()
        silence = parts.market.newest_config().notice_silence
        debts = debts_of(parts.market.view.ledger(), moment.time, silence, moment.final)
        return answer(
            moment,
            {
                "accounts": [document(one) for one in debts.accounts],
                "obligations": [document(one) for one in debts.obligations],
                "notices": [shown(NOTICE, _role(one, asked), document(one)) for one in debts.notices],
            },
        )

    @router.post(
        "/v1/obligations/notices",
        operation_id="notifyPayment",
        summary="The debtor's notice of a bank payment",
        **described(202, "TransactionAnswer", _PROBLEMS, body="NewNotice"),
    )
    def notify_payment(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Tried on the node first, then relayed."""

        def prepare() -> Effect:
            new = asked.read(NewNotice)
            digest = _own(parts, asked, new.notice, new.notice.debtor, new)
            signed = Signed("notify", digest, Notify(new.notice, new.signature))
            return relay_one(parts, signed, (new.notice.debtor, new.notice.creditor))

        return parts.reception.once(asked, prepare)

    @router.post(
        "/v1/obligations/acknowledgements",
        operation_id="acknowledgePayment",
        summary="The creditor's word how much arrived",
        **described(202, "TransactionAnswer", _PROBLEMS, body="NewAcknowledgement"),
    )
    def acknowledge_payment(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Tried on the node first, then relayed."""

        def prepare() -> Effect:
            new = asked.read(NewAcknowledgement)
            said = new.acknowledgement
            digest = _own(parts, asked, said, said.creditor, new)
            signed = Signed("acknowledge", digest, Acknowledge(said, new.signature))
            return relay_one(parts, signed, (said.creditor, said.debtor))

        return parts.reception.once(asked, prepare)

    @router.post(
        "/v1/withdrawals",
        operation_id="withdraw",
        summary="Pay free escrow balance out to the member's own payout address",
        **described(202, "TransactionAnswer", _PROBLEMS, body="NewWithdrawal"),
    )
    def withdraw(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Tried on the node first, then relayed."""

        def prepare() -> Effect:
            new = asked.read(NewWithdrawal)
            digest = _own(parts, asked, new.withdrawal, new.withdrawal.member, new)
            signed = Signed("withdraw", digest, Withdraw(new.withdrawal, new.signature))
            return relay_one(parts, signed, (new.withdrawal.member,))

        return parts.reception.once(asked, prepare)

    return router


def _role(notice: NoticeView, asked: Asked) -> Role:
    if asked.caller.members.isdisjoint((notice.debtor, notice.creditor)):
        return Role.MEMBER
    return Role.PARTY if asked.caller.kind is Kind.MEMBER else Role.AUDITOR


def _own(
    parts: Parts,
    asked: Asked,
    value: object,
    member: Hash32,
    new: NewNotice | NewAcknowledgement | NewWithdrawal,
) -> Hash32:
    """The digest of what the caller itself signed."""
    if asked.caller.member != member:
        raise Refused("not-yours", "only the member that signs this brings it")
    return parts.market.authority().check_one(value, member, new.signature, "signature")
