"""Programs: every refusal with its reason, the bounds, exact values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import ProgramError
from settlement.formula.program import Op, Operation, Quantities, check_program, encode, evaluate, operations
from settlement.units import RATE_BOUND, WH_BOUND

QUANTITIES = Quantities(10_000, 8_000, 10_000, 8_000)
SETTLED_TIMES_PRICE = bytes.fromhex("00021022")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "empty program"),
        ("00" + "4100" * 128, "program too long"),
        ("13" + "4100", "bad scale"),
        ("00", "one value must remain"),
        ("00" + "0202", "one value must remain"),
        ("00" + "00", "bad opcode"),
        ("00" + "05", "bad opcode"),
        ("00" + "18", "bad opcode"),
        ("00" + "25", "bad opcode"),
        ("00" + "40", "bad opcode"),
        ("00" + "51" + "01" * 17, "bad opcode"),
        ("00" + "20", "stack underflow"),
        ("00" + "0220", "stack underflow"),
        ("00" + "02" * 17, "stack too deep"),
        ("00" + "02" + "0220" * 32, "too many operations"),
        ("00" + "41", "bad constant"),
        ("00" + "420001", "bad constant"),
        ("00" + "4200", "bad constant"),
        ("00" + "12", "bad rate index"),
        ("00" + "4f01" + "00" * 14, "amount too large"),
        ("00" + "5001" + "00" * 15, "intermediate too large"),
        ("00" + "101022", "intermediate too large"),
    ],
)
def test_refusals(program: str, reason: str) -> None:
    with pytest.raises(ProgramError) as caught:
        check_program(bytes.fromhex(program), 2)
    assert caught.value.message == reason


def test_limits_themselves_are_admitted() -> None:
    check_program(bytes([18]) + bytes.fromhex("021022410021"), 1)
    check_program(bytes([0]) + b"\x02" * 16 + b"\x20" * 15, 0)
    largest = (1 << 120) - 1
    check_program(bytes([18]) + bytes([0x4F]) + largest.to_bytes(15, "big"), 0)
    # an amount just below 2^96, and at it
    bound = (1 << 96) * 1000
    check_program(encode(0, [Operation(Op.CONSTANT, bound - 1)]), 0)
    with pytest.raises(ProgramError, match="amount too large"):
        check_program(encode(0, [Operation(Op.CONSTANT, bound)]), 0)


def test_a_256_byte_program_is_read_whole() -> None:
    program = bytes([0]) + (b"\x50" + b"\x01" * 16) * 15
    assert len(program) == 256
    assert len(list(operations(program))) == 15


def test_intervals_follow_signs() -> None:
    # (settled - contracted) × rate may be negative, its square is refused for its size, its minimum with 0 is not
    check_program(bytes.fromhex("000201211022"), 1)
    with pytest.raises(ProgramError, match="intermediate too large"):
        check_program(bytes.fromhex("00020121102202012122"), 1)
    # -2^120 as a lower bound is refused like 2^120
    low = encode(0, [Operation(Op.CONSTANT, 0), Operation(Op.CONSTANT, (1 << 119)), Operation(Op.SUB)])
    check_program(low, 0)
    with pytest.raises(ProgramError, match="intermediate too large"):
        check_program(low + bytes.fromhex("410222"), 0)


def test_intervals_begin_at_zero() -> None:
    """The bound itself less an input is refused, because every input may be 0."""
    bound = Operation(Op.CONSTANT, (1 << 96) * 1000)
    for step in (Operation(Op.RATE), Operation(Op.SETTLED)):
        with pytest.raises(ProgramError, match="amount too large"):
            check_program(encode(0, [bound, step, Operation(Op.SUB)]), 1)


def test_the_result_is_clamped_then_floored_once() -> None:
    assert evaluate(SETTLED_TIMES_PRICE, QUANTITIES, [6_000_000]) == 48_000_000
    assert evaluate(SETTLED_TIMES_PRICE, Quantities(1, 1, 1, 1), [999]) == 0
    assert evaluate(SETTLED_TIMES_PRICE, Quantities(1, 1, 1, 1), [1_000]) == 1
    negative = bytes.fromhex("000201211022")
    assert evaluate(negative, QUANTITIES, [6_000_000]) == 0


def test_scale_divides_by_powers_of_ten() -> None:
    half = bytes.fromhex("01021022410522")
    assert evaluate(half, QUANTITIES, [6_000_000]) == 24_000_000


@given(
    st.integers(0, WH_BOUND - 1),
    st.integers(0, WH_BOUND - 1),
    st.lists(st.integers(0, RATE_BOUND - 1), min_size=2, max_size=2),
)
def test_what_is_admitted_stays_in_its_bounds(contracted: int, settled: int, rates: list[int]) -> None:
    program = bytes.fromhex("00021022410001022124112220")
    check_program(program, 2)
    amount = evaluate(program, Quantities(contracted, settled, contracted, settled), rates)
    assert amount == (settled * rates[0] + max(0, contracted - settled) * rates[1]) // 1000
    assert amount < 1 << 96


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_evaluate(program: bytes) -> None:
    try:
        check_program(program, 2)
    except ProgramError:
        return
    assert 0 <= evaluate(program, Quantities(WH_BOUND - 1, 0, WH_BOUND - 1, 5), [RATE_BOUND - 1, 0]) < 1 << 96
