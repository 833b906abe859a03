"""What tests of results, rows and claims share: a whole market, a cycle with trades and allocations, rows, claims.

A `Scene` keeps beside the market what its parties know: trades and their places, the leaves that utilities posted.
Expected figures and amounts come from `settlement`, never from the contracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import boa

from settlement import figures, flows
from settlement.config import Config
from settlement.figures import SideMarks
from settlement.formula.templates import SHIPPED, SHIPPED_BY_ID
from settlement.merkle import Tree
from settlement.placed import PlacedTrade
from settlement.rows import RowContent, empty_row, rows_of
from settlement.trade import (
    AllocationLeaf,
    Claim,
    FlowLeaf,
    Lock,
    MemberFlow,
    Place,
    Row,
    RowAttestation,
    ShownLeaf,
    Trade,
)
from tests.contracts.market import ATTESTORS, Market, at_time, deploy
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    MORNING,
    batch_of,
    batch_place,
    commit,
    deadline,
    leaf_of,
    pass_window,
    post_leaves,
    register,
    registered_place,
    shown,
)

FUNDS = 10**12
CHUNK = 128
UTILITIES = ("utility_a", "utility_b")
Signature = tuple[int, bytes, bytes]
# Of leaves, by trade digest and side: fields that differ, or None for a leaf that is left out.
Changes = Mapping[tuple[bytes, int], Mapping[str, Any] | None]


def register_templates(market: Market) -> None:
    """The council registers every shipped template."""
    with boa.env.prank(market.council):
        for template in SHIPPED:
            described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
            market.flows.register(template.name, template.version, list(template.rate_names), described)


def deploy_settling(config: Config = CONFIG) -> Market:
    """The whole market at `MORNING`, with all shipped templates; platforms and two utilities are funded."""
    at_time(MORNING - DAY)
    market = deploy(config)
    register_templates(market)
    for name in ("platform_a", "platform_b", "platform_c", *UTILITIES):
        market.fund(name, FUNDS)
    at_time(MORNING)
    return market


@dataclass
class Scene:
    """One cycle of a market: what is committed, posted, sealed."""

    market: Market
    trades: list[Trade] = field(default_factory=list)
    places: dict[bytes, Place] = field(default_factory=dict)
    contracted: dict[bytes, int] = field(default_factory=dict)
    posted: dict[tuple[str, int], tuple[Tree, list[AllocationLeaf]]] = field(default_factory=dict)

    def copy(self) -> Scene:
        """The same for one test alone; the chain itself is set back by the test's isolation."""
        return Scene(self.market, list(self.trades), dict(self.places), dict(self.contracted), dict(self.posted))

    def id(self, name: str) -> bytes:
        """A member's id."""
        return self.market.members[name].id

    def name(self, identity: bytes) -> str:
        """A member's name."""
        return next(name for name, one in self.market.members.items() if one.id == identity)

    def digest(self, trade: Trade) -> bytes:
        """A trade's digest."""
        return self.market.domain.digest(trade)

    def place(self, trade: Trade) -> Place:
        """Where it was committed."""
        return self.places[self.digest(trade)]

    def commit(self, trades: Sequence[Trade], locks: Iterable[tuple[str, str, int]] = ()) -> None:
        """Commits trades in one batch, with locks by members' names."""
        listed = sorted(
            (Lock(self.id(payer), self.id(payee), amount) for payer, payee, amount in locks),
            key=lambda lock: (lock.payer, lock.payee),
        )
        a, b = sorted((trades[0].buyer_platform, trades[0].seller_platform))
        batch = batch_of(
            self.market,
            trades,
            platform_a=a,
            platform_b=b,
            sequence=self.market.book.commitment_count() + 1,
            locks=tuple(listed),
        )
        now = boa.env.evm.patch.timestamp
        number = commit(self.market, batch)
        for index, trade in enumerate(trades):
            self.add(trade, batch_place(self.market, number, batch, trades, index, now))

    def register(self, trade: Trade, locks: Iterable[tuple[str, str, int]] = ()) -> None:
        """Registers a trade."""
        listed = sorted(
            (Lock(self.id(payer), self.id(payee), amount) for payer, payee, amount in locks),
            key=lambda lock: (lock.payer, lock.payee),
        )
        number = register(self.market, trade, listed)
        self.add(trade, registered_place(self.market, number, trade))

    def add(self, trade: Trade, place: Place) -> None:
        """Takes note of a committed trade."""
        self.trades.append(trade)
        self.places[self.digest(trade)] = place
        self.contracted[self.digest(trade)] = trade.contracted_wh

    def leaf(self, trade: Trade, side: int, **changes: Any) -> AllocationLeaf:
        """The leaf of a trade that is alone on its meter; `read` is the reading."""
        place = self.place(trade)
        contracted = self.contracted[self.digest(trade)]
        read = changes.pop("read", contracted + 500)
        fields = {
            "commitment": place.number,
            "index": place.index,
            "contracted_wh": contracted,
            "contracted_total_wh": contracted,
            "meter_wh": read,
            "allocated_wh": min(contracted, read),
        }
        return leaf_of(self.market, trade, side, **(fields | changes))

    def leaves(self, utility: str, changed: Changes | None = None) -> list[AllocationLeaf]:
        """All leaves of a utility in their order; `changed` gives changes (None: no leaf) by digest and side."""
        found = []
        for trade in self.trades:
            for side, owner in ((0, trade.buyer_utility), (1, trade.seller_utility)):
                changes = (changed or {}).get((self.digest(trade), side), {})
                if owner == self.id(utility) and changes is not None:
                    found.append(self.leaf(trade, side, **changes))
        return sorted(found, key=lambda one: (one.meter, one.slot_start, one.side, one.commitment, one.index))

    def post(
        self,
        run: int = 0,
        changed: Changes | None = None,
        utilities: Iterable[str] = UTILITIES,
    ) -> None:
        """Utilities post their trees of a run, in its intake."""
        if run == 0:
            at_time(max(boa.env.evm.patch.timestamp, END + 1))
        for utility in utilities:
            self.post_leaves(utility, self.leaves(utility, changed), run)

    def post_leaves(self, utility: str, leaves: list[AllocationLeaf], run: int = 0, attempt: int = 1) -> None:
        """One utility posts a tree over just these leaves."""
        self.posted[utility, run] = post_leaves(self.market, utility, leaves, run, attempt), leaves

    def seal(self) -> None:
        """From the intake of the next run to its seal."""
        run = self.market.oracle.sealed_runs(CYCLE)
        now = boa.env.evm.patch.timestamp
        late = deadline(run)
        if run > 0:
            late = max(late, self.market.oracle.sealed_at(CYCLE, run - 1) + self.market.config.least_intake)
        at_time(max(now, late))
        pass_window(self.market)
        self.market.oracle.seal(CYCLE)

    def settle_inputs(self, changed: Changes | None = None) -> None:
        """The next run is posted and sealed."""
        run = self.market.oracle.sealed_runs(CYCLE)
        self.post(run, changed)
        self.seal()

    def shown(self, trade: Trade, side: int, run: int = 0) -> ShownLeaf:
        """A trade's leaf in a posted run, with its proof."""
        utility = self.name(trade.seller_utility if side else trade.buyer_utility)
        tree, leaves = self.posted[utility, run]
        index = next(
            index for index, leaf in enumerate(leaves) if leaf.trade_digest == self.digest(trade) and leaf.side == side
        )
        return shown(tree, index, leaves[index], run)

    def both(self, trade: Trade, run: int = 0) -> tuple[list[Any], list[Any]]:
        """Both sides' leaves of a run, as arguments."""
        return [nested(self.shown(trade, 0, run))], [nested(self.shown(trade, 1, run))]

    def signatures(self, trade: Trade) -> list[Signature]:
        """The trade's signers' signatures, as proofs of a batched place need them."""
        if self.place(trade).commitment.sequence == 0:
            return []
        return self.market.sign_all(trade.signers, trade)

    def placed(self, trade: Trade) -> PlacedTrade:
        """The trade as `settlement` takes it."""
        place = self.place(trade)
        return PlacedTrade(self.digest(trade), trade, place.number, place.index, self.contracted[self.digest(trade)])

    def member_flows(self, trade: Trade, buyer: int, seller: int) -> tuple[int, tuple[MemberFlow, ...]]:
        """Settled Wh and flows for these figures, by `settlement`."""
        terms = figures.Terms.of(CYCLE, self.market.config)
        settled = figures.settle(
            self.contracted[self.digest(trade)],
            0,
            figures.Figure(buyer, figures.Origin.LEAF, 0),
            figures.Figure(seller, figures.Origin.LEAF, 0),
            terms,
        )
        assert settled.quantities is not None
        template = SHIPPED_BY_ID[trade.template]
        return settled.quantities.settled, flows.member_flows(trade, template, settled.quantities)

    def contents(self, wh: dict[bytes, tuple[int, int]] | None = None) -> dict[tuple[bytes, bytes], RowContent]:
        """The rows of all pairs, by `settlement`; figures by digest, by default all that is contracted."""
        terms = figures.Terms.of(CYCLE, self.market.config)
        leaves: list[flows.PairLeaf] = []
        for trade in self.trades:
            contracted = self.contracted[self.digest(trade)]
            buyer, seller = (wh or {}).get(self.digest(trade), (contracted, contracted))
            settled = figures.settle(
                contracted,
                0,
                figures.Figure(buyer, figures.Origin.LEAF, 0),
                figures.Figure(seller, figures.Origin.LEAF, 0),
                terms,
            )
            if settled.quantities is not None:
                template = SHIPPED_BY_ID[trade.template]
                leaves.extend(flows.flow_leaves(self.placed(trade), template, settled.quantities, CYCLE))
        return rows_of(leaves)

    def row(self, content: RowContent, run: int = 0, version: int = 1, **changes: Any) -> Row:
        """A row of this content on the run's sealed inputs."""
        inputs = self.market.oracle.inputs(CYCLE, run)
        return replace(content.row(CYCLE, run, version, inputs), **changes)

    def empty(self, payer: str, payee: str) -> RowContent:
        """A row without leaves."""
        return empty_row(self.id(payer), self.id(payee))

    def plain(self, payer: str, payee: str, amount: int, version: int = 1, run: int = 0, **changes: Any) -> Row:
        """A row of an amount that the two agree on, without caring for its leaves."""
        inputs = self.market.oracle.inputs(CYCLE, run)
        row = Row(CYCLE, run, version, self.id(payer), self.id(payee), amount, 1, b"\1" * 32, 0, inputs)
        return replace(row, **changes)

    # --- acts ---

    def signed(self, row: Row) -> tuple[Any, Signature, Signature]:
        """The row with both members' signatures, as an argument."""
        payer, payee = self.market.sign_all((row.payer, row.payee), row)
        return astuple(row), payer, payee

    def settle(self, *rows: Row) -> int:
        """Both members' signatures under each row, in one call."""
        return int(self.market.settlement.settle([self.signed(row) for row in rows], []))

    def attestations(self, row: Row, names: Sequence[str] = ATTESTORS[:3]) -> tuple[int, list[Signature]]:
        """Mask and signatures of these attestors."""
        statement = RowAttestation(self.market.domain.digest(row))
        ordered = [name for name in ATTESTORS if name in names]
        mask = sum(1 << ATTESTORS.index(name) for name in ordered)
        return mask, [self.market.sign(name, statement) for name in ordered]

    def attest(self, row: Row, names: Sequence[str] = ATTESTORS[:3]) -> None:
        """These attestors' quorum makes the row pending."""
        self.market.settlement.attest(astuple(row), *self.attestations(row, names))

    def publish(self, row: Row, content: RowContent) -> None:
        """All leaves, chunk by chunk."""
        if content.count == 0:
            self.market.settlement.publish_empty(astuple(row))
        for chunk in range(-(-content.count // CHUNK)):
            leaves = [astuple(leaf) for leaf in content.leaves[chunk * CHUNK : (chunk + 1) * CHUNK]]
            self.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, chunk)[1]))

    def pending(self, content: RowContent, **changes: Any) -> Row:
        """A row that is attested and published."""
        row = self.row(content, **changes)
        self.attest(row)
        self.publish(row, content)
        return row

    def claim(self, trade: Trade, leaf_run: int = 0) -> Claim:
        """Anyone claims a trade by both sides' leaves of a run."""
        arguments = nested(self.place(trade)), nested(trade), self.signatures(trade), *self.both(trade, leaf_run)
        return claim_from(self.market.settlement.claim(*arguments))

    def word(self, payer: str, payee: str) -> Pair:
        """The pair's word."""
        return Pair.of(self.market.escrow.pair(CYCLE, self.id(payer), self.id(payee)))

    def free(self, name: str) -> int:
        """A member's free balance."""
        return int(self.market.escrow.free(self.id(name)))

    def owed(self, debtor: str, creditor: str) -> int:
        """What the debtor owes the creditor on account."""
        return int(self.market.obligations.owed(self.id(debtor), self.id(creditor)))


@dataclass(frozen=True)
class Pair:
    """A pair's word, read."""

    lock: int
    applied: int
    version: int
    runs: int
    agreed: bool
    attested: bool

    @classmethod
    def of(cls, word: int) -> Pair:
        """From the escrow's word (`docs/protocol.md`, section 8)."""
        return cls(
            word & (1 << 96) - 1,
            word >> 96 & (1 << 96) - 1,
            word >> 192 & (1 << 32) - 1,
            word >> 224 & (1 << 16) - 1,
            bool(word >> 240 & 1),
            bool(word >> 241 & 1),
        )


def nested(value: Any) -> Any:
    """A dataclass (with dataclasses inside) as a contract argument."""
    return astuple(value)


def claim_from(returned: Any) -> Claim:
    """The claim that `Settlement.claim` returned."""
    *head, listed = tuple(returned)
    fields: list[Any] = [*head, tuple(MemberFlow(*one) for one in listed)]
    return Claim(*fields)


def corrupted(leaf: FlowLeaf, **changes: Any) -> FlowLeaf:
    """A leaf with fields changed."""
    return replace(leaf, **changes)


def content_with(content: RowContent, index: int, **changes: Any) -> RowContent:
    """A row's content with one leaf changed."""
    leaves = list(content.leaves)
    leaves[index] = corrupted(leaves[index], **changes)
    return RowContent(content.payer, content.payee, tuple(leaves))


def mark(scene: Scene, trade: Trade, side: int, **marks: int) -> None:
    """Marks a side as the oracle does, without the proofs (AllocationFaults and Disputes are tested elsewhere)."""
    utility = trade.seller_utility if side else trade.buyer_utility
    word = SideMarks(**marks).to_word()
    key = f"{CYCLE}][{'0x' + utility.hex()}][{'0x' + scene.digest(trade).hex()}][{side}"
    scene.market.oracle.eval(f"self.side_marks[{key}] = {word}")


def later(seconds: int) -> None:
    """Time passes."""
    at_time(boa.env.evm.patch.timestamp + seconds)


def events(contract: Any, name: str) -> list[dict[str, Any]]:
    """The fields of the events of this name that the contract itself logged in its last call, in order."""
    logged = [event._asdict() for event in contract.get_logs(strict=False) if type(event).__name__ == name]
    return [{key: value for key, value in fields.items() if key != "address"} for fields in logged]


def gas_of(contract: Any) -> int:
    """Gas of the last call to a contract: execution, base and calldata, less what is refunded."""
    computation = contract._computation
    data = computation.msg.data
    intrinsic = 21_000 + sum(4 if byte == 0 else 16 for byte in data)
    used = intrinsic + computation.get_gas_used()
    return int(used - min(computation.get_gas_refund(), used // 5))
