"""A member whose key is a Safe: the wallet's own published bytecode, deployed as its users deploy it.

Two of three owners sign a Clearwatt digest in the Safe's way (EIP-712, `SafeMessage`), and the member has signed by
ERC-1271. The wallet comes from its npm package (`tools/`), built by its makers; nothing of it is ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_account.messages import encode_typed_data

from settlement import typed_data
from settlement.hashing import abi_encode, keccak256
from settlement.trade import HotKeyChange, PayoutChange, Withdrawal
from tests.contracts.market import PLATFORM, Market, member
from tests.contracts.settling import Scene, deploy_settling, events, gas_of
from tests.contracts.trading import CYCLE, trade_of

PACKAGE = Path(__file__).resolve().parents[2] / "tools" / "node_modules" / "@safe-global" / "safe-contracts"
ARTIFACTS = PACKAGE / "build" / "artifacts" / "contracts"
SAFE, FACTORY = "Safe.sol/Safe", "proxies/SafeProxyFactory.sol/SafeProxyFactory"
HANDLER = "handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler"
MAGIC = bytes.fromhex("1626ba7e")
NOBODY = "0x" + "00" * 20
BY_WALLET = (0, bytes(32), bytes(32))
PAYER, PAYEE = "platform_a", "platform_b"
OWNERS = tuple(keccak256(b"owner", bytes([number])) for number in range(3))
# As many owners as sign within the 1 024 bytes that a wallet's signature may have.
MOST_OWNERS = tuple(keccak256(b"one of many owners", bytes([number])) for number in range(15))

pytestmark = pytest.mark.skipif(
    not ARTIFACTS.exists(),
    reason="the Safe's npm package is not installed: `npm ci` in tools/, which `make setup` runs",
)


@dataclass(frozen=True)
class Safe:
    """A deployed Safe, and its owners' keys."""

    address: str
    owners: tuple[bytes, ...]

    def sign(self, digest: bytes, owners: Sequence[bytes]) -> bytes:
        """These owners' signatures of a digest, as the Safe takes them: r, s, v each, by ascending address."""
        message = encode_typed_data(
            {"chainId": boa.env.evm.patch.chain_id, "verifyingContract": self.address},
            {"SafeMessage": [{"name": "message", "type": "bytes"}]},
            {"message": digest},
        )
        signed_hash = keccak256(b"\x19" + message.version, message.header, message.body)
        signatures = [typed_data.sign(key, signed_hash) for key in sorted(owners, key=typed_data.address_of)]
        return b"".join(one.r + one.s + bytes([one.v]) for one in signatures)


def deployed(name: str) -> Any:
    """A contract of the package, from its published bytecode."""
    artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
    address, _ = boa.env.deploy_code(bytecode=bytes.fromhex(artifact["bytecode"][2:]))
    return abi_of(name).at(address)


def abi_of(name: str) -> Any:
    """Its interface."""
    artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return boa.loads_abi(json.dumps(artifact["abi"]), name=artifact["contractName"])


@pytest.fixture(scope="module")
def market() -> Market:
    return deploy_settling()


@pytest.fixture(scope="module")
def makers(market: Market) -> tuple[Any, Any, Any]:
    """The singleton, the proxy factory, and the handler that answers ERC-1271."""
    return deployed(SAFE), deployed(FACTORY), deployed(HANDLER)


def make_safe(makers: tuple[Any, Any, Any], owners: tuple[bytes, ...], threshold: int) -> Safe:
    """A proxy of the singleton with these owners."""
    singleton, factory, handler = makers
    addresses = ["0x" + typed_data.address_of(key).hex() for key in owners]
    setup = singleton.setup.prepare_calldata(addresses, threshold, NOBODY, b"", handler.address, NOBODY, 0, NOBODY)
    proxy = factory.createProxyWithNonce(singleton.address, setup, 7)
    safe = abi_of(SAFE).at(proxy)
    assert (safe.getThreshold(), len(safe.getOwners()), safe.VERSION()) == (threshold, len(owners), "1.4.1")
    return Safe(str(proxy), owners)


@pytest.fixture(scope="module")
def safe(makers: tuple[Any, Any, Any]) -> Safe:
    return make_safe(makers, OWNERS, 2)


def use_safe(market: Market, name: str, safe: Safe) -> None:
    """The member's cold key names the Safe as its hot key."""
    who = market.members[name]
    change = HotKeyChange(who.id, safe.address, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, safe.address, market.sign_cold(name, change), b"")


@pytest.fixture
def scene(market: Market, safe: Safe) -> Scene:
    """Run 0 is sealed, and the payer's hot key is the Safe."""
    scene = Scene(market)
    scene.commit([trade_of(market)])
    scene.settle_inputs()
    use_safe(market, PAYER, safe)
    return scene


def ask(safe: Safe, digest: bytes, signature: bytes) -> Any:
    """What the Safe answers by ERC-1271, as a computation."""
    data = MAGIC + abi_encode(("bytes32", "bytes"), (digest, signature))
    return boa.env.execute_code(to_address=safe.address, data=data, is_modifying=False)


def test_the_safe_answers_for_two_owners_and_for_no_fewer(safe: Safe) -> None:
    """ERC-1271 as the Safe speaks it: what our contracts ask is what it answers."""
    digest = keccak256(b"anything")
    for owners in (OWNERS[:2], OWNERS[1:], (OWNERS[0], OWNERS[2])):
        answered = ask(safe, digest, safe.sign(digest, owners))
        assert not answered.is_error
        assert answered.output == MAGIC.ljust(32, b"\0")
    print(f"\nisValidSignature of a 2-of-3 Safe: {answered.get_gas_used()} gas")
    # The Safe's own codes: signatures too short; owners not in ascending order.
    for few, code in ((OWNERS[:1], b"GS020"), ((OWNERS[0], OWNERS[0]), b"GS026")):
        refused = ask(safe, digest, safe.sign(digest, few))
        assert refused.is_error
        assert code in refused.output


def test_two_of_three_owners_agree_a_row(scene: Scene, safe: Safe) -> None:
    market = scene.market
    row = scene.plain(PAYER, PAYEE, 1_000_000)
    digest = market.domain.digest(row)
    signed = (astuple(row), BY_WALLET, market.sign(PAYEE, row))
    assert market.settlement.settle([signed], [safe.sign(digest, OWNERS[1:])]) == 1
    print(f"\nagreed row, payer a 2-of-3 Safe: {gas_of(market.settlement)} gas")
    assert (scene.word(PAYER, PAYEE).applied, scene.owed(PAYER, PAYEE)) == (1_000_000, 1_000_000)


@pytest.mark.parametrize(
    "owners",
    [(), OWNERS[:1], (OWNERS[2], OWNERS[2]), (OWNERS[0], keccak256(b"no owner"))],
    ids=["nobody", "one", "one, twice", "one and a stranger"],
)
def test_too_few_owners_agree_to_nothing(scene: Scene, safe: Safe, owners: tuple[bytes, ...]) -> None:
    """The Safe's revert is a no: the row is skipped with its reason, beside one that applies."""
    market = scene.market
    row, other = scene.plain(PAYER, PAYEE, 1_000_000), scene.plain(PAYEE, "utility_b", 5)
    rows = [
        (astuple(row), BY_WALLET, market.sign(PAYEE, row)),
        scene.signed(other),
    ]
    assert market.settlement.settle(rows, [safe.sign(market.domain.digest(row), owners)]) == 1
    (skipped,) = events(market.settlement, "RowSkipped")
    assert (skipped["cycle"], skipped["payer"], skipped["payee"]) == (CYCLE, row.payer, row.payee)
    assert skipped["reason"] == "not signed by the payer"
    assert scene.word(PAYER, PAYEE).applied == 0


def test_the_owners_signatures_are_of_this_row_alone(scene: Scene, safe: Safe) -> None:
    market = scene.market
    row, other = (scene.plain(PAYER, PAYEE, amount) for amount in (1_000_000, 1_000_001))
    signatures = safe.sign(market.domain.digest(other), OWNERS[:2])
    with boa.reverts("Settlement: no row applied"):
        market.settlement.settle([(astuple(row), BY_WALLET, market.sign(PAYEE, row))], [signatures])
    # Nor is the hash itself, signed by owners as if they were the member: only the Safe's own message is.
    raw = [typed_data.sign(key, market.domain.digest(row)) for key in sorted(OWNERS[:2], key=typed_data.address_of)]
    plain = b"".join(one.r + one.s + bytes([one.v]) for one in raw)
    with boa.reverts("Settlement: no row applied"):
        market.settlement.settle([(astuple(row), BY_WALLET, market.sign(PAYEE, row))], [plain])


def test_a_safe_withdraws_to_its_members_address(scene: Scene, safe: Safe) -> None:
    market = scene.market
    who, before = market.members[PAYER], scene.free(PAYER)
    withdrawal = Withdrawal(who.id, 7_000, 0)
    digest = market.domain.digest(withdrawal)
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), BY_WALLET, [safe.sign(digest, OWNERS[:1])])
    held = market.token.balanceOf(who.payout)
    market.escrow.withdraw(astuple(withdrawal), BY_WALLET, [safe.sign(digest, OWNERS[:2])])
    print(f"\nwithdrawal by a 2-of-3 Safe: {gas_of(market.escrow)} gas")
    assert (scene.free(PAYER), market.token.balanceOf(who.payout)) == (before - 7_000, held + 7_000)


def test_the_key_that_the_safe_replaced_signs_no_more(scene: Scene) -> None:
    market = scene.market
    withdrawal = Withdrawal(market.members[PAYER].id, 7_000, 0)
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), market.sign(PAYER, withdrawal), [])


def test_a_safe_as_cold_key_names_keys_and_addresses(market: Market, safe: Safe) -> None:
    newcomer = member("newcomer")
    with boa.env.prank(market.council):
        market.registry.admit(newcomer.id, PLATFORM, safe.address, newcomer.address, newcomer.payout, bytes(32))
    key, payout = boa.env.generate_address("key"), boa.env.generate_address("payout")
    change = HotKeyChange(newcomer.id, str(key), 0)
    digest = market.domain.digest(change)
    with boa.reverts("MemberRegistry: wallet refuses"):
        market.registry.change_hot_key(newcomer.id, key, BY_WALLET, safe.sign(digest, OWNERS[:1]))
    market.registry.change_hot_key(newcomer.id, key, BY_WALLET, safe.sign(digest, OWNERS[:2]))
    print(f"\nhot key changed by a 2-of-3 Safe: {gas_of(market.registry)} gas")
    assert market.registry.standing(newcomer.id) & ((1 << 160) - 1) == int(str(key), 16)
    moved = PayoutChange(newcomer.id, str(payout), 1)
    signature = safe.sign(market.domain.digest(moved), OWNERS[1:])
    market.registry.change_payout(newcomer.id, payout, BY_WALLET, signature)
    assert market.registry.cold_sequence(newcomer.id) == 2


def test_the_largest_safe_whose_signatures_fit(market: Market, makers: Any) -> None:
    """Fifteen of fifteen owners: 975 bytes of signatures, within the gas that a wallet is given."""
    safe = make_safe(makers, MOST_OWNERS, len(MOST_OWNERS))
    use_safe(market, "platform_c", safe)
    withdrawal = Withdrawal(market.members["platform_c"].id, 1, 0)
    signature = safe.sign(market.domain.digest(withdrawal), MOST_OWNERS)
    assert len(signature) == 975
    market.escrow.withdraw(astuple(withdrawal), BY_WALLET, [signature])
    print(f"\nwithdrawal by a 15-of-15 Safe: {gas_of(market.escrow)} gas")


def test_the_message_hash_is_the_safes_own(safe: Safe) -> None:
    """What the owners sign here is the hash that the Safe computes itself."""
    digest = keccak256(b"anything")
    own = abi_of(HANDLER).at(safe.address).getMessageHash(abi_encode(("bytes32",), (digest,)))
    signature = typed_data.sign(OWNERS[0], bytes(own))
    assert safe.sign(digest, OWNERS[:1]) == signature.r + signature.s + bytes([signature.v])
