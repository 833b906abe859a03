"""The audit as a whole: a data folder and a node in, a verdict out. Nothing else is read, nothing is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit import recorded
from audit.allocations import KnownLeaves, check_allocations
from audit.debts import check_debts
from audit.deployment import check_deployment
from audit.evidence import Chain, Context
from audit.findings import Check, Report, Verdict
from audit.money import FiledRow, check_money
from audit.node import NodeChain
from audit.rows import check_claimed_figures, check_rows
from audit.run_records import RunRecords, read_run
from audit.trades import KnownTrades, check_trades
from chain import artifacts
from chain.artifacts import Artifact
from chain.deployment import DeploymentRecord
from chain.evidence import Evidence
from chain.marks import marks_of
from chain.rpc import Rpc
from settlement.cycle import settle_run
from settlement.figures import Terms
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.typed_data import Domain
from store import tables
from store.folders import run_folders


def verify(data: Path, rpc_url: str) -> Verdict:
    """Recomputes everything in a data folder and compares it with the chain behind `rpc_url`.

    Raises FileNotFoundError where there is no deployment record, DeploymentMismatch where it cannot be read,
    FolderError for a folder that is none of ours, ConnectionFailed where no node answers, ValueError for a URL that is
    not http.
    """
    record = DeploymentRecord.load(data)
    return audit(data, record, NodeChain(record, Rpc.at(rpc_url)))


def audit(
    data: Path, record: DeploymentRecord, chain: Chain, load: Callable[[str], Artifact] = artifacts.load
) -> Verdict:
    """The same with a chain at hand; `load` gives the contracts' code as this program knows it."""
    report = Report()
    domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
    context = Context(chain, Evidence(tuple(chain.events())), domain)
    if not check_deployment(report, context, record, load):
        report.unchecked = set(Check) - {Check.DEPLOYMENT}
        return report.verdict()
    folders = run_folders(data)
    runs = [records for folder in folders if (records := read_run(report, data, folder))]
    _check_runs(report, context, {folder.relative_to(data).as_posix() for folder in folders})
    _Runs(report, context, record.market).check(runs)
    rows = {
        row.digest: FiledRow(records.file(tables.ROWS), line, row)
        for records in runs
        for line, row in enumerate(records.rows, 1)
    }
    check_money(report, context, rows)
    check_debts(report, context, data)
    report.count("runs", len(runs))
    report.count("events", len(context.evidence.events))
    return report.verdict()


class _Runs:
    """The runs' folders one after the other, with what the earlier ones have proven."""

    def __init__(self, report: Report, context: Context, market: str) -> None:
        self._report = report
        self._context = context
        self._market = market
        self._trades = KnownTrades()
        self._leaves = KnownLeaves()
        registry = context.evidence.registry
        self._templates: dict[Hash32, Template] = {
            identity: known.template for identity, known in registry.templates.items()
        }

    def check(self, runs: list[RunRecords]) -> None:
        """Everything that stands in the folders of cycles."""
        for records in runs:
            self._check_run(records)

    def _check_run(self, records: RunRecords) -> None:
        report, context, evidence = self._report, self._context, self._context.evidence
        config = evidence.config_of(records.cycle)
        if config is None:
            report.find(Check.RUNS, records.name, 0, "", "a cycle in which something was committed", "none on chain")
            return
        recorded.check_cycle_record(report, context, records, self._market, config)
        recorded.check_commitments(report, context, records)
        recorded.check_curtailments(report, context, records)
        recorded.check_allocations(report, context, records, config)
        recorded.check_sealed_inputs(report, context, records, config)
        recorded.check_claims(report, context, records)
        trades = check_trades(report, context, records, config, self._trades)
        recorded.check_marks(report, context, records, self._trades.trades)
        marks = marks_of(evidence, records.cycle, records.run, trades)
        seen = check_allocations(report, context, records, config, trades, marks, self._leaves)
        terms = Terms.of(records.cycle, config)
        result = settle_run(records.run, trades, seen, marks, self._templates, terms)
        check_rows(report, context, records, result)
        check_claimed_figures(report, records, result, trades, self._templates)


def _check_runs(report: Report, context: Context, folders: set[str]) -> None:
    """Every sealed run has a folder."""
    for event in context.evidence.of("RunSealed"):
        name = f"cycles/{event['cycle']}/run-{event['run']}"
        # A cycle that nothing was committed in has no version of the parameters and is never sealed.
        if name not in folders:
            report.find(Check.RUNS, name, 0, "", "the folder of a sealed run", "none")
