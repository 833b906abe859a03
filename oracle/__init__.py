"""A utility's daemon: meter formats in; allocate, sign, post, watch, challenge."""
