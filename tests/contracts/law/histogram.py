"""How often each rule and each edge of each state was taken, over all examples of a run."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

# Kept over all examples of a process; the test that asserts it clears it first.
TAKEN: Counter[str] = Counter()


def tally(edge: str) -> None:
    """One more time."""
    TAKEN[edge] += 1


# How often each must have been taken, at the least.
LEAST = 20

# Acts that both model and chain take, and edges of states, that must not fall out of the machine unnoticed. Whatever
# else it tallies is an edge like these; what begins with one of the following counts something else: refusals are asked
# for below, lies in `completeness/`, and where examples begin is chance.
NO_EDGES = ("because ", "lie: ", "begins ")
EDGES = (
    # rules: acts that were taken
    *("commit batch", "register trade", "curtail by one", "curtail by both", "curtail by all"),
    *("post allocation", "void by rule", "void by trade", "void by pair", "mark twice"),
    *("demand", "answer demand", "contest", "agree on a figure", "rule on a figure", "open window", "seal"),
    *("settle rows", "attest", "publish", "apply attested", "strike wrong leaf", "strike missing leaf"),
    *("demand leaf of row", "answer leaf of row", "refute answer", "strike unfounded"),
    *("claim", "apply claim", "strike claim newer", "strike claim twice"),
    *("deposit", "withdraw", "fall due", "notify", "pay from escrow", "release", "finalise statement"),
    *("acknowledge notice", "attest notice", "deny notice", "rule notice"),
    *("pause", "resume", "suspend", "set roles", "change hot key", "call key compromised"),
    # trades
    *("a trade once more", "trade cancelled", "trade curtailed", "place valid"),
    *("place void: TradeResult: not signer's key", "place void: TradeResult: other platforms"),
    *("trade waiting->waiting", "trade waiting->settled", "trade settled->as before", "trade settled->changed"),
    *("figure of this run", "figure of an older run", "figure recorded", "figure none", "figure none in the last run"),
    # allocations and runs
    *("allocation honest", "allocation lying", "allocation withheld", "allocation double", "allocation swapped"),
    "allocation empty",
    *("allocation replaced", "allocation of a later run"),
    *("run 0 none->sealed", "run 1 none->sealed", "run 2 none->sealed"),
    *("contest of a reading", "contest of a lack", "contest after silence"),
    *("demand in an older run's tree", "answer by an older run's tree"),
    # rows, their leaves, claims
    *("row agreed", "row early", "row attested honest", "row attested lying"),
    *("row none->pending", "row pending->published", "row pending->struck", "row pending->lapsed"),
    *("row pending->replaced", "row published->struck", "row published->applied", "row applied right"),
    *("row skipped: version not above the last", "row skipped: not signed by the payer"),
    "row skipped: a later run is attested",
    *("leaf ->demanded", "leaf demanded->founded", "leaf founded->demanded", "leaf demanded->unfounded"),
    *("claim none->pending", "claim pending->applied", "claim pending->struck", "claim pending->ended by a newer run"),
    *("claim beside a pending one", "claim pending->ended by another"),
    # money and debts
    *("obligation ->open", "obligation open->notified", "obligation notified->acknowledged"),
    *("obligation notified->attested", "obligation notified->denied", "obligation notified->ruled"),
    *("obligation ->closed", "obligation open->paid", "obligation open->set off", "obligation overdue"),
    *("lock closed->released", "withdrawal of a suspended member", "withdrawal during a pause"),
    # members, time, the token
    *("schedule an act", "cancel an act", "set attestors", "set config", "remove", "admit", "replace cold key"),
    *("config set before any commitment", "config set after a commitment"),
    *("change payout", "withdrawal to another payout address", "withdrawal of a removed member"),
    *("cold key ->announced", "cold key announced->vetoed", "cold key announced->in force"),
    *("member active->suspended", "member suspended->active", "key hot->compromised", "key former->compromised"),
    *("silence of all ->closed", "trade curtailed in its slot or later", "row agreed, and false"),
    *("time to a milestone", "time to the second before"),
    *("deposit: hostile token 1", "deposit: hostile token 3", "withdraw: hostile token 1"),
    *("withdraw: hostile token 3", "token mood 2"),
)

# Edges that come about less often, and why that is enough.
SELDOM = {
    "contest after silence, of an older run's tree": "what a contest after silence is if nothing newer was posted",
}

# Refusals of the model that its plays need not meet, as seldom as they come about: the tests that meet them, below
# `tests/contracts`.
ELSEWHERE = {
    "AllocationFaults: tree not final": "test_allocation_faults.py",
    "AllocationOracle: not a utility": "test_allocation_oracle.py",
    "AllocationOracle: not in the window": "test_allocation_oracle.py",
    "Council: not waiting": "test_council.py",
    "Disputes: no such demand": "disputes/test_demands.py",
    "Disputes: too many contests": "disputes/test_contests.py",
    "MemberRegistry: already a member": "member_registry/test_members.py",
    "ObligationLedger: closed already": "obligation_ledger/test_notices.py",
    "ObligationLedger: less than arrived": "obligation_ledger/test_outcomes.py",
    "ObligationLedger: not of this pair": "obligation_ledger/test_notices.py",
    "ObligationLedger: too many notices": "obligation_ledger/test_outcomes.py",
    "RowDemands: another trade": "row_demands/test_answers.py",
    "RowDemands: no open demand": "row_demands/test_demands.py",
    "RowDemands: not marked twice": "row_demands/test_answers.py",
    "RowDemands: not the answer": "row_demands/test_answers.py",
    "RowDemands: nothing to answer": "row_demands/test_answers.py",
    "RowDemands: row not pending": "row_demands/test_answers.py",
    "RowDemands: too many demands": "row_demands/test_demands.py",
    "RowFaults: no such flow": "row_faults/test_missing_leaves.py",
    "RowFaults: nothing is missing": "row_faults/test_missing_leaves.py",
    "Settlement: later run settled": "settlement/test_attested_rows.py",
    "Settlement: no sealed run": "settlement/test_claims.py",
    "Settlement: published already": "settlement/test_publishing.py",
    "Settlement: row not pending": "settlement/test_attested_rows.py",
    "SettlementEscrow: a row is pending": "test_settlement_escrow.py",
    "SettlementEscrow: payment not covered": "test_settlement_escrow.py",
    "SettlementEscrow: too much held": "test_settlement_escrow.py",
    "TradeBook: lock with oneself": "trade_book/test_batches.py",
    "TradeBook: no longer valid": "trade_book/test_registrations.py",
    "TradeBook: not in the cycle": "trade_book/test_batches.py",
    "TradeBook: not one slot": "trade_book/test_registrations.py",
    "TradeBook: party without its role": "trade_book/test_registrations.py",
    "TradeBook: paused": "trade_book/test_batches.py",
    "TradeBook: too far ahead": "trade_book/test_batches.py",
    "TradeBook: unknown template": "trade_book/test_curtailments.py",
    "TradeResult: another cycle": "trade_result/test_places.py",
    "TradeResult: committed too late": "trade_result/test_places.py",
    "TradeResult: out of bounds": "trade_result/test_places.py",
    "TradeResult: roles do not fit": "trade_result/test_places.py",
    "TradeResult: slot too early": "trade_result/test_places.py",
    "TradeResult: unknown template": "trade_result/test_places.py",
}


def edges() -> set[str]:
    """What must have been taken so often: the above, and whatever else was tallied."""
    tallied = {one for one in TAKEN if not one.startswith(NO_EDGES) and not one.endswith(": refused")}
    return {*EDGES, *tallied} - SELDOM.keys()


def refusals() -> set[str]:
    """Every reason for which the model refuses something."""
    texts: set[str] = set()
    for file in (*Path(__file__).parent.glob("model*.py"), Path(__file__).parents[1] / "money_model.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.update(re.findall(r"^[A-Z][A-Za-z]+: [a-z].*", node.value))
    return {text for text in texts if not text.endswith(".")}
