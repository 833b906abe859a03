"""`clearwatt platform`: how it ends, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import run
from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, clearwatt, order_line


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bustle]:
    with Bustle(tmp_path_factory.mktemp("market")) as made:
        made.everybody()
        made.stop("rooftrade")
        yield made


@pytest.fixture
def config(scene: Bustle) -> Path:
    return scene.home("rooftrade") / "config.toml"


def test_once_does_what_there_is_to_do(scene: Bustle, config: Path) -> None:
    scene.order("rooftrade", [order_line()])
    ended = clearwatt("platform", "once", "--config", str(config))
    assert ended.returncode == 0
    said = ended.stdout
    assert f"waits: signatures: cycle {CYCLE}: not signed: trade_id: no order of this platform" in said
    assert "(sunmarket.example)" in said


def test_once_with_a_bad_order_file(scene: Bustle, config: Path) -> None:
    file = scene.order("rooftrade", [order_line(2), order_line(3, unit="kW")], file="bad.csv")
    ended = clearwatt("platform", "once", "--config", str(config), "--json")
    assert ended.returncode == 1
    (problem,) = json.loads(ended.stdout)["problems"]
    assert problem["what"] == f"{file}:3: unit: power where energy is meant (got 'kW')"
    file.unlink()


def test_check_passes_and_says_what_fails(scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["platform", "check", "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fine"] is True
    assert run(["oracle", "check", "--config", str(config)]) == 3  # a platform's file is no utility's
    assert "platform: is not known" in capsys.readouterr().err
    secret = scene.home("rooftrade") / "salts.key"
    secret.chmod(0o644)
    assert run(["platform", "check", "--config", str(config)]) == 1
    assert "can be read by others (mode 0644)" in capsys.readouterr().out
    secret.chmod(0o600)


def test_a_gateway_must_be_named_to_be_used(scene: Bustle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "platform.toml"
    text = (scene.home("rooftrade") / "config.toml").read_text()
    file.write_text(text.replace("[platform]", '[platform]\nrelay = "gateway"'))
    assert run(["platform", "check", "--config", str(file)]) == 3
    assert "platform.relay is gateway, but there is no gateway" in capsys.readouterr().err
    file.write_text(text.replace("[platform]", '[platform]\nbeckn_lane = "batched"'))
    assert run(["platform", "check", "--config", str(file)]) == 3
    assert "platform.beckn_lane: there is no gateway to fetch orders from" in capsys.readouterr().err
