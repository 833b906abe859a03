"""The sender against an adversarial node, and proof that this finds what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from chain.sending import Sender
from tests.chain import seeded_bugs as bugs
from tests.chain.sending_machine import SendingMachine

SETTINGS = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def test_each_intent_has_one_effect_whatever_happens() -> None:
    run_state_machine_as_test(SendingMachine, settings=SETTINGS)


NOT_IN_THE_CHAIN = "what is called final is not in the chain|was final in block"
UNFINISHED = "an intent ended as (queued|signed|broadcast|included|orphaned)"

FOUND_BY = {
    bugs.SignsAnewWhenNobodyAnswers: "a nonce was sent with two contents",
    bugs.SubmitsAgainWhenNobodyAnswers: "an intent was sent with two nonces|an intent has two effects",
    bugs.TakesTooLowForSuccess: NOT_IN_THE_CHAIN,
    bugs.ForgetsOrphans: f"{NOT_IN_THE_CHAIN}|{UNFINISHED}",
    bugs.CallsTheFirstBlockFinal: NOT_IN_THE_CHAIN,
    bugs.StoresBytesAfterSending: "bytes were sent before they were stored",
    bugs.NeverSendsAgain: UNFINISHED,
    bugs.SendsOnlyTheNewest: UNFINISHED,
    bugs.CriesWolf: "an alarm although nobody else used the key",
    bugs.GivesUpTooSoon: "what is called superseded is in the chain|an intent has no effect",
    bugs.TakesTheNonceFirst: rf"{UNFINISHED}|of which \d+ were final",
    bugs.TakesTheNonceLast: "UNIQUE constraint failed: transactions.signer, transactions.nonce|an alarm although",
    bugs.TrustsTheEarlierLook: "UNIQUE constraint failed: transactions.signer, transactions.intent",
}


@pytest.mark.parametrize("bug", FOUND_BY, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_found(bug: type) -> None:
    kind = "sender_class" if issubclass(bug, Sender) else "outbox_class"
    machine = type("Machine", (SendingMachine,), {kind: bug})
    quick = settings(SETTINGS, max_examples=300, derandomize=True, phases=[Phase.generate])
    with pytest.raises(Exception, match=FOUND_BY[bug]):
        run_state_machine_as_test(machine, settings=quick)
