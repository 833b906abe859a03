"""`clearwatt openapi`: the gateway's OpenAPI document."""

from __future__ import annotations

import click

from api.app import document_text


@click.command()
def openapi() -> None:
    """Print the gateway's OpenAPI document (3.1), as it is committed in api/openapi.json."""
    click.echo(document_text(), nl=False)
