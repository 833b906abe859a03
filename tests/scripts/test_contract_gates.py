"""Each gate is seen to fail on a source that breaks just its rule, and to pass what is close to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain import artifacts
from scripts import contract_gates

GOOD = '''# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Good
@custom:kill Nothing to stop.
"""

kept: uint256


@external
@payable
def run(flag: bool, number: uint256) -> uint256:
    before: uint256 = self._bump(number)
    return before if flag else number


@internal
def _bump(by: uint256) -> uint256:
    self.kept += by
    return self.kept


@internal
@pure
def _double(number: uint256) -> uint256:
    return number * 2
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    (contracts / "Good.vy").write_text(GOOD)
    return contracts


def seed(folder: Path, body: str, name: str = "Bad.vy") -> list[tuple[str, str]]:
    """The gates that a source fails, with their messages."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(body.encode("utf-8"))
    return [
        (fault.gate, fault.message)
        for fault in contract_gates.check_sources(folder)
        if fault.file == f"contracts/{name}"
    ]


def with_function(code: str) -> str:
    return GOOD + "\n\n" + code


def test_good_source_passes_every_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert contract_gates.main([str(folder)]) == 0
    said = capsys.readouterr().out
    assert "contract gates: 1 contracts, 0 faults" in said
    assert said.splitlines()[1].split()[0] == "Good"


def test_no_contracts_is_a_failure(tmp_path: Path) -> None:
    assert contract_gates.main(["--sources", str(tmp_path)]) == 1


def test_the_whole_command_fails_and_names_file_line_and_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Bad.vy").write_text(GOOD.replace("@custom:kill Nothing to stop.\n", ""))
    assert contract_gates.main(["--sources", str(folder)]) == 1
    assert "contracts/Bad.vy:1: kill: lacks @custom:kill" in capsys.readouterr().out


@pytest.mark.parametrize("strange", ["\u00e9", "\u202e", "\x00", "\x0c", "\t", "\r", "\ufeff"])
@pytest.mark.parametrize("name", ["Bad.vy", "Bad.vyi", "modules/bad.vy"])
def test_text_outside_plain_ascii(folder: Path, strange: str, name: str) -> None:
    assert "ascii" in dict(seed(folder, GOOD + f"# {strange}\n", name))


def test_byte_order_mark_is_found_in_line_one(folder: Path) -> None:
    (folder / "Bad.vy").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    faults = [fault for fault in contract_gates.check_sources(folder) if fault.gate == "ascii"]
    assert [(fault.line, fault.message) for fault in faults] == [(1, "byte 0xef at column 1")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint256[2]", "[1, 2]"), ("DynArray[uint256, 3]", "[1]"), ("Bytes[4]", 'b"ab"'), ("String[4]", '"ab"')],
)
def test_conditional_expression_on_arrays(folder: Path, kind: str, value: str) -> None:
    code = f"""@external
def pick(flag: bool) -> {kind}:
    first: {kind} = {value}
    second: {kind} = {value}
    return first if flag else second
"""
    ((gate, message),) = seed(folder, with_function(code))
    assert gate == "conditional"
    assert message.startswith("conditional expression on ")


@pytest.mark.parametrize("operand", ["msg.value", "len(msg.data)"])
def test_bit_or_with_call_input_in_a_conditional_expression(folder: Path, operand: str) -> None:
    code = f"""@external
@payable
def pick(flag: bool, number: uint256) -> uint256:
    return ({operand} | number) if flag else 0
"""
    assert [gate for gate, _ in seed(folder, with_function(code))] == ["bit-or"]


def test_bit_or_outside_a_conditional_expression_passes(folder: Path) -> None:
    code = """@external
@payable
def pick(flag: bool, number: uint256) -> uint256:
    both: uint256 = msg.value | number
    return both if flag else 0
"""
    assert seed(folder, with_function(code)) == []


def blueprint(offset: str) -> str:
    return f"""@external
def make(target: address, number: uint256) -> address:
    made: address = create_from_blueprint(target, code_offset={offset})
    return made
"""


def test_code_offset_from_a_caller(folder: Path) -> None:
    assert seed(folder, with_function(blueprint("number"))) == [("code-offset", "code_offset must be a literal number")]


def test_code_offset_as_a_literal_passes(folder: Path) -> None:
    assert seed(folder, with_function(blueprint("3"))) == []


EFFECTS = """interface Other:
    def change() -> uint256: nonpayable
    def look() -> uint256: view

event Told:
    number: uint256


@external
def act(other: address) -> uint256:
    {statement}
    return 0
"""


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("a: uint256 = max(self._bump(1), 2)", "an argument"),
        ("a: uint256 = self._double(self._bump(1))", "an argument"),
        ("a: uint256 = self._double(extcall Other(other).change())", "an argument"),
        ("a: uint256 = max(1, 1 + extcall Other(other).change())", "an argument"),
        ("log Told(number=self._bump(1))", "a log"),
        ("log Told(number=extcall Other(other).change())", "a log"),
        ("for i: uint256 in range(self._bump(1), bound=4):\n        pass", "an argument"),
        ("for i: uint256 in [extcall Other(other).change()]:\n        pass", "a loop header"),
    ],
)
def test_calls_with_effects_in_the_wrong_place(folder: Path, statement: str, place: str) -> None:
    found = seed(folder, with_function(EFFECTS.format(statement=statement)))
    assert ("effects", f"call with effects inside {place}: bind it to a local first") in found


@pytest.mark.parametrize(
    "statement",
    [
        "a: uint256 = self._bump(1)",
        "a: uint256 = extcall Other(other).change()",
        "a: uint256 = self._double(staticcall Other(other).look())",
        "a: uint256 = self._double(self._double(1))",
        "for i: uint256 in range(4):\n        a: uint256 = self._bump(i)",
    ],
)
def test_calls_where_they_are_allowed(folder: Path, statement: str) -> None:
    assert seed(folder, with_function(EFFECTS.format(statement=statement))) == []


@pytest.mark.parametrize("first", ["# pragma version ^0.4.3", "#pragma version 0.4.3", "# @version 0.4.3", "", " "])
def test_version_pragma_other_than_the_one(folder: Path, first: str) -> None:
    body = GOOD.replace("# pragma version 0.4.3", first, 1)
    assert ("pragma", "the first line must be `# pragma version 0.4.3`") in seed(folder, body, "modules/bad.vy")


@pytest.mark.parametrize("pragma", ["evm-version cancun", "optimize codesize", "enable-decimals"])
def test_pragmas_that_belong_to_the_build(folder: Path, pragma: str) -> None:
    body = GOOD.replace("# pragma nonreentrancy on", f"# pragma nonreentrancy on\n# pragma {pragma}")
    assert ("pragma", f"`# pragma {pragma}` is not allowed") in seed(folder, body)


def test_reentrancy_pragma_is_missing(folder: Path) -> None:
    body = GOOD.replace("# pragma nonreentrancy on\n", "")
    assert seed(folder, body) == [("pragma", "lacks `# pragma nonreentrancy on`")]
    assert seed(folder, body, "modules/bad.vy") == []


def test_kill_tag_is_missing_or_empty(folder: Path) -> None:
    for text in ("", "@custom:kill"):
        body = GOOD.replace("@custom:kill Nothing to stop.", text)
        assert "kill" in dict(seed(folder, body))


# Without MCOPY and PUSH0 this is longer, so the EVM version shows in its size.
COPIES = """

@external
def copies(words: DynArray[bytes32, 24]) -> DynArray[bytes32, 24]:
    others: DynArray[bytes32, 24] = words
    return others
"""


def test_length(folder: Path) -> None:
    room = 400 - contract_gates.code_lines(GOOD)
    more = "".join(f"CONSTANT_{number}: constant(uint256) = {number}\n" for number in range(room))
    assert seed(folder, GOOD + more + "# a comment\n\n" * 50) == []
    assert seed(folder, GOOD + more + "LAST: constant(uint256) = 0\n") == [("length", "401 lines of code, at most 400")]


def test_docstrings_and_comments_are_no_code() -> None:
    text = '"""\n@title Two lines of code\n"""\n\n# why\nA: constant(uint256) = 1\nB: constant(uint256) = 2\n'
    assert contract_gates.code_lines(text) == 2


def test_source_that_does_not_compile(folder: Path) -> None:
    ((gate, message),) = seed(folder, with_function("@external\ndef broken() -> uint256:\n    return nothing\n"))
    assert gate == "compiles"
    assert "nothing" in message


def test_warning_is_an_error(folder: Path) -> None:
    # `enum` gives way to `flag` with a warning only.
    (folder / "Bad.vy").write_text(GOOD.replace("kept: uint256\n", "enum Colour:\n    RED\n\nkept: uint256\n"))
    _, faults = contract_gates.check_sizes(folder)
    assert [(fault.file, fault.gate) for fault in faults] == [("contracts/Bad.vy", "compiles")] * 2
    assert "enum" in faults[0].message


def test_size_is_that_of_the_code_that_deployments_use(folder: Path, tmp_path: Path) -> None:
    body = GOOD + "\n\n@deploy\ndef __init__():\n    pass\n" + COPIES
    (folder / "Good.vy").write_text(body)
    (london,) = [size for size in contract_gates.check_sizes(folder)[0] if size.target == "london"]
    assert london.size == len(artifacts.load("Good", folder, tmp_path / "cache").runtime)


def test_size_counts_the_immutables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def size_of(source: str) -> int:
        (folder / "Good.vy").write_text(source)
        return contract_gates.check_sizes(folder)[0][0].size

    plain = size_of(GOOD + "\n\n@deploy\ndef __init__():\n    pass\n")
    holding = size_of(
        GOOD.replace("kept: uint256\n", "A: immutable(uint256)\nkept: uint256\n", 1)
        + "\n\n@deploy\ndef __init__():\n    A = 1\n"
    )
    assert holding == plain + 32
    monkeypatch.setattr(contract_gates, "SIZE_LIMIT", holding)
    _, faults = contract_gates.check_sizes(folder)
    assert [fault.message for fault in faults] == [
        f"{holding} bytes for london, must be below {holding}",
    ]
