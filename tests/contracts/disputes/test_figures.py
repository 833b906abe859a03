"""Disputes: figures on which all signers agree, or the arbiters rule."""

from __future__ import annotations

from dataclasses import astuple

import boa

from settlement import preimages, typed_data
from settlement.figures import SideMarks
from settlement.hashing import keccak256
from settlement.preimages import Act
from settlement.trade import FigureAgreement, Ruling
from tests.contracts.disputes.case import ARBITERS, CONTEST_TIME, SIGNERS, UNSIGNED, Case, later
from tests.contracts.market import at_time
from tests.contracts.trading import CYCLE, events, use_wallet, wallet_bytes


def test_all_signers_agree_on_a_figure(case: Case) -> None:
    market = case.market
    case.contest()
    acc, now = market.oracle.accumulator(CYCLE), boa.env.evm.patch.timestamp
    case.agree(1_234)
    assert events(market.disputes, "FigureRecorded") == [
        {"cycle": CYCLE, "trade_digest": case.digest(), "side": 1, "wh": 1_234, "mask": 0}
    ]
    assert case.marks() == SideMarks(contested=1, recorded=1_234, recorded_run=0)
    figure = preimages.figure_key(case.digest(), 1, 1_234)
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(acc, Act.FIGURE, 0, now, figure)
    found = case.figure(0, run_shown=[])
    assert (found.known, found.wh, found.origin) == (True, 1_234, 2)
    with boa.reverts("Disputes: a figure already"):
        case.agree(1_000)
    with boa.reverts("Disputes: a figure already"):
        case.rule(1_000)
    with boa.reverts("Disputes: figure recorded"):
        case.contest(by="platform_b", evidence=[case.shown()])


def test_an_agreement_needs_every_signer(case: Case) -> None:
    case.contest()
    for signers, reason in (
        (SIGNERS[:3], "Disputes: signatures missing"),
        ((*SIGNERS, "platform_a"), "Disputes: signatures left over"),
        ((*SIGNERS[:3], "utility_c"), "Disputes: not agreed by all"),
        (("platform_b", "platform_a", "utility_a", "utility_b"), "Disputes: not agreed by all"),
    ):
        with boa.reverts(reason):
            case.agree(1_000, signers=signers)
    case.agree(1_000)


def test_a_contract_agrees_by_erc_1271(case: Case) -> None:
    market = case.market
    case.contest()
    use_wallet(market, "platform_b")
    said = FigureAgreement(CYCLE, case.digest(), 1, 900)
    signatures = [UNSIGNED if name == "platform_b" else market.sign(name, said) for name in SIGNERS]
    arguments = (astuple(said), astuple(case.trades[0]), signatures)
    with boa.reverts("Disputes: wallet signature missing"):
        market.disputes.agree(*arguments, [])
    own = wallet_bytes(market, "platform_b", said)
    with boa.reverts("Disputes: signatures left over"):
        market.disputes.agree(*arguments, [own, own])
    market.disputes.agree(*arguments, [own])


def test_a_figure_is_at_most_what_is_contracted(case: Case) -> None:
    case.contest()
    with boa.reverts("Disputes: more than contracted"):
        case.agree(2_001)
    with boa.env.anchor():
        case.agree(2_000)
    case.agree(0)
    assert case.marks().recorded == 0


def test_a_figure_ends_a_contest_and_nothing_else(case: Case) -> None:
    for act in (case.agree, case.rule):
        with boa.reverts("Disputes: not contested"):
            act(1_000)
    case.contest()
    for act in (case.agree, case.rule):
        with boa.reverts("Disputes: another trade"):
            act(1_000, trade_digest=case.digest(1))
        with boa.reverts("Disputes: another cycle"):
            act(1_000, cycle=CYCLE - 1)
        with boa.reverts("Disputes: no such side"):
            act(1_000, side=2)


def test_the_arbiters_rule_within_their_time(case: Case) -> None:
    case.contest()
    made = boa.env.evm.patch.timestamp
    at_time(made + CONTEST_TIME - 1)
    with boa.env.anchor():
        case.rule(700)
        assert events(case.market.disputes, "FigureRecorded")[0]["mask"] == 0b01010
        assert case.marks().recorded == 700
    later(1)
    with boa.reverts("Disputes: too late to rule"):
        case.rule(700)
    case.agree(700)  # the signers may still agree


def test_a_ruling_needs_the_quorum_of_the_panel(case: Case) -> None:
    case.contest()
    said = Ruling(CYCLE, case.digest(), 1, 700)
    digest, trade = case.market.domain.digest(said), astuple(case.trades[0])

    def signed(*places: int) -> list[tuple[int, bytes, bytes]]:
        return [astuple(typed_data.sign(ARBITERS[place], digest)) for place in places]  # type: ignore[misc]

    stranger = astuple(typed_data.sign(keccak256(b"nobody"), digest))
    for mask, signatures in (
        (0b00001, signed(0)),
        (0, []),
        (0b00011, signed(1, 0)),
        (0b00011, signed(0)),
        (0b00001, signed(0, 1)),
        (0b00011, [*signed(0), stranger]),
        (0b100001, [*signed(0), stranger]),
        (1 << 255 | 3, signed(0, 1)),
        (0b00011, [*signed(0), UNSIGNED]),
    ):
        with boa.reverts("Disputes: not ruled"):
            case.market.disputes.rule(astuple(said), trade, mask, signatures)
    case.market.disputes.rule(astuple(said), trade, 0b00011, signed(0, 1))


def test_the_council_names_the_panel(case: Case) -> None:
    arbiters, council = case.market.arbiters, case.market.council
    keys = [str(boa.env.generate_address()) for _ in range(3)]
    with boa.reverts("Arbiters: not the council"):
        arbiters.set_arbiters(keys)
    with boa.env.prank(council):
        with boa.reverts("Arbiters: arbiter twice"):
            arbiters.set_arbiters([keys[0], keys[1], keys[0]])
        with boa.reverts("Arbiters: no key"):
            arbiters.set_arbiters([keys[0], "0x" + "00" * 20])
        arbiters.set_arbiters(keys)
    assert events(arbiters, "ArbitersSet") == [{"keys": keys}]
    assert arbiters.arbiters() == keys
    case.contest()
    with boa.reverts("Disputes: not ruled"):  # the former panel
        case.rule(700)
