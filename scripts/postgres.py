"""Runs a command beside a PostgreSQL server of its own, which is gone afterwards, whatever happens.

Usage: postgres.py COMMAND [ARGUMENT...]

The command finds the server's URL in the environment, as CLEARWATT_TEST_POSTGRES. The server listens on a socket in a
temporary folder only, so it needs no port, and trusts whoever may enter that folder; nothing it writes is synced. It
refuses to run as root, so root starts it as the user `postgres` that Debian's package makes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from chain.node import dies_with_parent

VARIABLE: Final = "CLEARWATT_TEST_POSTGRES"
DEBIAN: Final = Path("/usr/lib/postgresql")
USER: Final = "clearwatt"
START_SECONDS: Final = 30
END_SECONDS: Final = 10
INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MISSING: Final = 4  # the exit code for "something that is needed is not there"

# Durability costs time and buys nothing for data that is thrown away.
SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}


class PostgresMissing(Exception):
    """There is no server to run, and none can be installed."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code, or the one for what is missing."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for interruption in INTERRUPTIONS:
        signal.signal(interruption, _end)
    try:
        with server(binaries()) as url:
            return _run(arguments, {**os.environ, VARIABLE: url})
    except PostgresMissing as error:
        print(f"postgres: {error}", file=sys.stderr)
        return MISSING


def binaries() -> Path:
    """The folder with `initdb` and `postgres`, installed first where that is missing and possible.

    Raises PostgresMissing.
    """
    if found := _installed():
        return found
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise PostgresMissing("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
        if subprocess.run([apt, *step], env=quietly, stdout=subprocess.DEVNULL).returncode != 0:
            raise PostgresMissing(f"PostgreSQL is not installed, and `apt-get {' '.join(step)}` failed")
    if found := _installed():
        return found
    raise PostgresMissing(f"PostgreSQL was installed, but its programs are not under {DEBIAN}")


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """A new server; its URL. It is stopped and its files removed on leaving.

    Raises PostgresMissing where it does not start.
    """
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="clearwatt-postgres-"))
    try:
        os.chown(folder, account["user"], account["group"]) if account else None
        data, said = folder / "data", folder / "log"
        with said.open("wb") as log:
            _initialise(programs, data, account, log)
            process = _start(programs, data, folder, account, log)
        try:
            _await_answer(programs, folder, process, said)
            yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
        finally:
            # To PostgreSQL this means: at once, but orderly.
            _ended(process, lambda: process.send_signal(signal.SIGINT))
    finally:
        shutil.rmtree(folder)


def _installed() -> Path | None:
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    found = [folder for folder in DEBIAN.glob("*/bin") if (folder / "postgres").is_file()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def _account() -> dict[str, Any]:
    """As whom the server runs, as arguments of Popen: oneself, unless one is root."""
    if os.geteuid() != 0:
        return {}
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresMissing("root cannot run PostgreSQL, and there is no user `postgres` for it") from None
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _initialise(programs: Path, data: Path, account: dict[str, Any], log: Any) -> None:
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"--username={USER}"]
    made = subprocess.run(
        [programs / "initdb", f"--pgdata={data}", *options], cwd=data.parent, stdout=log, stderr=log, **account
    )
    if made.returncode != 0:
        raise PostgresMissing(f"initdb failed:\n{(data.parent / 'log').read_text()}")


def _start(programs: Path, data: Path, sockets: Path, account: dict[str, Any], log: Any) -> subprocess.Popen[bytes]:
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return subprocess.Popen(
        [programs / "postgres", "-D", data, "-k", sockets, *settings],
        cwd=sockets,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for the command; the server is stopped after it
        preexec_fn=dies_with_parent(),
        **account,
    )


def _await_answer(programs: Path, sockets: Path, process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run([programs / "pg_isready", "-q", f"--host={sockets}"]).returncode == 0:
            return
        time.sleep(0.05)
    raise PostgresMissing(f"the server did not start:\n{said.read_text()}")


def _ended(process: subprocess.Popen[bytes], ask: Callable[[], None]) -> None:
    """Asks a process to end, and makes it if it does not."""
    ask()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment, preexec_fn=dies_with_parent())
    try:
        return process.wait()
    finally:
        _ended(process, process.terminate)


def _end(number: int, _: FrameType | None) -> NoReturn:
    for interruption in INTERRUPTIONS:
        signal.signal(interruption, signal.SIG_IGN)  # a second one must not interrupt the clearing away
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
