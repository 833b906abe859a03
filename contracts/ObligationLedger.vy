# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title ObligationLedger: what is owed, what has fallen due, notices and acknowledgements of bank payments
@notice What no lock covered is owed. For each two members both directions are kept until somebody lets the net fall
        due: it becomes an obligation with a date, in whole payable units, the rest staying on the account. Obligations
        are paid by bank: the debtor notifies a payment, the creditor acknowledges it.
@dev Records, enforces nothing and holds no money. An obligation is closed by set-off against a newer one the other way
     or by its creditor's acknowledgement, and by nothing else.
     An account's word has 192 bits for what is owed and settling adds less than 2^96 a time, so it would take more than
     2^96 rows of one pair to overflow it: `record` cannot fail. What falls due at once is below 2^96, larger sums fall
     due in parts.
@custom:kill Nothing here can be stopped, by nobody: what is owed stays on record and can always be acknowledged. Without
             Settlement nothing new is owed.
"""

from .interfaces import IMemberRegistry
from .interfaces import IObligationLedger
from .interfaces import Types

implements: IObligationLedger

from .modules import hot_keys
from .modules import queues
from .modules import roles
from .modules import typed_data

# Per debtor and creditor the open obligations that no notice names: what can be set off.
initializes: queues

AMOUNT_BITS: constant(uint256) = 96
MAX_AMOUNT: constant(uint256) = 2**96 - 1
TIME_SHIFT: constant(uint256) = 192     # of the time in an account's and in an obligation's word
OWED_MASK: constant(uint256) = 2**192 - 1
NUMBER_BITS: constant(uint256) = 64
NUMBER_MASK: constant(uint256) = 2**64 - 1
NOTIFIED: constant(uint256) = 1 << 255  # in an obligation's word
MAX_SET_OFF: constant(uint256) = 8      # the upper bound of the parameter (modules/parameters.vy)
# Banks' value dates may lie a day ahead of the chain's clock, not more.
VALUE_DATE_AHEAD: constant(uint256) = 86_400

REGISTRY: immutable(IMemberRegistry)
SETTLEMENT: immutable(address)

# Fixed at the registry's deployment, so kept in the code.
DOMAIN_SEPARATOR: immutable(bytes32)


struct Parties:
    debtor: bytes32
    creditor: bytes32


# Debtor -> creditor: bits 0-191 owed and not fallen due, 192-255 block time at which the two members' net last fell due
# (the newer one of both directions counts). The time keeps an account that was emptied cheap to use again.
accounts: HashMap[bytes32, HashMap[bytes32, uint256]]

# How many obligations there are; they are numbered from 1.
count: uint256

# Per obligation: who owes whom.
parties: HashMap[uint256, Parties]

# Per obligation: bits 0-95 amount, 96-191 closed, 192-254 due time, 255 notified.
obligations: HashMap[uint256, uint256]

# Creditor -> debtor -> reference hash: what was notified under it (bits 0-95) and acknowledged of that (96-191).
references: HashMap[bytes32, HashMap[bytes32, HashMap[bytes32, uint256]]]

# Creditor -> debtor -> reference hash: the notice's obligations in its order, four numbers a word, 0 ends the list.
paid_numbers: HashMap[bytes32, HashMap[bytes32, HashMap[bytes32, uint256[4]]]]


@deploy
def __init__(registry: address, settlement: address):
    """
    @param registry MemberRegistry, deployed before.
    @param settlement Settlement, the only one that records what is owed.
    """
    REGISTRY = IMemberRegistry(registry)
    SETTLEMENT = settlement
    DOMAIN_SEPARATOR = staticcall IMemberRegistry(registry).domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def owed(debtor: bytes32, creditor: bytes32) -> uint256:
    """
    @notice What one member owes another that has not fallen due; the other direction is not netted off.
    @param debtor Member id.
    @param creditor Member id.
    @return Base units.
    """
    return self.accounts[debtor][creditor] & OWED_MASK


@view
@external
@reentrant
def obligation_count() -> uint64:
    """
    @notice How many obligations there are.
    @return The newest one's number.
    """
    return convert(self.count, uint64)


@view
@external
@reentrant
def obligation(number: uint64) -> IObligationLedger.Obligation:
    """
    @notice An obligation; all zero where there is none.
    @param number Counts from 1.
    @return Debtor, creditor, amount and what of it is closed (base units), due time, whether a notice names it.
    """
    index: uint256 = convert(number, uint256)
    parties: Parties = self.parties[index]
    word: uint256 = self.obligations[index]
    return IObligationLedger.Obligation(
        debtor=parties.debtor,
        creditor=parties.creditor,
        amount=convert(word & MAX_AMOUNT, uint96),
        closed=convert((word >> AMOUNT_BITS) & MAX_AMOUNT, uint96),
        due_at=convert((word & ~NOTIFIED) >> TIME_SHIFT, uint64),
        notified=word & NOTIFIED != 0,
    )


@view
@external
@reentrant
def is_overdue(number: uint64) -> bool:
    """
    @notice Whether an obligation is open past its due time and no notice names it.
    @param number Counts from 1.
    @return False where there is none.
    """
    word: uint256 = self.obligations[convert(number, uint256)]
    # A notified one has the highest bit set and compares as never due.
    return self._open(word) > 0 and block.timestamp > word >> TIME_SHIFT


# --- anyone ---


@external
@reentrant
def fall_due(member: bytes32, other: bytes32) -> uint64:
    """
    @notice Nets two members' accounts. The net, in whole payable units, is set off against the oldest obligations the
            other way that no notice names; what is left falls due as a new obligation.
    @dev The hot key of either member may call at any time, others once the fall-due interval has passed since the last
         time. The part below a payable unit stays on the account.
    @param member Member id, either of the two.
    @param other Member id.
    @return The obligation's number, 0 if set-off took all.
    """
    debtor: bytes32 = member
    creditor: bytes32 = other
    if self.accounts[member][other] & OWED_MASK < self.accounts[other][member] & OWED_MASK:
        debtor = other
        creditor = member
    forth: uint256 = self.accounts[debtor][creditor]
    back: uint256 = self.accounts[creditor][debtor]
    last: uint256 = max(forth >> TIME_SHIFT, back >> TIME_SHIFT)
    net: uint256 = (forth & OWED_MASK) - (back & OWED_MASK)

    unit: uint64 = 0
    due_time: uint64 = 0
    interval: uint64 = 0
    set_off: uint64 = 0
    unit, due_time, interval, set_off = staticcall REGISTRY.debt_terms()
    if block.timestamp < last + convert(interval, uint256):
        first: uint256 = staticcall REGISTRY.standing(member)
        second: uint256 = staticcall REGISTRY.standing(other)
        assert (
            msg.sender == roles._key(first) or msg.sender == roles._key(second)
        ), "ObligationLedger: fell due lately"
    falling: uint256 = min(net, MAX_AMOUNT)
    falling -= falling % convert(unit, uint256)
    assert falling > 0, "ObligationLedger: less than a unit"

    now: uint256 = block.timestamp << TIME_SHIFT
    self.accounts[debtor][creditor] = (net - falling) | now
    if back & OWED_MASK > 0:
        self.accounts[creditor][debtor] = now

    left: uint256 = self._set_off(creditor, debtor, falling, convert(set_off, uint256))
    if left == 0:
        return 0
    return self._create(debtor, creditor, left, block.timestamp + convert(due_time, uint256))


# --- members (signed, relayed by anyone) ---


@external
def notify(notice: Types.PaymentNotice, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]):
    """
    @notice The debtor's word that it paid by bank, and what. From then on these obligations are not set off and do not
            count as overdue; they close when the creditor acknowledges.
    @dev A reference serves one notice per creditor and debtor, ever: a wrong notice is followed by one with another reference.
    @param notice Debtor, creditor, numbers of open obligations between them in the order in which they are to be
           closed, amount (base units, at most what is open of them), rail, value date (at most a day ahead),
           reference hash.
    @param signature By the debtor's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    assert self._is_signed(
        notice.debtor, typed_data._payment_notice(notice), signature, wallet_signatures
    ), "ObligationLedger: not signed by debtor"
    assert notice.amount > 0, "ObligationLedger: nothing paid"
    assert notice.reference_hash != empty(bytes32), "ObligationLedger: no reference"
    assert self.references[notice.creditor][notice.debtor][notice.reference_hash] == 0, "ObligationLedger: reference used"
    allowed: bool = staticcall REGISTRY.is_rail(notice.rail)
    assert allowed, "ObligationLedger: rail not allowed"
    ahead: uint256 = block.timestamp + VALUE_DATE_AHEAD
    assert convert(notice.value_date, uint256) <= ahead, "ObligationLedger: value date ahead"

    open_sum: uint256 = 0
    packed: uint256[4] = empty(uint256[4])
    seen: DynArray[uint64, 16] = []
    for number: uint64 in notice.obligations:
        assert number not in seen, "ObligationLedger: obligation twice"
        index: uint256 = convert(number, uint256)
        parties: Parties = self.parties[index]
        assert (
            parties.debtor == notice.debtor and parties.creditor == notice.creditor
        ), "ObligationLedger: not of this pair"
        word: uint256 = self.obligations[index]
        open_amount: uint256 = self._open(word)
        assert open_amount > 0, "ObligationLedger: closed already"
        open_sum += open_amount
        if word & NOTIFIED == 0:
            self.obligations[index] = word | NOTIFIED
            queues._leave(notice.debtor, notice.creditor, index)
        place: uint256 = len(seen)
        packed[place // 4] |= index << (place % 4 * NUMBER_BITS)
        seen.append(number)
    amount: uint256 = convert(notice.amount, uint256)
    assert amount <= open_sum, "ObligationLedger: more than is open"

    self.references[notice.creditor][notice.debtor][notice.reference_hash] = amount
    for i: uint256 in range(4):
        if packed[i] == 0:
            break
        self.paid_numbers[notice.creditor][notice.debtor][notice.reference_hash][i] = packed[i]
    log IObligationLedger.Notified(
        debtor=notice.debtor,
        creditor=notice.creditor,
        reference_hash=notice.reference_hash,
        obligations=notice.obligations,
        amount=notice.amount,
        rail=notice.rail,
        value_date=notice.value_date,
    )


@external
def acknowledge(
    acknowledgement: Types.Acknowledgement, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]
):
    """
    @notice The creditor's word how much arrived under a reference, in all so far. What is new closes the notice's
            obligations in its order.
    @dev Refused where it exceeds what was notified, or what is still open of these obligations (another reference may
         have paid them): money that came twice is returned between the two, not booked here.
    @param acknowledgement Creditor, debtor, reference hash, base units acknowledged in all so far (above the last).
    @param signature By the creditor's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    creditor: bytes32 = acknowledgement.creditor
    debtor: bytes32 = acknowledgement.debtor
    reference: bytes32 = acknowledgement.reference_hash
    assert self._is_signed(
        creditor, typed_data._acknowledgement(acknowledgement), signature, wallet_signatures
    ), "ObligationLedger: not signed by creditor"
    word: uint256 = self.references[creditor][debtor][reference]
    notified: uint256 = word & MAX_AMOUNT
    before: uint256 = word >> AMOUNT_BITS
    acknowledged: uint256 = convert(acknowledgement.acknowledged, uint256)
    assert acknowledged <= notified, "ObligationLedger: more than notified"
    assert acknowledged > before, "ObligationLedger: nothing new"

    self.references[creditor][debtor][reference] = notified | (acknowledged << AMOUNT_BITS)
    log IObligationLedger.Acknowledged(
        creditor=creditor, debtor=debtor, reference_hash=reference, acknowledged=acknowledgement.acknowledged
    )
    left: uint256 = acknowledged - before
    for i: uint256 in range(16):
        numbers: uint256 = self.paid_numbers[creditor][debtor][reference][i // 4]
        index: uint256 = (numbers >> (i % 4 * NUMBER_BITS)) & NUMBER_MASK
        if left == 0 or index == 0:
            break
        left -= self._close(index, left)
    assert left == 0, "ObligationLedger: not open any more"


# --- Settlement ---


@external
@reentrant
def record(payer: bytes32, payee: bytes32, owed: uint256, owed_back: uint256):
    """
    @notice Adds what applying a row or claim left owed.
    @dev Cannot fail: amounts are below 2^96 and the account has room for 2^96 of them.
    @param payer Member id.
    @param payee Member id.
    @param owed Base units newly owed by the payer.
    @param owed_back Base units newly owed by the payee.
    """
    assert msg.sender == SETTLEMENT, "ObligationLedger: only Settlement records"
    if owed > 0:
        self.accounts[payer][payee] += owed
        log IObligationLedger.AccountChanged(debtor=payer, creditor=payee, owed=owed)
    if owed_back > 0:
        self.accounts[payee][payer] += owed_back
        log IObligationLedger.AccountChanged(debtor=payee, creditor=payer, owed=owed_back)


# --- internal ---


@pure
@internal
def _open(word: uint256) -> uint256:
    """
    @notice What is open of an obligation.
    """
    return (word & MAX_AMOUNT) - ((word >> AMOUNT_BITS) & MAX_AMOUNT)


@internal
def _close(index: uint256, at_most: uint256) -> uint256:
    """
    @notice Closes an obligation as far as an amount and what is open of it reach; returns how much.
    """
    word: uint256 = self.obligations[index]
    open_amount: uint256 = self._open(word)
    closed: uint256 = min(open_amount, at_most)
    if closed > 0:
        self.obligations[index] = word + (closed << AMOUNT_BITS)
        log IObligationLedger.Closed(number=convert(index, uint64), amount=closed, open_amount=open_amount - closed)
    return closed


@internal
def _set_off(debtor: bytes32, creditor: bytes32, amount: uint256, at_most: uint256) -> uint256:
    """
    @notice Closes the oldest queued obligations of `debtor` to `creditor` with an amount that has come the other way;
            returns what is left of it.
    """
    left: uint256 = amount
    for _: uint256 in range(at_most, bound=MAX_SET_OFF):
        index: uint256 = queues._oldest(debtor, creditor)
        if left == 0 or index == 0:
            break
        closed: uint256 = self._close(index, left)
        left -= closed
        log IObligationLedger.SetOff(number=convert(index, uint64), amount=closed)
        if self._open(self.obligations[index]) == 0:
            queues._leave(debtor, creditor, index)
    return left


@internal
def _create(debtor: bytes32, creditor: bytes32, amount: uint256, due_at: uint256) -> uint64:
    """
    @notice A new obligation, last in its queue.
    """
    index: uint256 = self.count + 1
    self.count = index
    self.parties[index] = Parties(debtor=debtor, creditor=creditor)
    self.obligations[index] = amount | (due_at << TIME_SHIFT)
    queues._join(debtor, creditor, index)
    log IObligationLedger.FellDue(
        number=convert(index, uint64),
        debtor=debtor,
        creditor=creditor,
        amount=amount,
        due_at=convert(due_at, uint64),
    )
    return convert(index, uint64)


@view
@internal
def _is_signed(
    member: bytes32, struct_hash: bytes32, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]
) -> bool:
    """
    @notice Whether the member's hot key, as it is now, signed.
    """
    standing: uint256 = staticcall REGISTRY.standing(member)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, struct_hash)
    return hot_keys._is_signed(standing, digest, signature, wallet_signatures)
