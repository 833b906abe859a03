"""Day 5's adversary: a utility whose program gives one trade more than the rule, once.

Usage: python -m demo.erring --config FILE --cycle N. It is the utility's own program but for two parts: its plan for
run 0 of cycle N has one leaf raised, and nothing keeps it from signing that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from demo.stories import generous, generous_leaf
from member.daemon import Daemon
from member.logs import configure_logs
from oracle.config import UtilityConfig
from oracle.daemon import UtilityParts, parts_of_utility
from oracle.planning import Plan, Planner
from oracle.posting import PostingStage


class GenerousPlanner(Planner):
    """Plans like any utility, but for one run, in which it gives one trade of a short meter more than the rule."""

    erring_in: int

    def plan(self, cycle: int, run: int) -> Plan | None:
        """What is to be posted, or what should not be."""
        plan = super().plan(cycle, run)
        if plan is None or (cycle, run) != (self.erring_in, 0):
            return plan
        found = generous_leaf(plan.draft.allocation)
        if found is None:
            return plan
        wrong = replace(plan.draft, allocation=generous(plan.draft.allocation, found))
        verdict, reason = self._verdict(cycle, run, plan.trades, wrong, plan.deadline)
        return replace(plan, draft=wrong, verdict=verdict, reason=reason)


class UnscrupulousStage(PostingStage):
    """Signs whatever is planned."""

    def _against(self, plan: Plan) -> Iterator[str]:
        return iter(())


class ErringParts(UtilityParts):
    """A utility's parts, two of them as above."""

    def __init__(self, daemon: Daemon[UtilityConfig], cycle: int) -> None:
        super().__init__(daemon)
        self.planner = GenerousPlanner(daemon.desk, self.book, self.readings, daemon.config.utility)
        self.planner.erring_in = cycle

    def posting(self, daemon: Daemon[UtilityConfig]) -> PostingStage:
        """The stage that asks nobody."""
        return UnscrupulousStage(daemon, self.planner, self.book)


@click.command()
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--cycle", type=int, required=True)
def main(config: Path, cycle: int) -> None:
    """Runs the utility."""
    configure_logs()
    parts = parts_of_utility(lambda daemon: ErringParts(daemon, cycle))
    Daemon(UtilityConfig.load(config), *parts).run()


if __name__ == "__main__":
    main()
