"""How often each rule and each edge of each state was taken, over all examples of a run."""

from __future__ import annotations

from collections import Counter

# Kept over all examples of a process; the test that asserts it clears it first.
TAKEN: Counter[str] = Counter()


def tally(edge: str) -> None:
    """One more time."""
    TAKEN[edge] += 1


# How often each must have been taken, at the least.
LEAST = 20

# Every act that both model and chain take, and every edge of a state.
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
    *("allocation honest", "allocation lying", "allocation withheld", "allocation double", "allocation empty"),
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
    *("member active->suspended", "member suspended->active", "key hot->compromised", "key former->compromised"),
    *("time to a milestone", "time to the second before"),
    *("deposit: hostile token 1", "deposit: hostile token 3", "withdraw: hostile token 1"),
    *("withdraw: hostile token 3", "token mood 2"),
)
