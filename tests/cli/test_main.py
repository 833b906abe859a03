"""Every way in which the command ends has its exit code, and its sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from chain.errors import DeploymentMismatch, NodeMissing, PortTaken
from cli import VERSION, exits
from cli import main as program
from settlement.errors import SettlementError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | int]:
    """A subcommand that ends as its test says."""
    how: list[BaseException | int] = []

    @click.command()
    def verify() -> int:
        end = how.pop()
        if isinstance(end, BaseException):
            raise end
        return end

    monkeypatch.setattr("cli.verify.verify", verify)
    return how


@pytest.mark.parametrize(
    ("end", "code", "sentence"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (exits.CheckFalse("TAMPERED"), 1, "Error: TAMPERED"),
        (click.UsageError("no such thing"), 2, "no such thing"),
        (exits.BadInput("line 3"), 3, "Error: line 3"),
        (SettlementError("wh", -1, "must not be negative"), 3, "Error: wh: must not be negative (got -1)"),
        (exits.SomethingMissing("no folder"), 4, "Error: no folder"),
        (NodeMissing("run make setup"), 4, "Error: run make setup"),
        (PortTaken("port 1 is taken"), 4, "Error: port 1 is taken"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (ZeroDivisionError("defect"), 70, "ZeroDivisionError: defect"),
        (DeploymentMismatch("another code"), 70, "DeploymentMismatch: another code"),
    ],
)
def test_exit_codes(
    ending: list[BaseException | int],
    capsys: pytest.CaptureFixture[str],
    end: BaseException | int,
    code: int,
    sentence: str,
) -> None:
    ending.append(end)
    assert program.run(["verify"]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.out == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["--version"]) == 0
    assert capsys.readouterr().out == f"clearwatt, version {VERSION}\n"


def test_usage_names_the_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([]) == 2
    assert program.run(["--help"]) == 0
    said = capsys.readouterr()
    assert all(name in said.out for name in program.SUBCOMMANDS)
    assert program.run(["nothing"]) == 2
    assert "No such command 'nothing'" in capsys.readouterr().err


def test_the_installed_command_starts_without_the_heavy_libraries() -> None:
    code = "import sys, cli.main; print(cli.main.run(['--version']), 'vyper' in sys.modules, 'web3' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "0 False False"
    command = Path(sys.executable).with_name("clearwatt")
    assert subprocess.run([command, "--version"], capture_output=True, check=True, cwd="/").returncode == 0
