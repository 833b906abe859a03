"""`clearwatt contract`: trade contracts in words, read off the chain."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from chain.agreements import Agreements, TradeContract
from chain.deployment import FILE, DeploymentRecord
from chain.errors import ConnectionFailed, DeploymentMismatch, RpcError
from chain.evidence import ChainCommitment
from chain.rpc import Rpc
from cli.contract_text import Known, Vocabulary
from cli.exits import BadInput, CheckFalse, SomethingMissing
from settlement.documents import value_of
from settlement.errors import SettlementError
from settlement.trade import Trade
from store.records import PlacedTrade

_FILE = click.Path(dir_okay=False, path_type=Path)
_WORD = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_PLACE = re.compile(r"([0-9]{1,18})(?:/([0-9]{1,18}))?", re.ASCII)
_PLACED_KEYS: Final = {"digest", "trade", "number", "index", "path", "signatures"}


@click.group()
def contract() -> None:
    """Print trade contracts as people read them, from what the chain keeps."""


@contract.command()
@click.argument("what", required=False)
@click.option("--market", "market_file", type=_FILE, required=True, help=f"The market's {FILE}.")
@click.option("--rpc", "url", required=True, metavar="URL", help="A node of the market's chain, http://host:port.")
@click.option("--trade", "trade_file", type=_FILE, help="The trade itself (JSON), where the chain has only its hash.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(what: str | None, market_file: Path, url: str, trade_file: Path | None, as_json: bool) -> None:
    """Print a trade with its roles, rates and formulas; or a template; or, without WHAT, all templates.

    WHAT is a trade's digest, its place (commitment, or commitment/index), a template's id, or its name such as
    p2p.fixed-price.settled.v1. Roles, rates and formulas come from the chain alone: programs are decompiled. Only the
    names of members are the record's.

    \b
    Examples: clearwatt contract show 12 --market deployment.json --rpc http://127.0.0.1:8545
              clearwatt contract show --trade trade.json --market deployment.json --rpc http://127.0.0.1:8545
    """
    record = _record(market_file)
    words = Vocabulary.of(record)
    held = None if trade_file is None else _held(trade_file)
    try:
        node = Rpc.at(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rpc") from error
    try:
        with closing(node) as rpc:
            record.check(rpc)
            found = _find(Agreements(record, rpc), what, held)
    except (ConnectionFailed, RpcError) as error:
        raise SomethingMissing(str(error)) from error
    except DeploymentMismatch as error:
        raise CheckFalse(str(error)) from error
    if as_json:
        click.echo(json.dumps(words.document(found), indent=2, ensure_ascii=False))
        return
    for line in words.lines(found):
        click.echo(line)


@dataclass(frozen=True, slots=True)
class _Held:
    """A trade out of a file, with its place if the file has it."""

    file: Path
    trade: Trade
    placed: PlacedTrade | None


def _record(file: Path) -> DeploymentRecord:
    if file.name != FILE:
        raise click.BadParameter(f"a market's record is called {FILE}", param_hint="--market")
    try:
        return DeploymentRecord.load(file.parent)
    except FileNotFoundError as error:
        raise SomethingMissing(f"there is no file {file}") from error
    except DeploymentMismatch as error:
        raise BadInput(str(error)) from error


def _held(file: Path) -> _Held:
    try:
        found = json.loads(file.read_bytes())
        if isinstance(found, dict) and found.keys() >= _PLACED_KEYS:
            placed = value_of(PlacedTrade, {key: found[key] for key in _PLACED_KEYS})
            return _Held(file, placed.trade, placed)
        # Else a trade, or one with whatever else a gateway says of it.
        inner, where = (found["trade"], "trade") if isinstance(found, dict) and "trade" in found else (found, "$")
        return _Held(file, value_of(Trade, inner, where), None)
    except FileNotFoundError as error:
        raise SomethingMissing(f"there is no file {file}") from error
    except SettlementError as error:
        raise BadInput(f"{file}: {error}") from error
    except ValueError as error:
        raise BadInput(f"{file}: is no JSON: {error}") from error


# --- what is asked for ---


def _find(chain: Agreements, what: str | None, held: _Held | None) -> list[Known] | TradeContract:
    if held is not None:
        return _shown(chain, what, held)
    if what is None:
        return list(chain.templates.items())
    if _WORD.fullmatch(what.lower()):
        word = bytes.fromhex(what[2:])
        if word in chain.templates:
            return [(word, chain.templates[word])]
        if (found := chain.registered(word)) is None:
            raise SomethingMissing(f"the chain has no template and no registered trade {what.lower()}. {_HASH_ONLY}")
        return found
    if place := _PLACE.fullmatch(what):
        return _at(chain, int(place[1]), int(place[2] or 0))
    return [_titled(chain, what)]


_HASH_ONLY: Final = (
    "Of a batched trade only the hash stands there, within the root of its batch: give the trade itself by --trade "
    "FILE, as a gateway's GET /v1/trades/DIGEST answers, or with the place and proof that its platforms handed out"
)


def _at(chain: Agreements, number: int, index: int) -> TradeContract:
    commitment = _commitment(chain, number)
    if commitment.trade is None:
        record = commitment.record
        raise SomethingMissing(
            f"commitment {number} is a batch of {record.count}, of which the chain has the root alone, "
            f"0x{record.root.hex()}. {_HASH_ONLY}"
        )
    if index:
        raise SomethingMissing(f"commitment {number} is one registered trade, at index 0")
    return chain.placed(chain.unplaced(commitment.trade), commitment)


def _commitment(chain: Agreements, number: int) -> ChainCommitment:
    if number not in chain.commitments:
        there_are = f"there are {len(chain.commitments)}, from 1" if chain.commitments else "there is none"
        raise SomethingMissing(f"the chain has no commitment {number}; {there_are}")
    return chain.commitments[number]


def _titled(chain: Agreements, title: str) -> Known:
    for one, known in chain.templates.items():
        if known.template.title == title:
            return one, known
    titles = ", ".join(known.template.title for known in chain.templates.values()) or "none"
    raise SomethingMissing(f"no template {title!r} is registered; there are: {titles}")


def _shown(chain: Agreements, what: str | None, held: _Held) -> TradeContract:
    """What the chain says of a trade that the caller holds, and of the place that is said to be its own."""
    found = chain.unplaced(held.trade)
    if held.placed is not None:
        if held.placed.digest != found.digest:
            raise BadInput(f"{held.file}: digest: the trade's is 0x{found.digest.hex()} in this market")
        by_member = {one.member: one.signature for one in held.placed.signatures}
        signatures = tuple(by_member[one] for one in held.trade.signers if one in by_member)
        commitment = _commitment(chain, held.placed.number)
        given = signatures if commitment.trade is None else ()
        found = chain.placed(found, commitment, held.placed.index, held.placed.path, given)
    else:
        found = chain.registered(found.digest) or found
    place = None if found.commitment is None else (found.commitment.number, found.index)
    if what is not None and what.lower() != "0x" + found.digest.hex():
        asked = _PLACE.fullmatch(what)
        if asked is None or place != (int(asked[1]), int(asked[2] or 0)):
            stands = f", place {place[0]}/{place[1]}" if place else ", without a place"
            raise BadInput(f"{held.file}: is trade 0x{found.digest.hex()}{stands}, not {what}")
    return found
