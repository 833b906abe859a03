"""A platform's daemon: orders in, trades signed by everyone they bind, batches committed before the gate."""
