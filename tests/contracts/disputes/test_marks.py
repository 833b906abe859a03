"""Every mark has its event: all its fields, of every kind; and whoever reads only events comes to the sealed inputs.

The replay is the audit's own, over the logs of a whole cycle: with one field of one mark told otherwise it comes to
other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import Any, cast

import boa
import pytest

from audit.evidence import Context
from audit.findings import Check, Report
from audit.recorded import check_sealed_inputs
from audit.run_records import RunRecords
from chain.abi import EventAbi
from chain.evidence import Event, Evidence
from settlement import preimages, typed_data
from settlement.figures import MarkKind
from settlement.hashing import keccak256
from settlement.preimages import Act
from settlement.trade import ShownLeaf
from tests.contracts.disputes.case import ARBITERS, DEMAND_TIME, SMALL, WITH_DISPUTES, Case, later
from tests.contracts.market import Market, at_time
from tests.contracts.trading import (
    CYCLE,
    END,
    SLOT,
    batch_of,
    batch_place,
    commit,
    curtail,
    deadline,
    deploy_trading,
    events,
    leaf_of,
    member_id,
    pass_window,
    post_leaves,
    register,
    shown,
    trade_of,
)

KINDS = (Act.CONTEST, Act.DEMAND, Act.ANSWER, Act.FIGURE)


def told(case: Case, kind: int, **changes: Any) -> dict[str, Any]:
    """The event of a mark on the seller side of the first trade in run 0; `changes` say what is other."""
    fields = {
        "cycle": CYCLE,
        "trade_digest": case.digest(),
        "utility": member_id(case.market, "utility_b"),
        "run": 0,
        "side": 1,
        "kind": int(kind),
        "wh": 0,
    }
    return {**fields, **changes}


def marked(case: Case) -> list[dict[str, Any]]:
    """What the oracle told of sides in the last act of Disputes."""
    return events(case.market.disputes, "SideMarked")


# --- each kind ---


def test_the_kinds_are_those_of_the_accumulator() -> None:
    """What this file knows them by, and what the protocol says."""
    assert [int(kind) for kind in KINDS] == [5, 6, 7, 8]
    assert [int(MarkKind[kind.name]) for kind in KINDS] == [5, 6, 7, 8]


def test_each_mark_is_told_with_all_its_fields(case: Case) -> None:
    case.demand()
    assert marked(case) == [told(case, 6)]
    case.answer()
    assert marked(case) == [told(case, 7)]
    case.contest()
    assert marked(case) == [told(case, 5)]
    with boa.env.anchor():
        case.agree(1_234)
        assert marked(case) == [told(case, 8, wh=1_234)]
    case.rule(77)
    assert marked(case) == [told(case, 8, wh=77)]


def test_a_mark_tells_its_own_trade_side_utility_and_run(case: Case) -> None:
    """The same of another trade's buyer side, in run 1: nothing in an event is said by rote."""
    market, number = case.market, 2
    pass_window(market)
    market.oracle.seal(CYCLE)
    leaf = leaf_of(market, case.trades[number], 0, index=number)
    tree = post_leaves(market, "utility_a", [leaf], run=1)
    at_time(deadline(1))
    other = {
        "trade_digest": case.digest(number),
        "utility": member_id(market, "utility_a"),
        "run": 1,
        "side": 0,
    }
    evidence = shown(tree, 0, leaf, run=1)
    case.demand(number, run=1, side=0)
    assert marked(case) == [told(case, 6, **other)]
    market.disputes.answer(CYCLE, astuple(case.trades[number]), 0, astuple(evidence))
    assert marked(case) == [told(case, 7, **other)]
    case.contest(number, run=1, side=0, evidence=[evidence])
    assert marked(case) == [told(case, 5, **other)]
    case.rule(1_999, number, side=0)
    assert marked(case) == [told(case, 8, wh=1_999, **other)]


def test_what_is_refused_tells_nothing(case: Case) -> None:
    case.contest()
    for act in (lambda: case.contest(by="platform_b"), lambda: case.answer(), lambda: case.agree(2_001)):
        with boa.reverts():
            act()
        assert marked(case) == []


# --- all of a cycle, from its events alone ---


@dataclass(frozen=True)
class Told:
    """What a market's contracts told of a cycle, and the inputs of its two runs on chain."""

    market: Market
    events: list[Event]
    inputs: tuple[bytes, bytes]

    @property
    def marks(self) -> list[int]:
        """Where among the events a side's mark is."""
        return [place for place, event in enumerate(self.events) if event.name == "SideMarked"]

    def view(self, contract: str, function: str, cycle: int, run: int) -> bytes:
        """What the replay asks the chain."""
        assert (contract, function, cycle) == ("AllocationOracle", "inputs", CYCLE)
        return self.inputs[run]

    def contradictions(self, changed: dict[int, Event] | None = None) -> int:
        """The audit's replay, with some events told otherwise: for how many runs it comes to other inputs."""
        log = tuple((changed or {}).get(place, event) for place, event in enumerate(self.events))
        context = Context(cast(Any, self), Evidence(log), self.market.domain)
        nothing: tuple[Any, ...] = ()
        records = RunRecords(f"cycles/{CYCLE}/run-1", cast(Any, None), *([nothing] * 11))
        report = Report()
        check_sealed_inputs(report, context, records, self.market.config)
        assert {one.check for one in report.findings} <= {Check.SEALED_INPUTS}
        return len(report.findings)


@contextmanager
def listening(market: Market) -> Iterator[list[Event]]:
    """Keeps every log of the market's contracts, read by their ABIs."""
    names = {str(contract.address).lower(): name for name, contract in market.contracts.items()}
    readers = {
        (name, abi.topic): abi
        for name, contract in market.contracts.items()
        for abi in (EventAbi(one["name"], one["inputs"]) for one in contract.abi if one["type"] == "event")
    }
    heard: list[Event] = []
    execute: Callable[..., Any] = boa.env.execute_code

    def listen(*arguments: Any, **named: Any) -> Any:
        computation = execute(*arguments, **named)
        if named.get("is_modifying", True) and not computation.is_error:
            for _, address, topics, data in sorted(computation.get_raw_log_entries()):
                name = names["0x" + bytes(address).hex()]
                plain = [topic.to_bytes(32, "big") for topic in topics]
                abi = readers[name, plain[0]]
                time = int(boa.env.evm.patch.timestamp)
                heard.append(Event(name, abi.name, abi.fields(plain, data), "0x", time))
        return computation

    boa.env.execute_code = listen
    try:
        yield heard
    finally:
        del boa.env.execute_code


@pytest.fixture(scope="module")
def cycle() -> Told:
    """A cycle of two runs in which everything happens that the accumulator takes, and what it does not take."""
    with boa.env.anchor():
        market = deploy_trading(SMALL, only=WITH_DISPUTES)
        with boa.env.prank(market.council):
            market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
        with listening(market) as heard:
            play(market)
        return Told(market, heard, (market.oracle.inputs(CYCLE, 0), market.oracle.inputs(CYCLE, 1)))


def play(market: Market) -> None:
    """Trades 0 to 6 in a batch and one registered. A curtailment; a wrong leaf and one that stands twice; of the rest
    one is demanded and answered, one contested and agreed on, one ruled on, one left unanswered; more in the last run.
    """
    case = Case.__new__(Case)
    case.market = market
    case.trades = [trade_of(market, number, seller_meter=keccak256(b"meter", bytes([number]))) for number in range(7)]
    batch = batch_of(market, case.trades)
    number, time = commit(market, batch), boa.env.evm.patch.timestamp
    case.places = [batch_place(market, number, batch, case.trades, index, time) for index in range(7)]
    register(market, trade_of(market, 9))
    at_time(SLOT - 1)
    curtail(market, case.places[6], case.trades[6], 1_500, ["utility_b"])

    at_time(END)
    honest = [leaf_of(market, trade, 1, index=index) for index, trade in enumerate(case.trades)]
    honest[6] = replace(honest[6], contracted_wh=1_500, contracted_total_wh=1_500, allocated_wh=1_500)
    post_leaves(market, "utility_b", honest[:2])
    wrong = replace(honest[3], allocated_wh=honest[3].allocated_wh - 1)
    again = replace(honest[4], salt=keccak256(b"once more"))
    case.leaves = [*honest[:3], wrong, honest[4], honest[5], honest[6], again]
    case.tree = post_leaves(market, "utility_b", case.leaves, attempt=2)
    at_time(deadline())
    utility = member_id(market, "utility_b")
    market.faults.void_by_rule(CYCLE, utility, astuple(case.shown(3)))
    market.faults.mark_twice(CYCLE, utility, astuple(case.shown(4)), astuple(case.shown(7)))
    case.demand(0)
    later(60)
    case.answer(0)
    case.contest(1)
    later(60)
    case.agree(1_111, 1)
    case.contest(2)
    case.demand(5)
    case.rule(999, 2)
    pass_window(market)
    later(DEMAND_TIME)
    market.oracle.seal(CYCLE)

    tree = post_leaves(market, "utility_b", honest, run=1)
    at_time(deadline(1))

    def newest(place: int) -> ShownLeaf:
        return shown(tree, place, honest[place], run=1)

    case.contest(0, by="platform_b", run=1, evidence=[newest(0)])
    case.demand(5, run=1, by="platform_b")
    case.answer(5, newest(5))
    case.rule(5, 0)
    pass_window(market)
    later(DEMAND_TIME)
    market.oracle.seal(CYCLE)


def test_replayed_events_give_the_sealed_inputs(cycle: Told) -> None:
    names = [event.name for event in cycle.events]
    assert {"BatchCommitted", "TradeRegistered", "Curtailed", "AllocationPosted", "GroupVoided"} <= set(names)
    assert names.count("RunSealed") == 2
    kinds = [cycle.events[place]["kind"] for place in cycle.marks]
    assert kinds == [9, 6, 7, 5, 8, 5, 6, 8, 5, 6, 7, 8]
    assert cycle.contradictions() == 0
    assert preimages.EMPTY_ACCUMULATOR not in {one["accumulator"] for one in cycle.events if one.name == "RunSealed"}


@pytest.mark.parametrize("field", ["kind", "run", "side", "trade_digest", "wh", "nothing"])
def test_a_mark_told_otherwise_gives_other_inputs(cycle: Told, field: str) -> None:
    """Each field of each mark that the accumulator binds; a figure's Wh, and not the utility, which the trade names."""
    for place in cycle.marks:
        event = cycle.events[place]
        if event["kind"] == MarkKind.TWICE or (field == "wh" and event["kind"] != MarkKind.FIGURE):
            continue
        if field == "nothing":
            other = replace(event, name="Silence")
        else:
            value = event[field]
            new: Any = keccak256(value) if isinstance(value, bytes) else value + 1
            if field == "kind":
                new = 5 + (value - 4) % 4
            other = replace(event, fields={**event.fields, field: new})
        assert cycle.contradictions({place: other}), (field, event.fields)
