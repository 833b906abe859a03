# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title ObligationLedger: what is owed, what has fallen due, how it is paid
@notice What no lock covered is owed. For each two members both directions are kept until somebody lets the net fall
        due: it becomes an obligation with a date, in whole payable units, the rest staying on the account. Obligations
        are paid from the escrow, or by bank: the debtor notifies a payment, the creditor acknowledges or denies it; a
        settlement bank can attest it, and where the creditor denies or keeps silent the arbiters rule.
@dev Records, enforces nothing and holds no money. An obligation is closed by set-off against a newer one the other way,
     by payment from the escrow, or by what arrived under a reference as its creditor, a bank or the arbiters say, and
     by nothing else. A notice is live until all of it arrived, it is denied, or ruled on. An obligation can be set off
     while no live notice names it; its overdue clock stands still while one does that was silent for long enough.
     An account's word has 192 bits for what is owed and settling adds less than 2^96 a time, so it would take more than
     2^96 rows of one pair to overflow it: `record` cannot fail. What falls due at once is below 2^96, larger sums fall
     due in parts.
@custom:kill Nothing here can be stopped, by nobody: what is owed stays on record, can always be paid and acknowledged.
             Without Settlement nothing new is owed.
"""

from .interfaces import IArbiters
from .interfaces import IMemberRegistry
from .interfaces import IObligationLedger
from .interfaces import ISettlementEscrow
from .interfaces import Types

implements: IObligationLedger

from .modules import hot_keys
from .modules import live_notices
from .modules import queues
from .modules import roles
from .modules import typed_data

# Per debtor and creditor the open obligations that no live notice names: what can be set off.
initializes: queues

AMOUNT_BITS: constant(uint256) = 96
MAX_AMOUNT: constant(uint256) = 2**96 - 1
TIME_SHIFT: constant(uint256) = 192     # of the time in an account's, an obligation's and a reference's word
OWED_MASK: constant(uint256) = 2**192 - 1
NUMBER_BITS: constant(uint256) = 64
NUMBER_MASK: constant(uint256) = 2**64 - 1
TIME_MASK: constant(uint256) = 2**40 - 1
DENIED: constant(uint256) = 1 << 232    # in a reference's word
RULED: constant(uint256) = 1 << 233
MAX_ARBITERS: constant(uint256) = 32
MAX_SET_OFF: constant(uint256) = 8      # the upper bound of the parameter (modules/parameters.vy)
# Banks' value dates may lie a day ahead of the chain's clock, not more.
VALUE_DATE_AHEAD: constant(uint256) = 86_400

REGISTRY: immutable(IMemberRegistry)
SETTLEMENT: immutable(address)
ESCROW: immutable(ISettlementEscrow)
ARBITERS: immutable(IArbiters)

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

# Per obligation: bits 0-95 amount, 96-191 closed, 192-255 due time.
obligations: HashMap[uint256, uint256]

# Per obligation: the live notices that name it (modules/live_notices.vy).
live: HashMap[uint256, uint256]

# Per debtor: the sequence of its next payment from the escrow.
payment_sequence: reentrant(public(HashMap[bytes32, uint64]))

# Creditor -> debtor -> reference hash: what was notified under it (bits 0-95), what of that arrived (96-191), when it
# was notified (192-231), whether it was denied (232), ruled on (233).
references: HashMap[bytes32, HashMap[bytes32, HashMap[bytes32, uint256]]]

# Creditor -> debtor -> reference hash: the notice's obligations in its order, four numbers a word, 0 ends the list.
paid_numbers: HashMap[bytes32, HashMap[bytes32, HashMap[bytes32, uint256[4]]]]


@deploy
def __init__(registry: address, settlement: address, escrow: address, arbiters: address):
    """
    @param registry MemberRegistry, deployed before.
    @param settlement Settlement, the only one that records what is owed.
    @param escrow SettlementEscrow, out of which members may pay.
    @param arbiters Arbiters, who rule on notices.
    """
    REGISTRY = IMemberRegistry(registry)
    SETTLEMENT = settlement
    ESCROW = ISettlementEscrow(escrow)
    ARBITERS = IArbiters(arbiters)
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
    @return Debtor, creditor, amount and what of it is closed (base units), due time, whether a live notice names it.
    """
    index: uint256 = convert(number, uint256)
    parties: Parties = self.parties[index]
    word: uint256 = self.obligations[index]
    return IObligationLedger.Obligation(
        debtor=parties.debtor,
        creditor=parties.creditor,
        amount=convert(word & MAX_AMOUNT, uint96),
        closed=convert((word >> AMOUNT_BITS) & MAX_AMOUNT, uint96),
        due_at=convert(word >> TIME_SHIFT, uint64),
        notified=self.live[index] != 0,
    )


@view
@external
@reentrant
def notice(creditor: bytes32, debtor: bytes32, reference_hash: bytes32) -> IObligationLedger.Notice:
    """
    @notice What became of a notice; all zero where there is none.
    @param creditor Member id.
    @param debtor Member id.
    @param reference_hash What the payment carries, hashed.
    @return What was notified and what of it arrived (base units), block time, whether it was denied, ruled on, is live.
    """
    word: uint256 = self.references[creditor][debtor][reference_hash]
    return IObligationLedger.Notice(
        amount=convert(word & MAX_AMOUNT, uint96),
        arrived=convert((word >> AMOUNT_BITS) & MAX_AMOUNT, uint96),
        notified_at=convert((word >> TIME_SHIFT) & TIME_MASK, uint64),
        denied=word & DENIED != 0,
        ruled=word & RULED != 0,
        live=self._is_live(word),
    )


@view
@external
@reentrant
def is_overdue(number: uint64) -> bool:
    """
    @notice Whether an obligation is open past its due time, and no live notice that names it has been silent for the
            notice silence.
    @param number Counts from 1.
    @return False where there is none.
    """
    index: uint256 = convert(number, uint256)
    word: uint256 = self.obligations[index]
    oldest: uint256 = live_notices._oldest(self.live[index])
    return (
        self._open(word) > 0
        and block.timestamp > word >> TIME_SHIFT
        and (oldest == 0 or not self._is_silent(oldest))
    )


# --- anyone ---


@external
@reentrant
def fall_due(member: bytes32, other: bytes32) -> uint64:
    """
    @notice Nets two members' accounts. The net, in whole payable units, is set off against the oldest obligations the
            other way that no live notice names; what is left falls due as a new obligation.
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
    @notice The debtor's word that it paid by bank, and what. From then on these obligations are not set off, and after
            the notice silence they do not count as overdue, until all of it arrived, or it is denied or ruled on.
    @dev A reference serves one notice per creditor and debtor, ever: a wrong notice is followed by one with another
         reference. An obligation is named by six live notices at most.
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

    amount: uint256 = convert(notice.amount, uint256)
    open_sum: uint256 = self._open_sum(notice.debtor, notice.creditor, notice.obligations)
    assert amount <= open_sum, "ObligationLedger: more than is open"
    packed: uint256[4] = empty(uint256[4])
    for i: uint256 in range(len(notice.obligations), bound=16):
        index: uint256 = convert(notice.obligations[i], uint256)
        live: uint256 = self.live[index]
        assert not live_notices._is_full(live), "ObligationLedger: too many notices"
        if live == 0:
            queues._leave(notice.debtor, notice.creditor, index)
        self.live[index] = live_notices._with(live, block.timestamp)
        packed[i // 4] |= index << (i % 4 * NUMBER_BITS)

    self.references[notice.creditor][notice.debtor][notice.reference_hash] = amount | (block.timestamp << TIME_SHIFT)
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
    log IObligationLedger.Acknowledged(
        creditor=creditor, debtor=debtor, reference_hash=reference, acknowledged=acknowledgement.acknowledged
    )
    self._arrive(creditor, debtor, reference, convert(acknowledgement.acknowledged, uint256))


@external
def deny(denial: Types.Denial, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]):
    """
    @notice The creditor's word that nothing, or nothing more, arrived under a reference: its obligations count as overdue
            again, and can be set off again as far as no other live notice names them, after what can be already.
    @dev What arrives later can still be acknowledged, attested or ruled.
    @param denial Creditor, debtor, reference hash of a live notice.
    @param signature By the creditor's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    assert self._is_signed(
        denial.creditor, typed_data._denial(denial), signature, wallet_signatures
    ), "ObligationLedger: not signed by creditor"
    word: uint256 = self.references[denial.creditor][denial.debtor][denial.reference_hash]
    assert self._is_live(word), "ObligationLedger: no live notice"
    self._end(denial.creditor, denial.debtor, denial.reference_hash, word | DENIED)
    log IObligationLedger.Denied(
        creditor=denial.creditor, debtor=denial.debtor, reference_hash=denial.reference_hash
    )


@external
def pay(payment: Types.EscrowPayment, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]):
    """
    @notice Pays obligations out of the debtor's free escrow balance, in their order.
    @dev Never paused. A payment of 0 spends its sequence number, and with it whatever else was signed under it.
    @param payment Debtor, creditor, numbers of open obligations between them, amount (base units, at most what is open
           of them), sequence (from 0, without gaps).
    @param signature By the debtor's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    assert self._is_signed(
        payment.debtor, typed_data._escrow_payment(payment), signature, wallet_signatures
    ), "ObligationLedger: not signed by debtor"
    assert payment.sequence == self.payment_sequence[payment.debtor], "ObligationLedger: wrong sequence"
    open_sum: uint256 = self._open_sum(payment.debtor, payment.creditor, payment.obligations)
    left: uint256 = convert(payment.amount, uint256)
    assert left <= open_sum, "ObligationLedger: more than is open"

    self.payment_sequence[payment.debtor] = payment.sequence + 1
    log IObligationLedger.PaidFromEscrow(
        debtor=payment.debtor,
        creditor=payment.creditor,
        sequence=payment.sequence,
        obligations=payment.obligations,
        amount=payment.amount,
    )
    for number: uint64 in payment.obligations:
        closed: uint256 = self._close(payment.debtor, payment.creditor, convert(number, uint256), left)
        left -= closed
    extcall ESCROW.pay(payment.debtor, payment.creditor, convert(payment.amount, uint256))


# --- settlement banks, arbiters (signed, relayed by anyone) ---


@external
def attest(
    attestation: Types.BankAttestation,
    bank: bytes32,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
):
    """
    @notice A settlement bank's word how much arrived under a reference, in all so far. Closes as an acknowledgement
            does; of both the larger counts, once.
    @param attestation Creditor, debtor, reference hash, base units in all so far (above what is known to have arrived).
    @param bank Member id of a settlement bank in good standing, not the debtor itself.
    @param signature By the bank's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), where the hot key is one; else empty.
    """
    standing: uint256 = staticcall REGISTRY.standing(bank)
    assert (
        bank != attestation.debtor
        and roles._is_known(standing)
        and not roles._is_suspended(standing)
        and roles._roles(standing) & roles.SETTLEMENT_BANK != 0
    ), "ObligationLedger: not a settlement bank"
    assert self._is_signed(
        bank, typed_data._bank_attestation(attestation), signature, wallet_signatures
    ), "ObligationLedger: not signed by bank"
    log IObligationLedger.BankAttested(
        creditor=attestation.creditor,
        debtor=attestation.debtor,
        reference_hash=attestation.reference_hash,
        bank=bank,
        attested=attestation.attested,
    )
    self._arrive(
        attestation.creditor, attestation.debtor, attestation.reference_hash, convert(attestation.attested, uint256)
    )


@external
@reentrant
def rule(ruling: Types.NoticeRuling, mask: uint256, signatures: DynArray[Types.Signature, MAX_ARBITERS]):
    """
    @notice The arbiters' word how much arrived under a reference that was denied, or on which the creditor was silent
            for the notice silence. Ends the notice; a reference is ruled on once.
    @param ruling Creditor, debtor, reference hash, base units in all (at least what is known to have arrived).
    @param mask Bit i: arbiter i signed.
    @param signatures Theirs, lowest bit first.
    """
    creditor: bytes32 = ruling.creditor
    debtor: bytes32 = ruling.debtor
    reference: bytes32 = ruling.reference_hash
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._notice_ruling(ruling))
    is_ruled: bool = staticcall ARBITERS.is_ruled(digest, mask, signatures)
    assert is_ruled, "ObligationLedger: not ruled"
    word: uint256 = self.references[creditor][debtor][reference]
    assert word & RULED == 0, "ObligationLedger: ruled already"
    notified_at: uint256 = (word >> TIME_SHIFT) & TIME_MASK
    assert word & DENIED != 0 or (
        self._is_live(word) and self._is_silent(notified_at)
    ), "ObligationLedger: nothing to rule on"
    before: uint256 = (word >> AMOUNT_BITS) & MAX_AMOUNT
    arrived: uint256 = convert(ruling.arrived, uint256)
    assert arrived >= before, "ObligationLedger: less than arrived"
    log IObligationLedger.NoticeRuled(
        creditor=creditor, debtor=debtor, reference_hash=reference, arrived=ruling.arrived, mask=mask
    )
    if arrived > before:
        self._arrive(creditor, debtor, reference, arrived)
        word = self.references[creditor][debtor][reference]
    if self._is_live(word):
        self._end(creditor, debtor, reference, word | RULED)
    else:
        self.references[creditor][debtor][reference] = word | RULED


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


@pure
@internal
def _is_live(word: uint256) -> bool:
    """
    @notice Whether a notice is neither denied nor ruled on, and not all of it has arrived.
    """
    return word & (DENIED | RULED) == 0 and word & MAX_AMOUNT > (word >> AMOUNT_BITS) & MAX_AMOUNT


@view
@internal
def _is_silent(notified_at: uint256) -> bool:
    """
    @notice Whether a live notice has been there for the notice silence.
    """
    silence: uint64 = staticcall REGISTRY.notice_silence()
    return block.timestamp >= notified_at + convert(silence, uint256)


@view
@internal
def _open_sum(debtor: bytes32, creditor: bytes32, numbers: DynArray[uint64, 16]) -> uint256:
    """
    @notice What is open of obligations; reverts unless all are open, of this pair, and each stands there once.
    """
    open_sum: uint256 = 0
    seen: DynArray[uint64, 16] = []
    for number: uint64 in numbers:
        assert number not in seen, "ObligationLedger: obligation twice"
        index: uint256 = convert(number, uint256)
        parties: Parties = self.parties[index]
        assert parties.debtor == debtor and parties.creditor == creditor, "ObligationLedger: not of this pair"
        open_amount: uint256 = self._open(self.obligations[index])
        assert open_amount > 0, "ObligationLedger: closed already"
        open_sum += open_amount
        seen.append(number)
    return open_sum


@internal
def _arrive(creditor: bytes32, debtor: bytes32, reference: bytes32, arrived: uint256):
    """
    @notice Closes a notice's obligations in its order by what has newly arrived; ends it once all has.
    """
    word: uint256 = self.references[creditor][debtor][reference]
    notified: uint256 = word & MAX_AMOUNT
    before: uint256 = (word >> AMOUNT_BITS) & MAX_AMOUNT
    assert arrived <= notified, "ObligationLedger: more than notified"
    assert arrived > before, "ObligationLedger: nothing new"
    left: uint256 = arrived - before
    for i: uint256 in range(16):
        index: uint256 = self._named(creditor, debtor, reference, i)
        if left == 0 or index == 0:
            break
        closed: uint256 = self._close(debtor, creditor, index, left)
        left -= closed
    assert left == 0, "ObligationLedger: not open any more"
    after: uint256 = word + ((arrived - before) << AMOUNT_BITS)
    if self._is_live(word) and arrived == notified:
        self._end(creditor, debtor, reference, after)
    else:
        self.references[creditor][debtor][reference] = after


@internal
def _end(creditor: bytes32, debtor: bytes32, reference: bytes32, word: uint256):
    """
    @notice A notice is live no more, its word is this. Its open obligations that no other live one names can be set off.
    """
    self.references[creditor][debtor][reference] = word
    for i: uint256 in range(16):
        index: uint256 = self._named(creditor, debtor, reference, i)
        if index == 0:
            break
        live: uint256 = live_notices._without(self.live[index], (word >> TIME_SHIFT) & TIME_MASK)
        self.live[index] = live
        if live == 0 and self._open(self.obligations[index]) > 0:
            queues._join(debtor, creditor, index)


@view
@internal
def _named(creditor: bytes32, debtor: bytes32, reference: bytes32, place: uint256) -> uint256:
    """
    @notice The number of the obligation that a notice names at a place, 0 after the last.
    """
    numbers: uint256 = self.paid_numbers[creditor][debtor][reference][place // 4]
    return (numbers >> (place % 4 * NUMBER_BITS)) & NUMBER_MASK


@internal
def _close(debtor: bytes32, creditor: bytes32, index: uint256, at_most: uint256) -> uint256:
    """
    @notice Closes an obligation as far as an amount and what is open of it reach; returns how much. One that is closed
            and that no live notice names leaves the queue.
    """
    word: uint256 = self.obligations[index]
    open_amount: uint256 = self._open(word)
    closed: uint256 = min(open_amount, at_most)
    if closed > 0:
        self.obligations[index] = word + (closed << AMOUNT_BITS)
        log IObligationLedger.Closed(number=convert(index, uint64), amount=closed, open_amount=open_amount - closed)
        if closed == open_amount and self.live[index] == 0:
            queues._leave(debtor, creditor, index)
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
        closed: uint256 = self._close(debtor, creditor, index, left)
        left -= closed
        log IObligationLedger.SetOff(number=convert(index, uint64), amount=closed)
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
