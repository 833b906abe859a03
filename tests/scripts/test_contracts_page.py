"""The page of contracts: what its tables say of a source, and each way in which it can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import contracts_page
from scripts.contracts_page import Function, bounds, events, faults, functions, main, page, tag
from settlement.config import Config

TEXT = contracts_page.PAGE.read_text()


def found(text: str) -> list[str]:
    return list(faults(text))


def test_the_page_is_as_the_sources() -> None:
    assert found(TEXT) == []
    assert page(TEXT) == TEXT
    assert main(["--check"]) == 0


def test_functions_stand_under_who_may_call_them() -> None:
    book = {one.name: one for one in functions("TradeBook")}
    assert book["curtail"] == Function(
        "curtail",
        "members (signed, relayed by anyone)",
        False,
        "Lowers what is contracted by a committed trade; 0 cancels it.",
    )
    assert book["contracted"].is_view
    assert book["last_sequence"].is_variable  # a public variable, told by the interface
    assert book["last_sequence"].does == "The highest sequence number that the pair (a <= b) has used."
    assert not any(name.startswith("_") for name in book)


def test_what_a_contract_exports_is_its_own() -> None:
    registry = {one.name: one for one in functions("MemberRegistry")}
    assert registry["pause"].caller == "guardian"
    assert registry["set_config"].caller == "council"
    assert registry["change_hot_key"].caller.startswith("members (signed by the cold key")
    assert {one.caller for one in registry.values() if one.name in ("council", "config", "standing")} == {
        "anyone (views)"
    }


@pytest.mark.parametrize("contract", sorted(file.stem for file in contracts_page.CONTRACTS.glob("*.vy")))
def test_every_function_of_the_abi_is_told(contract: str) -> None:
    from chain import artifacts

    abi = artifacts.load(contract).abi
    told = functions(contract)
    assert {one.name for one in told} == {entry["name"] for entry in abi if entry["type"] == "function"}
    views = {entry["name"] for entry in abi if entry.get("stateMutability") in ("view", "pure")}
    assert {one.name for one in told if one.is_view} == views
    assert all(one.does.endswith(".") for one in told), [one for one in told if not one.does.endswith(".")]
    logged = {entry["name"]: [field["name"] for field in entry["inputs"]] for entry in abi if entry["type"] == "event"}
    # The ABI has an event only where the contract's own code or a module logs it.
    assert logged.items() <= events(contract).items()
    assert tag(contract, "@custom:kill").endswith(".")


def test_every_parameter_has_its_bounds() -> None:
    assert list(bounds()) == [*Config.__dataclass_fields__]
    assert bounds()["close_limit"] == "latest seal + 1 d .. 730 d"
    rows = dict(line.split(" | ")[0:2] for line in TEXT.splitlines() if line.startswith("| `") and " | " in line)
    assert rows["| `run_deadlines`"] == "12 h, 14 d, 45 d, 120 d"
    assert rows["| `anchor`"] == "1970-01-01T18:30:00Z"
    assert rows["| `payable_unit`"] == "10000 base units (0.01)"
    assert rows["| `gate`"] == "0"
    assert rows["| `currency`"] == "INR"
    assert rows["| `set_off`"] == "8"


def changed(before: str, now: str) -> str:
    assert before in TEXT
    return TEXT.replace(before, now, 1)


def test_what_was_generated_and_changed_by_hand_differs() -> None:
    text = changed("| `curtail` | Lowers", "| `curtail` | Raises")
    assert found(text) == ["differs from the sources; renew it: .venv/bin/python -m scripts.contracts_page"]
    assert page(text) == TEXT
    assert page(changed("| `paused` | Whether", "| `gone` | Whether")) == TEXT


def test_what_was_written_by_hand_is_kept() -> None:
    text = changed("Who governs, and how many of them it takes.", "My words.")
    assert found(text) == []
    assert page(text) == text


def test_a_new_event_wants_words() -> None:
    at = TEXT.index("| `SeatsSet` |")
    text = TEXT[:at] + TEXT[TEXT.index("\n", at) + 1 :]
    assert "| `SeatsSet` | members, threshold |  |" in page(text)
    assert found(page(text)) == ["Council: SeatsSet: nobody has said what it is"]
    assert found(text)[0].startswith("differs")


def test_a_parameter_wants_words() -> None:
    text = changed("| by which banks pay |", "|  |")
    assert found(text) == ["parameters: rails: nobody has said what it is"]


def test_contracts_come_and_go() -> None:
    text = changed("<!-- generated: TradeResult -->", "<!-- TradeResult -->")
    assert "TradeResult: has no section" in found(text)


def test_links_lead_somewhere() -> None:
    text = changed("](../contracts/Council.vy)", "](../contracts/Senate.vy)")
    assert found(text) == ["a link leads nowhere: ../contracts/Senate.vy"]


def test_the_command_rewrites_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "docs" / "contracts.md"
    copy.parent.mkdir()
    copy.write_text(changed("| `curtail` | Lowers", "| `curtail` | Raises"))
    monkeypatch.setattr(contracts_page, "PAGE", copy)
    assert main(["--check"]) == 1
    assert copy.read_text() != TEXT
    main([])  # its links lead nowhere from here, which is all that is wrong
    assert copy.read_text() == TEXT
