"""`clearwatt serve`: the gateway, until it is told to end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from api.gateway import assemble
from api.routes import beckn
from chain.deployment import DeploymentRecord
from chain.errors import ConnectionFailed, DeploymentMismatch
from chain.rpc import Rpc
from cli import VERSION
from cli.exits import BadInput, SomethingMissing
from cli.gateway_config import GatewayConfig
from member.config import address_of
from member.errors import ConfigError, KeyRefused
from member.keys import load_key
from member.listening import Listener
from member.logs import configure_logs
from store import migrate
from store.database import Database
from store.errors import DatabaseUnfit, DatabaseUnreachable


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The gateway's TOML file.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Gets addresses and process id as JSON once the gateway listens.",
)
def serve(file: Path, ready_file: Path | None) -> None:
    """Serve the gateway: trades and signatures in, what the chain says out.

    Makes the tables of its database, or brings them up to date. Ends on SIGTERM and Ctrl-C. Exit code 3: configuration,
    keys or record do not fit; 4: node or database cannot be reached.
    """
    configure_logs()
    try:
        config = GatewayConfig.load(file)
        _serve(config, ready_file)
    except (ConfigError, KeyRefused, DeploymentMismatch) as error:
        raise BadInput(str(error)) from error
    except (DatabaseUnreachable, ConnectionFailed, FileNotFoundError) as error:
        raise SomethingMissing(str(error)) from error
    except DatabaseUnfit as error:
        raise BadInput(str(error)) from error


def _serve(config: GatewayConfig, ready_file: Path | None) -> None:
    relayer = load_key(config.keys.relayer, config.keys.relayer_password)
    signing = load_key(*config.signing_key)
    record = DeploymentRecord.load(config.deployment)
    ended = threading.Event()
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        ended.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    with ExitStack() as stack:
        database = stack.enter_context(Database(config.database))
        database.claim()
        migrate.upgrade(database)
        node = Rpc.at(config.chain.rpc_url)
        record.check(node)
        node.close()
        listener, admin = Listener(*address_of(config.listen)), Listener(*address_of(config.admin))
        stack.callback(admin.close)
        stack.callback(listener.close)
        adapters = [] if config.beckn is None else [beckn.adapter(config.beckn.settings, lambda: int(time.time()))]
        gateway = assemble(config.settings(listener.url), record, database, relayer, signing, VERSION, adapters)
        gateway.work.start()
        stack.callback(gateway.work.stop)
        listener.serve(gateway.app)
        admin.serve(gateway.admin)
        click.echo(f"gateway at {listener.url}, health and metrics at {admin.url}", err=True)
        if ready_file is not None:
            _write_ready(ready_file, listener.url, admin.url)
        ended.wait()
    if signal.SIGINT in received:
        raise KeyboardInterrupt


def _write_ready(file: Path, url: str, admin_url: str) -> None:
    """Whole or not at all: whoever waits for the file finds it complete."""
    aside = file.with_suffix(file.suffix + ".part")
    aside.write_text(json.dumps({"url": url, "admin_url": admin_url, "pid": os.getpid()}))
    aside.replace(file)
