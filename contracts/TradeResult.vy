# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title TradeResult: what one trade settles at, computed from proofs
@notice The one computation that claims, strikes and answers share, as views that anyone can call free of charge:
        trade and proofs -> validity, figures of both sides, settled Wh, amounts. It keeps nothing and moves nothing.
@custom:kill Nothing to stop: it has no state and no power. A new version is a new deployment.
"""

from .interfaces import Types
from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import IRevenueFlows
from .interfaces import ITradeBook
from .interfaces import ITradeResult
from .modules import allocation_check
from .modules import merkle
from .modules import preimages
from .modules import roles
from .modules import signatures as signing
from .modules import typed_data

implements: ITradeResult

BUYER: constant(uint8) = 0
SELLER: constant(uint8) = 1
MISSING: constant(uint8) = 2

# Origins of a figure.
LEAF: constant(uint8) = 1
RECORDED: constant(uint8) = 2

# In a template's shape: the optional roles that some flow names.
NAMES_GRID_OPERATOR: constant(uint256) = 1 << 19
NAMES_MARKET_AGENT: constant(uint256) = 1 << 22

# In a side's marks.
HAS_FIGURE: constant(uint256) = 1 << 24

# What keeps a trade by itself from any valid place.
FITS: constant(uint256) = 0
OFF_GRID: constant(uint256) = 1
NO_TEMPLATE: constant(uint256) = 2
OTHER_ROLES: constant(uint256) = 3
OUT_OF_BOUNDS: constant(uint256) = 4

# The bounds within which every registered template evaluates.
WH_BOUND: constant(uint64) = 2**40
RATE_BOUND: constant(uint256) = 2**64

MAX_RUNS: constant(uint256) = 4

REGISTRY: immutable(IMemberRegistry)
FLOWS: immutable(IRevenueFlows)
TRADE_BOOK: immutable(ITradeBook)
ORACLE: immutable(IAllocationOracle)

# Fixed at the registry's deployment, so kept in the code.
DOMAIN_SEPARATOR: immutable(bytes32)
SLOT_LENGTH: immutable(uint64)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)


struct Terms:                   # what the figures of both sides are judged by
    digest: bytes32             # the trade's
    cycle: uint64
    rule: uint64                # allocation rule of the cycle's config
    runs: uint64                # how many runs the cycle has
    contracted_wh: uint64       # after curtailment


@deploy
def __init__(registry: address, flows: address, trade_book: address, oracle: address):
    """
    @notice Binds the collaborators.
    @dev The registry must be deployed already: its domain and calendar never change and are copied.
    @param registry MemberRegistry.
    @param flows RevenueFlows.
    @param trade_book TradeBook.
    @param oracle AllocationOracle.
    """
    REGISTRY = IMemberRegistry(registry)
    FLOWS = IRevenueFlows(flows)
    TRADE_BOOK = ITradeBook(trade_book)
    ORACLE = IAllocationOracle(oracle)
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall REGISTRY.calendar()
    SLOT_LENGTH = slot_length
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def trade_digest(trade: Types.Trade) -> bytes32:
    """
    @notice What the trade's signers sign, and what it is known by on chain.
    @param trade The trade.
    @return The EIP-712 digest.
    """
    return typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))


@view
@external
@reentrant
def check_place(
    place: Types.Place, trade: Types.Trade, signatures: DynArray[Types.Signature, 6]
) -> bytes32:
    """
    @notice The trade's digest, if the place is valid as of its commitment; reverts with the reason if not.
    @dev Everything is judged as of the commitment's block time: what happens to a member later does not change it.
    @param place Number and record of the commitment, index and path of the trade in it.
    @param trade The trade.
    @param signatures Of its signers in role order, each member once; none for a registered trade.
    @return The EIP-712 digest.
    """
    digest: bytes32 = empty(bytes32)
    version: uint256 = 0
    digest, version = self._check_place(place, trade, signatures)
    return digest


@view
@external
@reentrant
def figure(
    trade: Types.Trade, side: uint8, run: uint32, shown: DynArray[Types.ShownLeaf, 4]
) -> Types.Figure:
    """
    @notice The figure of one side in a run; reverts unless what is shown proves it.
    @dev For a run that is not sealed yet it is the figure as things stand.
    @param trade The trade.
    @param side 0 buyer, 1 seller.
    @param run The run.
    @param shown The trade's own leaves, newest run first: those that pass because they are unusable, then the one
           that counts. A recorded figure needs none.
    @return The figure, not known if all runs pass.
    """
    return self._figure(trade, self._found_terms(trade), side, run, shown, False)


@view
@external
@reentrant
def claimed_figure(
    trade: Types.Trade, side: uint8, run: uint32, shown: DynArray[Types.ShownLeaf, 1]
) -> Types.Figure:
    """
    @notice The figure that a claim asserts: the recorded one, else the leaf shown if it counts, else (last run) none.
    @dev Whether there is a newer leaf is not asked: showing one ends the claim.
    @param trade The trade.
    @param side 0 buyer, 1 seller.
    @param run The run.
    @param shown The leaf, if any.
    @return The figure, not known if none is claimed.
    """
    return self._figure(trade, self._found_terms(trade), side, run, shown, True)


@view
@external
@reentrant
def claim_of(
    place: Types.Place,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    run: uint32,
    buyer_shown: DynArray[Types.ShownLeaf, 1],
    seller_shown: DynArray[Types.ShownLeaf, 1],
) -> Types.Claim:
    """
    @notice All that a claim asserts, in one call: the place is valid, both figures as claimed, what the trade settles
            at. Reverts with the reason if it settles at nothing.
    @param place Where the trade was committed, with its proof.
    @param trade The trade.
    @param signatures Of its signers in role order; none for a registered trade.
    @param run The run.
    @param buyer_shown The buyer side's leaf, if any.
    @param seller_shown The seller side's leaf, if any.
    @return The claim, without the time at which it is made.
    """
    digest: bytes32 = empty(bytes32)
    version: uint256 = 0
    digest, version = self._check_place(place, trade, signatures)
    terms: Terms = self._terms(digest, place.commitment.cycle, version, trade.contracted_wh)
    buyer: Types.Figure = empty(Types.Figure)
    seller: Types.Figure = empty(Types.Figure)
    if terms.contracted_wh != 0:
        buyer = self._figure(trade, terms, BUYER, run, buyer_shown, True)
        seller = self._figure(trade, terms, SELLER, run, seller_shown, True)
    result: Types.Result = self._result(trade, terms, run, buyer, seller)
    assert result.settles, "TradeResult: settles at nothing"
    return Types.Claim(
        cycle=place.commitment.cycle,
        run=run,
        trade_digest=digest,
        settled_wh=result.settled_wh,
        buyer_origin=buyer.origin,
        buyer_run=buyer.run,
        seller_origin=seller.origin,
        seller_run=seller.run,
        claimed_at=0,
        flows=result.flows,
    )


@view
@external
@reentrant
def result_of(
    trade: Types.Trade,
    run: uint32,
    buyer_shown: DynArray[Types.ShownLeaf, 4],
    seller_shown: DynArray[Types.ShownLeaf, 4],
) -> Types.Result:
    """
    @notice What the trade settles at in a run, from both figures as `figure` proves them.
    @dev A trade that settles at nothing whatever its figures are (no valid place can hold it, or it is curtailed to 0)
         needs none shown and does not revert.
    @param trade The trade.
    @param run The run.
    @param buyer_shown Leaves of the buyer's side, newest run first.
    @param seller_shown Leaves of the seller's side, newest run first.
    @return Settled Wh, and the amount of each flow in base units.
    """
    if self._misfit(trade, max_value(uint64)) != FITS:
        return empty(Types.Result)
    terms: Terms = self._found_terms(trade)
    buyer: Types.Figure = empty(Types.Figure)
    seller: Types.Figure = empty(Types.Figure)
    if terms.contracted_wh != 0:
        buyer = self._figure(trade, terms, BUYER, run, buyer_shown, False)
        seller = self._figure(trade, terms, SELLER, run, seller_shown, False)
    return self._result(trade, terms, run, buyer, seller)


# --- internals: validity ---


@view
@internal
def _check_place(
    place: Types.Place, trade: Types.Trade, signatures: DynArray[Types.Signature, 6]
) -> (bytes32, uint256):
    """
    @notice Reverts unless the place is valid; gives the trade's digest and the config version of its cycle.
    """
    record: Types.Commitment = place.commitment
    is_kept: bool = staticcall TRADE_BOOK.is_commitment(place.number, record)
    assert is_kept, "TradeResult: other commitment"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert merkle._verify(
        record.root,
        convert(record.count, uint256),
        convert(place.index, uint256),
        preimages._trade_leaf(digest),
        place.path,
    ), "TradeResult: not committed"

    misfit: uint256 = self._misfit(trade, record.committed_at)
    assert misfit != OFF_GRID, "TradeResult: not a slot"
    assert misfit != NO_TEMPLATE, "TradeResult: unknown template"
    assert misfit != OTHER_ROLES, "TradeResult: roles do not fit"
    assert misfit == FITS, "TradeResult: out of bounds"

    assert (trade.slot_start - ANCHOR) // CYCLE_LENGTH == record.cycle, "TradeResult: another cycle"
    assert trade.slot_start >= record.earliest_slot, "TradeResult: slot too early"
    assert record.committed_at <= trade.valid_until, "TradeResult: committed too late"
    a: bytes32 = record.platform_a
    b: bytes32 = record.platform_b
    assert (
        (trade.buyer_platform == a and trade.seller_platform == b)
        or (trade.buyer_platform == b and trade.seller_platform == a)
    ), "TradeResult: other platforms"

    version: uint256 = staticcall ORACLE.config_version(record.cycle)
    self._check_parties(
        [
            trade.buyer_platform,
            trade.seller_platform,
            trade.buyer_utility,
            trade.seller_utility,
            trade.grid_operator,
            trade.market_agent,
        ],
        digest,
        signatures,
        record.sequence != 0,
        record.committed_at,
        version,
    )
    return digest, version


@view
@internal
def _misfit(trade: Types.Trade, at: uint64) -> uint256:
    """
    @notice Why the trade by itself can stand in no valid place that was committed at a time, if so.
    @dev What fits evaluates: within these bounds no template reverts.
    @param at Block time.
    @return FITS or the first reason.
    """
    if (
        trade.slot_start < ANCHOR
        or (trade.slot_start - ANCHOR) % SLOT_LENGTH != 0
        or trade.slot_end < trade.slot_start
        or trade.slot_end - trade.slot_start != SLOT_LENGTH
    ):
        return OFF_GRID
    shape: uint256 = staticcall FLOWS.shape(trade.template)
    if shape == 0 or (shape >> 64) & (2**48 - 1) > convert(at, uint256):
        return NO_TEMPLATE
    if (
        trade.buyer_platform == empty(bytes32)
        or trade.seller_platform == empty(bytes32)
        or trade.buyer_utility == empty(bytes32)
        or trade.seller_utility == empty(bytes32)
        or (trade.grid_operator != empty(bytes32)) != (shape & NAMES_GRID_OPERATOR != 0)
        or (trade.market_agent != empty(bytes32)) != (shape & NAMES_MARKET_AGENT != 0)
    ):
        return OTHER_ROLES
    if trade.contracted_wh == 0 or trade.contracted_wh >= WH_BOUND or len(trade.rates) != shape & 255:
        return OUT_OF_BOUNDS
    for rate: uint256 in trade.rates:
        if rate >= RATE_BOUND:
            return OUT_OF_BOUNDS
    return FITS


@view
@internal
def _check_parties(
    members: bytes32[6],
    digest: bytes32,
    signatures: DynArray[Types.Signature, 6],
    is_signed: bool,
    committed_at: uint64,
    version: uint256,
):
    """
    @notice Reverts unless every role is filled by a member that held it, and every member signed, at the commitment.
    @param members Who fills the roles, in role order; zero for one that is not filled.
    @param is_signed Whether signatures are shown: those of a registered trade were verified when it was taken.
    """
    duties: uint256[6] = [
        roles.PLATFORM, roles.PLATFORM, roles.UTILITY, roles.UTILITY, roles.GRID_OPERATOR, roles.MARKET_AGENT
    ]
    parties: DynArray[Types.Party, 12] = []
    for i: uint256 in range(6):
        if members[i] == empty(bytes32):
            continue
        # A member in several roles signs once, at its first, and must have held them all.
        is_met: bool = False
        for j: uint256 in range(len(parties), bound=6):
            if parties[j].member == members[i]:
                parties[j].roles |= duties[i]
                is_met = True
                break
        if is_met:
            continue
        key: address = empty(address)
        if is_signed:
            assert len(parties) < len(signatures), "TradeResult: signature missing"
            key = signing._recover(digest, signatures[len(parties)])
            assert key != empty(address), "TradeResult: bad signature"
        parties.append(Types.Party(member=members[i], roles=duties[i], key=key))
    assert len(signatures) == (len(parties) if is_signed else 0), "TradeResult: signature too many"

    verdict: uint256 = staticcall REGISTRY.check_parties(parties, committed_at, version)
    assert verdict != 1, "TradeResult: role not held"
    assert verdict == 0, "TradeResult: not signer's key"


# --- internals: figures ---


@view
@internal
def _found_terms(trade: Types.Trade) -> Terms:
    """
    @notice What the figures of a trade are judged by. A cycle in which nothing was committed has no runs.
    """
    assert trade.slot_start >= ANCHOR, "TradeResult: before the calendar"
    cycle: uint64 = (trade.slot_start - ANCHOR) // CYCLE_LENGTH
    version: uint256 = staticcall ORACLE.config_version(cycle)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    return self._terms(digest, cycle, version, trade.contracted_wh)


@view
@internal
def _terms(digest: bytes32, cycle: uint64, version: uint256, trade_wh: uint64) -> Terms:
    """
    @notice The same, given the trade's digest, its cycle, the cycle's config version and what the trade says, Wh.
    """
    rule: uint64 = 0
    runs: uint64 = 0
    rule, runs = staticcall REGISTRY.rule_terms(version)
    contracted_wh: uint64 = staticcall TRADE_BOOK.contracted(digest, trade_wh)
    return Terms(digest=digest, cycle=cycle, rule=rule, runs=runs, contracted_wh=contracted_wh)


@pure
@internal
def _is_last(terms: Terms, run: uint32) -> bool:
    """
    @notice Whether the run is the cycle's last, in which nothing waits any more.
    """
    return convert(run, uint64) + 1 == terms.runs


@view
@internal
def _figure(
    trade: Types.Trade,
    terms: Terms,
    side: uint8,
    run: uint32,
    shown: DynArray[Types.ShownLeaf, 4],
    is_claim: bool,
) -> Types.Figure:
    """
    @notice The recorded figure, else that of the newest posted run whose leaf counts; newer ones must be passed.
    @dev A claim leaves it to others to object: there a run for which nothing is shown passes.
    """
    assert side <= SELLER, "TradeResult: no such side"
    utility: bytes32 = trade.buyer_utility
    meter: bytes32 = trade.buyer_meter
    if side == SELLER:
        utility = trade.seller_utility
        meter = trade.seller_meter
    inputs: IAllocationOracle.SideView = staticcall ORACLE.side_view(
        terms.cycle, run, utility, preimages._group(utility, meter, trade.slot_start, side), terms.digest, side
    )
    assert convert(run, uint64) < terms.runs and convert(run, uint256) < len(inputs.posted), "TradeResult: no such run"

    recorded_run: uint256 = (inputs.marks >> 32) & 255
    if inputs.marks & HAS_FIGURE != 0 and recorded_run <= convert(run, uint256):
        return Types.Figure(
            known=True,
            wh=convert((inputs.marks >> 64) & (2**64 - 1), uint64),
            origin=RECORDED,
            run=convert(recorded_run, uint32),
        )

    used: uint256 = 0
    for back: uint256 in range(convert(run, uint256) + 1, bound=MAX_RUNS):
        leaf_run: uint256 = convert(run, uint256) - back
        posted: bytes32 = inputs.posted[leaf_run]
        if posted == empty(bytes32):
            continue
        # Passed by a mark: void, unanswered or twice there, or contested in every run from there to this one; but in
        # the last run a contest that ended without a figure is as if not made.
        bit: uint256 = 1 << leaf_run
        contests: uint256 = (2 << convert(run, uint256)) - bit
        is_passed: bool = (
            (inputs.void_runs | (inputs.marks >> 8) | (inputs.marks >> 16)) & bit != 0
            or (inputs.marks & contests == contests and not self._is_last(terms, run))
        )
        if used < len(shown) and convert(shown[used].run, uint256) == leaf_run:
            # A leaf that does not count, whatever the reason, lets the run pass.
            is_usable: bool = self._is_usable(trade, terms, side, utility, posted, shown[used])
            used += 1
            if is_usable and not is_passed:
                assert used == len(shown), "TradeResult: leaf not needed"
                return Types.Figure(
                    known=True, wh=shown[used - 1].leaf.allocated_wh, origin=LEAF, run=convert(leaf_run, uint32)
                )
        else:
            assert is_passed or is_claim, "TradeResult: newer leaf unpassed"
    assert used == len(shown), "TradeResult: leaf of another run"
    if is_claim:
        assert used == 0, "TradeResult: leaf does not count"
        assert self._is_last(terms, run), "TradeResult: no figure shown"
    return empty(Types.Figure)


@view
@internal
def _is_usable(
    trade: Types.Trade, terms: Terms, side: uint8, utility: bytes32, posted: bytes32, shown: Types.ShownLeaf
) -> bool:
    """
    @notice Whether a leaf is without fault and not missing. Reverts unless it is the trade's own in the posted tree.
    """
    assert shown.leaf.trade_digest == terms.digest and shown.leaf.side == side, "TradeResult: other trade's leaf"
    assert posted == preimages._tree(shown.root, shown.count), "TradeResult: not the posted tree"
    assert merkle._verify(
        shown.root,
        convert(shown.count, uint256),
        convert(shown.index, uint256),
        preimages._allocation_leaf(shown.leaf),
        shown.path,
    ), "TradeResult: leaf not in tree"
    return (
        shown.leaf.status != MISSING
        and allocation_check._fault_by_rule(shown.leaf, terms.rule) == 0
        and allocation_check._fault_by_trade(shown.leaf, utility, trade, terms.contracted_wh, terms.cycle) == 0
    )


@view
@internal
def _result(
    trade: Types.Trade, terms: Terms, run: uint32, buyer: Types.Figure, seller: Types.Figure
) -> Types.Result:
    """
    @notice The last run's rule, the settled quantity, and the template's flows between the trade's members.
    """
    if terms.contracted_wh == 0 or not (buyer.known or seller.known):
        return empty(Types.Result)
    if not (buyer.known and seller.known) and not self._is_last(terms, run):
        return empty(Types.Result)
    # In the last run a seller without figure delivered nothing, a buyer without figure took what was delivered.
    seller_wh: uint64 = seller.wh if seller.known else 0
    buyer_wh: uint64 = buyer.wh if buyer.known else seller_wh
    settled_wh: uint64 = min(min(buyer_wh, seller_wh), terms.contracted_wh)

    evaluated: DynArray[Types.RoleFlow, 6] = staticcall FLOWS.evaluate(
        trade.template,
        IRevenueFlows.Quantities(
            contracted_wh=convert(terms.contracted_wh, uint256),
            settled_wh=convert(settled_wh, uint256),
            buyer_allocated_wh=convert(buyer_wh, uint256),
            seller_allocated_wh=convert(seller_wh, uint256),
        ),
        trade.rates,
    )
    # By the roles' numbers in a template, which count from 1.
    members: bytes32[7] = [
        empty(bytes32),
        trade.buyer_platform,
        trade.seller_platform,
        trade.grid_operator,
        trade.buyer_utility,
        trade.seller_utility,
        trade.market_agent,
    ]
    flows: DynArray[Types.MemberFlow, 6] = []
    for flow: Types.RoleFlow in evaluated:
        flows.append(Types.MemberFlow(payer=members[flow.payer], payee=members[flow.payee], amount=flow.amount))
    return Types.Result(settles=True, settled_wh=settled_wh, flows=flows)
