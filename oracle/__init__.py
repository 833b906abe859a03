"""A utility's daemon: meter readings in, allocated to trades, signed, posted, served, watched."""
