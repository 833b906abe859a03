"""A member's daemon: what utilities and platforms do alike. They follow the chain, compare rows, sign, prove faults."""
