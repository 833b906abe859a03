"""Claims of a cycle as its events tell them: what was claimed, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chain.evidence import Evidence, struct
from settlement import preimages
from settlement.hashing import Hash32
from settlement.trade import Claim


@dataclass(frozen=True, slots=True)
class MadeClaim:
    """A claim, the hash by which the chain tells it from others, and when it was applied or struck: 0 for never."""

    claim: Claim
    digest: Hash32
    applied_at: int = 0
    struck_at: int = 0

    @property
    def of(self) -> tuple[Hash32, int]:
        """Trade digest and run: several claims may be pending of one, and the first that is applied ends the others."""
        return self.claim.trade_digest, self.claim.run


def claims_of(evidence: Evidence, cycle: int) -> list[MadeClaim]:
    """The claims of a cycle, in chain order.

    One that no flow was applied for (rows held all of them) was applied without an event.
    """
    made: list[MadeClaim] = []
    newest: dict[Hash32, int] = {}
    for event in evidence.of_cycle(cycle, "Claimed", "ClaimApplied", "ClaimStruck"):
        if event.name == "Claimed":
            claim = struct(Claim, event["claim"])
            digest = preimages.claim_record(claim)
            newest[digest] = len(made)
            made.append(MadeClaim(claim, digest))
            continue
        place = newest[event["claim_hash"]]
        if event.name == "ClaimApplied":
            made[place] = replace(made[place], applied_at=event.time)
        else:
            made[place] = replace(made[place], struck_at=event.time)
    return made
