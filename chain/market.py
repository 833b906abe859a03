"""The contracts of a market: in which order they are deployed, and what each is told of the others."""

from __future__ import annotations

from dataclasses import dataclass

from chain.deployment import AddressBook, Step
from settlement.config import Config


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """What a market is founded on. `council` and `guardian` are addresses, `bank` the settlement bank's member id.

    `council` is the founders' account; once the members are admitted it hands over to the contract `Council`, in which
    the members `seats` govern, more than half of them together.

    The deposit token stands for bank money in the config's currency: same decimals, `token_name`, `token_symbol`.
    """

    name: str
    genesis_hash: bytes
    config: Config
    council: str
    guardian: str
    seats: tuple[bytes, ...]
    bank: bytes
    token_name: str
    token_symbol: str


def market_steps(terms: MarketTerms) -> tuple[Step, ...]:
    """The deployment of a whole market; the arguments are those of the constructors in `contracts/interfaces`."""

    def told(*names: str) -> Step:
        """A contract, the first name, that is told the addresses of the others."""
        return Step(names[0], lambda book: [book[name] for name in names[1:]])

    def registry(_: AddressBook) -> list[object]:
        return [terms.council, terms.guardian, terms.genesis_hash, terms.name, terms.config]

    def council(book: AddressBook) -> list[object]:
        return [book["MemberRegistry"], list(terms.seats), len(terms.seats) // 2 + 1]

    def token(book: AddressBook) -> list[object]:
        decimals = terms.config.money_decimals
        return [book["MemberRegistry"], terms.bank, terms.token_name, terms.token_symbol, decimals]

    return (
        Step("MemberRegistry", registry),
        Step("Council", council),
        told("RevenueFlows", "MemberRegistry"),
        told("TradeBook", "MemberRegistry", "RevenueFlows", "AllocationOracle", "SettlementEscrow"),
        told("AllocationOracle", "MemberRegistry", "TradeBook", "AllocationFaults", "Disputes"),
        told("AllocationFaults", "MemberRegistry", "TradeBook", "AllocationOracle"),
        told("Arbiters", "MemberRegistry"),
        told("Disputes", "MemberRegistry", "TradeBook", "AllocationOracle", "Arbiters"),
        told("TradeResult", "MemberRegistry", "RevenueFlows", "TradeBook", "AllocationOracle"),
        told(
            "Settlement",
            "MemberRegistry",
            "AllocationOracle",
            "TradeResult",
            "SettlementEscrow",
            "ObligationLedger",
            "RowFaults",
            "RowDemands",
        ),
        told("RowFaults", "MemberRegistry", "AllocationOracle", "TradeResult", "Settlement"),
        told("RowDemands", "MemberRegistry", "AllocationOracle", "TradeResult", "Settlement"),
        told(
            "SettlementEscrow",
            "MemberRegistry",
            "DepositToken",
            "TradeBook",
            "AllocationOracle",
            "Settlement",
            "ObligationLedger",
        ),
        told("ObligationLedger", "MemberRegistry", "Settlement", "SettlementEscrow", "Arbiters"),
        told("StatementRegistry", "MemberRegistry"),
        Step("DepositToken", token),
    )
