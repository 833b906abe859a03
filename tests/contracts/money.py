"""What tests of the escrow and the ledger share: a market of registry, token, escrow and ledger, and acts on it.

TradeBook and Settlement are not deployed here: their addresses call (`lock`, `settle`), so that each contract is tested
by what it promises to its callers, whatever these do. What the escrow asks of oracle and Settlement a stand-in answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import typed_data
from settlement.config import Config, code
from settlement.hashing import keccak256
from settlement.trade import (
    Acknowledgement,
    BankAttestation,
    Denial,
    EscrowPayment,
    HotKeyChange,
    NoticeRuling,
    PaymentNotice,
    Withdrawal,
)
from tests.contracts.market import CONTRACTS, NO_SIGNATURE, Market, deploy

MOCKS = CONTRACTS / "mocks"
MAX_AMOUNT = 2**96 - 1
UNIT = 10_000
INTERVAL = DAY = 24 * 3_600
DUE_TIME = 72 * 3_600
SILENCE = 24 * 3_600
# A cycle that has been closed for so long releases its locks.
REST = 3 * 24 * 3_600
# Two of these three rule.
ARBITERS = tuple(keccak256(b"arbiter", bytes([number])) for number in range(3))
UPI = code("UPI")
Signature = tuple[int, bytes, bytes]


def deploy_money(token: str = "ReentrantToken", config: Config | None = None) -> Market:
    """Registry, escrow and ledger with a mock as deposit token (an unarmed ReentrantToken is an honest one)."""
    closing = str(MOCKS / "ClosingStandIn.vy")
    stand_ins = {"DepositToken": str(MOCKS / f"{token}.vy"), "AllocationOracle": closing, "Settlement": closing}
    config = replace(config or Config(), arbiter_quorum=2)
    market = deploy(config, stand_ins=stand_ins, only=("SettlementEscrow", "ObligationLedger", "Arbiters"))
    with boa.env.prank(market.council):
        market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
    return market


def mock(name: str, *arguments: Any) -> Any:
    """A deployed mock."""
    return boa.load(str(MOCKS / f"{name}.vy"), *arguments)


def events(contract: Any, name: str) -> list[dict[str, Any]]:
    """The fields of the events of this name that the contract's last call logged, in order."""
    logged = [event._asdict() for event in contract.get_logs() if type(event).__name__ == name]
    return [{key: value for key, value in fields.items() if key != "address"} for fields in logged]


def deposit(market: Market, name: str, amount: int, sender: str | None = None) -> None:
    """Mints to the sender (the member's payout address by default), who deposits for the member."""
    who = sender or market.members[name].payout
    market.token.mint(who, amount)
    with boa.env.prank(who):
        market.escrow.deposit(market.members[name].id, amount)


def lock(market: Market, cycle: int, locks: Iterable[tuple[str, str, int]]) -> None:
    """TradeBook locks (payer, payee, amount) by members' names."""
    listed = [(market.members[payer].id, market.members[payee].id, amount) for payer, payee, amount in locks]
    with boa.env.prank(market.addresses["TradeBook"]):
        market.escrow.lock(cycle, listed)


def settle(
    market: Market, cycle: int, payer: str, payee: str, amount: int, state: int = 0, keep: int = 0
) -> tuple[int, int, int]:
    """Settlement moves what is applied of a pair to `amount`; returns (paid, owed, owed back)."""
    with boa.env.prank(market.addresses["Settlement"]):
        moved = market.escrow.settle(cycle, market.members[payer].id, market.members[payee].id, amount, state, keep)
    return tuple(moved)


def release(market: Market, cycle: int, payer: str, payee: str, closed_for: int, stage: int = 0) -> None:
    """Anyone releases a pair's lock, with the cycle closed for so long and the pair's attested row at this stage."""
    market.oracle.say(closed_for, stage)
    market.settlement.say(closed_for, stage)
    market.escrow.release(cycle, market.members[payer].id, market.members[payee].id)


def record(market: Market, payer: str, payee: str, owed: int, owed_back: int = 0) -> None:
    """Settlement records what is owed."""
    with boa.env.prank(market.addresses["Settlement"]):
        market.obligations.record(market.members[payer].id, market.members[payee].id, owed, owed_back)


def withdraw(market: Market, name: str, amount: int, sequence: int) -> None:
    """The member withdraws."""
    withdrawal = Withdrawal(market.members[name].id, amount, sequence)
    market.escrow.withdraw(astuple(withdrawal), market.sign(name, withdrawal), [])


def free(market: Market, name: str) -> int:
    """The member's free balance."""
    return market.escrow.free(market.members[name].id)


def word(market: Market, cycle: int, payer: str, payee: str) -> int:
    """The pair's word."""
    return market.escrow.pair(cycle, market.members[payer].id, market.members[payee].id)


def owed(market: Market, debtor: str, creditor: str) -> int:
    """What the debtor owes that has not fallen due."""
    return market.obligations.owed(market.members[debtor].id, market.members[creditor].id)


def fall_due(market: Market, member: str, other: str, sender: str | None = None) -> int:
    """Lets the pair's net fall due; called by the first member's hot key unless another sender is given."""
    with boa.env.prank(sender or market.members[member].address):
        return market.obligations.fall_due(market.members[member].id, market.members[other].id)


def debt(market: Market, debtor: str, creditor: str, amount: int) -> int:
    """A new obligation of a whole number of payable units."""
    record(market, debtor, creditor, amount)
    return fall_due(market, debtor, creditor)


def notice(
    market: Market, debtor: str, creditor: str, numbers: Iterable[int], amount: int, **changes: Any
) -> PaymentNotice:
    """A payment notice as it should be, unless changed."""
    fields: dict[str, Any] = {
        "debtor": market.members[debtor].id,
        "creditor": market.members[creditor].id,
        "obligations": tuple(numbers),
        "amount": amount,
        "rail": UPI,
        "value_date": boa.env.evm.patch.timestamp,
        "reference_hash": b"\x01" * 32,
    }
    return PaymentNotice(**(fields | changes))


def notify(
    market: Market, debtor: str, given: PaymentNotice, signature: Signature | None = None, wallet: Iterable[bytes] = ()
) -> None:
    """Posts a notice, signed by the debtor unless another signature is given."""
    market.obligations.notify(astuple(given), signature or market.sign(debtor, given), list(wallet))


def acknowledge(market: Market, creditor: str, reference: bytes, amount: int, debtor: str = "platform_a") -> None:
    """The creditor acknowledges `amount` in all of the debtor's under a reference."""
    value = Acknowledgement(market.members[creditor].id, market.members[debtor].id, reference, amount)
    market.obligations.acknowledge(astuple(value), market.sign(creditor, value), [])


def deny(market: Market, creditor: str, reference: bytes, debtor: str = "platform_a") -> None:
    """The creditor denies that more of the debtor's arrived under a reference."""
    value = Denial(market.members[creditor].id, market.members[debtor].id, reference)
    market.obligations.deny(astuple(value), market.sign(creditor, value), [])


def attest(
    market: Market, creditor: str, reference: bytes, amount: int, debtor: str = "platform_a", bank: str = "bank"
) -> None:
    """The settlement bank attests that `amount` in all arrived."""
    value = BankAttestation(market.members[creditor].id, market.members[debtor].id, reference, amount)
    market.obligations.attest(astuple(value), market.members[bank].id, market.sign(bank, value), [])


def rule(
    market: Market,
    creditor: str,
    reference: bytes,
    amount: int,
    debtor: str = "platform_a",
    by: Iterable[int] = (0, 2),
) -> None:
    """These arbiters find that `amount` in all arrived."""
    value = NoticeRuling(market.members[creditor].id, market.members[debtor].id, reference, amount)
    digest = market.domain.digest(value)
    signatures = [astuple(typed_data.sign(ARBITERS[place], digest)) for place in by]
    market.obligations.rule(astuple(value), sum(1 << place for place in by), signatures)


def payment(
    market: Market, debtor: str, creditor: str, numbers: Iterable[int], amount: int, sequence: int = 0
) -> EscrowPayment:
    """A payment from the escrow."""
    return EscrowPayment(market.members[debtor].id, market.members[creditor].id, tuple(numbers), amount, sequence)


def pay(
    market: Market, debtor: str, given: EscrowPayment, signature: Signature | None = None, wallet: Iterable[bytes] = ()
) -> None:
    """Posts a payment, signed by the debtor unless another signature is given."""
    market.obligations.pay(astuple(given), signature or market.sign(debtor, given), list(wallet))


def wallet_signature(market: Market, name: str, value: object) -> bytes:
    """The member's key's signature in the bytes that an OwnerWallet reads."""
    signature = typed_data.sign(market.members[name].hot, market.domain.digest(value))
    return signature.r + signature.s + bytes([signature.v])


def change_hot_key(market: Market, name: str, key: str) -> None:
    """The member's cold key names another hot key."""
    who = market.members[name]
    change = HotKeyChange(who.id, key, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, key, market.sign_cold(name, change), b"")


UNSIGNED: Signature = astuple(NO_SIGNATURE)  # type: ignore[assignment]
