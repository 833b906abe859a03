"""Contracts come to stand where the others expect them, and the record of it cannot be misread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain import artifacts
from chain.account import Account, created_address
from chain.contract import Contract
from chain.deployment import FILE, DeploymentRecord, Step, deploy
from chain.errors import CannotEncode, DeploymentMismatch
from chain.market import MarketTerms, market_steps
from chain.node import Anvil
from chain.rpc import Rpc, binary
from settlement.config import Config
from settlement.hashing import keccak256
from tests.chain.conftest import PARTNER


def record_of(chain: Anvil, sender: Account) -> DeploymentRecord:
    made = deploy(chain.rpc, sender, [Step("Echo", lambda _: [PARTNER, 5])])
    return DeploymentRecord(
        market="test market",
        market_id=bytes(range(32)),
        chain_id=chain.chain_id,
        genesis_hash=binary(chain.rpc.block(0)["hash"]),
        block=chain.rpc.block_number(),
        evm=artifacts.EVM,
        vyper="0.4.3",
        contracts=made,
        config={"gate": 0, "run_deadlines": [1, 2]},
        config_digest=Config().digest(),
        members={"platform.example": {"id": bytes(32), "roles": 1}},
        templates={"p2p.fixed-price.settled.v1": b"\x07" * 32},
    )


def test_known_address() -> None:
    # The first creation of the best-known development key, as every tool shows it.
    assert created_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", 0) == (
        "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    )


def test_two_contracts_know_each_other(chain: Anvil, sender: Account) -> None:
    compiled = {name: replace(artifacts.load("Echo"), name=name) for name in ("First", "Second")}
    steps = [Step("First", lambda book: [book["Second"], 1]), Step("Second", lambda book: [book["First"], 2])]
    made = deploy(chain.rpc, sender, steps, lambda _: compiled)
    assert list(made) == ["First", "Second"]
    for name, partner, seed in (("First", "Second", 1), ("Second", "First", 2)):
        contract = Contract(name, made[name].address, compiled[name].abi, chain.rpc)
        assert contract.call("partner") == (made[partner].address, seed)
    assert made["First"].runtime_sha256 != made["Second"].runtime_sha256  # their immutables differ


def test_unfit_arguments_send_nothing(chain: Anvil, sender: Account) -> None:
    before = sender.nonce
    with pytest.raises(CannotEncode, match="seed: "):
        deploy(chain.rpc, sender, [Step("Echo", lambda _: [PARTNER, -1])])
    assert sender.nonce == before


def test_a_constructor_that_refuses(chain: Anvil, sender: Account) -> None:
    refusing = replace(artifacts.load("Echo"), bytecode=bytes.fromhex("5f5ffd"), abi=[])
    with pytest.raises(DeploymentMismatch, match="Echo: the constructor refused its arguments"):
        deploy(chain.rpc, sender, [Step("Echo", lambda _: [])], lambda _: {"Echo": refusing})


def test_code_that_is_not_what_was_compiled(chain: Anvil, sender: Account) -> None:
    other = replace(artifacts.load("Echo"), runtime=b"\x60\x01")
    with pytest.raises(DeploymentMismatch, match="is not what Echo was compiled to"):
        deploy(chain.rpc, sender, [Step("Echo", lambda _: [PARTNER, 5])], lambda _: {"Echo": other})


def test_a_sender_that_is_used_elsewhere_at_once(chain: Anvil, sender: Account) -> None:
    elsewhere = Account(b"\x01" * 32, chain.rpc)

    def interrupted(_: object) -> list[object]:
        elsewhere.send(b"", 30_000, PARTNER)
        sender._next_nonce = elsewhere.nonce
        return [PARTNER, 5]

    with pytest.raises(DeploymentMismatch, match="its collaborators expect"):
        deploy(chain.rpc, sender, [Step("Echo", interrupted)])


def test_record_goes_to_disk_and_back(chain: Anvil, sender: Account, tmp_path: Path) -> None:
    record = record_of(chain, sender)
    assert record.save(tmp_path) == tmp_path / FILE
    read = DeploymentRecord.load(tmp_path)
    assert read == record
    read.check(chain.rpc)
    assert read.connect(chain.rpc)["Echo"].call("partner") == (PARTNER, 5)
    before = (tmp_path / FILE).read_bytes()
    read.save(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"evm"', '"evn"', "the keys must be"),
        ('"chain_id":8217', '"chain_id":"8217"', "chain_id must be a non-negative integer"),
        ('"chain_id":8217', '"chain_id":-1', "chain_id must be a non-negative integer"),
        ('"vyper":"0.4.3"', '"vyper":43', "vyper must be text"),
        ('"0x0001', '"0x01', "market_id must be 32 bytes"),
        ('"market":"test market"', '"market": "test market"', "not canonical"),
        ('"runtime_sha256"', '"runtime_sha512"', r"contracts\.Echo: address and runtime_sha256 are wanted"),
        ('"address":"0x', '"address":"0X', r"contracts\.Echo: no address or no hash"),
        ('"roles":1', '"roles":true', "roles must be a non-negative integer"),
        ('"roles":1', '"rolls":1', r"members\.platform\.example: id and roles are wanted"),
        ('"config":{"gate":0,"run_deadlines":[1,2]}', '"config":[]', "config must be an object"),
    ],
)
def test_records_that_are_none(chain: Anvil, sender: Account, tmp_path: Path, old: str, new: str, message: str) -> None:
    file = record_of(chain, sender).save(tmp_path)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DeploymentMismatch, match=message):
        DeploymentRecord.load(tmp_path)


def test_another_chain_and_another_code_are_told_apart(chain: Anvil, sender: Account) -> None:
    record = record_of(chain, sender)
    with pytest.raises(DeploymentMismatch, match="chain id 8217, the record says 1"):
        replace(record, chain_id=1).check(chain.rpc)
    with pytest.raises(DeploymentMismatch, match="the record says 0x00"):
        replace(record, genesis_hash=bytes(32)).check(chain.rpc)
    moved = {"Echo": replace(record.contracts["Echo"], address=PARTNER)}
    with pytest.raises(DeploymentMismatch, match=f"the code at {PARTNER} is not the Echo of the record"):
        replace(record, contracts=moved).check(chain.rpc)


class TestMarket:
    """The whole market, with every contract that there is."""

    def test_every_contract_stands_and_knows_the_market(self, chain: Anvil, sender: Account) -> None:
        config = Config()
        terms = MarketTerms(
            name="test market",
            genesis_hash=binary(chain.rpc.block(0)["hash"]),
            config=config,
            council=sender.address,
            guardian=PARTNER,
            seats=(keccak256(b"a.example"), keccak256(b"b.example"), keccak256(b"c.example")),
            bank=keccak256(b"bank.example"),
            token_name="Deposit INR",
            token_symbol="dINR",
        )
        made = deploy(chain.rpc, sender, market_steps(terms))
        assert set(made) == {source.stem for source in artifacts.CONTRACTS.glob("*.vy")}
        contracts = {
            name: Contract(name, one.address, artifacts.load(name).abi, chain.rpc) for name, one in made.items()
        }
        registry = contracts["MemberRegistry"]
        assert registry.call("council") == sender.address
        assert registry.call("market_id") == keccak256(terms.genesis_hash, b"test market")
        assert contracts["Council"].call("threshold") == 2
        assert Rpc.at(chain.url).code(registry.address)
        assert contracts["DepositToken"].call("decimals") == config.money_decimals
