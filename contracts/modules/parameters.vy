# pragma version 0.4.3
"""
@title The market's parameters: every version, and the bounds they keep
@notice Governance moves each parameter within the bounds below and never beyond. Lower bounds keep windows long enough
        for somebody to act in them; upper bounds keep money from being held up for ever.

        parameter            least .. most                         reason if refused
        currency             not zero                              bad currency
        money_decimals       6                                     bad money decimals
        payable_unit         1 .. 10^9 base units                  bad payable unit
        slot_length          60 s .. 1 d                           bad slot length
        cycle_length         whole slots, 1 slot .. 31 d           bad cycle length
        anchor               below 2^48 s                          bad anchor
        allocation_rule      0 pro rata, 1 FIFO                    bad allocation rule
        gate                 0 .. commit_ahead                     bad gate
        commit_ahead         0 .. 31 d                             bad commit-ahead
        key_grace            0 .. 30 d                             bad key grace
        run_deadlines        1 to 4, rising, 1 h .. 365 d          bad run deadlines
        least_intake         1 h .. 14 d                           bad least intake
        window               2 h .. 30 d                           bad window
        window_blocks        1 .. 10 000                           bad window blocks
        demand_time          1 h .. half the window                bad demand time
        open_demands         1 .. 1 000                            bad open demands
        contests_per_cycle   1 .. 1 000                            bad contests per cycle
        contest_time         1 h .. 60 d                           bad contest time
        attest_wait          0 .. 7 d                              bad attest wait
        publish_time         1 h .. 7 d                            bad publish time
        row_window           1 h .. 30 d                           bad row window
        row_demands          1 .. 32                               bad row demands
        claim_window         1 h .. 30 d                           bad claim window
        close_delay          1 d .. 365 d                          bad close delay
        close_limit          latest seal + 1 d .. 730 d            bad close limit
        due_time             1 h .. 90 d                           bad due time
        fall_due_interval    1 h .. 31 d                           bad fall-due interval
        set_off              1 .. 8                                bad set-off
        notice_silence       1 h .. 30 d                           bad notice silence
        rails                1 to 8, none zero                     bad rails
        arbiter_quorum       1 .. 32                               bad arbiter quorum

        The latest seal: last deadline, window, demand time and contest time together.
"""

from ..interfaces import IMemberRegistry
from ..interfaces import Types
from . import governance
from . import run_terms as terms_word

uses: governance

HOUR: constant(uint64) = 3_600
DAY: constant(uint64) = 86_400
MONEY_DECIMALS: constant(uint64) = 6

CURRENCY: immutable(bytes32)
SLOT_LENGTH: immutable(uint64)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)

# Parameters by version, from 1.
config_version: public(uint256)
configs: HashMap[uint256, Types.Config]
config_digest: public(HashMap[uint256, bytes32])
# What settling asks for, again in one word a version, of parts of 32 bits, the lowest first: publish time, row window,
# claim window, allocation rule, number of runs.
settling_words: HashMap[uint256, uint256]
# What times runs and limits disputes, in one word a version (modules/run_terms.vy).
run_terms: public(HashMap[uint256, uint256])


@deploy
def __init__(config: Types.Config):
    """
    @notice Sets the first version, and with it currency and calendar for good.
    """
    CURRENCY = config.currency
    SLOT_LENGTH = config.slot_length
    CYCLE_LENGTH = config.cycle_length
    ANCHOR = config.anchor
    self._add(config)


# --- anyone (views) ---


@view
@external
def config(version: uint256) -> Types.Config:
    """
    @notice The parameters of a version.
    @param version From 1; all zero for an unknown one.
    @return The parameters; times in seconds.
    """
    return self.configs[version]


@view
@external
def calendar() -> (uint64, uint64, uint64):
    """
    @notice The grid of slots and cycles, which never changes.
    @return Slot length and cycle length in seconds, anchor in epoch seconds.
    """
    return SLOT_LENGTH, CYCLE_LENGTH, ANCHOR


@view
@external
def gate_terms(version: uint256) -> (uint64, uint64):
    """
    @notice When commitments are taken.
    @param version Config version.
    @return Gate before the earliest slot, and how long before its cycle, in seconds.
    """
    return self.configs[version].gate, self.configs[version].commit_ahead


@view
@external
def arbiter_quorum() -> uint64:
    """
    @notice How many arbiters make a ruling, by the newest parameters.
    @return Their number.
    """
    return self.configs[self.config_version].arbiter_quorum


@view
@external
def rule_terms(version: uint256) -> (uint64, uint64):
    """
    @notice How meters are allocated, and how often.
    @param version Config version.
    @return Rule (0 pro rata, 1 FIFO), number of runs.
    """
    terms: uint256 = self.settling_words[version]
    return self._part(terms, 96), self._part(terms, 128)


@view
@external
def row_terms(version: uint256) -> (uint64, uint64, uint64):
    """
    @notice What times attested rows and claims.
    @param version Config version.
    @return Publish time, row window, claim window, in seconds.
    """
    terms: uint256 = self.settling_words[version]
    return self._part(terms, 0), self._part(terms, 32), self._part(terms, 64)


@view
@external
def row_demands(version: uint256) -> uint64:
    """
    @notice How many leaves of an attested row a member may have demanded at a time.
    @param version Config version.
    @return Their number.
    """
    return self.configs[version].row_demands


@view
@external
def close_terms(version: uint256) -> (uint64, uint64):
    """
    @notice When a cycle closes.
    @param version Config version.
    @return How long after its last run's seal, and how long after its end at the latest, in seconds.
    """
    return self.configs[version].close_delay, self.configs[version].close_limit


@view
@external
def notice_silence() -> uint64:
    """
    @notice How long a creditor may leave a payment notice unanswered, by the newest parameters.
    @return Seconds.
    """
    return self.configs[self.config_version].notice_silence


@view
@external
def debt_terms() -> (uint64, uint64, uint64, uint64):
    """
    @notice How debts fall due, by the newest parameters.
    @return Payable unit (base units), due time, fall-due interval (seconds), how many obligations are set off.
    """
    version: uint256 = self.config_version
    return (
        self.configs[version].payable_unit,
        self.configs[version].due_time,
        self.configs[version].fall_due_interval,
        self.configs[version].set_off,
    )


@view
@external
def is_rail(rail: bytes32) -> bool:
    """
    @notice Whether bank payments may use a rail, by the newest parameters.
    @param rail ASCII code, padded right with zeros.
    @return Whether it is listed.
    """
    return rail in self.configs[self.config_version].rails


# --- council ---


@external
def set_config(config: Types.Config):
    """
    @notice Adds a version of the parameters; cycles that have a commitment keep theirs.
    @param config All parameters, within the bounds above; currency and calendar as ever.
    """
    governance._only_council()
    assert (
        config.currency == CURRENCY
        and config.slot_length == SLOT_LENGTH
        and config.cycle_length == CYCLE_LENGTH
        and config.anchor == ANCHOR
    ), "MemberRegistry: fixed at deployment"
    self._add(config)


# --- internals ---


@internal
def _add(config: Types.Config):
    self._check(config)
    version: uint256 = self.config_version + 1
    digest: bytes32 = keccak256(abi_encode(config, ensure_tuple=False))
    self.config_version = version
    self.configs[version] = config
    self.config_digest[version] = digest
    self.settling_words[version] = (
        convert(config.publish_time, uint256)
        | (convert(config.row_window, uint256) << 32)
        | (convert(config.claim_window, uint256) << 64)
        | (convert(config.allocation_rule, uint256) << 96)
        | (len(config.run_deadlines) << 128)
    )
    self.run_terms[version] = terms_word._with_deadlines(
        (convert(config.least_intake, uint256) << terms_word.LEAST_INTAKE)
        | (convert(config.window, uint256) << terms_word.WINDOW)
        | (convert(config.demand_time, uint256) << terms_word.DEMAND_TIME)
        | (convert(config.contest_time, uint256) << terms_word.CONTEST_TIME)
        | (convert(config.window_blocks, uint256) << terms_word.WINDOW_BLOCKS)
        | (convert(config.open_demands, uint256) << terms_word.OPEN_DEMANDS)
        | (convert(config.contests_per_cycle, uint256) << terms_word.CONTESTS),
        config.run_deadlines,
    )
    log IMemberRegistry.ConfigSet(version=version, digest=digest, config=config)


@pure
@internal
def _part(word: uint256, place: uint256) -> uint64:
    """
    @notice One parameter of a word; by their bounds each has at most 32 bits.
    """
    return convert((word >> place) & (2**32 - 1), uint64)


@pure
@internal
def _check(config: Types.Config):
    """
    @notice Reverts with the reason of the first parameter that is out of bounds.
    """
    assert config.currency != empty(bytes32), "MemberRegistry: bad currency"
    assert config.money_decimals == MONEY_DECIMALS, "MemberRegistry: bad money decimals"
    assert self._within(config.payable_unit, 1, 10**9), "MemberRegistry: bad payable unit"
    assert self._within(config.slot_length, 60, DAY), "MemberRegistry: bad slot length"
    assert self._within(config.cycle_length, config.slot_length, 31 * DAY) and (
        config.cycle_length % config.slot_length == 0
    ), "MemberRegistry: bad cycle length"
    assert config.anchor < 2**48, "MemberRegistry: bad anchor"
    assert config.allocation_rule <= 1, "MemberRegistry: bad allocation rule"
    assert config.commit_ahead <= 31 * DAY, "MemberRegistry: bad commit-ahead"
    assert config.gate <= config.commit_ahead, "MemberRegistry: bad gate"
    assert config.key_grace <= 30 * DAY, "MemberRegistry: bad key grace"
    last_deadline: uint64 = self._last_deadline(config.run_deadlines)
    assert self._within(config.least_intake, HOUR, 14 * DAY), "MemberRegistry: bad least intake"
    assert self._within(config.window, 2 * HOUR, 30 * DAY), "MemberRegistry: bad window"
    assert self._within(config.window_blocks, 1, 10_000), "MemberRegistry: bad window blocks"
    # What is shown in the last second in which it could be demanded can still be disputed for half a window.
    assert self._within(config.demand_time, HOUR, config.window // 2), "MemberRegistry: bad demand time"
    assert self._within(config.open_demands, 1, 1_000), "MemberRegistry: bad open demands"
    assert self._within(config.contests_per_cycle, 1, 1_000), "MemberRegistry: bad contests per cycle"
    assert self._within(config.contest_time, HOUR, 60 * DAY), "MemberRegistry: bad contest time"
    assert config.attest_wait <= 7 * DAY, "MemberRegistry: bad attest wait"
    assert self._within(config.publish_time, HOUR, 7 * DAY), "MemberRegistry: bad publish time"
    assert self._within(config.row_window, HOUR, 30 * DAY), "MemberRegistry: bad row window"
    assert self._within(config.row_demands, 1, 32), "MemberRegistry: bad row demands"
    assert self._within(config.claim_window, HOUR, 30 * DAY), "MemberRegistry: bad claim window"
    assert self._within(config.close_delay, DAY, 365 * DAY), "MemberRegistry: bad close delay"
    # Not before the last run, with all that may hold it up, can have been sealed.
    last_seal: uint64 = last_deadline + config.window + config.demand_time + config.contest_time
    assert self._within(config.close_limit, last_seal + DAY, 730 * DAY), "MemberRegistry: bad close limit"
    assert self._within(config.due_time, HOUR, 90 * DAY), "MemberRegistry: bad due time"
    assert self._within(config.fall_due_interval, HOUR, 31 * DAY), "MemberRegistry: bad fall-due interval"
    assert self._within(config.set_off, 1, 8), "MemberRegistry: bad set-off"
    assert self._within(config.notice_silence, HOUR, 30 * DAY), "MemberRegistry: bad notice silence"
    assert len(config.rails) > 0 and empty(bytes32) not in config.rails, "MemberRegistry: bad rails"
    assert self._within(config.arbiter_quorum, 1, 32), "MemberRegistry: bad arbiter quorum"


@pure
@internal
def _within(given: uint64, least: uint64, most: uint64) -> bool:
    """
    @notice Whether a parameter lies in its bounds, both included.
    """
    return given >= least and given <= most


@pure
@internal
def _last_deadline(deadlines: DynArray[uint64, 4]) -> uint64:
    """
    @notice The last run's deadline, in seconds from the cycle's end; reverts unless the deadlines rise in bounds.
    """
    last: uint64 = HOUR - 1
    for deadline: uint64 in deadlines:
        assert deadline > last, "MemberRegistry: bad run deadlines"
        last = deadline
    assert len(deadlines) > 0 and last <= 365 * DAY, "MemberRegistry: bad run deadlines"
    return last
