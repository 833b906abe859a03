"""The summary of a run, as numbers: what `summary.json` holds and the account is printed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median_low
from typing import Any

from demo import calendar, stories
from demo.day import Day, served_in
from demo.desk import result_of
from demo.rows import Moved
from demo.trading import Pair
from demo.week import Week
from demo.world import World
from settlement.figures import Outcome
from settlement.hashing import Hash32
from settlement.placed import Side
from store.records import Way

# Gas targets, a row or leaf where the call carries several; only of operations that the targets are set for.
TARGETS: dict[str, int] = {
    "commit a batch, 2 signatures, 0 locks": 105_000,
    "post an allocation": 80_000,
    "attest a row, 3 of 4": 130_000,
    "publish leaves, a leaf": 3_900,
    "strike a wrong leaf": 260_000,
    "void a group": 150_000,
}


def summarise(week: Week, durations: Mapping[str, int], checks: Mapping[str, bool]) -> dict[str, Any]:
    """Everything that a run came to."""
    world = week.market.world
    return {
        "market": {
            "name": world.record.market,
            "homes": len(week.market.homes),
            "platforms": len(week.market.members.platforms),
            "utilities": len(week.market.members.utilities),
        },
        "chain": {"market_id": _hex(world.record.market_id), "chain_id": world.record.chain_id, "currency": "INR"},
        "days": [_day(week, day) for day in week.days.values()],
        "members": _members(week),
        "gas": _gas(world),
        "durations": dict(durations),
        "roots": {
            f"inputs of cycle {day.cycle}, run {number}": _hex(run.inputs)
            for day in week.days.values()
            for number, run in sorted(day.runs.items())
        },
        "transactions": len(world.transactions),
        "transaction_hashes": world.transactions,
        "checks": dict(checks),
    }


def _day(week: Week, day: Day) -> dict[str, Any]:
    shows, ends = stories.TEXTS[day.number]
    newest = max(day.runs)
    first, last = (
        result_of(day.cycle, run, day.counting(), served_in(day, run), day.rule_marks()) for run in (0, newest)
    )
    allocated = [figure.wh for (_, side), figure in first.figures.items() if side is Side.SELLER and figure]
    contracted = {one.digest: one.contracted_wh for one in day.counting()}
    return {
        "day": day.number,
        "date": calendar.delivery_date(day.number).isoformat(),
        "shows": shows,
        "ends": ends,
        "trades": len(day.trades),
        "contracted_wh": sum(one.trade.contracted_wh for one in day.trades),
        "allocated_wh": sum(allocated),
        "settled_wh": sum(one.quantities.settled for one in last.settled.values() if one.quantities),
        "waiting_wh": sum(contracted[digest] for digest, one in first.settled.items() if one.outcome is Outcome.WAITS),
        "rows": _rows(week, day),
        "facts": day.facts,
    }


def _rows(week: Week, day: Day) -> list[dict[str, Any]]:
    name = week.market.members.name
    rows = []
    for run in sorted(day.runs):
        for one in day.runs[run].rows:
            row = one.row
            moved = week.settling.moved.get(one.digest, Moved(0, 0, 0))
            head = {"payer": name(row.payer), "payee": name(row.payee), "way": one.way}
            rows.append(
                {**head, "run": row.run, "version": row.version, "leaves": row.count, **_moved(row.amount, moved)}
            )
    claimed: dict[Pair, list[Moved]] = defaultdict(list)
    for pair, number, moved in week.settling.claimed:
        if number == day.number:
            claimed[pair].append(moved)
    for (payer, payee), several in sorted(claimed.items()):
        moved = Moved(sum(one.paid for one in several), sum(one.owed for one in several), 0)
        head = {"payer": name(payer), "payee": name(payee), "way": Way.CLAIMED.value}
        figures = _moved(moved.paid + moved.owed, moved)
        rows.append({**head, "run": 0, "version": 0, "leaves": len(several), **figures})
    return rows


def _moved(amount: int, moved: Moved) -> dict[str, str]:
    figures = {"amount": amount, "paid": moved.paid, "owed": moved.owed, "owed_back": moved.owed_back}
    return {key: str(value) for key, value in figures.items()}


def _members(week: Week) -> list[dict[str, Any]]:
    received: dict[Hash32, int] = defaultdict(int)
    paid: dict[Hash32, int] = defaultdict(int)
    for day in week.days.values():
        for run in day.runs.values():
            for one in run.rows:
                if moved := week.settling.moved.get(one.digest):
                    paid[one.row.payer] += moved.paid
                    received[one.row.payee] += moved.paid
    for (payer, payee), _, moved in week.settling.claimed:
        paid[payer] += moved.paid
        received[payee] += moved.paid
    for notice in week.debts.notices:
        paid[notice.notice.debtor] += notice.acknowledged
        received[notice.notice.creditor] += notice.acknowledged
    members = week.market.members

    def open_between(debtor: Hash32, creditor: Hash32) -> int:
        return int(week.market.world.call("ObligationLedger", "owed", debtor, creditor))

    return [
        {
            "name": one.name,
            "received": str(received[one.id]),
            "paid": str(paid[one.id]),
            "owed": str(sum(open_between(one.id, other) for other in members.by_id if other != one.id)),
            "is_owed": str(sum(open_between(other, one.id) for other in members.by_id if other != one.id)),
            "withdrawn": str(week.withdrawn.get(one.id, 0)),
        }
        for one in members.everyone
    ]


def _gas(world: World) -> list[dict[str, Any]]:
    table = []
    for operation, use in sorted(world.gas.items()):
        each = [used // units for used, units in zip(use.used, use.units, strict=True)]
        table.append(
            {
                "operation": operation,
                "count": len(each),
                "median": median_low(each),
                "max": max(each),
                "target": TARGETS.get(operation),
            }
        )
    return table


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
