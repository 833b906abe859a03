"""The summary of a run, as numbers: what `summary.json` holds and the account is printed from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from demo import calendar, stories
from demo.collect import CycleRecords, Moved, Records
from demo.facts import Teller
from demo.gas import gas_table
from demo.members import Members, senders
from demo.world import World
from settlement.figures import Outcome
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import Side
from store.records import SettledRow, Way

NOTHING = Moved(0, 0)


@dataclass(frozen=True)
class Summariser:
    """Makes the summary of a finished run: `days` are its delivery days with their records."""

    world: World
    members: Members
    homes: int
    records: Records
    days: Mapping[int, CycleRecords]

    def summary(self, durations: Mapping[str, int], checks: Mapping[str, bool]) -> dict[str, Any]:
        """Everything that a run came to."""
        record = self.world.record
        return {
            "market": {
                "name": record.market,
                "homes": self.homes,
                "platforms": len(self.members.platforms),
                "utilities": len(self.members.utilities),
            },
            "chain": {"market_id": _hex(record.market_id), "chain_id": record.chain_id, "currency": "INR"},
            "days": [self._day(day, found) for day, found in self.days.items()],
            "members": self._members(),
            "gas": gas_table(self.records.calls.values(), len(self.members.utilities)),
            "durations": dict(durations),
            "roots": {
                f"inputs of cycle {found.cycle}, run {run.number}": _hex(run.inputs)
                for found in self.days.values()
                for run in found.runs
            },
            "senders": self._senders(),
            "transactions": len(self.records.calls),
            "transaction_hashes": list(self.records.calls),
            "checks": dict(checks),
        }

    def _day(self, day: int, found: CycleRecords) -> dict[str, Any]:
        shows, ends = stories.TEXTS[day]
        first, last = found.results[0], found.results[-1]
        allocated = [figure.wh for (_, side), figure in first.figures.items() if side is Side.SELLER and figure]
        contracted = {one.digest: one.contracted_wh for one in found.counting}
        waiting = [digest for digest, one in first.settled.items() if one.outcome is Outcome.WAITS]
        return {
            "day": day,
            "date": calendar.delivery_date(day).isoformat(),
            "shows": shows,
            "ends": ends,
            "trades": len(found.counting),
            "contracted_wh": sum(one.trade.contracted_wh for one in found.placed),
            "allocated_wh": sum(allocated),
            "settled_wh": sum(one.quantities.settled for one in last.settled.values() if one.quantities),
            "waiting_wh": sum(contracted[digest] for digest in waiting),
            "rows": [*self._rows(found), *self._claimed(found)],
            "facts": Teller(self.records, self.members, self.members.platforms[2].name).facts(day, found),
        }

    def _rows(self, found: CycleRecords) -> Iterator[dict[str, Any]]:
        """Rows in the order of their pairs; those that moved nothing and only released a lock as well."""
        for run in found.runs:
            for one in sorted(run.rows, key=self._place):
                row, moved = one.row, self.records.moved.get(one.digest, NOTHING)
                head = self._pair((row.payer, row.payee)) | {"way": one.way, "run": row.run, "version": row.version}
                yield {**head, "leaves": row.count, **_moved(row.amount, moved)}

    def _place(self, one: SettledRow) -> tuple[int, int, int, int]:
        order = [member.id for member in self.members.everyone]
        way = list(Way).index(Way(one.way))
        return way, order.index(one.row.payer), order.index(one.row.payee), one.row.version

    def _claimed(self, found: CycleRecords) -> Iterator[dict[str, Any]]:
        claimed: dict[Pair, list[Moved]] = defaultdict(list)
        for event in self.records.evidence.of_cycle(found.cycle, "ClaimApplied"):
            claimed[event["payer"], event["payee"]].append(Moved(event["paid"], event["owed"]))
        for pair, several in sorted(claimed.items()):
            moved = Moved(sum(one.paid for one in several), sum(one.owed for one in several))
            if moved != NOTHING:
                head = self._pair(pair) | {"way": Way.CLAIMED.value, "run": 0, "version": 0}
                yield {**head, "leaves": len(several), **_moved(moved.paid + moved.owed, moved)}

    def _pair(self, pair: Pair) -> dict[str, Any]:
        return {"payer": self.members.name(pair[0]), "payee": self.members.name(pair[1])}

    def _members(self) -> list[dict[str, Any]]:
        received: dict[Hash32, int] = defaultdict(int)
        paid: dict[Hash32, int] = defaultdict(int)
        withdrawn: dict[Hash32, int] = defaultdict(int)
        for event in self.records.evidence.of("RowApplied", "ClaimApplied"):
            paid[event["payer"]] += event["paid"]
            received[event["payee"]] += event["paid"]
        for one in self.records.notices():
            paid[one.notice.debtor] += one.acknowledged
            received[one.notice.creditor] += one.acknowledged
        for event in self.records.evidence.of("Withdrawn"):
            withdrawn[event["member"]] += event["amount"]
        everyone = self.members.everyone
        owed = {(one.id, other.id): self._owed(one.id, other.id) for one in everyone for other in everyone}
        return [
            {
                "name": one.name,
                "received": str(received[one.id]),
                "paid": str(paid[one.id]),
                "owed": str(sum(owed[one.id, other.id] for other in everyone)),
                "is_owed": str(sum(owed[other.id, one.id] for other in everyone)),
                "withdrawn": str(withdrawn[one.id]),
            }
            for one in everyone
        ]

    def _senders(self) -> dict[str, dict[str, int]]:
        """What each program sent, by function, and how often."""
        names = senders(self.members)
        sent: dict[str, Counter[str]] = {name: Counter() for name in names.values()}
        for call in self.records.calls.values():
            if call.sender in names:
                sent[names[call.sender]][call.function] += 1
        return {name: dict(sorted(functions.items())) for name, functions in sent.items()}

    def _owed(self, debtor: Hash32, creditor: Hash32) -> int:
        return 0 if debtor == creditor else int(self.world.call("ObligationLedger", "owed", debtor, creditor))


def _moved(amount: int, moved: Moved) -> dict[str, str]:
    figures = {"amount": amount, "paid": moved.paid, "owed": moved.owed, "owed_back": moved.owed_back}
    return {key: str(value) for key, value in figures.items()}


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
