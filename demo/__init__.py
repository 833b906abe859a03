"""The demo market: a week of real homes, from signed trade to money, driven through the other rooms as users would."""
