"""Formula texts at random: typed, so that most of them compile, with decimals anywhere and every name of a binding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Texts = st.SearchStrategy[str]

SIGNS = st.sampled_from([" + ", " - ", " − "])
TIMES = st.sampled_from([" × ", " * ", "×", "*"])
# Trailing zeros, powers of ten and zero itself are what scales could be mistaken by.
NUMBERS = st.one_of(
    st.sampled_from(["0", "0.0", "1", "10", "100", "1000", "0.1", "0.01", "1.0", "2.50", "0.025", "10.0", "1000000"]),
    st.decimals(0, 1000, places=3).map(str),
)


def _call(name: str, *arguments: str) -> str:
    return f"{name}({', '.join(arguments)})"


def _joined(left: str, sign: str, right: str) -> str:
    return f"({left}{sign}{right})"


def numbers(depth: int) -> Texts:
    """Numbers without a unit."""
    return _grown(NUMBERS, depth, NUMBERS, numbers)


def _grown(leaf: Texts, depth: int, factors: Texts, again: Callable[[int], Texts]) -> Texts:
    """A leaf, or an operation on terms that are less deep by one; `factors` are what keeps a product's type."""
    if not depth:
        return leaf
    inner = again(depth - 1)
    return st.one_of(
        leaf,
        st.builds(_joined, inner, SIGNS, inner),
        st.builds(_joined, inner, TIMES, factors),
        st.builds(_joined, factors, TIMES, inner),
        st.builds("-{}".format, inner),
        st.builds(_call, st.just("abs"), inner),
        st.builds(_call, st.sampled_from(["min", "max"]), inner, st.just("0") | inner),
        st.builds(_call, st.sampled_from(["min", "max"]), inner, inner, inner),
    )


def flow_texts(quantities: Sequence[str], rates: Sequence[str], amounts: Sequence[str], depth: int = 3) -> Texts:
    """Texts of flows over names of quantities, rates per kWh and flat amounts."""

    def energy(level: int) -> Texts:
        return _grown(st.sampled_from(quantities), level, numbers(min(level, 1)), energy)

    def rate(level: int) -> Texts:
        return _grown(st.sampled_from(rates), level, numbers(min(level, 1)), rate)

    def money(level: int) -> Texts:
        below = min(level, 2)
        single = st.one_of(
            st.builds(_joined, energy(below), TIMES, rate(below)),
            st.builds(_joined, rate(below), TIMES, energy(below)),
            st.sampled_from(amounts),
        )
        return _grown(single, level, numbers(min(level, 1)), money)

    return money(depth)
