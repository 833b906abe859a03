"""The mutation check: by which tests it judges and how, what it remembers and reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts import mutants as command
from scripts.mutation import document, equivalents
from scripts.mutation.bench import Bench, BenchError, Verdict
from scripts.mutation.campaign import Court, Tally, candidates
from scripts.mutation.equivalents import Equivalent
from scripts.mutation.memory import Memory
from scripts.mutation.operators import Mutant, mutants
from scripts.mutation.suites import (
    CONTRACTS,
    DEAF,
    MODULES,
    ROOT,
    SLOW,
    SUITES,
    fingerprint,
    importers,
    imports,
    other_tests,
    own_stages,
    own_tests,
)

# --- suites ---


def test_every_contract_has_its_tests_and_all_of_them_exist() -> None:
    contracts, modules = ((ROOT / CONTRACTS).glob("*.vy"), (ROOT / CONTRACTS / MODULES).glob("*.vy"))
    assert set(SUITES) == {path.stem for path in contracts} | {f"{MODULES}/{path.stem}" for path in modules}
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
    assert own_stages("Arbiters")[:2] == [[test] for test in named]
    assert all(stage for name in SUITES for stage in own_stages(name))
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


def test_a_modules_fingerprint_is_over_what_imports_it_too(tmp_path: Path) -> None:
    texts = {
        "contracts/A.vy": "from .modules import m\n",
        "contracts/B.vy": "from .modules import k\n",
        "contracts/C.vy": "from .modules import other\n",
        "contracts/mocks/Probe.vy": "from ..modules import k\n",
        "contracts/modules/m.vy": "from . import k\n",
        "contracts/modules/k.vy": "",
        "contracts/modules/other.vy": "",
        "tests/contracts/test_a.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = tmp_path / CONTRACTS / MODULES
    assert {file.stem for file in importers(modules / "k.vy")} == {"A", "B", "Probe", "m", "k"}
    assert {file.stem for file in importers(modules / "other.vy")} == {"C", "other"}
    assert importers(tmp_path / CONTRACTS / "A.vy") == {tmp_path / CONTRACTS / "A.vy"}
    right = fingerprint(tmp_path, "modules/k", ["tests/contracts/test_a.py"])
    changing = set()
    for name, text in texts.items():
        (tmp_path / name).write_text(text + "# changed\n")
        if fingerprint(tmp_path, "modules/k", ["tests/contracts/test_a.py"]) != right:
            changing.add(Path(name).stem)
        (tmp_path / name).write_text(text)
    assert changing == {"A", "B", "Probe", "m", "k", "test_a"}


# --- memory, equivalents ---


def test_verdicts_hold_as_long_as_what_they_rest_on(tmp_path: Path) -> None:
    one, other = mutants("X", "x = a == b\ny = a < b")

    fingerprints = {"killed": "of a file", "survived": "of all files"}

    def rests_on(verdict: Verdict) -> str:
        return fingerprints[verdict.word]

    file = tmp_path / "deep" / "X.json"
    memory = Memory(file, rests_on)
    memory.keep(one, Verdict("killed", "test_x.py::test_y", 1.5))
    memory.keep(other, Verdict("survived", "", 2.0))
    again = Memory(file, rests_on)
    assert again.verdict(one) == Verdict("killed", "test_x.py::test_y", 1.5)
    assert again.verdict(other) == Verdict("survived", "", 2.0)
    # A survivor meets what has been added; what is dead stays so, unless its killer has changed.
    fingerprints["survived"] = "of more files"
    added = Memory(file, rests_on)
    assert (added.verdict(one), added.verdict(other)) == (again.verdict(one), None)
    fingerprints["killed"] = "of the file as it is now"
    later = Memory(file, rests_on)
    assert later.verdict(one) is None
    assert (later.first(one), later.first(other)) == (["test_x.py::test_y"], [])
    later.keep(other, Verdict("survived", "", 2.0))
    assert Memory(file, rests_on).first(one) == ["test_x.py::test_y"]


def test_a_stage_is_asked_only_of_what_survives_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.mutation.campaign.FOLDER", tmp_path)
    first, second = ["tests/contracts/test_council.py"], ["tests/contracts/test_safe.py"]
    one, other, third = mutants("Council", "x = a == b\ny = a < b\nz = a > b")
    kills = {(one.id, *first), (other.id, *second), (third.id, *second)}
    asked: list[tuple[str, ...]] = []

    class Stub(Bench):
        def baseline(self, contract: str, tests: Sequence[str]) -> float:
            asked.append(("baseline", *tests))
            return 1.0

        def judge(self, mutant: Mutant, tests: Sequence[str], first: Sequence[str], baseline: float) -> Verdict:
            asked.append((mutant.id, *tests))
            dead = (mutant.id, *tests) in kills
            return Verdict("killed", f"{tests[0]}::test", 1.5) if dead else Verdict("survived", "", 1.5)

    bench = Stub(tmp_path)
    bench.tree = ROOT
    court = Court("own", "Council", [first, second], bench)
    assert court.verdict(one) == Verdict("killed", f"{first[0]}::test", 1.5)
    assert asked == [("baseline", *first), (one.id, *first)]
    assert court.verdict(other) == Verdict("killed", f"{second[0]}::test", 3.0)
    assert asked[2:] == [(other.id, *first), ("baseline", *second), (other.id, *second)]
    # The likeliest killer is that of the nearest line.
    assert court.verdict(third).seconds == 1.5
    assert asked[5:] == [(third.id, *second)]


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


def test_of_a_module_fewer_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["StatementRegistry", "modules/merkle"]
    assert command.main(["--list", "--contract", *names, "--count", "3", "--module-count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(".")[0] for line in lines] == [names[0]] * 3 + [names[1]] * 2


def test_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lived, same = Mutant("Council", "compare", 7, "a < b", "a <= b"), Mutant("modules/merkle", "sign", 8, "+c", "-c")
    counted = [
        Tally("Council", 18, [lived], seconds=40.6),
        Tally("Arbiters", 20, seconds=9),
        Tally("modules/merkle", 9, equivalent=[(same, "Nobody asks.")], seconds=7),
    ]
    monkeypatch.setattr(command, "OUT", tmp_path / "mutants.json")
    monkeypatch.setattr(document, "FILE", tmp_path / "mutants.md")
    monkeypatch.setattr(command, "run", lambda plan, say: counted)
    assert command.main([]) == 0
    assert not (tmp_path / "mutants.md").exists()
    assert command.main(["--document"]) == 0
    lines = (tmp_path / "mutants.md").read_text("utf-8").splitlines()
    assert "**47 of 48 killed, 97.9 %**" in "\n".join(lines)
    for row in (
        "| `Council` | 19 | 18 | 1 | 0 |",
        "| all | 39 | 38 | 1 | 0 |",
        "| `merkle` | 9 | 9 | 0 | 1 |",
        "| all | 9 | 9 | 0 | 1 |",
    ):
        assert row in lines
    assert lines[lines.index("## Survivors") + 2] == "* `Council`: `a < b` → `a <= b`"
    assert lines[lines.index("## Equivalent") + 2 :] == ["* `modules/merkle`: `+c` → `-c`  ", "  Nobody asks."]
    (missing,) = (line for line in lines if line.startswith("Not judged: "))
    assert {f"`{name}`" for name in SUITES} - {"`Council`", "`Arbiters`", "`modules/merkle`"} == set(
        missing.removeprefix("Not judged: ").removesuffix(".").split(", ")
    )


def test_the_projects_own_document_is_of_every_contract_and_module() -> None:
    text = (ROOT / "docs" / "mutants.md").read_text("utf-8")
    for name in SUITES:
        assert f"\n| `{name.removeprefix(f'{MODULES}/')}` | " in text or f"`{name}`" in text


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
        court = Court("own", "StatementRegistry", own_stages("StatementRegistry"), bench)
        killed = court.verdict(changed("% 100", "% 101"))
        assert (killed.word, killed.by.partition("::")[0]) == ("killed", "tests/contracts/test_statement_registry.py")
        assert court.verdict(changed("len(parties), bound=2", "len(parties), bound=3")).word == "survived"
        stillborn = court.verdict(changed("month: uint32", "month: bool"))
        assert (stillborn.word, stillborn.by) == ("stillborn", "TypeMismatch")
        # A second court remembers, without asking anybody.
        bench.end()
        again = Court("own", "StatementRegistry", own_stages("StatementRegistry"), bench)
        assert again.verdict(changed("% 100", "% 101")) == killed
        with pytest.raises(BenchError):
            again.verdict(changed("% 100", "% 99"))
    assert source.read_text("ascii") == text
    assert not (tmp_path / "tree-1").exists()


def test_a_module_is_judged_in_the_contracts_that_import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the contracts were compiled before without the mutant, and their own texts have not changed."""
    monkeypatch.setattr("scripts.mutation.campaign.FOLDER", tmp_path)
    name, tests = "modules/hot_keys", ["tests/contracts/test_statement_registry.py"]
    source = ROOT / CONTRACTS / f"{name}.vy"
    lines = source.read_text("ascii").split("\n")

    def changed(before: str, after: str) -> Mutant:
        (number,) = (number for number, line in enumerate(lines, 1) if before in line)
        line = lines[number - 1].strip()
        return Mutant(name, "compare", number, line, line.replace(before, after))

    with Bench(tmp_path) as bench:
        court = Court("own", name, [tests], bench)
        killed = court.verdict(changed("_recover(digest, signature) == key", "_recover(digest, signature) != key"))
        assert (killed.word, killed.by.partition("::")[0]) == ("killed", tests[0])
        assert court.verdict(changed("key: address = roles._key(standing)", "key: bool = True")).word == "stillborn"
        assert court.verdict(changed("key != empty(address) and", "empty(address) != key and")).word == "survived"
    assert source.read_text("ascii").split("\n") == lines
