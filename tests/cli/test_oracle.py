"""`clearwatt oracle` on a market at work: what it prints, how it ends, and that looking needs no key."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from store.desk import DeskStore
from store.records import StoredAllocation
from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, clearwatt, order_line

EXPORT = ("W-1", "export")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bustle]:
    """A day on which one utility has readings and posted nothing yet; its daemon is stopped."""
    with Bustle(tmp_path_factory.mktemp("market")) as made:
        made.everybody()
        for name in made.platforms:
            made.order(name, [order_line(1), order_line(2, kwh="0.3")])
        made.settle_down()
        made.before_gate()
        made.settle_down()
        made.read("westpower", {EXPORT: 600})
        made.after_day(60)
        made.settle_down()
        made.stop("westpower")
        yield made


@pytest.fixture
def config(scene: Bustle) -> Path:
    return scene.home("westpower") / "config.toml"


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_computes_the_root_without_a_key(
    scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot = scene.home("westpower") / "hot.key"
    before = sorted(path for path in scene.home("westpower").rglob("*") if path.is_file())
    key = hot.read_text()
    hot.write_text("none")
    assert run(["oracle", "dry-run", "--config", str(config), "--json"]) == 0
    hot.write_text(key)
    (plan,) = told(capsys)["plans"]
    assert (plan["cycle"], plan["run"], plan["verdict"], plan["leaves"], plan["missing"]) == (CYCLE, 0, "early", 2, 0)
    assert plan["reason"].startswith("nothing is posted; not before")
    assert sorted(path for path in scene.home("westpower").rglob("*") if path.is_file()) == before
    # What it computes is what the daemon posts.
    scene.after_day()
    scene.utility("westpower")
    scene.settle_down()
    scene.stop("westpower")
    posted = scene.contracts["AllocationOracle"].events(name="AllocationPosted")
    (mine,) = [one for one in posted if one["utility"] == scene.id("westpower")]
    assert plan["root"] == "0x" + mine["root"].hex()


def test_a_dry_run_says_what_would_not_be_signed(
    scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = scene.read("westpower", {EXPORT: 60_000}, file="wild.csv")
    assert run(["oracle", "dry-run", "--config", str(config)]) == 1
    said = capsys.readouterr().out
    assert "would not be signed: meter 0x" in said
    assert "60 kWh, over 120 % of its limit of 5 kWh" in said
    file.unlink()


def test_recompute_gives_the_posted_root(scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["oracle", "recompute", "--config", str(config), "--cycle", str(CYCLE)]) == 0
    assert f"cycle {CYCLE}, run 0, attempt 1: the same root, 0x" in capsys.readouterr().out


def test_recompute_names_the_first_leaf_that_differs(
    scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampered(store: DeskStore, cycle: int, number: int) -> StoredAllocation | None:
        kept = original(store, cycle, number)
        return kept and replace(kept, readings=tuple(replace(one, wh=500) for one in kept.readings))

    original = DeskStore.allocation
    monkeypatch.setattr(DeskStore, "allocation", tampered)
    assert run(["oracle", "recompute", "--config", str(config), "--cycle", str(CYCLE), "--json"]) == 1
    found = told(capsys)
    assert found["same"] is False
    assert found["difference"]["position"] == 0
    assert (found["difference"]["signed"]["meter_wh"], found["difference"]["computed"]["meter_wh"]) == (600, 500)


def test_recompute_where_nothing_was_posted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["oracle", "recompute", "--config", str(config), "--cycle", str(CYCLE), "--run", "1"]) == 4
    assert f"westpower.example posted nothing in run 1 of cycle {CYCLE}" in capsys.readouterr().err


def test_check_is_a_table_with_reasons(scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene.stop("rooftrade")
    assert run(["oracle", "check", "--config", str(config), "--json"]) == 1
    found = told(capsys)
    fine = {one["what"]: one["fine"] for one in found["checks"]}
    assert fine == {
        "config": True,
        "meters": True,
        "salt secret": True,
        "hot key": True,
        "relaying key": True,
        "database": True,
        "inbox": True,
        "deployment": True,
        "chain": True,
        "registry": True,
        "peer eastpower.example": True,
        "peer rooftrade.example": False,
        "peer sunmarket.example": True,
    }
    scene.platform("rooftrade")
    assert run(["oracle", "check", "--config", str(config)]) == 0
    assert "ok  registry                a UTILITY, by this hot key" in capsys.readouterr().out


def test_check_finds_a_key_that_is_not_the_registrys(
    scene: Bustle, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot = scene.home("westpower") / "hot.key"
    key = hot.read_text()
    hot.write_text("11" * 32)
    assert run(["oracle", "check", "--config", str(config)]) == 1
    hot.write_text(key)
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("NO ")]
    assert "as its hot key, the file 0x" in line


def test_once_tells_how_things_stand(scene: Bustle, config: Path) -> None:
    bad = scene.read("westpower", {("E-1", "export"): 1}, file="bad.csv")
    ended = clearwatt("oracle", "once", "--config", str(config), "--json")
    assert ended.returncode == 1
    (problem,) = json.loads(ended.stdout)["problems"]
    assert problem["stage"] == "readings"
    assert problem["what"] == f"{bad}:2: meter_id: unknown meter (got 'E-1')"
    bad.unlink()
    assert clearwatt("oracle", "once", "--config", str(config)).returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense = 1\n", "nonsense: is not known"),
        ("=", "is no TOML"),
    ],
)
def test_a_config_that_does_not_fit(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "utility.toml"
    file.write_text(text)
    assert run(["oracle", "run", "--config", str(file)]) == 3
    assert f"{file}: " in (said := capsys.readouterr().err)
    assert message in said


def test_files_that_are_missing(scene: Bustle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["oracle", "run", "--config", str(tmp_path / "none.toml")]) == 4
    assert "there is no file" in capsys.readouterr().err
    meters = scene.home("westpower") / "meters.csv"
    text = meters.read_text()
    meters.unlink()
    ended = clearwatt("oracle", "once", "--config", str(scene.home("westpower") / "config.toml"))
    assert ended.returncode == 4
    assert f"there is no file {meters}" in ended.stderr
    meters.write_text(text)


def test_a_daemon_runs_until_it_is_told_to_end(scene: Bustle, config: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "cli.main", "oracle", "run", "--config", str(config), "--ready-file", str(ready)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(400):
            if ready.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert ready.exists(), process.stderr and process.stderr.read()
        assert json.loads(ready.read_text()) == {"url": scene.url("westpower"), "pid": process.pid}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        logs = [json.loads(line) for line in process.stderr or ()]
    assert {"listening", "ended"} <= {one["event"] for one in logs}
    assert scene.members["westpower"].key.hex() not in json.dumps(logs)
