"""Talking to the contracts: compiling, deploying, typed reads and writes, events, and a local chain to do it on."""
