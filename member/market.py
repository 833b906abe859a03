"""The market as a member sees it: what the chain says, as followed so far, and the way to say something to it.

Everything here is as of the newest followed block; its time is "now". Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from threading import Lock
from typing import Any

from chain.contract import Contract
from chain.deployment import DeploymentRecord
from chain.evidence import ChainCommitment, Event, Evidence
from chain.marks import marks_of
from chain.memory import Mark
from chain.outbox import Transaction
from chain.rpc import Rpc
from chain.sending import Sender
from chain.view import BlockRow, ChainView
from member.cosigning import Terms as TradeTerms
from member.errors import NotKnown
from member.kept import Kept
from settlement.config import Config
from settlement.figures import Marks
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.identity import member_id
from settlement.placed import PlacedTrade as CountingTrade
from settlement.trade import Allocation
from settlement.typed_data import Domain
from settlement.units import Calendar
from settlement.validity import MemberRole, Registry
from store.records import RecordedCurtailment


class Phase(IntEnum):
    """What a cycle takes, as the contract counts it."""

    UNUSED = 0
    DELIVERY = 1
    INTAKE = 2
    WINDOW = 3
    SEALABLE = 4
    COMPLETE = 5


@dataclass(frozen=True, slots=True)
class PostedTree:
    """What a utility's last attempt in a run says: the root over its leaves and their number."""

    attempt: int
    root: Hash32
    count: int


class _Seen:
    """The chain at one moment: what is asked for again was read once."""

    def __init__(self, view: ChainView, configs: Kept[int, Config]) -> None:
        self._view = view
        self._cycles: dict[int, Evidence] = {}
        self._configs = configs

    @cached_property
    def mark(self) -> Mark:
        return self._view.mark()

    @cached_property
    def head(self) -> BlockRow:
        return self._view.head(self.mark)

    @cached_property
    def standing(self) -> Evidence:
        return self._view.standing(self.mark)

    @cached_property
    def ledger(self) -> Evidence:
        return self._view.ledger(self.mark)

    @cached_property
    def cycles(self) -> tuple[int, ...]:
        return self._view.cycles()

    def cycle(self, cycle: int) -> Evidence:
        found = self._cycles.get(cycle)
        if found is None:
            found = self._cycles[cycle] = self._view.cycle(cycle, self.mark)
        return found

    def config(self, cycle: int) -> Config:
        sources = self.cycle(cycle), self.standing
        return self._configs.get(cycle, sources, lambda _: self._config(cycle))

    def _config(self, cycle: int) -> Config:
        first = next(self.cycle(cycle).of("BatchCommitted", "TradeRegistered"), None)
        versions = self.standing.of("ConfigSet")
        before = [event for event in versions if first is None or _place(event) < _place(first)]
        if not before:
            raise NotKnown("the market's parameters are not followed yet")
        return Evidence((before[-1],)).configs[0][1]


class Market:
    """One market on one chain. Any thread may use it."""

    def __init__(self, rpc_url: str, record: DeploymentRecord, view: ChainView, sender: Sender) -> None:
        """`record` must have been checked against the chain."""
        self.record = record
        self.view = view
        self.sender = sender
        self.domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
        self._rpc = Rpc.at(rpc_url)
        self._contracts: dict[str, Contract] = record.connect(self._rpc)
        self._calling = Lock()  # a connection carries one call at a time
        self._names = {entry["id"]: subscriber for subscriber, entry in record.members.items()}
        self._configs: Kept[int, Config] = Kept()
        self._seen = _Seen(view, self._configs)

    # --- the chain ---

    def refresh(self) -> None:
        """Takes note of what was followed since; until then everything is as it was, however often it is asked."""
        self._seen = _Seen(self.view, self._configs)

    def head(self) -> BlockRow:
        """The newest followed block. Raises NothingFollowed before there is one."""
        return self._seen.head

    def now(self) -> int:
        """The time of the market: that of the newest followed block, UTC epoch seconds."""
        return self.head().time

    def call(self, contract: str, function: str, *arguments: object) -> Any:
        """Asks a view, as of the newest followed block. Raises Reverted, and ConnectionFailed without the node."""
        with self._calling:
            return self._contracts[contract].call(function, *arguments, block=self.head().number)

    def read_call(self, contract: str, data: bytes) -> tuple[str, list[Any]]:
        """Which function of a contract some call data calls, and its arguments. Raises ChainError for no such."""
        return self._contracts[contract].read_call(data)

    def ask_node(self, method: str, *arguments: object) -> Any:
        """A JSON-RPC call that no view answers. Raises RpcError, and ConnectionFailed without the node."""
        with self._calling:
            return self._rpc.call(method, *arguments)

    def submit(self, intent: str, contract: str, function: str, *arguments: object) -> Transaction:
        """Sends a transaction, once for each `intent`. Raises Reverted where the contract would refuse it now."""
        return self.sender.submit(intent, contract, function, *arguments)

    def close(self) -> None:
        """Closes the connection to the node; the next call opens another."""
        with self._calling:
            self._rpc.close()

    # --- members ---

    def standing(self) -> Evidence:
        """What the chain says about members, attestors, parameters and templates."""
        return self._seen.standing

    def ledger(self) -> Evidence:
        """What the chain says about obligations and accounts."""
        return self._seen.ledger

    @property
    def registry(self) -> Registry:
        """Members and templates with their history."""
        return self.standing().registry

    def name(self, member: Hash32) -> str:
        """The subscriber id of a member; the id in hex for one whose name is not known here."""
        return self._names.get(member, "0x" + member.hex())

    def know(self, subscribers: Iterable[str]) -> None:
        """Names of members that were admitted after the market began."""
        self._names.update({member_id(one): one for one in subscribers})

    def members(self, role: MemberRole) -> tuple[Hash32, ...]:
        """The members that hold a role now, in ascending order of their ids; of several roles, any."""
        now = self.now()
        standing = ((member, history.at(now)) for member, history in self.registry.members.items())
        return tuple(sorted(member for member, one in standing if one and one.is_known and role & one.roles))

    def keys_of(self, member: Hash32) -> frozenset[bytes]:
        """The addresses whose signature counts for a member now: its hot key, if it has one that is no contract."""
        history = self.registry.members.get(member)
        now = self.now()
        standing = history.at(now) if history else None
        if history is None or standing is None or not standing.is_known:
            return frozenset()
        # A key that was called compromised leaves a zero behind.
        is_good = any(standing.key) and history.had_key(standing.key, now, 0)
        return frozenset({standing.key}) if is_good else frozenset()

    def attestors(self) -> tuple[tuple[Hash32, ...], int]:
        """The attestors now, in the order of their bits, and how many make a quorum; nobody before there are any."""
        standing = self.standing()
        versions = [event["version"] for event in standing.of("AttestorsSet")]
        return standing.attestors_at(max(versions)) if versions else ((), 0)

    # --- parameters ---

    def config(self, cycle: int) -> Config:
        """The parameters that govern a cycle: as at its first commitment, or as they are now where there is none."""
        return self._seen.config(cycle)

    def newest_config(self) -> Config:
        """The parameters in force now, which govern what is owed."""
        return self.standing().configs[-1][1]

    @property
    def calendar(self) -> Calendar:
        """Slots and cycles, which are fixed for as long as the market stands."""
        config = self.record.config
        return Calendar(config["anchor"], config["slot_length"], config["cycle_length"])

    @property
    def templates(self) -> Mapping[Hash32, Template]:
        """The registered templates by id."""
        return {one: known.template for one, known in self.registry.templates.items()}

    def terms(self, slot_start: int) -> TradeTerms:
        """What a trade of a slot is judged by now."""
        config = self.config(self.calendar.cycle_of(slot_start))
        return TradeTerms(config, self.templates, self.registry, self.now())

    def after(self, since: int, seconds: int) -> int:
        """When `seconds` of unpaused time after `since` have passed; as if time ran on, for what is still ahead."""
        now = self.now()
        if now <= since or not any(self.standing().of("Paused")):
            return since + seconds
        counted: int = self.call("MemberRegistry", "unpaused_since", since)
        # What is paused by now is certain; a deadline that has passed is known only to be past.
        return now + seconds - counted if counted < seconds else since + seconds

    # --- a cycle ---

    def cycle(self, cycle: int) -> Evidence:
        """What the chain says about a cycle."""
        return self._seen.cycle(cycle)

    def cycles(self) -> tuple[int, ...]:
        """The cycles in which something was committed, ascending."""
        return self._seen.cycles

    def commitment(self, number: int) -> ChainCommitment | None:
        """A commitment by its number."""
        found = (self.cycle(cycle).commitments.get(number) for cycle in self.cycles())
        return next((one for one in found if one is not None), None)

    def curtailments(self, cycle: int) -> tuple[RecordedCurtailment, ...]:
        """The curtailments of a cycle's trades, in chain order."""
        return tuple(
            RecordedCurtailment(
                **{name: event[name] for name in ("number", "index", "trade_digest", "contracted_wh", "reason")},
                recorded_at=event.time,
            )
            for event in self.cycle(cycle).of("Curtailed")
        )

    def phase(self, cycle: int) -> Phase:
        """What the cycle takes now."""
        return Phase(self.call("AllocationOracle", "phase", cycle))

    def deadline(self, cycle: int, run: int) -> int:
        """When the intake of a run ends: the first second at which nothing is taken any more, unless time is paused.

        Only of the run whose seal comes next, or one before it; NotKnown beyond.
        """
        if run and not self.is_sealed(cycle, run - 1):
            raise NotKnown(f"the intake of run {run} of cycle {cycle} has not begun")
        config = self.config(cycle)
        ends = self.after(self.calendar.cycle_end(cycle), config.run_deadlines[run])
        if run == 0:
            return ends
        return max(ends, self.after(self.sealed_at(cycle, run - 1), config.least_intake))

    def newest_sealed_run(self, cycle: int) -> int | None:
        """The newest run whose inputs are sealed."""
        return max((event["run"] for event in self.cycle(cycle).of("RunSealed")), default=None)

    def is_sealed(self, cycle: int, run: int) -> bool:
        """Whether a run's inputs are sealed."""
        newest = self.newest_sealed_run(cycle)
        return newest is not None and run <= newest

    def sealed_at(self, cycle: int, run: int) -> int:
        """When a run was sealed. NotKnown where it is not."""
        return self._seal(cycle, run).time

    def inputs(self, cycle: int, run: int) -> Hash32:
        """A run's sealed inputs. NotKnown where it is not sealed."""
        sealed: Hash32 = self._seal(cycle, run)["inputs"]
        return sealed

    def posted(self, cycle: int, run: int, utility: Hash32) -> PostedTree | None:
        """What a utility's last attempt in a run says; None where it posted nothing in it."""
        found = None
        for event in self.cycle(cycle).of("AllocationPosted"):
            if (event["run"], event["utility"]) == (run, utility):
                found = PostedTree(event["attempt"], event["root"], event["count"])
        return found

    def is_posted(self, statement: Allocation) -> bool:
        """Whether the chain holds this very statement as its utility's last in the run."""
        held = self.posted(statement.cycle, statement.run, statement.utility)
        return held == PostedTree(statement.attempt, statement.root, statement.count)

    def marks(self, cycle: int, run: int, trades: Iterable[CountingTrade]) -> Marks:
        """The marks on these trades as they stood when `run` was sealed, or stand now where it is not."""
        return marks_of(self.cycle(cycle), cycle, run, trades)

    # --- internals ---

    def _seal(self, cycle: int, run: int) -> Event:
        for event in self.cycle(cycle).of("RunSealed"):
            if event["run"] == run:
                return event
        raise NotKnown(f"run {run} of cycle {cycle} is not sealed")


def _place(event: Event) -> tuple[int, int]:
    return event.block, event.log_index
