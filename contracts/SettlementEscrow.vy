# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title SettlementEscrow: members' deposit tokens, free and locked, and a pair's word
@notice Keeps the market's deposit tokens for its members. What is free is its member's alone: it falls by the member's
        own withdrawal, by a payment or by a lock that the member signed for. What is locked for a pair of members in a cycle goes to
        the payee as rows and claims are applied, or back to the payer, at the latest some time after the cycle closed;
        no pair's money ever reaches another pair.
@dev Balances are accounts of our own, never the token's `balanceOf`: tokens sent here without `deposit` belong to
     nobody. `held` stays below 2^96, and everything free or locked is a part of it; so the packed sums below never
     carry into their neighbours and applying cannot fail.
     The token is trusted to move what it reports as moved: one that keeps a fee must not be a market's token.
@custom:kill Nothing here can be stopped, by nobody: withdrawals and settlement never pause. New money stays out when
             TradeBook's intake is paused (no new locks) and the settlement bank mints no more. A new version is a new
             deployment, to which members withdraw and deposit.
"""

from ethereum.ercs import IERC20

from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import ISettlement
from .interfaces import ISettlementEscrow
from .interfaces import Types

implements: ISettlementEscrow

from .modules import hot_keys
from .modules import publication
from .modules import roles
from .modules import typed_data

# An amount of money has 96 bits, here and in the packed words.
AMOUNT_BITS: constant(uint256) = 96
MAX_AMOUNT: constant(uint256) = 2**96 - 1
STATE_SHIFT: constant(uint256) = 192

REGISTRY: immutable(IMemberRegistry)
TOKEN: immutable(IERC20)
TRADE_BOOK: immutable(address)
ORACLE: immutable(IAllocationOracle)
SETTLEMENT: immutable(ISettlement)
OBLIGATIONS: immutable(address)

# Fixed at the registry's deployment, so kept in the code.
DOMAIN_SEPARATOR: immutable(bytes32)

# Per member: bits 0-95 free, from 96 the sequence of its next withdrawal. One word, so that an account once used never
# returns to zero and is cheap to credit again.
accounts: HashMap[bytes32, uint256]

# Per cycle, payer and payee: the pair's word (see the interface).
pair: reentrant(public(HashMap[uint64, HashMap[bytes32, HashMap[bytes32, uint256]]]))

# Sum of all free and all locked: what the escrow answers for. Always below 2^96.
held: reentrant(public(uint256))


@deploy
def __init__(
    registry: address, token: address, trade_book: address, oracle: address, settlement: address, obligations: address
):
    """
    @param registry MemberRegistry, deployed before.
    @param token The market's deposit token (ERC-20).
    @param trade_book TradeBook, the only one that locks.
    @param oracle AllocationOracle, which says when a cycle has closed.
    @param settlement Settlement, the only one that applies.
    @param obligations ObligationLedger, the only one through which members pay each other.
    """
    REGISTRY = IMemberRegistry(registry)
    TOKEN = IERC20(token)
    TRADE_BOOK = trade_book
    ORACLE = IAllocationOracle(oracle)
    SETTLEMENT = ISettlement(settlement)
    OBLIGATIONS = obligations
    DOMAIN_SEPARATOR = staticcall IMemberRegistry(registry).domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def free(member: bytes32) -> uint256:
    """
    @notice What a member can lock or withdraw.
    @param member Member id.
    @return Base units.
    """
    return self.accounts[member] & MAX_AMOUNT


@view
@external
@reentrant
def withdrawal_sequence(member: bytes32) -> uint64:
    """
    @notice The sequence number that the member's next withdrawal carries.
    @param member Member id.
    @return Counts from 0.
    """
    return convert(self.accounts[member] >> AMOUNT_BITS, uint64)


# --- anyone ---


@external
def deposit(member: bytes32, amount: uint256):
    """
    @notice Takes tokens from the sender, who approved them, and credits a member. Cannot be taken back but by the
            member's withdrawal.
    @dev Credits what was asked for once the token says that it moved, and only then: the tokens here are never fewer
         than `held`, not even while the token runs.
    @param member Id of a known member; anyone may pay in for it.
    @param amount Base units, above 0.
    """
    assert amount > 0, "SettlementEscrow: nothing to deposit"
    standing: uint256 = staticcall REGISTRY.standing(member)
    assert roles._is_known(standing), "SettlementEscrow: member unknown"
    held: uint256 = self.held
    # Two steps, for the sum itself must not overflow. While the token runs nothing can change `held`.
    assert amount <= MAX_AMOUNT and held + amount <= MAX_AMOUNT, "SettlementEscrow: too much held"
    moved: bool = extcall TOKEN.transferFrom(msg.sender, self, amount, default_return_value=True)
    assert moved, "SettlementEscrow: deposit refused by token"
    self.held = held + amount
    self.accounts[member] += amount
    log ISettlementEscrow.Deposited(member=member, amount=amount, sender=msg.sender)


@external
def release(cycle: uint64, payer: bytes32, payee: bytes32):
    """
    @notice Returns what a pair still has locked in a closed cycle to its payer.
    @dev Once the cycle has been closed for so long that no row or claim from before can be in its time of publication or
         in its window. A row that is published and not applied, held by demands or not, comes first: it is applied, or
         struck, by anyone.
    @param cycle Cycle number.
    @param payer Member id.
    @param payee Member id.
    """
    closed_for: uint64 = staticcall ORACLE.closed_for(cycle)
    times: publication.Times = publication._times(REGISTRY, ORACLE, cycle)
    assert (
        closed_for != 0
        and convert(closed_for, uint256) >= times.publish_time + times.row_window + times.claim_window
    ), "SettlementEscrow: cycle not closed for long"
    stage: uint256 = 0
    row_digest: bytes32 = empty(bytes32)
    stage, row_digest = staticcall SETTLEMENT.pending(cycle, payer, payee)
    assert stage == publication.NO_ROW or stage == publication.DEAD, "SettlementEscrow: a row is pending"
    word: uint256 = self.pair[cycle][payer][payee]
    locked: uint256 = word & MAX_AMOUNT
    assert locked > 0, "SettlementEscrow: nothing locked"
    self.pair[cycle][payer][payee] = word - locked
    self.accounts[payer] += locked
    log ISettlementEscrow.Applied(
        cycle=cycle, payer=payer, payee=payee, paid=0, released=locked, word=word - locked
    )


# --- members (signed, relayed by anyone) ---


@external
def withdraw(withdrawal: Types.Withdrawal, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]):
    """
    @notice Pays free money out to the member's registered payout address. Suspended and removed members too: a key
            that the registry still names can always take out what is its member's.
    @dev Never paused. A withdrawal of 0 spends its sequence number, and with it whatever else was signed under it.
    @param withdrawal Member id, amount (base units), sequence (from 0, without gaps).
    @param signature By the member's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    member: bytes32 = withdrawal.member
    standing: uint256 = staticcall REGISTRY.standing(member)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._withdrawal(withdrawal))
    assert hot_keys._is_signed(
        standing, digest, signature, wallet_signatures
    ), "SettlementEscrow: not signed by member"

    account: uint256 = self.accounts[member]
    amount: uint256 = convert(withdrawal.amount, uint256)
    assert convert(withdrawal.sequence, uint256) == account >> AMOUNT_BITS, "SettlementEscrow: wrong sequence"
    assert amount <= account & MAX_AMOUNT, "SettlementEscrow: more than is free"
    payout: address = staticcall REGISTRY.payout(member)
    assert payout != empty(address), "SettlementEscrow: no payout address"

    self.accounts[member] = account - amount + (1 << AMOUNT_BITS)
    self.held -= amount
    log ISettlementEscrow.Withdrawn(member=member, amount=amount, payout=payout)
    moved: bool = extcall TOKEN.transfer(payout, amount, default_return_value=True)
    assert moved, "SettlementEscrow: payout refused by token"


# --- TradeBook ---


@external
@reentrant
def lock(cycle: uint64, locks: DynArray[Types.Lock, 16]):
    """
    @notice Moves payers' free money into their pairs' locks.
    @dev TradeBook has verified the payers' signatures and that locks are sorted by payer, which here only makes them
         cheaper: a payer's account is written once for all its consecutive locks.
    @param cycle Cycle number.
    @param locks Payer, payee and amount (base units) to add to what the pair has locked already.
    """
    assert msg.sender == TRADE_BOOK, "SettlementEscrow: only TradeBook locks"
    payer: bytes32 = empty(bytes32)
    due: uint256 = 0
    total: uint256 = 0
    for item: Types.Lock in locks:
        if item.payer != payer:
            self._take(payer, due)
            payer = item.payer
            due = 0
        amount: uint256 = convert(item.amount, uint256)
        due += amount
        total += amount
        # What a pair has locked is part of `held`: the sum stays within its 96 bits, or the whole call reverts.
        self.pair[cycle][payer][item.payee] += amount
    self._take(payer, due)
    log ISettlementEscrow.Locked(cycle=cycle, total=total)


# --- Settlement ---


@external
@reentrant
def settle(
    cycle: uint64, payer: bytes32, payee: bytes32, amount: uint256, state: uint256, keep: uint256
) -> (uint256, uint256, uint256):
    """
    @notice Moves what is applied between two members in a cycle to `amount`. Upwards is paid from the lock as far as
            that reaches, the rest is owed; downwards is owed back, paid money is never pulled back. Then all of the
            lock above `keep` returns to the payer.
    @dev Cannot fail for an amount below 2^96. Touches this pair's word and its two members' accounts only.
    @param cycle Cycle number.
    @param payer Member id.
    @param payee Member id.
    @param amount Base units, below 2^96: what shall have been applied in all.
    @param state Bits 192-255 of the pair's word afterwards, shifted down.
    @param keep Base units: how much of the lock stays, at most.
    @return Base units: paid from the lock, newly owed by the payer, newly owed back by the payee.
    """
    assert msg.sender == SETTLEMENT.address, "SettlementEscrow: only Settlement settles"
    assert amount <= MAX_AMOUNT, "SettlementEscrow: amount too large"
    word: uint256 = self.pair[cycle][payer][payee]
    locked: uint256 = word & MAX_AMOUNT
    applied: uint256 = (word >> AMOUNT_BITS) & MAX_AMOUNT

    paid: uint256 = 0
    owed: uint256 = 0
    owed_back: uint256 = 0
    if amount > applied:
        paid = min(amount - applied, locked)
        owed = amount - applied - paid
    else:
        owed_back = applied - amount
    kept: uint256 = min(locked - paid, keep)
    released: uint256 = locked - paid - kept

    word = kept | (amount << AMOUNT_BITS) | (state << STATE_SHIFT)
    self.pair[cycle][payer][payee] = word
    if paid > 0:
        self.accounts[payee] += paid
    if released > 0:
        self.accounts[payer] += released
    log ISettlementEscrow.Applied(cycle=cycle, payer=payer, payee=payee, paid=paid, released=released, word=word)
    return paid, owed, owed_back


# --- ObligationLedger ---


@external
@reentrant
def pay(debtor: bytes32, creditor: bytes32, amount: uint256):
    """
    @notice Moves free money from one member to another.
    @dev ObligationLedger has verified the debtor's signature. Never paused, as withdrawals.
    @param debtor Member id.
    @param creditor Member id.
    @param amount Base units.
    """
    assert msg.sender == OBLIGATIONS, "SettlementEscrow: only ObligationLedger pays"
    account: uint256 = self.accounts[debtor]
    assert amount <= account & MAX_AMOUNT, "SettlementEscrow: payment not covered"
    self.accounts[debtor] = account - amount
    self.accounts[creditor] += amount
    log ISettlementEscrow.Paid(debtor=debtor, creditor=creditor, amount=amount)


# --- internal ---


@internal
def _take(payer: bytes32, amount: uint256):
    """
    @notice Takes what is to be locked out of a payer's free money.
    """
    if amount > 0:
        account: uint256 = self.accounts[payer]
        assert amount <= account & MAX_AMOUNT, "SettlementEscrow: lock not covered"
        self.accounts[payer] = account - amount
