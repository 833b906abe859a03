"""`clearwatt doctor`: its table, its JSON, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chain.account import Account
from chain.contract import await_receipt
from chain.node import CHAIN_ID, Anvil
from cli import exits
from cli.doctor import doctor
from store import migrate
from store.database import Database
from store.outbox import StoredOutbox

GENESIS_TIME = 1_767_225_600
KEY = b"\x2d" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with Anvil(GENESIS_TIME) as node:
        yield node


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


def test_the_table_of_a_node(chain: Anvil) -> None:
    result = run("network", "--rpc", chain.url)
    assert result.exit_code == exits.FINE
    rows = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert rows["chain id"].strip() == str(CHAIN_ID)
    assert rows["genesis"].strip() == chain.rpc.block(0)["hash"]
    assert rows["base fee"].strip() == "0"
    assert rows["logs by block hash"].strip() == "yes"
    assert len(rows) == 14


def test_two_nodes_of_one_chain_and_of_two(chain: Anvil) -> None:
    same = run("network", "--rpc", chain.url, "--rpc", chain.url, "--json")
    assert same.exit_code == exits.FINE
    document = json.loads(same.stdout)
    assert document["wrong"] == []
    assert [node["chain_id"] for node in document["nodes"]] == [CHAIN_ID, CHAIN_ID]
    with Anvil(GENESIS_TIME + 1) as other:
        result = run("network", "--rpc", chain.url, "--rpc", other.url)
        assert result.exit_code == exits.CHECK_FALSE
        assert "the nodes differ in genesis" in result.stderr


def test_no_node(chain: Anvil) -> None:
    missing = run("network", "--rpc", "http://127.0.0.1:1")
    assert missing.exit_code == exits.MISSING
    assert "no answer from the node at 127.0.0.1:1" in missing.stderr
    unfit = run("network", "--rpc", "ftp://127.0.0.1")
    assert unfit.exit_code == exits.USAGE
    assert "a node's address must be http://host:port" in unfit.stderr


def test_a_signer(chain: Anvil, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/outbox.db"
    account = Account(KEY, chain.rpc)
    arguments = ("sender", "--rpc", chain.url, "--database", url, "--address", account.address)
    missing = run(*arguments)
    assert missing.exit_code == exits.MISSING
    assert "there is no such file" in missing.stderr
    with Database(url) as database:
        migrate.upgrade(database)
        never = run(*arguments)
        assert never.exit_code == exits.MISSING
        assert f"{account.address} never sent anything from this database" in never.stderr
        StoredOutbox(database).open(CHAIN_ID, account.address, chain.rpc.block(0)["hash"], 0)
    fine = run(*arguments)
    assert fine.exit_code == exits.FINE
    assert "our next nonce     0" in fine.stdout.splitlines()
    await_receipt(chain.rpc, account.send(b"", 21_000, account.address))
    drifted = run(*arguments, "--json")
    assert drifted.exit_code == exits.CHECK_FALSE
    document = json.loads(drifted.stdout)
    assert (document["latest"], document["next_nonce"]) == (1, 0)
    assert document["findings"] == ["the node counts 1 transactions, 0 are ours: somebody else sends"]
    assert document["findings"][0] in drifted.stderr
