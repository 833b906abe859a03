"""Checking: whoever holds the record folders and a node recomputes everything that was settled."""
