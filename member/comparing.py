"""Two members that computed different rows: they find the first leaf that differs, keep it, and show what is behind it.

Most differences come from a leaf that one of the two was never served. It proves itself, so each takes from the other
what it lacks, and the next proposal is the same on both sides. What remains different is kept for people to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from member.differing import MAX_LEVEL, first_difference, leaf_at, node_at, reason_of
from member.errors import PeerRefused, PeerSilent
from member.packets import Packet, PacketRefused
from member.reckoning import Reckoned, Reckoning
from settlement import preimages
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import Side
from settlement.rows import RowContent
from settlement.trade import FlowLeaf
from wire.problems import Refused

if TYPE_CHECKING:
    from member.daemon import Daemon

DISAGREEMENT: Final = "disagreement"
"""The kind of facts under which differences are kept."""


@dataclass(frozen=True, slots=True)
class RowName:
    """Which row is meant."""

    cycle: int
    run: int
    payer: Hash32
    payee: Hash32

    @property
    def pair(self) -> Pair:
        """The ordered pair (payer, payee)."""
        return self.payer, self.payee

    @property
    def key(self) -> str:
        """The key of facts about it."""
        return f"{self.cycle}:{self.run}:0x{self.payer.hex()}:0x{self.payee.hex()}"


@dataclass(frozen=True, slots=True)
class NodeAsked:
    """A node of the other's tree of a row: level 0 are the leaves."""

    row: RowName
    level: int
    index: int


@dataclass(frozen=True, slots=True)
class NodeTold:
    """The node, None where the tree has none there, and the root that it belongs to."""

    root: Hash32
    hash: Hash32 | None


@dataclass(frozen=True, slots=True)
class LeafTold:
    """The leaf at a position of a row, None beyond its last, and the root that it belongs to."""

    row: RowName
    root: Hash32
    position: int
    leaf: FlowLeaf | None


@dataclass(frozen=True, slots=True)
class Total:
    """What a row says in all."""

    amount: int
    count: int
    root: Hash32
    keep: int

    @classmethod
    def of(cls, content: RowContent, keep: int) -> Total:
        """Of one's own row."""
        return cls(content.amount, content.count, content.root, keep)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Where two rows begin to differ, as one of the two keeps it; `other` is unknown to the one that was told."""

    row: RowName
    own: Total
    other: Total | None
    position: int | None
    own_leaf: FlowLeaf | None
    other_leaf: FlowLeaf | None
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What looking into a difference came to; `is_new` where it was not known before."""

    text: str
    is_new: bool


class _Changed(Exception):
    """The other's row is not the one any more that it was when the walk began."""


class Comparing:
    """A member's part in finding out why two rows differ. Any thread may use it."""

    def __init__(self, daemon: Daemon[Any], reckoning: Reckoning) -> None:
        self._daemon = daemon
        self._desk = daemon.desk
        self._reckoning = reckoning
        self._shown: dict[tuple[int, int, Pair], Hash32] = {}  # the root of the row whose leaves were shown last

    # --- the one whose proposal was refused ---

    def look_into(self, reckoned: Reckoned, other_total: Any) -> Finding:
        """Finds, keeps and tells the other the first leaf that differs, then exchanges the leaves behind both rows."""
        other = reckoned.other_than(self._daemon.me.id)
        name = RowName(reckoned.cycle, reckoned.run, *reckoned.pair)
        own = Total.of(reckoned.content, reckoned.keep)
        try:
            theirs = value_of(Total, {key: other_total.get(key) for key in ("amount", "count", "root", "keep")})
            known = self.kept(name)
            if known is not None and (known.own, known.other) == (own, theirs):
                return Finding(known.reason, False)
            found = self._compare(reckoned, name, own, theirs, other)
            self._keep(found)
            self.show_each_other(reckoned)
        except (SettlementError, PeerSilent, PeerRefused, _Changed) as error:
            return Finding(f"the rows differ; where, is not known yet: {error}", False)
        self._daemon.log.warning(
            "rows differ", cycle=name.cycle, run=name.run, with_member=self._daemon.market.name(other), why=found.reason
        )
        return Finding(found.reason, True)

    def _compare(self, reckoned: Reckoned, name: RowName, own: Total, theirs: Total, other: Hash32) -> Disagreement:
        if own.root == theirs.root:
            reason = f"the other keeps {theirs.keep} locked, own figure {own.keep}"
            return Disagreement(name, own, theirs, None, None, None, reason)
        tree = reckoned.content.tree
        if theirs.count >> MAX_LEVEL:
            raise _Changed(f"{theirs.count} leaves")

        def ask(level: int, index: int) -> Hash32 | None:
            asked = document(NodeAsked(name, level, index))
            told = value_of(NodeTold, self._daemon.peers.post(other, "/v1/rows/nodes", asked))
            if told.root != theirs.root:
                raise _Changed("the other's row has changed")
            return told.hash

        position = first_difference(tree, ask, theirs.count)
        if position is None:
            raise _Changed("no leaf differs")
        mine = leaf_at(reckoned.content, position)
        said = document(LeafTold(name, own.root, position, mine))
        told = value_of(LeafTold, self._daemon.peers.post(other, "/v1/rows/differences", said))
        shown = None if told.leaf is None else preimages.flow_leaf(told.leaf)
        if told.root != theirs.root or shown != ask(0, position):
            raise _Changed("the leaf is not the one in the other's tree")
        return Disagreement(name, own, theirs, position, mine, told.leaf, reason_of(mine, told.leaf))

    # --- either, before it signs ---

    def lacks_leaves(self, reckoned: Reckoned) -> bool:
        """Whether a utility posted an allocation for one of the pair's trades, but its leaf is not on the desk."""
        cycle, run = reckoned.cycle, reckoned.run
        served = {(one.run, one.leaf.trade_digest, one.leaf.side) for one in self._desk.served(cycle, run)}
        return any(
            self._daemon.market.posted(cycle, at, placed.utility(side)) and (at, placed.digest, side) not in served
            for placed in self._desk.counting(cycle)
            if reckoned.other_than(self._daemon.me.id) in placed.trade.signers
            for side in Side
            for at in range(run + 1)
        )

    def show_each_other(self, reckoned: Reckoned) -> bool:
        """Shows the other one what is behind this member's row and takes what it adds, once for the same leaves.

        Whether it added anything. Nobody has to answer: what is lacking may be nowhere.
        """
        other, key = reckoned.other_than(self._daemon.me.id), (reckoned.cycle, reckoned.run, reckoned.pair)
        if self._shown.get(key) == reckoned.content.root:
            return False
        packet = self._desk.packet(*key)
        try:
            added = value_of(Packet, self._daemon.peers.post(other, "/v1/rows/heard", document(packet)))
            self._shown[key] = reckoned.content.root
            if (added.cycle, added.run, added.pair) == (packet.cycle, packet.run, packet.pair):
                return self.take(added)
        except (PeerSilent, PeerRefused, PacketRefused, SettlementError) as error:
            self._daemon.log.info("nothing added", by=self._daemon.market.name(other), why=str(error))
        return False

    # --- the other one ---

    def refusal(self, reckoned: Reckoned) -> Refused:
        """The problem that says what this member computes instead."""
        total = document(Total.of(reckoned.content, reckoned.keep))
        detail = f"{reckoned.content.count} leaves, {reckoned.content.amount} base units are computed here"
        return Refused("row-differs", detail, facts=total)

    def node(self, caller: Hash32, asked: NodeAsked) -> NodeTold:
        """A node of this member's tree. Raises Refused for others than the row's other member."""
        content, _ = self._own(caller, asked.row)
        return NodeTold(content.root, node_at(content.tree, asked.level, asked.index))

    def differ(self, caller: Hash32, told: LeafTold) -> LeafTold:
        """Keeps the first leaf at which the other found both rows to differ, and tells it this member's leaf there."""
        content, keep = self._own(caller, told.row)
        mine = leaf_at(content, told.position)
        if mine == told.leaf:
            raise Refused("value-refused", "the leaves are the same here")
        reason = reason_of(mine, told.leaf)
        own = Total.of(content, keep)
        self._keep(Disagreement(told.row, own, None, told.position, mine, told.leaf, reason))
        return LeafTold(told.row, content.root, told.position, mine)

    def heard(self, caller: Hash32, packet: Packet) -> Packet:
        """Takes what another one shows of a row of this member's, and shows what it lacks.

        The other one is the row's other member, or an attestor that passes on what it was shown. Raises Refused.
        """
        attestors, _ = self._daemon.market.attestors()
        me = self._daemon.me.id
        if me not in packet.pair or caller not in {*packet.pair, *attestors} - {me}:
            raise Refused("not-yours", "leaves of a row are shown to its members, by the other one or an attestor")
        try:
            if self.take(packet):
                self._daemon.wake()
        except PacketRefused as error:
            raise Refused("packet-incomplete", str(error)) from error
        return self._desk.packet(packet.cycle, packet.run, packet.pair).without(packet)

    # --- both ---

    def take(self, packet: Packet) -> bool:
        """Puts what is new in a packet on the desk; whether anything was. Raises PacketRefused, with nothing taken."""
        desk = self._desk
        known = set(desk.placed(packet.cycle))
        trades = tuple(one for one in packet.trades if one not in known)
        for one in trades:
            if desk.me.id not in one.trade.signers:
                raise PacketRefused(f"trade 0x{one.digest.hex()}", "this member is no signer of it")
            fault = desk.place_fault(one)
            if fault is not None:
                raise PacketRefused(f"trade 0x{one.digest.hex()}", fault)
        mine = {one.digest for one in (*known, *trades)}
        have = set(desk.served(packet.cycle, packet.run))
        leaves = [one for one in packet.served if one not in have and one.leaf.trade_digest in mine]
        for leaf in leaves:
            fault = desk.leaf_fault(packet.cycle, leaf)
            if fault is not None:
                raise PacketRefused(f"leaf {leaf.position} of run {leaf.run}", fault)
        if trades:
            desk.store.place(trades, packet.cycle)
        for run in sorted({one.run for one in leaves}):
            desk.store.keep_leaves(packet.cycle, run, [one for one in leaves if one.run == run])
        return bool(trades or leaves)

    def kept(self, name: RowName) -> Disagreement | None:
        """The difference that is kept of a row."""
        found = self._daemon.store.fact(DISAGREEMENT, name.key)
        return None if found is None else value_of(Disagreement, found)

    def _keep(self, found: Disagreement) -> None:
        self._daemon.store.keep_fact(DISAGREEMENT, found.row.key, document(found))

    def _own(self, caller: Hash32, name: RowName) -> tuple[RowContent, int]:
        me = self._daemon.me.id
        if caller == me or {caller, me} != set(name.pair):
            raise Refused("not-yours", "only the row's other member may ask")
        reckoned = self._reckoning.of(name.cycle, name.pair) if name.cycle in self._daemon.market.cycles() else None
        if reckoned is None or reckoned.run != name.run:
            raise Refused("row-not-ready", f"run {name.run} is not at hand")
        return reckoned.content, reckoned.keep
