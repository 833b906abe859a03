"""The ban on floating point catches each way in, and lets integer arithmetic pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_no_floats


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("a = 1.5", "the literal 1.5"),
        ("a = 1e3", "the literal 1000.0"),
        ("a = 2j", "the literal 2j"),
        ("a = float(b)", "the name float"),
        ("def f(a: float) -> None: ...", "the name float"),
        ("a = b / c", "a true division"),
        ("a /= c", "a true division"),
    ],
)
def test_floats_are_found(source: str, what: str) -> None:
    assert list(check_no_floats.faults("x = 1\n" + source)) == [(2, what)]


@pytest.mark.parametrize("source", ["a = b // c", "a = 15", "a = 'float 1.5'", "p = q.floating", "# 1.5 / 2"])
def test_integers_pass(source: str) -> None:
    assert list(check_no_floats.faults(source)) == []


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rule.py").write_text("half = 1 // 2\n")
    assert check_no_floats.main([str(tmp_path)]) == 0
    (tmp_path / "rule.py").write_text("half = 1 / 2\n")
    assert check_no_floats.main([str(tmp_path)]) == 1
    assert "rule.py:1: a true division" in capsys.readouterr().out


def test_an_empty_folder_proves_nothing(tmp_path: Path) -> None:
    assert check_no_floats.main([str(tmp_path)]) == 1
