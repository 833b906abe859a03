"""`/v1/batches` and `/v1/proofs`: trades committed together, and the proof that one of them is among them."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.access import Kind, Scope
from api.batches import Batches, CollectedBatch, batch_document, collected_batch
from api.bodies import NewBatch
from api.market import Moment
from api.policy import BATCH, Role, shown
from api.proposing import audience
from api.routes.parts import Digest, Parts, word
from api.serving import Asked, answer, described
from api.trades import collected
from api.views.finality import of_block
from api.views.trade_life import place_of, roots_of
from settlement import preimages
from settlement.documents import document
from settlement.hashing import Hash32
from settlement.merkle import Tree
from settlement.trade import Commitment
from store import gateway
from wire.problems import Refused


@dataclass(frozen=True, slots=True)
class PlaceProof:
    """Where a trade stands, as contracts take it: the commitment's number and record, the index, the Merkle path."""

    trade_digest: Hash32
    number: int
    index: int
    commitment: Commitment
    path: tuple[Hash32, ...]


def routes(parts: Parts) -> APIRouter:
    """The routes of batches and proofs."""
    router = APIRouter(tags=["batches"])
    reader, writer = parts.reception.reader(Scope.TRADES), parts.reception.writer()
    prover = parts.reception.reader(Scope.TRADES, "proof")
    batches = Batches(parts.market, parts.relayer)

    @router.post(
        "/v1/batches",
        operation_id="commitBatch",
        summary="Commit a batch, or add signatures to one that is known",
        **described(
            202,
            "BatchAnswer",
            ("not-yours", "member-signature-wrong", "batch-differs", "contract-refuses"),
            body="NewBatch",
        ),
    )
    def commit_batch(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Relayed as soon as no signature is missing."""
        return parts.reception.once(asked, lambda: batches.take_in(asked.caller.member, asked.read(NewBatch)))

    @router.get(
        "/v1/batches/{digest}",
        operation_id="getBatch",
        summary="A batch and what became of it",
        **described(200, "BatchAnswer", ("batch-unknown",)),
    )
    def get_batch(digest: Digest, asked: Annotated[Asked, Depends(reader)]) -> Response:
        """For those who sign it, and without the list of trades for those who sign one of them."""
        moment = parts.market.moment()
        one, role = _visible(parts, word(digest), asked)
        return answer(moment, shown(BATCH, role, batch_document(one, parts.market, moment)))

    @router.get(
        "/v1/proofs/trades/{digest}",
        operation_id="proveTrade",
        summary="Where a trade stands, with its proof",
        **described(200, "ProofAnswer", ("trade-unknown", "not-committed", "index-stale")),
    )
    def prove_trade(digest: Digest, asked: Annotated[Asked, Depends(prover)]) -> Response:
        """For the trade's signers, and for the signers of the batch in which it stands."""
        if parts.pulse.is_stale:
            raise Refused("index-stale", "the index is too far behind the chain")
        moment = parts.market.moment()
        return answer(moment, _proof(parts, word(digest), moment, asked))

    return router


def _visible(parts: Parts, digest: Hash32, asked: Asked) -> tuple[CollectedBatch, Role]:
    unknown = Refused("batch-unknown", "no batch of this digest that concerns the caller is known here")
    with parts.database.reading() as connection:
        one = collected_batch(connection, digest)
        if one is None:
            raise unknown
        if not asked.caller.members.isdisjoint(one.slots.signers):
            return one, Role.SIGNER if asked.caller.kind is Kind.MEMBER else Role.AUDITOR
        signers = gateway.signatures_on(connection, one.trades)
    if any(not asked.caller.members.isdisjoint(slots.signers) for slots in signers.values()):
        return one, Role.PARTY
    raise unknown


def _proof(parts: Parts, digest: Hash32, moment: Moment, asked: Asked) -> dict[str, Any]:
    with parts.database.reading() as connection:
        kept = gateway.trade(connection, digest)
        mine = None if kept is None else collected(connection, [kept])[0]
        members = asked.caller.members
        is_signer = mine is not None and not members.isdisjoint(audience(mine))
        stands = gateway.batches_with(connection, [digest]).get(digest, ())
        slots = gateway.signatures_on(connection, [batch.digest for batch, _ in stands])
        visible = [
            (batch, index)
            for batch, index in stands
            if is_signer or not members.isdisjoint(slots[batch.digest].signers)
        ]
        if not is_signer and not visible:
            raise Refused("trade-unknown", "no trade of this digest that concerns the caller is known here")
        trees = {one.batch.root: (one.digest, place) for one, place in visible}
        cycle = kept.cycle if kept is not None else visible[0][0].batch.cycle
        seen = place_of(roots_of(digest, trees), parts.market.facts(cycle, moment))
        if seen is None:
            raise Refused("not-committed", "no commitment on the chain holds it")
        index = 0
        path: tuple[Hash32, ...] = ()
        record = seen.commitment.record
        if record.root in trees:
            batch_id, index = trees[record.root]
            leaves = gateway.trades_of_batch(connection, batch_id)
            path = Tree([preimages.trade_leaf(one) for one in leaves]).path(index)
    proof = PlaceProof(digest, seen.commitment.number, index, record, path)
    found: dict[str, Any] = document(proof)
    return found | {"finality": of_block(seen.event.block, moment.final)}
