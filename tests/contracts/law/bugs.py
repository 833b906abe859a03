"""Bugs that the state machine must find, each a change of one piece of source text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A piece of source that is replaced, and the contracts that are compiled from it."""

    name: str
    file: str
    right: str
    wrong: str
    contracts: tuple[str, ...]


BUGS = (
    Bug(
        "the lock pays less than it could",
        "SettlementEscrow.vy",
        "paid = min(amount - applied, locked)",
        "paid = min(amount - applied, locked // 2)",
        ("SettlementEscrow",),
    ),
    Bug(
        "what is released is not the payer's",
        "SettlementEscrow.vy",
        "self.accounts[payer] += released",
        "self.accounts[payee] += released",
        ("SettlementEscrow",),
    ),
    Bug(
        "a withdrawal does not spend its sequence",
        "SettlementEscrow.vy",
        "account - amount + (1 << AMOUNT_BITS)",
        "account - amount",
        ("SettlementEscrow",),
    ),
    Bug(
        "release gives the lock to the payee",
        "SettlementEscrow.vy",
        "self.accounts[payer] += locked",
        "self.accounts[payee] += locked",
        ("SettlementEscrow",),
    ),
    Bug(
        "a row may be applied in its window",
        "modules/publication.vy",
        "return convert(elapsed, uint256) < window",
        "return convert(elapsed, uint256) < window // 2",
        ("Settlement",),
    ),
    Bug(
        "an attested row releases the lock",
        "Settlement.vy",
        "pair_state._after(row) | pair_state.BY_ATTESTED_ROW, KEEP_ALL)",
        "pair_state._after(row) | pair_state.BY_ATTESTED_ROW, 0)",
        ("Settlement",),
    ),
    Bug(
        "claims pay for what a row has paid",
        "Settlement.vy",
        "state & (pair_state.BY_AGREED_ROW | pair_state.BY_ATTESTED_ROW) != 0",
        "state & pair_state.BY_AGREED_ROW != 0",
        ("Settlement",),
    ),
    Bug(
        "claims below what is applied are forgotten",
        "Settlement.vy",
        "self._claimed[key] = sum",
        "self._claimed[key] = 0",
        ("Settlement",),
    ),
    Bug(
        "a claim of an older run applies",
        "Settlement.vy",
        "assert sealed_runs == run,",
        "assert sealed_runs >= run,",
        ("Settlement",),
    ),
    Bug(
        "an agreed row leaves an attested one pending",
        "Settlement.vy",
        'self._drop(key, progress, row, "replaced")',
        "pass",
        ("Settlement",),
    ),
    Bug(
        "a struck row's version may come again",
        "modules/publication.vy",
        "return progress.version << 224",
        "return 0",
        ("Settlement",),
    ),
    Bug(
        "demands do not hold a row",
        "RowDemands.vy",
        "if self.open_count[digest] != 0:",
        "if self.open_count[digest] == 99:",
        ("RowDemands",),
    ),
    Bug(
        "a refuted figure answers again",
        "RowDemands.vy",
        "self.refuted_runs[digest][index][side] = convert(shown[0].run, uint256) + 1",
        "self.refuted_runs[digest][index][side] = 0",
        ("RowDemands",),
    ),
    Bug(
        "a right leaf strikes if its quantity is zero's neighbour",
        "RowFaults.vy",
        "or result.settled_wh != leaf.settled_wh",
        "or result.settled_wh <= leaf.settled_wh",
        ("RowFaults",),
    ),
    Bug(
        "an older leaf ends a claim",
        "modules/claimed_figures.vy",
        "(origin == LEAF and figure.run > run)",
        "(origin == LEAF and figure.run >= run)",
        ("RowFaults", "RowDemands"),
    ),
    Bug(
        "a void group counts",
        "TradeResult.vy",
        "(inputs.void_runs | (inputs.marks >> 8) | (inputs.marks >> 16)) & bit != 0",
        "((inputs.marks >> 8) | (inputs.marks >> 16)) & bit != 0",
        ("TradeResult",),
    ),
    Bug(
        "a contest in the last run without a figure counts",
        "TradeResult.vy",
        "(inputs.marks & contests == contests and not self._is_last(terms, run))",
        "(inputs.marks & contests == contests)",
        ("TradeResult",),
    ),
    Bug(
        "a signer may be missing",
        "TradeResult.vy",
        'assert verdict == 0, "TradeResult: not signer\'s key"',
        'assert verdict != 7, "TradeResult: not signer\'s key"',
        ("TradeResult",),
    ),
    Bug(
        "curtailment is not the lowest but the last",
        "TradeBook.vy",
        "assert curtailment.contracted_wh < former",
        "assert curtailment.contracted_wh < trade.contracted_wh",
        ("TradeBook",),
    ),
    Bug(
        "a suspended member commits",
        "TradeBook.vy",
        "assert roles._is_known(standing) and not roles._is_suspended(standing)",
        "assert roles._is_known(standing)",
        ("TradeBook",),
    ),
    Bug(
        "a lower attempt replaces a higher",
        "AllocationOracle.vy",
        "assert allocation.attempt > self._last_attempt(cycle, run, utility)",
        "assert allocation.attempt >= self._last_attempt(cycle, run, utility)",
        ("AllocationOracle",),
    ),
    Bug(
        "a demand does not prolong the window",
        "AllocationOracle.vy",
        "if state & DEMAND_FLAG != 0 and overtime < window + run_terms._demand_time(terms):",
        "if state & DEMAND_FLAG != 0 and overtime < window:",
        ("AllocationOracle",),
    ),
    Bug(
        "a figure is not accumulated as such",
        "AllocationOracle.vy",
        "what = keccak256(abi_encode(trade_digest, side, wh))",
        "what = keccak256(abi_encode(trade_digest, side))",
        ("AllocationOracle",),
    ),
    Bug(
        "an answer's open demand stays counted",
        "Disputes.vy",
        "self.open_demands[self.demanded_by[found.key][run]][cycle][run] -= 1",
        "pass",
        ("Disputes",),
    ),
    Bug(
        "pauses count",
        "modules/pausing.vy",
        "elapsed -= min(span.end, now) - max(span.begin, time)",
        "elapsed -= 0",
        ("MemberRegistry",),
    ),
    Bug(
        "a compromised key signs on",
        "modules/timeline.vy",
        "self._set_standing(member, self._without_key(word))",
        "pass",
        ("MemberRegistry",),
    ),
    Bug(
        "falling due forgets the rest",
        "ObligationLedger.vy",
        "self.accounts[debtor][creditor] = (net - falling) | now",
        "self.accounts[debtor][creditor] = now",
        ("ObligationLedger",),
    ),
    Bug(
        "who applies a claim leaves those beside it",
        "modules/claims.vy",
        "self.first[trade_digest][run] = ONE_APPLIED",
        "self.first[trade_digest][run] = FIRST_STRUCK",
        ("Settlement",),
    ),
    Bug(
        "an old agreed row ends a newer attested one",
        "Settlement.vy",
        "if len(reason) == 0 and convert(row.run, uint256) < progress.run:",
        "if len(reason) == 0 and convert(row.run, uint256) + 1 < progress.run:",
        ("Settlement",),
    ),
    Bug(
        "a registered trade's platforms leave its locks open",
        "TradeBook.vy",
        "signed: bytes32 = digest if role >= FIRST_UTILITY else locks_digest",
        "signed: bytes32 = digest",
        ("TradeBook",),
    ),
    Bug(
        "a leaf is withheld as soon as it is demanded",
        "Disputes.vy",
        "return waited >= run_terms._demand_time(terms)",
        "return True",
        ("Disputes",),
    ),
    Bug(
        "demands reach this run's trees alone",
        "Disputes.vy",
        "for back: uint32 in range(run + 1, bound=4):",
        "for back: uint32 in range(min(run, 0) + 1, bound=4):",
        ("Disputes",),
    ),
    Bug(
        "the last run waits for its first contest alone",
        "AllocationOracle.vy",
        "unresolved | (block.timestamp << 64)",
        "unresolved | ((block.timestamp if unresolved == 1 else self.last_contests[cycle] >> 64) << 64)",
        ("AllocationOracle",),
    ),
    Bug(
        "a cycle goes by the parameters of its delivery",
        "modules/parameters.vy",
        "return self._part(terms, 0), self._part(terms, 32), self._part(terms, 64)",
        "return self._part(terms, 0), self._part(self.settling_words[self.config_version], 32), self._part(terms, 64)",
        ("MemberRegistry",),
    ),
    Bug(
        "first come is served all",
        "modules/allocation_check.vy",
        "return min(quantity, reading - before)",
        "return min(quantity, reading)",
        ("AllocationFaults",),
    ),
    Bug(
        "who came later may stand before",
        "modules/allocation_check.vy",
        "or (first_place < second_place and first_before > second_before)",
        "or (first_place < second_place and first_before == 2**64)",
        ("AllocationFaults",),
    ),
    Bug(
        "the council is in a hurry",
        "Council.vy",
        "ready + VALIDITY",
        "ready + VALIDITY // 2",
        ("Council",),
    ),
    Bug(
        "too few seats call an act off",
        "Council.vy",
        'assert signed >= self.threshold, "Council: not enough seats"',
        'assert signed + 1 >= self.threshold, "Council: not enough seats"',
        ("Council",),
    ),
    Bug(
        "a word of the old cold key is no veto",
        "MemberRegistry.vy",
        "self.cold_keys[member] = Announcement(current=key, next=empty(address), valid_from=0)",
        "pass",
        ("MemberRegistry",),
    ),
    Bug(
        "a payout address holds at once",
        "MemberRegistry.vy",
        "if announcement.valid_from != 0 and block.timestamp >= convert(announcement.valid_from, uint256):",
        "if announcement.valid_from != 0:",
        ("MemberRegistry",),
    ),
    Bug(
        "a removed member keeps its roles",
        "MemberRegistry.vy",
        "timeline._without_roles(word) & ~(standing_word.KNOWN | standing_word.SUSPENDED)",
        "word & ~(standing_word.KNOWN | standing_word.SUSPENDED)",
        ("MemberRegistry",),
    ),
    Bug(
        "who left the attestors keeps a seat",
        "modules/attestor_set.vy",
        "timeline.seats[member] = 0",
        "pass",
        ("MemberRegistry",),
    ),
)
