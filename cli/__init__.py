"""The `clearwatt` command: one file per group of subcommands, no logic of its own."""

VERSION = "0.1.0"
