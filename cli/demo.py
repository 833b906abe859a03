"""`clearwatt demo`: runs the demo market."""

from __future__ import annotations

import click

from cli.exits import SomethingMissing


@click.command()
def demo() -> None:
    """The demo market, from real homes to verified money."""
    raise SomethingMissing("the demo market is not built yet")
