"""Bugs seeded into the contracts, each a change of one piece of source text, that the state machine finds.

`found.json` says which example of plain play finds each first: the tests play that one, so that a bug takes seconds.
`python -m tests.contracts.law.seeded` hunts all bugs from the first example on, several at a time, says what was found
by what, and writes the table anew: do so when the machine itself has changed, for then it plays other examples. With a
part of a bug's name it hunts that one and leaves the table.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]

from tests.contracts import market as markets
from tests.contracts.law import world
from tests.contracts.law.profile import PLAIN, play_plainly

FOUND = Path(__file__).parent / "found.json"


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
)


@contextmanager
def seeded(bug: Bug) -> Iterator[None]:
    """The market with this bug in it, deployed anew, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "contracts"
        shutil.copytree(markets.CONTRACTS, root, ignore=shutil.ignore_patterns("mocks"))
        text = (root / bug.file).read_text("ascii")
        if text.count(bug.right) != 1:
            raise ValueError(f"{bug.name}: the source has its text {text.count(bug.right)} times")
        (root / bug.file).write_text(text.replace(bug.right, bug.wrong), "ascii")
        right_source, right_world = markets.source, world.deployed
        # titanoboa keeps every contract that was ever deployed: hundreds of megabytes over all bugs.
        deployed_before = dict(boa.env._contracts)

        @cache
        def source(name: str) -> Any:
            return boa.load_partial(str(root / f"{name}.vy")) if name in bug.contracts else right_source(name)

        markets.source = source  # type: ignore[assignment]
        try:
            with boa.env.anchor():
                world.deployed = cache(world.deploy_world)
                yield
        finally:
            markets.source, world.deployed = right_source, right_world
            boa.env._contracts = deployed_before


def hunt(bug: Bug, examples: Iterable[int] = range(PLAIN)) -> tuple[int, str] | None:
    """The first of these examples of plain play that finds a bug, and what it finds; None if none does."""
    with seeded(bug):
        for example in examples:
            try:
                play_plainly(example)
            except Exception as found:
                return example, described(found)
    return None


def described(found: Exception) -> str:
    """What was noticed, in a line."""
    try:
        first, *_ = [*str(found).splitlines(), ""]
    except Exception:
        # titanoboa's own text decodes what the failing frame held, which need not be decodable.
        first = "(without a text)"
    return f"{type(found).__name__}: {first}"


def main(arguments: list[str]) -> int:
    """Every bug, or those whose name contains the argument; exit code 1 if one survives, and no table then."""
    bugs = [bug for bug in BUGS if not arguments or arguments[0] in bug.name]
    table: dict[str, int] = {}
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        for bug, found in zip(bugs, processes.map(hunt, bugs), strict=True):
            if found:
                table[bug.name] = found[0]
            said = f"{found[1]} (example {found[0]})" if found else "SURVIVED"
            print(f"{bug.name} [{bug.file}]: {said}", flush=True)
    if not arguments and len(table) == len(BUGS):
        FOUND.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0 if len(table) == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
