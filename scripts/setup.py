"""Brings the environment up to date: `.venv` from the hash-locked requirements, the local chain, the measured homes.

Usage: setup.py run|dev. `run` is what the application needs, `dev` adds the tools for tests and checks. Whatever is
current already is left alone, so that every `make` target can begin with this. Standard library only: it runs before
anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
TOOLS = ROOT / "tools"
HOMES = ROOT / "build" / "homes"
REQUIREMENTS = ROOT / "requirements"
LOCKS = {"run": REQUIREMENTS / "clearwatt.lock", "dev": REQUIREMENTS / "dev.lock"}

MISSING = 4  # the exit code for "something that is needed is not there"


def main(arguments: Sequence[str]) -> int:
    """Runs the steps; returns the process's exit code."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        print("usage: setup.py run|dev", file=sys.stderr)
        return 2
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two targets started at once must not install into each other
        try:
            _environment(arguments[0])
            _local_chain()
            _homes()
        except subprocess.CalledProcessError as error:
            command = " ".join(str(part) for part in error.cmd)
            print(f"setup: this failed with exit code {error.returncode}: {command}", file=sys.stderr)
            return MISSING
        except FileNotFoundError as error:
            print(f"setup: {error}", file=sys.stderr)
            return MISSING
    return 0


def _environment(level: str) -> None:
    """The virtual environment, with the locked packages and this checkout installed in it."""
    if not _venv_runs():
        _say(f"creating .venv with Python {sys.version.split()[0]}")
        _run([sys.executable, "-m", "venv", "--clear", VENV])
    # dev.lock holds every pin of clearwatt.lock, so an environment made for `dev` serves `run` as well.
    if any(_is_current(_stamp(held), _fingerprint(held)) for held in ("dev", level)):
        return
    _say(f"installing the packages of requirements/{LOCKS[level].name}; the first time this takes a minute")
    _stamp("dev").unlink(missing_ok=True)
    _pip("--require-hashes", "-r", LOCKS[level])
    _pip("--no-deps", "--no-build-isolation", "-e", ROOT)
    _stamp(level).write_text(_fingerprint(level))


def _local_chain() -> None:
    """The anvil binary, from npm's lock file, which has it for Linux on x86-64; elsewhere PATH must have it."""
    stamp, lock = TOOLS / "node_modules" / ".clearwatt-stamp", TOOLS / "package-lock.json"
    if _is_current(stamp, _digest(lock)):
        return
    locked_platform = (sys.platform, platform.machine()) == ("linux", "x86_64")
    if not locked_platform or shutil.which("npm") is None:
        if shutil.which("anvil") is not None:
            return
        cure = "install Node.js 20 or later with npm, or " if locked_platform else ""
        raise FileNotFoundError(f"there is no local chain: {cure}put anvil 1.7 (Foundry) on PATH")
    _say("installing the local chain (anvil)")
    _run(["npm", "ci", "--loglevel=error"], cwd=TOOLS)
    stamp.write_text(_digest(lock))


def _homes() -> None:
    """The measured homes: data of a package whose own dependencies nobody here needs."""
    stamp, lock = HOMES / ".clearwatt-stamp", REQUIREMENTS / "homes.lock"
    if _is_current(stamp, _digest(lock)):
        return
    _say("fetching the measured homes (citylearn's data set)")
    shutil.rmtree(HOMES, ignore_errors=True)
    _pip("--no-deps", "--require-hashes", "--target", HOMES, "-r", lock)
    stamp.write_text(_digest(lock))


def _venv_runs() -> bool:
    """Whether `.venv` has an interpreter that runs and fits: it may have been moved, or its Python removed."""
    fits = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))"
    try:
        return subprocess.run([PYTHON, "-c", fits], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _stamp(level: str) -> Path:
    return VENV / f"clearwatt-{level}.stamp"


def _fingerprint(level: str) -> str:
    return _digest(LOCKS[level], ROOT / "pyproject.toml", LOCKS["run"])


def _digest(*files: Path) -> str:
    # Contents, not times: a checkout or a copy changes the times of files at will.
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _is_current(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def _pip(*arguments: str | Path) -> None:
    _run([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *arguments])


def _run(command: Sequence[str | Path], cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def _say(text: str) -> None:
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
