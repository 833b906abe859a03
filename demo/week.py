"""The week: seven days put into one schedule, each with what it shows, then debts, releases and withdrawals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from chain.contract import Event
from demo import calendar, stories
from demo.account import money_text
from demo.day import Day, Market, Run
from demo.debts import Debts
from demo.market import PlannedTrade
from demo.members import Member
from demo.rows import Disagreement, Packet, Settling, judge, pairs_of, with_one_leaf_changed
from demo.schedule import Schedule
from demo.stories import StoryDoesNotFit
from demo.trading import Pair, SignedTrade
from settlement.config import DAY, HOUR
from settlement.cycle import UtilityAllocation
from settlement.faults import Fault, Status, fault_by_rule
from settlement.figures import MarkKind
from settlement.flows import Pair as MemberPair
from settlement.hashing import Hash32
from settlement.rows import RowContent
from settlement.trade import Row
from settlement.units import kwh_text
from store.records import MemberSignature, PlacedTrade, RecordedMark, SettledRow, Way

MINUTE = 60
RUN_0_DEADLINE = 12 * HOUR
RUN_1_DEADLINE = 14 * DAY
WINDOW = DAY
LATER_RUN_DAYS = (5, 6)  # the days on which something waits for run 1


@dataclass
class Week:
    """All days, and what happens in each beyond what happens in every one."""

    market: Market
    plans: Sequence[PlannedTrade]
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        numbers = range(1, calendar.DAYS + 1)
        self.days = {number: Day(number, [plan for plan in self.plans if plan.day == number]) for number in numbers}
        self.settling = Settling(self.market)
        self.debts = Debts(self.market)
        self.withdrawn: dict[Hash32, int] = {}
        first, second, third = self.market.members.platforms
        self.guaranteed = {first.id, second.id}
        self.half_locked = {second.id, third.id}
        self.silent = third
        self.registered_buyer, self.registered_seller = second, first
        self._missing = stories.missing_reading(self.days[6])
        self._curtailed = stories.curtailable(self.days[6], self.market.homes, self._missing)

    # --- the schedule ---

    def put(self) -> None:
        """Puts everything into the schedule."""
        self._at(calendar.GENESIS_TIME + HOUR, "members fund their escrow", self._fund)
        for day in self.days.values():
            self._put_day(day)
        for number in LATER_RUN_DAYS:
            self._put_run_1(self.days[number])
        last = self.days[calendar.DAYS].end
        for time in range(self.days[1].end, last + 17 * DAY, 2 * HOUR):
            self._at(time + 30 * MINUTE, "", partial(self.market.world.blocks, 1))
        for after in (4 * DAY, 15 * DAY + 12 * HOUR):
            self._at(last + after, "debts fall due", self._fall_due)
            self._at(last + after + DAY, "debtors pay by bank and give notice", self.debts.notify)
            self._at(last + after + 2 * DAY, "creditors acknowledge", self.debts.acknowledge)
        self._at(last + 16 * DAY, "the silent ones sign what releases the locks", self._release)
        self._at(last + 18 * DAY, "everybody withdraws", self._withdraw)

    def _put_day(self, day: Day) -> None:
        at = partial(self._at_day, day)
        start, end = calendar.day_start(day.number), day.end
        at(start - 6 * HOUR, "offers and signatures", partial(self.market.offer, day))
        at(start - 5 * HOUR, "commitments", partial(self._commit, day))
        at(end + HOUR, "meters are read, allocations posted", partial(self._allocate, day))
        at(end + RUN_0_DEADLINE, "the dispute window opens", lambda: self._open_window(day))
        at(end + RUN_0_DEADLINE + WINDOW + 10 * MINUTE, "run 0 is sealed", partial(self.market.seal, day, 0))
        at(end + 37 * HOUR, "rows are signed and settled", partial(self._settle, day))
        match day.number:
            case 2:
                at(end + 2 * HOUR, "the guaranteed pair signs early", partial(self._sign_early, day))
            case 5:
                at(end + 14 * HOUR, "a wrong allocation is proven", partial(self._prove_fault, day))
            case 6:
                at(calendar.slot(6, self._curtailed.hour) - HOUR, "a trade is curtailed", partial(self._curtail, day))

    def _put_run_1(self, day: Day) -> None:
        at = partial(self._at_day, day)
        at(day.end + 13 * DAY, "run 1: corrected allocations", partial(self._allocate_again, day))
        at(day.end + RUN_1_DEADLINE, "run 1: the window opens", lambda: self._open_window(day))
        at(day.end + RUN_1_DEADLINE + WINDOW + 10 * MINUTE, "run 1 is sealed", partial(self.market.seal, day, 1))
        at(day.end + RUN_1_DEADLINE + WINDOW + HOUR, "run 1: rows", partial(self._settle_again, day))

    def _at(self, time: int, label: str, action: Callable[[], None]) -> None:
        self.schedule.at(time, label, action)

    def _at_day(self, day: Day, time: int, label: str, action: Callable[[], None]) -> None:
        self.schedule.at(time, f"day {day.number}: {label}", action)

    # --- what every day has ---

    def _fund(self) -> None:
        """Each platform deposits what its locks of the week may come to, in whole thousands of rupees."""
        thousand = 1_000 * 10**calendar.CONFIG.money_decimals
        platforms = self.market.members.platforms
        homes = self.market.homes
        for platform in platforms:
            need = 0
            for plan in self.plans:
                buyer, seller = (platforms[homes[home].platform] for home in (plan.buyer_home, plan.seller_home))
                if buyer is platform and seller is not platform:
                    need += self._locked_share((buyer.id, seller.id), plan.wh * plan.price // 1000)
            self.market.world.fund(platform, -(-need // thousand) * thousand)

    def _locked_share(self, pair: Pair, worst_case: int) -> int:
        if set(pair) == self.guaranteed:
            return worst_case
        return worst_case // 2 if set(pair) == self.half_locked else 0

    def _commit(self, day: Day) -> None:
        def registered(one: SignedTrade) -> bool:
            parties = one.trade.buyer_platform, one.trade.seller_platform
            return day.number == 7 and parties == (self.registered_buyer.id, self.registered_seller.id)

        self.market.commit(day, self._locked_share, registered)

    def _allocate(self, day: Day) -> None:
        missing = [self._missing] if day.number == 6 else []
        told = False
        for utility in self.market.members.serving:
            changed = False

            def change(honest: UtilityAllocation) -> UtilityAllocation:
                nonlocal changed
                found = stories.generous_leaf(honest)
                if found is None:
                    return honest
                changed = True
                leaf = honest.leaves[found.position]
                read, traded = kwh_text(leaf.meter_wh), kwh_text(leaf.contracted_total_wh)
                day.facts.append(
                    f"{self._name(honest.utility)} gave one trade {found.extra_wh} Wh more than the rule:"
                    f" its meter read {read} kWh for trades of {traded} kWh"
                )
                return stories.generous(honest, found)

            if day.number == 5 and not told:
                self.market.allocate(day, 0, utility, missing, change)
                told = changed
            else:
                self.market.allocate(day, 0, utility, missing)
        if day.number == 5 and not told:
            raise StoryDoesNotFit("day 5: no short meter with several trades")
        self.market.serve(day, 0)

    def _open_window(self, day: Day) -> None:
        self.market.world.send("open a window", "AllocationOracle", "open_window", day.cycle)

    def _settle(self, day: Day) -> None:
        pairs = pairs_of(day, 0)
        match day.number:
            case 3:
                unsigned = [pair for pair in pairs if self.silent.id in pair]
                self._agree(day, 0, [pair for pair in pairs if pair not in unsigned])
                self._attest_all(day, unsigned)
            case 4:
                disputed = self._disputed_pair(day, pairs)
                self._agree(day, 0, [pair for pair in pairs if pair != disputed])
                self._attest_falsely(day, disputed)
            case 7:
                claimed = self.registered_buyer.id, self.registered_seller.id
                self._agree(day, 0, [pair for pair in pairs if pair != claimed])
                self._claim_all(day, claimed)
            case 2:
                self._agree(day, 0, pairs)
                self._compare_with_early(day)
            case _:
                self._agree(day, 0, pairs)

    def _agree(self, day: Day, run: int, pairs: Sequence[Pair]) -> None:
        self.settling.agree(day, run, pairs)

    # --- day 2 ---

    def _sign_early(self, day: Day) -> None:
        one, other = sorted(self.guaranteed)
        self.settling.agree(day, 0, [(one, other), (other, one)], early=True)
        paid = sum(self.settling.moved[row.digest].paid for row in day.runs[0].rows if row.way == Way.EARLY)
        after = (self.market.world.last_time - day.end) // MINUTE
        day.facts.append(f"INR {money_text(paid)} paid {after} minutes after the day ended")

    def _compare_with_early(self, day: Day) -> None:
        """The sealed rows of the pair that signed early come to the same, so nothing moves."""
        early = {(one.row.payer, one.row.payee): one.row for one in day.runs[0].rows if one.way == Way.EARLY}
        sealed = [one.row for one in day.runs[0].rows if one.way == Way.AGREED]
        same = sum(early[row.payer, row.payee].root == row.root for row in sealed if (row.payer, row.payee) in early)
        day.facts.append(f"after the window {same} of {len(early)} sealed rows have the same root as the early ones")

    # --- days 3 and 4 ---

    def _attest_all(self, day: Day, pairs: Sequence[Pair]) -> None:
        """The silent one's rows: after the wait the other side asks the attestors, three of whom sign."""
        now = self.schedule.now
        attestors = self.market.members.utilities[:3]
        day.facts.append(f"{self.silent.name} answered nothing about {len(pairs)} rows")
        for pair in pairs:
            wants = pair[0] if pair[1] == self.silent.id else pair[1]
            content = self._recomputed_alike(day, pair, wants, attestors)
            self._attest_publish_apply(day, content, attestors, now + calendar.CONFIG.attest_wait)

    def _disputed_pair(self, day: Day, pairs: Sequence[Pair]) -> Pair:
        """Day 4: the longest row between two platforms that lock only half."""
        platforms = {one.id for one in self.market.members.platforms}
        fitting = [pair for pair in pairs if set(pair) <= platforms and set(pair) == self.half_locked]
        rows = {pair: self.market.desk(pair[1]).row(day.cycle, 0, day.rule_marks(), pair)[0] for pair in fitting}
        longest = max(fitting, key=lambda pair: (rows[pair].count, pair), default=None)
        if longest is None or rows[longest].count < 2:
            raise StoryDoesNotFit("day 4: no row with several leaves")
        return longest

    def _attest_falsely(self, day: Day, pair: Pair) -> None:
        """Three collude and sign a row with one leaf changed; the fourth recomputes, refuses, and strikes it."""
        *colluding, honest = self.market.members.utilities
        packet = self._packet(day, pair, pair[1], honest)
        right = self.settling.recompute(day, 0, pair, packet)
        false = with_one_leaf_changed(right, 10**calendar.CONFIG.money_decimals)
        refusal = judge(right, false)
        if refusal is None:
            raise StoryDoesNotFit("day 4: the changed row is right")
        wait = self.schedule.now + calendar.CONFIG.attest_wait

        def attest() -> None:
            row, mask, signed = self.settling.attest(day, 0, false, colluding)
            self.settling.publish(row, false)

            def strike() -> None:
                self.settling.strike_wrong_leaf(row, false, refusal, packet)
                digest = self.market.world.domain.digest(row)
                struck = SettledRow(row, digest, Way.STRUCK.value, signed, mask, 0)
                day.runs[0].rows.append(struck)
                amounts = money_text(refusal.shown.amount), money_text(refusal.own.amount if refusal.own else 0)
                day.facts.append(
                    f"{honest.name} refused at leaf {refusal.position}:"
                    f" INR {amounts[0]} where INR {amounts[1]} is right"
                )
                self._attest_publish_apply(day, right, (*colluding[1:], honest), self.schedule.now + HOUR)

            self._at_day(day, self.schedule.now + HOUR, "one proof strikes the false row", strike)

        self._at_day(day, wait, "three attestors sign a false row", attest)

    def _packet(self, day: Day, pair: Pair, wants: Hash32, attestor: Member) -> Packet:
        """What the side that wants the row hands one attestor, who reads it from its own folder."""
        members = self.market.members
        name = f"{day.number}-{members.name(pair[0])}-{members.name(pair[1])}"
        folder = attestor.folder / "packets" / name
        self.settling.hand_over(day, 0, pair, members.by_id[wants], folder)
        return Packet.read(folder)

    def _recomputed_alike(self, day: Day, pair: Pair, wants: Hash32, attestors: Sequence[Member]) -> RowContent:
        """The row as the side that wants it has it, if every attestor's own packet comes to the same."""
        shown, _ = self.market.desk(wants).row(day.cycle, 0, day.rule_marks(), pair)
        for attestor in attestors:
            own = self.settling.recompute(day, 0, pair, self._packet(day, pair, wants, attestor))
            if own != shown:
                raise Disagreement(f"{attestor.name} refuses at {judge(own, shown)}")
        return shown

    def _attest_publish_apply(self, day: Day, content: RowContent, attestors: Sequence[Member], time: int) -> None:
        def attest() -> None:
            row, mask, signed = self.settling.attest(day, 0, content, attestors)
            self.settling.publish(row, content)
            after = self.schedule.now + calendar.CONFIG.row_window + HOUR
            self._at_day(day, after, "an attested row is applied", partial(apply, row, mask, signed))

        def apply(row: Row, mask: int, signed: tuple[MemberSignature, ...]) -> None:
            self.settling.apply_attested(day, 0, row, mask, signed, content)

        self._at_day(day, time, "a quorum attests a row", attest)

    # --- day 5 ---

    def _prove_fault(self, day: Day) -> None:
        """Whoever was served the wrong leaf sees that it is not the rule's, and shows it."""
        world = self.market.world
        for watcher in self.market.members.platforms:
            for served in self.market.desk(watcher.id).served(day.cycle, 0):
                leaf = served.leaf
                if fault_by_rule(leaf, calendar.CONFIG.allocation_rule) is Fault.NONE:
                    continue
                sent = world.send(
                    "void a group", "AllocationFaults", "void_by_rule", day.cycle, served.utility, served.shown
                )
                day.marks += [self._void(event) for event in sent.named("GroupVoided")]
                waiting = sum(
                    (one.trade.seller_meter if leaf.side else one.trade.buyer_meter) == leaf.meter
                    and one.trade.slot_start == leaf.slot_start
                    for one in day.placed
                )
                day.facts.append(f"{watcher.name} proved it with one leaf; {waiting} trades of that meter wait")
                return
        raise StoryDoesNotFit("day 5: nobody was served a wrong leaf")

    def _void(self, event: Event) -> RecordedMark:
        """The mark as the chain reported it."""
        return RecordedMark(
            kind=MarkKind.VOID,
            **{name: event[name] for name in ("run", "utility", "meter", "slot_start", "side")},
            trade_digest=bytes(32),
            wh=0,
            recorded_at=self.market.world.last_time,
        )

    # --- day 6 ---

    def _curtail(self, day: Day) -> None:
        plan = self._curtailed
        placed = next(one for one in day.placed if self._is(day, one, plan))
        utility = self.market.members.by_id[placed.trade.seller_utility]
        wh = plan.wh // 2
        self.market.curtail(day, placed, wh, utility)
        day.facts.append(f"{utility.name} curtailed a trade of {kwh_text(plan.wh)} kWh to {kwh_text(wh)} kWh")

    def _is(self, day: Day, placed: PlacedTrade, plan: PlannedTrade) -> bool:
        return day.trades[day.plans.index(plan)].digest == placed.digest

    # --- run 1 ---

    def _allocate_again(self, day: Day) -> None:
        """Only a utility that has something to correct posts again; the others' leaves of run 0 stand."""
        for utility in self.market.members.serving:
            before = day.runs[0].allocations[utility.id]
            voided = any(mark.utility == utility.id for mark in day.marks)
            if voided or any(leaf.status == Status.MISSING for leaf in before.leaves):
                self.market.allocate(day, 1, utility)
        day.runs.setdefault(1, Run())
        self.market.serve(day, 1)

    def _settle_again(self, day: Day) -> None:
        """Rows are cumulative: only pairs whose row changed, or whose lock waited, need a new one."""
        before = {(one.row.payer, one.row.payee): one.row for one in day.runs[0].rows if one.applied_at}
        changed: list[MemberPair] = []
        for pair in pairs_of(day, 1):
            content, _ = self.market.desk(pair[0]).row(day.cycle, 1, day.rule_marks(), pair)
            earlier = before.get(pair)
            if earlier is None or (earlier.amount, earlier.root, earlier.keep) != (content.amount, content.root, 0):
                changed.append(pair)
        self._agree(day, 1, changed)
        day.facts.append(f"run 1 brought {len(changed)} new rows")

    # --- day 7 ---

    def _claim_all(self, day: Day, pair: Pair) -> None:
        """The payee shows its trades one by one; the chain computes each."""
        desk = self.market.desk(pair[1])
        trades = [
            one for one in desk.trades(day.cycle) if (one.trade.buyer_platform, one.trade.seller_platform) == pair
        ]
        result = desk.result(day.cycle, 0, day.rule_marks())
        settled = {leaf.trade_digest for leaf in result.rows[pair].leaves}
        claims = [self.settling.claim(day, 0, one, desk) for one in trades if one.digest in settled]
        day.facts.append(
            f"{len(trades)} trades registered one by one; the {len(claims)} that settle at something claimed"
        )

        def apply() -> None:
            for claim in claims:
                self.settling.apply_claim(day, 0, claim)

        after = self.schedule.now + calendar.CONFIG.claim_window + HOUR
        self._at_day(day, after, "claims are applied", apply)

    # --- the end ---

    def _fall_due(self) -> None:
        self.debts.fall_due()

    def _release(self) -> None:
        """Locks that only an agreed row releases: of attested rows and claims."""
        for day in self.days.values():
            locked = [
                pair
                for pair in sorted({(one.lock.payer, one.lock.payee) for one in day.locks})
                if self.market.world.call("SettlementEscrow", "pair", day.cycle, *pair) & (1 << 96) - 1
            ]
            if locked:
                newest = max(day.runs)
                self.settling.agree(day, newest, locked, keep_nothing=True)

    def _withdraw(self) -> None:
        self.withdrawn = self.debts.withdraw_all()

    def _name(self, member: Hash32) -> str:
        return self.market.members.name(member)
