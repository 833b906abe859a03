"""The tables in `docs/contracts.md`, made from the sources, so that the page cannot tell of other contracts than these.

Usage: python -m scripts.contracts_page [--check]

The page is written by hand but for what stands between `<!-- generated: NAME -->` and `<!-- end -->`: functions under
the banner that says who may call them, with the first sentence of their `@notice`; events with their fields; parameters
with bounds and defaults; how each contract is stopped. What an auditor learns from an event, and what a parameter is
for, is written by hand in the tables' last column and kept there. Without `--check` the page is rewritten. Exit code 1
where it differs, lacks a contract, or a hand has left a column empty.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from vyper import ast as vy_ast
from vyper.ast.parse import parse_to_ast

from settlement.config import DAY, HOUR, Config
from settlement.units import money_text, time_text

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
PAGE = ROOT / "docs" / "contracts.md"
PARAMETERS = "parameters"

_REGION = re.compile(r"<!-- generated: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)[^|]*\|(?:.*\|)? *([^|]*?) *\|$", re.MULTILINE)
_BANNER = re.compile(r"# --- (.+) ---")
_BOUND = re.compile(r"^ +(\w+) {2,}(\S.*?) {2,}bad [\w -]+$", re.MULTILINE)
_TAG = re.compile(r"@[\w:]+")
_LINK = re.compile(r"\]\(([^)#]+)")


@dataclass(frozen=True)
class Function:
    """An external function: under which banner it stands, whether it changes nothing, what it does in a sentence.

    `is_variable`: it is a public variable's, and has no docstring of its own.
    """

    name: str
    caller: str
    is_view: bool
    does: str
    is_variable: bool = False


def functions(name: str) -> list[Function]:
    """The external functions of a contract, those that it exports from modules included, in the order of sources."""
    lines, module = _parsed(CONTRACTS / f"{name}.vy")
    found = list(_functions(lines, module))
    for exported in module.get_children(vy_ast.ExportsDecl):
        items = exported.annotation
        for item in getattr(items, "elements", [items]):
            file = _module_file(module, item.value.id)
            found += [one for one in _functions(*_parsed(file)) if one.name == item.attr]
    told = _interface_comments(name)
    return [replace(one, does=told.get(one.name, one.does)) if one.is_variable else one for one in found]


def events(name: str) -> dict[str, list[str]]:
    """The events of a contract, from its interface, with the names of their fields."""
    _, module = _parsed(CONTRACTS / "interfaces" / f"I{name}.vyi")
    return {
        event.name: [field.target.id for field in event.body if isinstance(field, vy_ast.AnnAssign)]
        for event in module.get_children(vy_ast.EventDef)
    }


def bounds() -> dict[str, str]:
    """The bounds of each parameter, in the order of the config, as the module's docstring states them."""
    _, module = _parsed(CONTRACTS / "modules" / "parameters.vy")
    return {match[1]: match[2] for match in _BOUND.finditer(module.doc_string.value) if match[1] != "parameter"}


def tag(name: str, wanted: str) -> str:
    """What a contract's docstring says under a NatSpec tag, on one line."""
    _, module = _parsed(CONTRACTS / f"{name}.vy")
    return _tagged(module.doc_string.value, wanted)


def page(text: str) -> str:
    """The page with every generated region made anew; what was written by hand in its tables is kept."""
    return _REGION.sub(lambda region: _region(region[1], region[2]), text)


def faults(text: str) -> Iterator[str]:
    """What is wrong with a page."""
    if page(text) != text:
        yield "differs from the sources; renew it: .venv/bin/python -m scripts.contracts_page"
    regions = {match[1]: match[2] for match in _REGION.finditer(text)}
    wanted = {PARAMETERS, *(file.stem for file in CONTRACTS.glob("*.vy"))}
    for name in sorted(wanted ^ regions.keys()):
        yield f"{name}: {'has no section' if name in wanted else 'there is no such contract'}"
    for name in sorted(wanted & regions.keys()):
        # The table written by hand is the last one of its region.
        by_hand = regions[name].rpartition("\n\n")[2] if "| event |" in regions[name] or name == PARAMETERS else ""
        yield from (f"{name}: {row}: nobody has said what it is" for row, said in _ROW.findall(by_hand) if not said)
    for link in _LINK.findall(text):
        if "//" not in link and not (PAGE.parent / link).exists():
            yield f"a link leads nowhere: {link}"


def main(arguments: Sequence[str]) -> int:
    """Writes or checks the page; returns the exit code."""
    parser = argparse.ArgumentParser(description="The tables in docs/contracts.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where it would")
    options = parser.parse_args(arguments)
    text = PAGE.read_text()
    if not options.check:
        text = page(text)
        PAGE.write_text(text)
    found = list(faults(text))
    for fault in found:
        print(f"docs/{PAGE.name}: {fault}")
    print(f"contracts page: {len(_REGION.findall(text))} sections, {len(found)} faults")
    return 1 if found else 0


# --- reading sources ---


def _parsed(file: Path) -> tuple[list[str], Any]:
    text = file.read_text("ascii")
    return text.splitlines(), parse_to_ast(text, is_interface=file.suffix == ".vyi")


def _module_file(module: Any, name: str) -> Path:
    for statement in module.get_children(vy_ast.ImportFrom):
        if name in (statement.alias, statement.name):
            return CONTRACTS / "modules" / f"{statement.name}.vy"
    raise LookupError(name)


def _functions(lines: list[str], module: Any) -> Iterator[Function]:
    for node in module.body:
        if isinstance(node, vy_ast.VariableDecl) and node.is_public:
            yield Function(node.target.id, _ANYONE, True, _sentence(_comment_above(lines, node.lineno)), True)
        elif isinstance(node, vy_ast.FunctionDef):
            decorators = {one.id for one in node.decorator_list if isinstance(one, vy_ast.Name)}
            if "external" in decorators:
                does = _sentence(_tagged(node.doc_string.value, "@notice"))
                yield Function(node.name, _banner_above(lines, node.lineno), bool(decorators & {"view", "pure"}), does)


def _interface_comments(name: str) -> dict[str, str]:
    """What the interface says right above its functions, by name, as far as it says anything."""
    lines, module = _parsed(CONTRACTS / "interfaces" / f"I{name}.vyi")
    found = {}
    for node in module.get_children(vy_ast.FunctionDef):
        at = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        if lines[at - 2].startswith("#") and not _BANNER.fullmatch(lines[at - 2]):
            found[node.name] = _sentence(_comment_above(lines, at))
    return found


def _banner_above(lines: list[str], number: int) -> str:
    for line in reversed(lines[: number - 1]):
        if banner := _BANNER.fullmatch(line):
            return banner[1]
    return _ANYONE


_ANYONE = "anyone (views)"


def _comment_above(lines: list[str], number: int) -> str:
    """The comment over a variable, or over the variables right before it."""
    at = number - 2
    while at >= 0 and lines[at] and not lines[at].startswith("#"):
        at -= 1
    said: list[str] = []
    while at >= 0 and lines[at].startswith("#"):
        said.insert(0, lines[at].removeprefix("#").strip())
        at -= 1
    return " ".join(said)


def _tagged(docstring: str, wanted: str) -> str:
    _, _, rest = docstring.partition(wanted)
    return " ".join(_TAG.split(rest)[0].split())


def _sentence(text: str) -> str:
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text)[0]


# --- writing tables ---


def _region(name: str, before: str) -> str:
    by_hand = dict(_ROW.findall(before.rpartition("\n\n")[2]))
    make: Callable[[str, dict[str, str]], Iterator[str]] = _parameters if name == PARAMETERS else _contract
    return f"<!-- generated: {name} -->\n" + "\n".join(make(name, by_hand)) + "\n<!-- end -->"


def _contract(name: str, by_hand: dict[str, str]) -> Iterator[str]:
    yield f"**How it is stopped.** {tag(name, '@custom:kill')}"
    found = functions(name)
    if acts := [one for one in found if not one.is_view]:
        yield ""
        yield "| who may call | function | what it does |"
        yield "| --- | --- | --- |"
        for caller, group in groupby(sorted(acts, key=lambda one: _order(one, acts)), key=lambda one: one.caller):
            for place, one in enumerate(group):
                yield f"| {'' if place else _cell(caller)} | `{one.name}` | {_cell(one.does)} |"
    if views := [one for one in found if one.is_view]:
        yield ""
        yield f"<details><summary>{_counted(len(views), 'view')}, which anyone may ask</summary>"
        yield ""
        yield "| view | what it answers |"
        yield "| --- | --- |"
        for one in views:
            yield f"| `{one.name}` | {_cell(one.does)} |"
        yield ""
        yield "</details>"
    if logged := events(name):
        yield ""
        yield "| event | its fields | what an auditor learns |"
        yield "| --- | --- | --- |"
        for event, named in logged.items():
            yield f"| `{event}` | {', '.join(named)} | {by_hand.get(event, '')} |"


def _order(one: Function, acts: list[Function]) -> int:
    """Callers in the order in which they are met first; modules come behind the contract's own banners."""
    return next(place for place, other in enumerate(acts) if other.caller == one.caller)


def _parameters(_: str, by_hand: dict[str, str]) -> Iterator[str]:
    limits, defaults = bounds(), Config()
    yield "| parameter | default | bounds | what it is |"
    yield "| --- | --- | --- | --- |"
    for field in fields(Config):
        limit = limits.pop(field.name)
        value = _value(field.name, getattr(defaults, field.name), limit)
        yield f"| `{field.name}` | {value} | {_cell(limit)} | {by_hand.get(field.name, '')} |"
    if limits:
        raise LookupError(f"no parameters: {limits}")


def _value(name: str, value: Any, limit: str) -> str:
    if isinstance(value, tuple):
        return ", ".join(_value(name, one, limit) for one in value)
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode()
    if name == "payable_unit":
        return f"{value} base units ({money_text(value)})"
    if name == "anchor":
        return time_text(value)
    is_time = re.search(r"\d [smhd]\b", limit) or name == "gate"
    return _duration(value) if is_time else str(value)


def _duration(seconds: int) -> str:
    if seconds and seconds % DAY == 0:
        return f"{seconds // DAY} d"
    hours, rest = divmod(seconds, HOUR)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{rest // 60} min" if rest else ""))) or "0"


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
