"""Disputes: how many contests of the last run are open and since when, which one word of the oracle holds."""

from __future__ import annotations

import boa

from tests.contracts.disputes.case import CONTEST_TIME, Case, later
from tests.contracts.disputes.test_contests import last_run
from tests.contracts.market import at_time
from tests.contracts.trading import CYCLE, HOUR


def test_neither_number_nor_time_spoils_the_other(case: Case) -> None:
    """The last seal waits until every side has its figure, or for the arbiters' whole time from the newest contest."""
    last_run(case)
    at_time(boa.env.evm.patch.timestamp | 1)
    case.contest(0, run=1)
    case.contest(1, run=1)
    later(HOUR + 1)  # an even time after an odd one
    case.contest(2, by="platform_b", run=1)
    newest = boa.env.evm.patch.timestamp
    with boa.env.anchor():  # two of three have their figures
        case.agree(600)
        case.agree(500, 1)
        at_time(newest + CONTEST_TIME - 1)
        assert case.market.oracle.phase(CYCLE) == 6
        case.agree(400, 2)
        case.market.oracle.seal(CYCLE)
    at_time(newest + CONTEST_TIME)
    case.market.oracle.seal(CYCLE)
