"""The settlement rules: pure functions on values. No I/O, no clock, no network, no randomness."""
