# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title DepositToken: a permissioned tokenised deposit (ERC-20) that a settlement bank mints against bank money
@notice One token is one base unit of money at the bank. Tokens go only to holders that the council listed: members'
        payout addresses and the market's escrow.
@dev Only receiving is limited: who was taken off the list can still send what it holds to a listed holder, or (the
     bank) burn it, so that delisting never strands money.
@custom:kill Suspending the bank stops minting; taking a holder off the list stops what it would receive.
"""

from .interfaces import IDepositToken
from .interfaces import IMemberRegistry

implements: IDepositToken

from .modules import roles

REGISTRY: immutable(IMemberRegistry)
BANK: immutable(bytes32)

name: reentrant(public(immutable(String[64])))
symbol: reentrant(public(immutable(String[16])))
decimals: reentrant(public(immutable(uint8)))

# Tokens in being, and whose they are.
totalSupply: reentrant(public(uint256))
balanceOf: reentrant(public(HashMap[address, uint256]))
# What a spender may still take from an owner.
allowance: reentrant(public(HashMap[address, HashMap[address, uint256]]))
# Who may receive tokens.
is_holder: reentrant(public(HashMap[address, bool]))


@deploy
def __init__(registry: address, bank: bytes32, name_: String[64], symbol_: String[16], decimals_: uint8):
    """
    @notice Binds the token to its market and bank.
    @param registry The market's MemberRegistry.
    @param bank Member id of the settlement bank that answers for the tokens.
    @param name_ For people.
    @param symbol_ For people.
    @param decimals_ Digits of a token after the point, the market's money decimals.
    """
    REGISTRY = IMemberRegistry(registry)
    BANK = bank
    name = name_
    symbol = symbol_
    decimals = decimals_


# --- holders ---


@external
@reentrant
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Sends tokens.
    @param receiver A listed holder.
    @param amount Base units, at most the sender's balance.
    @return True.
    """
    self._transfer(msg.sender, receiver, amount)
    return True


@external
@reentrant
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Sends another's tokens, within its allowance.
    @dev An allowance of 2^256 - 1 is not used up.
    @param sender Whose tokens.
    @param receiver A listed holder.
    @param amount Base units.
    @return True.
    """
    allowed: uint256 = self.allowance[sender][msg.sender]
    assert amount <= allowed, "DepositToken: allowance too low"
    if allowed != max_value(uint256):
        self.allowance[sender][msg.sender] = allowed - amount
    self._transfer(sender, receiver, amount)
    return True


@external
@reentrant
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Lets a spender take tokens from the sender.
    @dev Replaces the former allowance: set it to 0 between two that are not 0, or the spender may use both.
    @param spender Who may.
    @param amount Base units in all.
    @return True.
    """
    self.allowance[msg.sender][spender] = amount
    log IDepositToken.Approval(owner=msg.sender, spender=spender, amount=amount)
    return True


# --- settlement bank (its hot key) ---


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Brings tokens into being, against money that the bank received.
    @dev The bank's registry entry must be in good standing.
    @param receiver A listed holder.
    @param amount Base units.
    """
    standing: uint256 = staticcall REGISTRY.standing(BANK)
    assert msg.sender == roles._key(standing), "DepositToken: only the bank mints"
    assert (
        roles._is_known(standing)
        and not roles._is_suspended(standing)
        and roles._roles(standing) & roles.SETTLEMENT_BANK != 0
    ), "DepositToken: bank not in good standing"
    assert self.is_holder[receiver], "DepositToken: not a holder"
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log IDepositToken.Transfer(sender=empty(address), receiver=receiver, amount=amount)


@external
def burn(amount: uint256):
    """
    @notice Takes the bank's own tokens out of being, as it pays money out.
    @dev Whoever wants money sends its tokens to the bank first: the bank can burn nobody else's. A suspended bank still
         burns, as it still pays out.
    @param amount Base units, at most what the bank's hot key holds.
    """
    assert msg.sender == roles._key(staticcall REGISTRY.standing(BANK)), "DepositToken: only the bank burns"
    assert amount <= self.balanceOf[msg.sender], "DepositToken: burns more than it holds"
    self.balanceOf[msg.sender] -= amount
    self.totalSupply -= amount
    log IDepositToken.Transfer(sender=msg.sender, receiver=empty(address), amount=amount)


# --- council ---


@external
def set_holder(holder: address, allowed: bool):
    """
    @notice Lists who may receive tokens, or takes it off the list.
    @param holder Not the zero address.
    @param allowed Whether it may from now on.
    """
    assert msg.sender == staticcall REGISTRY.council(), "DepositToken: not the council"
    assert holder != empty(address), "DepositToken: bad holder"
    self.is_holder[holder] = allowed
    log IDepositToken.HolderSet(holder=holder, allowed=allowed)


# --- internals ---


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    assert self.is_holder[receiver], "DepositToken: receiver not a holder"
    assert amount <= self.balanceOf[sender], "DepositToken: balance too low"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log IDepositToken.Transfer(sender=sender, receiver=receiver, amount=amount)
