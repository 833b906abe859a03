"""`clearwatt doctor`: what a node can do, and whether what was sent through it stands where it should."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

import click

from chain.doctor import Drift, examine
from chain.errors import ChainReset, ConnectionFailed, NodeBehind, RpcError, WrongChain
from chain.network import Capabilities, NetworkProfile, preflight
from chain.rpc import Rpc
from cli.exits import CheckFalse, SomethingMissing
from store.database import Database
from store.errors import DatabaseUnfit
from store.migrate import check
from store.outbox import StoredOutbox

T = TypeVar("T")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def doctor() -> None:
    """Look at a node, or at a signer's transactions, and say what is wrong. Nothing is changed or sent."""


@doctor.command()
@click.option("--rpc", "urls", required=True, multiple=True, metavar="URL", help="A node; more than one are compared.")
@as_json_option
def network(urls: Sequence[str], as_json: bool) -> None:
    """Print what the chain is like and what its nodes can do.

    Exit code 1: the nodes are not on one chain or charge differently, or this program cannot work with them.

    \b
    Example: clearwatt doctor network --rpc http://127.0.0.1:8545
    """
    found = [_asked(url, preflight) for url in urls]
    wrong = [*_differences(found), *(reason for one in found for reason in one.unfit(NetworkProfile(one.chain_id)))]
    if as_json:
        click.echo(json.dumps({"nodes": [asdict(one) for one in found], "wrong": wrong}, indent=2))
    else:
        _print_table(found)
    if wrong:
        raise CheckFalse("; ".join(dict.fromkeys(wrong)))


@doctor.command()
@click.option("--rpc", "url", required=True, metavar="URL", help="The node.")
@click.option("--database", "database_url", required=True, metavar="URL", help="The database that its sender keeps.")
@click.option("--address", required=True, help="The signer's address, 0x and 40 hex digits.")
@as_json_option
def sender(url: str, database_url: str, address: str, as_json: bool) -> None:
    """Compare the nonces of a signer with the chain's, and say where they drift apart.

    Exit code 1: something is wrong.

    \b
    Example: clearwatt doctor sender --rpc http://127.0.0.1:8545 --database sqlite:///utility.db --address 0x12…
    """
    with _opened(database_url) as database:
        outbox = StoredOutbox(database)
        drift = _asked(url, lambda rpc: examine(rpc, outbox, rpc.chain_id(), address.lower()))
    if as_json:
        click.echo(json.dumps(asdict(drift), indent=2))
    else:
        _print_drift(drift)
    if drift.findings:
        raise CheckFalse("; ".join(drift.findings))


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    try:
        with Database(url) as database:
            check(database)
            yield database
    except DatabaseUnfit as error:
        raise SomethingMissing(str(error)) from error


def _asked(url: str, question: Callable[[Rpc], T]) -> T:
    """The node's answer; the command's ending where it gives none, or one of another chain."""
    try:
        with closing(Rpc.at(url)) as rpc:
            return question(rpc)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rpc") from error
    except (ConnectionFailed, NodeBehind) as error:
        raise SomethingMissing(str(error)) from error
    except (ChainReset, WrongChain) as error:
        raise CheckFalse(str(error)) from error
    except RpcError as error:
        raise SomethingMissing(f"this is no node of a chain: {error}") from error
    except KeyError as error:
        raise SomethingMissing(f"{error.args[0]} never sent anything from this database") from error


def _differences(found: Sequence[Capabilities]) -> Iterator[str]:
    for name in ("chain_id", "genesis", "gas_limit", "base_fee", "gas_price"):
        if len({getattr(one, name) for one in found}) > 1:
            yield f"the nodes differ in {name}"


def _print_table(found: Sequence[Capabilities]) -> None:
    columns = [[name for name, _ in _rows(found[0])], *([value for _, value in _rows(one)] for one in found)]
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rows(one: Capabilities) -> list[tuple[str, str]]:
    return [
        ("client", one.client),
        ("chain id", str(one.chain_id)),
        ("genesis", one.genesis),
        ("newest block", str(one.head)),
        ("consensus", one.consensus),
        ("gas in a block", str(one.gas_limit)),
        ("base fee", "none" if one.base_fee is None else str(one.base_fee)),
        ("gas price", "not told" if one.gas_price is None else str(one.gas_price)),
        ("tag finalized", _tag(one.finalized)),
        ("tag safe", _tag(one.safe)),
        ("waiting transactions", one.pool),
        ("logs by block hash", _yes(one.logs_by_hash)),
        ("old states", _yes(one.old_states)),
        ("traces", _yes(one.traces)),
    ]


def _tag(behind: int | None) -> str:
    return "unknown" if behind is None else f"{behind} blocks behind"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _print_drift(drift: Drift) -> None:
    rows: list[tuple[str, Any]] = [
        ("in the chain", drift.latest),
        ("with what waits", drift.pending),
        ("our next nonce", drift.next_nonce),
        ("unfinished", drift.unfinished),
        ("lowest unfinished", "none" if drift.lowest is None else drift.lowest),
        ("its last error", drift.last_error or "none"),
    ]
    for name, value in rows:
        click.echo(f"{name:<18} {value}")
