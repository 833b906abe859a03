"""How the state machine plays, and for how long: always the same examples, unless the environment asks for others.

Most of it is plain chance with weights, which goes deep into what takes many parties; the rest is Hypothesis's, which
leaves out some rules in each example and so finds what only happens where others do not interfere. With
`CLEARWATT_LAW_EXAMPLES=2000` so many are played, from random seeds; what Hypothesis finds is then shrunk.
"""

from __future__ import annotations

import os
import secrets
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.law.machine import Law
from tests.contracts.law.machine_crowded import CrowdedLaw

STEPS = 45
PLAIN = 420
DRAWN = 60
# Every so many-th plain example is of a crowded market, and in every so many-th all fall silent at the end.
CROWDED = 6
SILENT = 4
LONGER = "CLEARWATT_LAW_EXAMPLES"

# How much more often than once a rule is taken in plain play.
WEIGHTS = {
    "register_trade": 3,
    "post": 2,
    "demand": 2.5,
    "contest": 1.5,
    "end_contest": 2,
    "claim": 3,
    "attest": 3.5,
    "wait": 2,
    "watch_now": 0.8,
    "strike_row": 4,
    "strike_claim": 3,
    "apply_claim": 4,
    "demand_leaf": 6,
    "answer_leaf": 3,
    "refute_answer": 3,
    "strike_unanswered": 2,
    "fall_due": 3,
    "notify": 2,
    "say_what_arrived": 5,
    "settle_rows": 1.5,
    "govern": 1.6,
    "say_by_cold_key": 1.3,
}


def play() -> None:
    """Plays all examples; raises what the first failing one raises."""
    longer = os.environ.get(LONGER)
    plain, drawn, first = PLAIN, DRAWN, 0
    if longer:
        plain = int(longer) * PLAIN // (PLAIN + DRAWN)
        drawn, first = int(longer) - plain, secrets.randbelow(2**32)
    for seed in range(first, first + plain):
        play_plainly(seed)
    play_by_hypothesis(drawn, is_random=bool(longer))


def play_plainly(seed: int) -> None:
    """One example: every step takes any rule that is enabled, by its weight."""
    rng = Random(seed)
    kind = CrowdedLaw if seed % CROWDED == CROWDED - 1 else Law
    state = kind.setup_state()
    law = kind()
    try:
        law.begin(seed=rng.getrandbits(48))
        for _ in range(STEPS):
            for one in state.invariants:
                one.function(law)
            enabled = [one for one in state.rules if all(holds(law) for holds in one.preconditions)]
            weights = [WEIGHTS.get(one.function.__name__, 1) for one in enabled]
            rule = rng.choices(enabled, weights)[0]
            rule.function(law, **{name: rng.getrandbits(48) for name in rule.arguments})
        if seed % SILENT == SILENT - 1:
            law.fall_silent(rng)
        for one in state.invariants:
            one.function(law)
    except Exception as failure:
        failure.add_note(f"by play_plainly({seed})")
        raise
    finally:
        law.teardown()


def play_by_hypothesis(examples: int, is_random: bool) -> None:
    """The same machine as Hypothesis plays it."""
    # Explaining and shrinking run a failing example many times over: not where it shall only be found.
    phases = (Phase.generate, Phase.shrink) if is_random else (Phase.generate,)
    profile = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=not is_random,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Law, settings=profile)
