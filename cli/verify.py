"""`clearwatt verify`: recomputes a data folder and says whether it holds."""

from __future__ import annotations

import click

from cli.exits import SomethingMissing


@click.command()
def verify() -> None:
    """Recomputes what a data folder claims: VALID or TAMPERED."""
    raise SomethingMissing("verification is not built yet")
