# pragma version 0.4.3
"""
@title Bounds of the market parameters
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
        window               1 h .. 30 d                           bad window
        window_blocks        1 .. 10 000                           bad window blocks
        demand_time          1 h .. window                         bad demand time
        open_demands         1 .. 1 000                            bad open demands
        contests_per_cycle   1 .. 1 000                            bad contests per cycle
        contest_time         1 h .. 60 d                           bad contest time
        attest_wait          0 .. 7 d                              bad attest wait
        publish_time         1 h .. 7 d                            bad publish time
        row_window           1 h .. 30 d                           bad row window
        row_demands          1 .. 32                               bad row demands
        claim_window         1 h .. 30 d                           bad claim window
        close_delay          1 d .. 365 d                          bad close delay
        close_limit          last deadline + 1 d .. 730 d          bad close limit
        due_time             1 h .. 90 d                           bad due time
        fall_due_interval    1 h .. 31 d                           bad fall-due interval
        set_off              1 .. 8                                bad set-off
        notice_silence       1 h .. 30 d                           bad notice silence
        rails                1 to 8, none zero                     bad rails
        arbiter_quorum       1 .. 32                               bad arbiter quorum
"""

from ..interfaces import Types

HOUR: constant(uint64) = 3_600
DAY: constant(uint64) = 86_400
MONEY_DECIMALS: constant(uint64) = 6


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
    assert self._within(config.window, HOUR, 30 * DAY), "MemberRegistry: bad window"
    assert self._within(config.window_blocks, 1, 10_000), "MemberRegistry: bad window blocks"
    assert self._within(config.demand_time, HOUR, config.window), "MemberRegistry: bad demand time"
    assert self._within(config.open_demands, 1, 1_000), "MemberRegistry: bad open demands"
    assert self._within(config.contests_per_cycle, 1, 1_000), "MemberRegistry: bad contests per cycle"
    assert self._within(config.contest_time, HOUR, 60 * DAY), "MemberRegistry: bad contest time"
    assert config.attest_wait <= 7 * DAY, "MemberRegistry: bad attest wait"
    assert self._within(config.publish_time, HOUR, 7 * DAY), "MemberRegistry: bad publish time"
    assert self._within(config.row_window, HOUR, 30 * DAY), "MemberRegistry: bad row window"
    assert self._within(config.row_demands, 1, 32), "MemberRegistry: bad row demands"
    assert self._within(config.claim_window, HOUR, 30 * DAY), "MemberRegistry: bad claim window"
    assert self._within(config.close_delay, DAY, 365 * DAY), "MemberRegistry: bad close delay"
    assert self._within(config.close_limit, last_deadline + DAY, 730 * DAY), "MemberRegistry: bad close limit"
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
