"""The throw-away server is there for the command, and nothing of it is left, however the command ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from scripts import postgres

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    postgres._installed() is None, reason="PostgreSQL is not installed; `make test-postgres` says how"
)

ASK = """
import os, sys
from sqlalchemy import create_engine, text
url = os.environ["CLEARWATT_TEST_POSTGRES"]
print(url, flush=True)
with create_engine(url).connect() as connection:
    print(connection.scalar(text("SELECT pg_backend_pid() > 0")), flush=True)
    print(connection.scalar(text("SHOW listen_addresses")) == "", flush=True)
"""
STAY = "import sys\nsys.stdin.read()\n"


def beside(code: str) -> list[str | Path]:
    """The command line that runs Python code beside a server."""
    return [sys.executable, "-m", "scripts.postgres", sys.executable, "-c", code]


def server_of(folder: Path) -> list[str]:
    """The processes whose command names the folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return [line for line in lines if str(folder) in line and "postgres" in line.split(" ")[0]]


def folder_of(url: str) -> Path:
    """Where a server keeps everything."""
    host = make_url(url.strip()).query["host"]
    assert isinstance(host, str)
    return Path(host)


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(7)", 7)])
def test_the_command_has_a_server_and_its_exit_code_is_passed_on(end: str, code: int) -> None:
    ran = subprocess.run(beside(ASK + end), cwd=ROOT, capture_output=True, text=True)
    url, *answers = ran.stdout.splitlines()
    assert (ran.returncode, answers, ran.stderr) == (code, ["True", "True"], "")
    assert not folder_of(url).exists()
    assert server_of(folder_of(url)) == []


@pytest.fixture
def running() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The script with a command that does not end by itself, and the server's folder."""
    process = subprocess.Popen(
        beside(ASK + STAY), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        folder = folder_of(process.stdout.readline())
        assert process.stdout.readline() == "True\n"
        assert server_of(folder) != []
        yield process, folder
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_after_a_signal(running: tuple[subprocess.Popen[str], Path], number: signal.Signals) -> None:
    process, folder = running
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert not folder.exists()
    assert server_of(folder) == []


def test_a_second_signal_does_not_interrupt_the_clearing_away() -> None:
    before = {number: signal.getsignal(number) for number in postgres.INTERRUPTIONS}
    try:
        with pytest.raises(SystemExit) as ended:
            postgres._end(signal.SIGTERM, None)
        assert ended.value.code == 128 + signal.SIGTERM
        for number in before:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_nothing_is_left_after_ctrl_c(running: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = running
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everybody in the foreground gets it
    assert process.wait(20) == 128 + signal.SIGINT
    assert not folder.exists()
    assert server_of(folder) == []


def test_a_killed_script_takes_the_server_with_it(running: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = running
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while server_of(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server_of(folder) == []
    subprocess.run(["rm", "-r", folder], check=True)  # the files are all that can be left by it


def test_without_a_server_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert postgres.main(["true"]) == postgres.MISSING
    assert capsys.readouterr().err == ("postgres: PostgreSQL is not installed; on Debian: apt-get install postgresql\n")


def test_root_installs_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ "$1" = update ] && exit\n'
        f"for version in 9 15; do /bin/mkdir -p {packages}/$version/bin; : >{packages}/$version/bin/postgres; done\n"
    )
    apt.chmod(0o755)
    monkeypatch.setattr(postgres, "DEBIAN", packages)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert postgres.binaries() == packages / "15" / "bin"
    assert (tmp_path / "asked").read_text() == "update\ninstall --yes --no-install-recommends postgresql\n"


def test_a_failed_installation_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(postgres.PostgresMissing, match="is not installed, and `apt-get update` failed"):
        postgres.binaries()
