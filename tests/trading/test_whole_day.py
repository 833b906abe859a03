"""A day from files to money: nothing is told to the members but what is put into their inboxes, and the time."""

from __future__ import annotations

from pathlib import Path

from settlement.config import HOUR
from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, order_line, problems

LOCKED = '[[partners]]\nsubscriber = "{}.example"\nlock_percent = 50\n[timings]\ncrank_delay = 0\n'


def test_what_files_say_is_paid(tmp_path: Path) -> None:
    with Bustle(tmp_path) as scene:
        for name in scene.utilities:
            scene.utility(name, "[timings]\ncrank_delay = 0\n")
        scene.platform("sunmarket", LOCKED.format("rooftrade"))
        scene.platform("rooftrade", LOCKED.format("sunmarket"))
        scene.fund("sunmarket", 10_000_000)
        for name in scene.platforms:
            scene.order(name, [order_line(1), order_line(2, kwh="0.3")])
        scene.settle_down()
        scene.before_gate()
        scene.settle_down()
        scene.read("eastpower", {("E-1", "import"): 900})
        scene.read("westpower", {("W-1", "export"): 600})
        deadline = scene.config.run_deadlines[0]
        for seconds in (HOUR, deadline + 1, deadline + 2, deadline + scene.config.window + HOUR):
            scene.after_day(seconds)
            scene.settle_down()
        scene.after_day(deadline + scene.config.window + 2 * HOUR)
        scene.settle_down()
        # 600 of 800 Wh: 375 and 225; at 6 a kWh 3.60 of the buyer's, of which 2.40 are locked.
        assert scene.call("AllocationOracle", "sealed_runs", CYCLE) == 1
        assert scene.call("SettlementEscrow", "free", scene.id("rooftrade")) == 2_400_000
        # The rest is due, and so is wheeling to the utilities: 0.20 and 0.30 a kWh.
        due = scene.contracts["ObligationLedger"].events(name="FellDue")
        assert {(one["debtor"], one["creditor"]): one["amount"] for one in due} == {
            (scene.id("sunmarket"), scene.id("rooftrade")): 1_200_000,
            (scene.id("sunmarket"), scene.id("eastpower")): 120_000,
            (scene.id("rooftrade"), scene.id("westpower")): 180_000,
        }
        assert [problems(daemon) for daemon in scene.daemons.values()] == [[], [], [], []]
