"""A state machine that drives the real sender and its real outbox against the adversarial node."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy.exc import OperationalError

from chain import artifacts
from chain.account import SigningKey
from chain.contract import Contract
from chain.errors import ConnectionFailed, NodeBehind, Reverted, RpcError, SenderHeld
from chain.network import NetworkProfile
from chain.sending import Sender
from store.database import Database
from store.outbox import StoredOutbox, actions, attempts, signers, transactions
from store.schema import metadata
from tests.chain.adversary import (
    CHAIN_ID,
    FAILS_ON_CHAIN,
    MEMORY,
    REFUSED,
    AdversarialNode,
    Fuse,
    FusedDatabase,
    FusedRpc,
    Killed,
    Sent,
    dies,
    fails,
)

TABLES = [signers, transactions, attempts, actions]
KEY = b"\x05" * 32
ADDRESS = SigningKey(KEY).address
ECHO = "0x" + "ec" * 20
IN_FLIGHT = 3
DEEPEST = 3
PATIENCE = 40  # rounds within which all must be done once the node behaves
PASSING = (ConnectionFailed, NodeBehind, RpcError, SenderHeld, OperationalError)
"""What may be raised while things go wrong: every daemon calls again after these."""

NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5, FAILS_ON_CHAIN])
FOREIGN = 50
ROUNDS = st.integers(0, 2)
SEND_FAULTS = st.sampled_from(
    [
        "no answer, not taken",
        "no answer, taken",
        "no answer, mined",
        "no answer, late",
        "answered, lost",
        "arrives twice",
        "arrives twice, mined between",
        "pool full",
        "says used",
        "says unknown",
    ]
)


def intent_of(number: int) -> str:
    return f"keep:{number}"


class SendingMachine(RuleBasedStateMachine):
    """Intents are calls `keep(number)`, one for each number, so that bytes tell which intent they are of."""

    sender_class: ClassVar[type[Sender]] = Sender
    outbox_class: ClassVar[type[StoredOutbox]] = StoredOutbox
    template: ClassVar[bytes] = b""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="clearwatt-outbox-", dir=MEMORY))
        self.file = self.folder / "outbox.db"
        if not self.template:
            with Database(f"sqlite:///{self.file}") as database, database.transaction() as connection:
                metadata.create_all(connection, tables=TABLES)
            SendingMachine.template = self.file.read_bytes()
        self.file.write_bytes(self.template)
        self.looking = sqlite3.connect(self.file)
        self.node = AdversarialNode()
        self.node.at_arrival = self.check_arrival
        self.fuse = Fuse()
        self.databases: list[Database] = []
        self.abi = artifacts.load("Echo").abi
        self.wanted: set[int] = set()
        self.foreign: set[str] = set()
        self.sender = self.new_process()

    def new_process(self) -> Sender:
        """A sender as a process that starts has it, on the same database."""
        database = FusedDatabase(f"sqlite:///{self.file}", self.fuse)
        self.databases.append(database)
        rpc = FusedRpc("nowhere", 1, self.fuse, self.node.answer)
        return self.sender_class(
            "http://nowhere",
            KEY,
            self.outbox_class(database),
            NetworkProfile(CHAIN_ID, in_flight=IN_FLIGHT),
            {"Echo": Contract("Echo", ECHO, self.abi, rpc)},
            is_final=self.node.is_final,
            connect=lambda _: rpc,
            clock=lambda: 1_700_000_000,
        )

    def do(self, what: Any, *arguments: object) -> None:
        """A call of the sender; if it dies in it, another process takes over."""
        try:
            what(*arguments)
        except PASSING as error:
            note(f"raised {type(error).__name__}: {error}")
        except Killed as death:
            note(f"killed {death}")
            self.restart()

    def daemon(self, rounds: int, blocks: int = 1) -> None:
        """What a daemon does over and over: submits all that it wants done, and ticks; blocks come meanwhile."""
        for _ in range(rounds):
            for number in sorted(self.wanted):
                self.do(self.sender.submit, intent_of(number), "Echo", "keep", number)
            self.do(self.sender.tick)
            self.node.mine(blocks)

    # --- what people and daemons do ---

    @rule(numbers=st.sets(NUMBERS, min_size=1, max_size=3), rounds=ROUNDS)
    def want(self, numbers: set[int], rounds: int) -> None:
        self.wanted |= numbers
        self.daemon(rounds)

    @rule(rounds=st.integers(1, 3), blocks=st.integers(0, 3))
    def go_on(self, rounds: int, blocks: int) -> None:
        self.daemon(rounds, blocks)

    @rule(number=NUMBERS)
    def submit_in_two_processes_at_once(self, number: int) -> None:
        other = self.new_process()

        def meanwhile() -> None:
            with suppress(*PASSING):
                other.submit(intent_of(number), "Echo", "keep", number)

        self.wanted.add(number)
        self.node.at_next_trial = meanwhile
        self.do(self.sender.submit, intent_of(number), "Echo", "keep", number)
        self.node.at_next_trial = None

    @rule(number=st.integers(REFUSED, REFUSED + 3))
    def submit_what_is_refused(self, number: int) -> None:
        try:
            with pytest.raises((Reverted, *PASSING)) as caught:
                self.sender.submit(intent_of(number), "Echo", "keep", number)
            assert not isinstance(caught.value, Reverted) or caught.value.reason == "Echo: too large"
        except Killed:
            self.restart()
        assert self.sender.find(intent_of(number)) is None

    @rule(after=st.integers(1, 12), strike=st.sampled_from([dies, fails]), rounds=ROUNDS)
    def light_the_fuse(self, after: int, strike: Any, rounds: int) -> None:
        self.fuse.breaks_at, self.fuse.strike = self.fuse.passed + after, strike
        self.daemon(rounds)

    @rule()
    def restart(self) -> None:
        self.fuse.breaks_at = None
        while self.databases:
            self.databases.pop().close()
        self.sender = self.new_process()

    @rule(rounds=ROUNDS)
    def operator_suspends_for_a_while(self, rounds: int) -> None:
        self.do(self.sender.suspend, "maintenance")
        self.daemon(rounds)
        self.do(self.sender.resume)

    # --- what the node does ---

    @rule(faults=st.lists(SEND_FAULTS, min_size=1, max_size=3), rounds=ROUNDS)
    def sending_goes_wrong(self, faults: list[str], rounds: int) -> None:
        self.node.on_send.extend(faults)
        self.daemon(rounds)

    @rule(calls=st.integers(1, 10), rounds=ROUNDS)
    def node_falls_silent(self, calls: int, rounds: int) -> None:
        self.node.silent = calls
        self.daemon(rounds)

    @rule(behind=st.lists(st.integers(0, 3), min_size=1, max_size=12), rounds=ROUNDS)
    def node_answers_from_old_states(self, behind: list[int], rounds: int) -> None:
        self.node.behind.extend(behind)
        self.daemon(rounds)

    @rule(depth=st.integers(1, DEEPEST), forget=st.booleans(), rounds=ROUNDS)
    def reorganise(self, depth: int, forget: bool, rounds: int) -> None:
        self.node.reorganise(depth, forget=forget)
        self.daemon(rounds)

    @rule(rounds=ROUNDS)
    def node_restarts(self, rounds: int) -> None:
        self.node.restart()
        self.daemon(rounds)

    @rule()
    def late_messages_arrive(self) -> None:
        self.node.deliver()

    @precondition(lambda self: self.wanted and not self.foreign)
    @rule(ahead=st.integers(0, 1), rounds=ROUNDS)
    def somebody_else_uses_the_key(self, ahead: int, rounds: int) -> None:
        """With the nonce that is next on the chain, or one after it; the operator looks at it some time later."""
        target = Contract("Echo", ECHO, self.abi, FusedRpc("nowhere", 1, Fuse(), self.node.answer))
        nonce = self.node.used(ADDRESS) + ahead
        raw = SigningKey(KEY).sign(CHAIN_ID, nonce, target.call_data("keep", FOREIGN), 21_000, ECHO)
        self.foreign.add(self.node.accept(raw))
        self.daemon(rounds)

    @precondition(lambda self: self.foreign)
    @rule()
    def operator_resumes(self) -> None:
        self.do(self.sender.resume)

    # --- what must hold after every step ---

    def check_arrival(self, sent: Sent) -> None:
        stored = self.looking.execute("select count(*) from transaction_attempts where raw = ?", (sent.raw,)).fetchone()
        assert stored == (1,), "bytes were sent before they were stored"

    @invariant()
    def one_effect_of_an_intent(self) -> None:
        effects: dict[int, int] = defaultdict(int)
        for _, sent in self.node.canonical():
            effects[sent.number] += 1
        assert all(count == 1 for count in effects.values()), "an intent has two effects"

    @invariant()
    def one_nonce_of_an_intent_and_one_form_of_a_nonce(self) -> None:
        nonces: dict[int, set[int]] = defaultdict(set)
        forms: dict[int, set[bytes]] = defaultdict(set)
        for sent in self.node.received:
            nonces[sent.number].add(sent.nonce)
            forms[sent.nonce].add(sent.raw)
        assert all(len(found) == 1 for found in nonces.values()), "an intent was sent with two nonces"
        assert all(len(found) == 1 for found in forms.values()), "a nonce was sent with two contents"

    @invariant()
    def what_is_final_is_in_the_chain(self) -> None:
        there = {sent.hash: block.hash for block, sent in self.node.canonical()}
        for state, digest, block in self.looking.execute("select state, hash, block_hash from transactions"):
            if state in ("final", "reverted"):
                assert there.get("0x" + digest.hex()) == "0x" + block.hex(), "what is called final is not in the chain"
            if state == "superseded" and digest is not None:
                assert "0x" + digest.hex() not in there, "what is called superseded is in the chain"

    @invariant()
    def no_false_alarm(self) -> None:
        if not self.foreign:
            (conflicts,) = self.looking.execute("select count(conflict) from signers").fetchone()
            assert conflicts == 0, "an alarm although nobody else used the key"

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.looking.close()
            while self.databases:
                self.databases.pop().close()
            shutil.rmtree(self.folder)

    def settle(self) -> None:
        """The node behaves, the operator does his part, the daemon goes on: then each intent has its one effect."""
        self.node.behave()
        self.restart()
        for _ in range(PATIENCE):
            with suppress(SenderHeld):
                self.sender.resume()
                for number in sorted(self.wanted):
                    if self.sender.find(intent_of(number)) is None:
                        self.sender.submit(intent_of(number), "Echo", "keep", number)
            working = self.sender.tick()
            self.node.mine()
            if not working and all(self.sender.find(intent_of(number)) for number in self.wanted):
                break
        ends = {number: self.sender.find(intent_of(number)) for number in self.wanted}
        effects = {sent.number for _, sent in self.node.canonical()}
        for number, end in ends.items():
            assert end is not None, "an intent was forgotten"
            expected = {"final"} if number < FAILS_ON_CHAIN else {"reverted"}
            if self.foreign:
                expected.add("superseded")
            assert end.state in expected, f"an intent ended as {end.state}"
            assert end.reason == (None if end.state != "reverted" else "Echo: too large"), (
                "the reason is not the chain's"
            )
            assert (number in effects) == (end.state != "superseded"), "an intent has no effect"
        self.one_effect_of_an_intent()
        self.one_nonce_of_an_intent_and_one_form_of_a_nonce()
        self.what_is_final_is_in_the_chain()
        self.no_false_alarm()
