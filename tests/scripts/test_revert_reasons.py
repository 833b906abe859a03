"""A revert reason counts as tested where a test expects it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import revert_reasons
from scripts.revert_reasons import expected, reasons

HERE = Path("test_it.py")
REASON = "Escrow: too much"
SAID = f'"{REASON}"'


def is_tested(text: str) -> bool:
    return REASON in expected({HERE: text})[HERE]


@pytest.mark.parametrize(
    "text",
    [
        f"with boa.reverts({SAID}): pass",
        f"assert said == {SAID}",
        f"assert said in ('another', {SAID})",
        f"assert said == ({SAID} if many else '')",
        f"for value, reason in ((1, {SAID}), (2, 'another')): pass",
        f"@pytest.mark.parametrize('reason', [(1, {SAID})])\ndef test(reason): pass",
        f"REFUSED = {{'withdraw': {SAID}}}\nassert REFUSED",
        f"CASES: dict[str, str] = {{'withdraw': {SAID}}}\nassert CASES",
        f"raise Refused({SAID})",
        f"def model(): return {SAID}",
        f"own = {SAID}\nassert self.own",
    ],
)
def test_what_is_expected_is_tested(text: str) -> None:
    assert is_tested(text)


@pytest.mark.parametrize(
    "text",
    [
        f"# {SAID}",
        f"def test():\n    {SAID}",
        f"def test():\n    'what reverts with {REASON}'",
        f"print({SAID})",
        f"assert said, {SAID}",
        f"assert said == f'{REASON}: {{number}}'",
        f"assert said == '{REASON} and more'",
        f"FORGOTTEN = [{SAID}]",
        f"source.replace({SAID}, 'another')",
    ],
)
def test_what_is_only_said_is_not(text: str) -> None:
    assert not is_tested(text)


def test_a_table_may_be_used_by_another_file() -> None:
    other = Path("test_other.py")
    found = expected({HERE: f"REFUSED = [{SAID}]", other: "assert said in REFUSED"})
    assert found == {HERE: {REASON}, other: set()}


def test_reasons_of_a_contract(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "A.vy").write_text('assert x, "Escrow: too much"\nassert y, "Escrow: too much"\n')
    (tmp_path / "modules" / "b.vy").write_text('LATE: constant(String[32]) = "too late"\n')
    assert [(source.name, reason) for source, reason in reasons(tmp_path)] == [("A.vy", REASON), ("b.vy", "too late")]


def test_a_reason_without_a_test_fails_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(revert_reasons, "ROOT", tmp_path)
    for folder in ("contracts", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "contracts" / "Escrow.vy").write_text(f"assert x, {SAID}\n")
    test = tmp_path / "tests" / "test_escrow.py"
    for text, code, said in ((f"# {SAID}", 1, "NO TEST"), (f"with boa.reverts({SAID}): pass", 0, "0 without")):
        test.write_text(text)
        assert revert_reasons.main([]) == code
        assert said in capsys.readouterr().out
