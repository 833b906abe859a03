"""Signatures are the authority: whose each one is, judged by the registry as it stands now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from settlement import typed_data
from settlement.hashing import Hash32
from settlement.trade import Signature
from settlement.typed_data import Domain
from settlement.validity import Registry, Standing
from store.records import MemberSignature
from wire.problems import FieldProblem, Refused


@dataclass(frozen=True)
class Authority:
    """The registry at a block time `now` (UTC epoch seconds), and the market that signatures are for."""

    registry: Registry
    domain: Domain
    now: int

    def standing(self, member: Hash32) -> Standing | None:
        """What the registry says of a member now; None for a stranger and for one that was removed."""
        history = self.registry.members.get(member)
        found = history.at(self.now) if history else None
        return found if found is not None and found.is_known else None

    def keys(self, member: Hash32) -> frozenset[bytes]:
        """The addresses that sign for a member now: its hot key, or none. A contract's key signs nothing by itself."""
        standing = self.standing(member)
        if standing is None or standing.is_contract or self._is_compromised(member, standing.key):
            return frozenset()
        return frozenset({standing.key})

    def fault(self, digest: Hash32, member: Hash32, signature: Signature) -> str | None:
        """Why a signature is not the member's, or None where it is."""
        standing = self.standing(member)
        if standing is None:
            return "is of no member of this market"
        if standing.is_contract:
            return "is of a member whose key is a contract; only the chain can judge it"
        key = typed_data.recover(digest, signature)
        if key is None:
            return "is malformed (v is 27 or 28, s in the lower half of the order)"
        if self._is_compromised(member, key):
            return "is by a key that was called compromised"
        if key != standing.key:
            return "is not by the member's hot key, or not of this object"
        return None

    def check(self, digest: Hash32, signers: Sequence[Hash32], given: Iterable[MemberSignature], where: str) -> None:
        """Raises Refused, naming each wrong signature by its pointer under `where`: a wrong key, a stranger, a twin."""
        seen: set[Hash32] = set()
        errors = []
        for place, one in enumerate(given):
            if one.member not in signers:
                fault: str | None = "is of a member that does not sign this"
            elif one.member in seen:
                fault = "is the member's second"
            else:
                fault = self.fault(digest, one.member, one.signature)
            seen.add(one.member)
            if fault is not None:
                errors.append(FieldProblem(f"#/{where}/{place}", f"the signature of 0x{one.member.hex()} {fault}"))
        if errors:
            raise Refused("member-signature-wrong", errors[0].detail, errors=tuple(errors))

    def check_one(self, value: object, member: Hash32, signature: Signature, where: str) -> Hash32:
        """The digest of a value that one member signed. Raises Refused like `check`."""
        digest = self.domain.digest(value)
        fault = self.fault(digest, member, signature)
        if fault is not None:
            detail = f"the signature of 0x{member.hex()} {fault}"
            raise Refused("member-signature-wrong", detail, errors=(FieldProblem(f"#/{where}", detail),))
        return digest

    def _is_compromised(self, member: Hash32, key: bytes) -> bool:
        return self.registry.members[member].compromised.get(key, self.now + 1) <= self.now
