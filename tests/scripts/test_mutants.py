"""The mutation check: what it changes, what it draws, how it judges, what it remembers and reports."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from scripts import mutants as command
from scripts.mutation import equivalents
from scripts.mutation.bench import Bench, BenchError, Verdict
from scripts.mutation.campaign import Court, Tally, candidates
from scripts.mutation.equivalents import Equivalent
from scripts.mutation.memory import Memory
from scripts.mutation.operators import OPERATORS, Mutant, chosen, mutants
from scripts.mutation.suites import CONTRACTS, DEAF, ROOT, SLOW, SUITES, fingerprint, imports, other_tests, own_tests

SOURCE = '''# pragma version 0.4.3
"""
@notice Pays 1 + 1, never payer < payee.
"""

from .interfaces import Types2

BITS: constant(uint256) = 96  # payer == 3
MASK: constant(bytes4) = 0x01020304
held: HashMap[uint256, DynArray[uint256, 4]]


@external
def act(count: uint256[2]) -> int256:
    """
    @param count 7 > 6
    """
    assert count[0] < 10, "X: payer - 1"
    for i: uint256 in range(count[1], bound=8):
        self.held[i] += 1
    return -1
'''


def made(text: str, operator: str = "") -> list[tuple[str, str]]:
    """Lines before and after, by all operators or one."""
    return [(one.before, one.after) for one in mutants("X", text) if operator in ("", one.operator)]


# --- operators ---


def test_code_is_changed_and_nothing_else() -> None:
    assert [(one.operator, one.line, one.after) for one in mutants("X", SOURCE)] == [
        ("constant", 8, "BITS: constant(uint256) = 97  # payer == 3"),
        ("constant", 8, "BITS: constant(uint256) = 95  # payer == 3"),
        ("assert", 18, 'assert True or count[0] < 10, "X: payer - 1"'),
        ("constant", 18, 'assert count[1] < 10, "X: payer - 1"'),
        ("compare", 18, 'assert count[0] <= 10, "X: payer - 1"'),
        ("constant", 18, 'assert count[0] < 11, "X: payer - 1"'),
        ("constant", 18, 'assert count[0] < 9, "X: payer - 1"'),
        ("constant", 19, "for i: uint256 in range(count[2], bound=8):"),
        ("constant", 19, "for i: uint256 in range(count[0], bound=8):"),
        ("sign", 20, "self.held[i] -= 1"),
        ("constant", 20, "self.held[i] += 2"),
        ("constant", 20, "self.held[i] += 0"),
        ("constant", 21, "return -2"),
        ("constant", 21, "return -0"),
    ]


@pytest.mark.parametrize(
    ("before", "after"), [("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"), ("==", "!="), ("!=", "==")]
)
def test_comparisons(before: str, after: str) -> None:
    assert made(f"x = a {before} b", "compare") == [(f"x = a {before} b", f"x = a {after} b")]


def test_signs_join_two_operands() -> None:
    assert [after for _, after in made("x = a + b(c) - d[e] - -f", "sign")] == [
        "x = a - b(c) - d[e] - -f",
        "x = a + b(c) + d[e] - -f",
        "x = a + b(c) - d[e] + -f",
    ]


def test_an_assert_asks_for_nothing_any_more_even_over_several_lines() -> None:
    assert made('assert (\n    a\n    and b\n), "X: no"') == [("assert (", "assert True or (")]


def test_parties_are_taken_for_each_other() -> None:
    assert [after for _, after in made("self.owed[debtor_of][CREDITOR] = payback(payer)", "party")] == [
        "self.owed[creditor_of][CREDITOR] = payback(payer)",
        "self.owed[debtor_of][DEBTOR] = payback(payer)",
        "self.owed[debtor_of][CREDITOR] = payback(payee)",
        "self.owed[creditor_of][DEBTOR] = payback(payee)",
    ]


def test_a_keyword_keeps_its_name() -> None:
    assert made("log Paid(payer=payer, to=payee)", "party") == [
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payee, to=payee)"),
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payer, to=payer)"),
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payee, to=payer)"),
    ]


def test_a_value_that_nobody_reads_is_left_alone() -> None:
    text = "y: uint256 = 5\na: uint256 = 0\nb: uint256 = 0\na, b = f()\nc: uint256 = 7\nc = 8"
    assert {before for before, _ in made(text)} == {"y: uint256 = 5", "c: uint256 = 7", "c = 8"}


def test_equal_changes_of_equal_lines_are_told_apart() -> None:
    first, second = mutants("X", "x = a == b\ny = 7 if c else d\nx = a == b")[0::3]
    assert (first.line, first.nth, second.line, second.nth) == (1, 0, 3, 1)
    assert first.id != second.id
    moved = mutants("X", "z = e\nx = a == b\n")
    assert [one.id for one in moved] == [first.id]


def test_a_mutant_is_one_line_of_its_source() -> None:
    for mutant in mutants("X", SOURCE):
        pairs = zip(SOURCE.split("\n"), mutant.applied_to(SOURCE).split("\n"), strict=True)
        differing = [number for number, (before, after) in enumerate(pairs, 1) if before != after]
        assert differing == [mutant.line]
    with pytest.raises(ValueError, match="line 18 is `import os`"):
        mutants("X", SOURCE)[2].applied_to("\n" * 17 + "import os")


def test_all_operators_are_drawn_by_turns_and_the_seed_decides() -> None:
    there = candidates("SettlementEscrow")
    drawn = list(islice(chosen(there, 1), 20))
    assert Counter(one.operator for one in drawn) == dict.fromkeys(OPERATORS, 4)
    assert list(islice(chosen(reversed(there), 1), 20)) == drawn
    assert list(islice(chosen(there, 2), 20)) != drawn
    assert sorted(one.id for one in chosen(there, 1)) == sorted(one.id for one in there)


# --- suites ---


def test_every_contract_has_its_tests_and_all_of_them_exist() -> None:
    assert set(SUITES) == {path.stem for path in (ROOT / CONTRACTS).glob("*.vy")}
    for contract in SUITES:
        tests = own_tests(contract)
        assert tests
        assert all((ROOT / test).is_file() for test in tests)
    for test in DEAF:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8") if name else (ROOT / file).is_file()


def test_a_folder_is_all_its_tests_and_each_is_asked_where_it_is_named_first() -> None:
    named = ["tests/contracts/disputes/test_figures.py", "tests/contracts/obligation_ledger/test_outcomes.py"]
    folders = [(ROOT / "tests" / "contracts" / name).glob("test_*.py") for name in ("disputes", "obligation_ledger")]
    whole = [path.relative_to(ROOT).as_posix() for folder in folders for path in sorted(folder)]
    assert own_tests("Arbiters") == [*named, *(test for test in whole if test not in named)]
    assert len(whole) > 4


def test_other_tests_are_neither_its_own_nor_deaf() -> None:
    others = other_tests("Council")
    assert "tests/contracts/test_council.py" not in others
    assert "tests/contracts/settlement/test_claims.py" in others
    assert not set(DEAF) & set(others)
    slow = [test for test in others if Path(test).parent.name in SLOW]
    assert others[-len(slow) :] == slow


def test_a_fingerprint_is_over_sources_and_tests(tmp_path: Path) -> None:
    texts = {
        "contracts/A.vy": "from .modules import m as n\nfrom .interfaces import I\n",
        "contracts/B.vy": "",
        "contracts/modules/m.vy": "from ..interfaces import J\nfrom . import k\n",
        "contracts/modules/k.vy": "",
        "contracts/interfaces/I.vyi": "",
        "contracts/interfaces/J.vyi": "",
        "tests/contracts/test_a.py": "",
        "tests/contracts/test_b.py": "",
        "tests/contracts/shared.py": "",
        "tests/contracts/part/test_c.py": "",
        "tests/contracts/part/case.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = {file.name for file in imports(tmp_path / "contracts/A.vy")}
    assert names == {"A.vy", "m.vy", "k.vy", "I.vyi", "J.vyi"}
    sources = {name for name in texts if name.startswith("contracts/")} - {"contracts/B.vy"}
    for test, beside in (("test_a.py", {"shared.py"}), ("part/test_c.py", {"part/case.py", "shared.py"})):
        right = fingerprint(tmp_path, "A", [f"tests/contracts/{test}"])
        changing = set()
        for name, text in texts.items():
            (tmp_path / name).write_text(text + "# changed\n")
            if fingerprint(tmp_path, "A", [f"tests/contracts/{test}"]) != right:
                changing.add(name)
            (tmp_path / name).write_text(text)
        assert changing == sources | {f"tests/contracts/{name}" for name in {test, *beside}}


# --- memory, equivalents ---


def test_verdicts_hold_as_long_as_the_fingerprint_does(tmp_path: Path) -> None:
    one, other = mutants("X", "x = a == b\ny = a < b")
    memory = Memory(tmp_path / "deep" / "X.json", "now")
    memory.keep(one, Verdict("killed", "test_x.py::test_y", 1.5))
    memory.keep(other, Verdict("survived", "", 2.0))
    again = Memory(tmp_path / "deep" / "X.json", "now")
    assert again.verdict(one) == Verdict("killed", "test_x.py::test_y", 1.5)
    assert again.verdict(other) == Verdict("survived", "", 2.0)
    later = Memory(tmp_path / "deep" / "X.json", "later")
    assert later.verdict(one) is None
    assert (later.first(one), later.first(other)) == (["test_x.py::test_y"], [])
    later.keep(other, Verdict("survived", "", 2.0))
    assert Memory(tmp_path / "deep" / "X.json", "later").first(one) == ["test_x.py::test_y"]


def test_equivalents_have_a_line_and_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "equivalents.toml"
    assert equivalents.read(file) == []
    file.write_text('[[X]]\nbefore = "x = a == b"\nafter = "x = a != b"\nreason = "x is not used"\n')
    (listed,) = equivalents.read(file)
    assert listed == Equivalent("X", "x = a == b", "x = a != b", "x is not used")
    there = mutants("X", "x = a == b\nx = a == b")
    assert [listed.is_of(one) for one in there] == [True, False]
    assert equivalents.unknown([listed], there) == []
    assert equivalents.unknown([listed], mutants("Y", "x = a == b")) == [listed]
    file.write_text('[[X]]\nbefore = "x = a == b"\nafter = "x = a != b"\nreason = " "\n')
    with pytest.raises(ValueError, match="X: `x = a != b` has no reason"):
        equivalents.read(file)


def test_the_projects_own_list_is_of_mutants_that_exist() -> None:
    for contract in SUITES:
        listed = [one for one in equivalents.read() if one.contract == contract]
        assert equivalents.unknown(listed, candidates(contract)) == []
    assert {one.contract for one in equivalents.read()} <= set(SUITES)


# --- the report ---


def tally(killed: int, survived: int, refuted: int = 0) -> Tally:
    """A contract's tally with so many of each."""
    survivors = [Mutant("Council", "compare", 7, "a < b", "a <= b", nth) for nth in range(survived)]
    return Tally("Council", killed, survivors, refuted=["wrong"] * refuted, seconds=1.25)


@pytest.mark.parametrize(
    ("counted", "options", "code"),
    [
        (tally(19, 1), [], 0),
        (tally(18, 2), [], 1),
        (tally(18, 2), ["--no-gate"], 0),
        (tally(20, 0, refuted=1), [], 1),
    ],
)
def test_the_gate(
    counted: Tally, options: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "OUT", tmp_path / "mutants.json")
    monkeypatch.setattr(command, "run", lambda plan, say: [counted])
    assert command.main(["--contract", "Council", *options]) == code
    document = json.loads((tmp_path / "mutants.json").read_text())
    assert (document["made"], document["killed"]) == (counted.made, counted.killed)
    of_contract = document["contracts"]["Council"]
    assert [of_contract[name] for name in ("made", "killed", "seconds")] == [counted.made, counted.killed, 1.2]
    for mutant, described in zip(counted.survivors, of_contract["survivors"], strict=True):
        assert described["id"] == mutant.id
        assert (described["line"], described["before"], described["after"]) == (7, "a < b", "a <= b")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BenchError("no"), 2)])
def test_what_ends_a_run(
    error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(*_: Any) -> None:
        raise error

    monkeypatch.setattr(command, "OUT", tmp_path / "mutants.json")
    monkeypatch.setattr(command, "run", end)
    assert command.main([]) == code
    assert capsys.readouterr().err.startswith("mutants: ")
    assert not (tmp_path / "mutants.json").exists()


def test_what_would_be_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list", "--contract", "Arbiters", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(".")[:2] for line in lines] == [["Arbiters", one] for one in ("assert", "compare", "sign")]


# --- a real contract ---


def test_a_mistake_is_killed_a_mere_rewording_survives_nonsense_is_not_born(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.mutation.campaign.FOLDER", tmp_path)
    source = ROOT / CONTRACTS / "StatementRegistry.vy"
    text = source.read_text("ascii")

    def changed(before: str, after: str) -> Mutant:
        (line,) = (line for line in text.split("\n") if before in line)
        number = text.split("\n").index(line) + 1
        return Mutant("StatementRegistry", "constant", number, line.strip(), line.strip().replace(before, after))

    with Bench(tmp_path) as bench:
        court = Court("own", "StatementRegistry", own_tests("StatementRegistry"), bench)
        killed = court.verdict(changed("% 100", "% 101"))
        assert (killed.word, killed.by.partition("::")[0]) == ("killed", "tests/contracts/test_statement_registry.py")
        assert court.verdict(changed("len(parties), bound=2", "len(parties), bound=3")).word == "survived"
        stillborn = court.verdict(changed("month: uint32", "month: bool"))
        assert (stillborn.word, stillborn.by) == ("stillborn", "TypeMismatch")
        # A second court remembers, without asking anybody.
        bench.end()
        again = Court("own", "StatementRegistry", own_tests("StatementRegistry"), bench)
        assert again.verdict(changed("% 100", "% 101")) == killed
        with pytest.raises(BenchError):
            again.verdict(changed("% 100", "% 99"))
    assert source.read_text("ascii") == text
    assert not (tmp_path / "tree-1").exists()
