"""What was to be seen of each day's story: told from the records, so that it is said only if it happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from chain.evidence import Event
from demo.account import money_text
from demo.calendar import CONFIG
from demo.collect import REPLACED, CycleRecords, Records
from demo.members import Members, senders
from settlement.allocation import share_rule
from settlement.faults import Fault, fault_by_rule
from settlement.units import kwh_text
from store.records import RecordedLeaf, SettledRow, Way

MINUTE = 60


@dataclass(frozen=True)
class Teller:
    """Tells the facts of days; `silent` is the platform that does not answer on day 3."""

    records: Records
    members: Members
    silent: str

    def facts(self, day: int, found: CycleRecords) -> list[str]:
        """The facts of a day, in words."""
        told: Mapping[int, Callable[[CycleRecords], Iterator[str]]] = {
            2: self._early,
            3: self._attested,
            4: self._struck,
            5: self._voided,
            6: self._curtailed,
            7: self._claimed,
        }
        return list(told[day](found)) if day in told else []

    def sender(self, event: Event) -> str:
        """Whose program sent the transaction of an event."""
        return senders(self.members).get(self.records.calls[event.transaction].sender, "somebody")

    def _early(self, found: CycleRecords) -> Iterator[str]:
        early = [one for one in found.runs[0].rows if one.way == Way.EARLY]
        if not early:
            return
        paid = sum(self.records.moved[one.digest].paid for one in early)
        after = (max(one.applied_at for one in early) - found.end) // MINUTE
        yield f"INR {money_text(paid)} paid {after} minutes after the day ended"
        result = found.results[0].rows
        same = sum(result[one.row.payer, one.row.payee].root == one.row.root for one in early)
        yield f"after the window {same} of {len(early)} early rows are what the sealed inputs give"

    def _attested(self, found: CycleRecords) -> Iterator[str]:
        attested = [one for one in found.runs[0].rows if one.way == Way.ATTESTED]
        if attested:
            yield f"{self.silent} did not answer: the {len(attested)} rows by which it owes were attested without it"

    def _struck(self, found: CycleRecords) -> Iterator[str]:
        struck = {one.digest: one for one in found.runs[0].rows if one.way == Way.STRUCK}
        for event in self.records.evidence.of_cycle(found.cycle, "RowStruck"):
            if event["reason"] != REPLACED:
                yield self._wrong_leaf(found, struck[event["row_digest"]], event)

    def _wrong_leaf(self, found: CycleRecords, row: SettledRow, event: Event) -> str:
        call = self.records.calls[event.transaction]
        leaf = call["leaf"]
        right = next(
            one
            for one in found.results[0].rows[row.row.payer, row.row.payee].leaves
            if (one.trade_digest, one.flow) == (leaf["trade_digest"], leaf["flow"])
        )
        said, is_right = money_text(leaf["amount"]), money_text(right.amount)
        return f"{self.sender(event)} struck it at leaf {call['index']}: INR {said} where INR {is_right} is right"

    def _voided(self, found: CycleRecords) -> Iterator[str]:
        rule = CONFIG.allocation_rule
        for one in found.leaves:
            if one.run == 0 and fault_by_rule(one.leaf, rule) is not Fault.NONE:
                yield self._generosity(one)
        for event in self.records.evidence.of_cycle(found.cycle, "GroupVoided"):
            waiting = sum(
                (one.trade.seller_meter if event["side"] else one.trade.buyer_meter) == event["meter"]
                and one.trade.slot_start == event["slot_start"]
                for one in found.placed
            )
            yield f"{self.sender(event)} proved it with one leaf; {waiting} trades of that meter wait"
        yield from self._run_1(found)

    def _generosity(self, one: RecordedLeaf) -> str:
        leaf = one.leaf
        share = share_rule(CONFIG.allocation_rule)
        extra = leaf.allocated_wh - share(
            leaf.meter_wh, leaf.contracted_wh, leaf.contracted_before, leaf.contracted_total_wh
        )
        read, traded = kwh_text(leaf.meter_wh), kwh_text(leaf.contracted_total_wh)
        name = self.members.name(one.utility)
        return (
            f"{name} gave one trade {extra} Wh more than the rule: its meter read {read} kWh for trades of {traded} kWh"
        )

    def _curtailed(self, found: CycleRecords) -> Iterator[str]:
        trades = {one.digest: one.trade for one in found.placed}
        for event in self.records.evidence.of_cycle(found.cycle, "Curtailed"):
            before = kwh_text(trades[event["trade_digest"]].contracted_wh)
            after = kwh_text(event["contracted_wh"])
            yield f"{self.sender(event)} curtailed a trade of {before} kWh to {after} kWh"
        yield from self._run_1(found)

    def _run_1(self, found: CycleRecords) -> Iterator[str]:
        if len(found.runs) > 1:
            yield f"run 1 brought {len(found.runs[1].rows)} new rows"

    def _claimed(self, found: CycleRecords) -> Iterator[str]:
        registered = sum(one.commitment.sequence == 0 for one in found.commitments)
        claimed = {one.claim.trade_digest for one in found.runs[0].claims if one.applied_at}
        if registered:
            yield f"{registered} trades registered one by one; the {len(claimed)} that settle at something claimed"
