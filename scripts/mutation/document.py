"""The result of a whole check as a document, so that it can be read without running it for an hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.mutation.suites import MODULES, ROOT, SUITES

FILE = ROOT / "docs" / "mutants.md"

HEAD = """# Mutants

Do the tests notice when a contract is wrong? The mutation check changes a contract, or a module that contracts import,
in one line of its code: an assertion asks for nothing, a comparison moves by one or turns round, plus becomes minus, a
constant is one off, a party is taken for its counterpart, two words of an encoding change places. Each such mutant is
compiled and judged by tests in a copy of the tree (`scripts/mutation/`): *killed* if one fails, a *survivor* if none
does. Mutants that do not compile are not counted, nor are those that nothing can tell from the contract (*equivalent*,
listed with the reason in `tests/contracts/equivalents.toml`; the check fails if a test kills one after all).

`make mutants` runs the check and remembers its verdicts in `build/mutants/`; `make mutants ARGS=--document` writes this
page from them. Which mutants are drawn depends on the seed and on the lines themselves alone.
"""


def page(report: Mapping[str, Any]) -> str:
    """The document of a report; it names what the report is not on."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    tallies: Mapping[str, Mapping[str, Any]] = report["contracts"]
    yield HEAD
    yield (
        f"Seed {report['seed']}, {report['count']} mutants of each contract, {report['module_count']} of each module "
        f"(all, if it has fewer): **{report['killed']} of {report['made']} killed, {report['percent']} %**."
    )
    for title, of_modules in (("Contract", False), ("Module", True)):
        chosen = {name: one for name, one in tallies.items() if name.startswith(f"{MODULES}/") is of_modules}
        yield f"\n| {title} | Made | Killed | Survivors | Equivalent |\n| --- | --: | --: | --: | --: |"
        for name, one in chosen.items():
            figures = one["made"], one["killed"], len(one["survivors"]), len(one["equivalent"])
            yield f"| `{name.removeprefix(f'{MODULES}/')}` | {' | '.join(map(str, figures))} |"
        sums = [sum(one[what] for one in chosen.values()) for what in ("made", "killed")]
        sums += [sum(len(one[what]) for one in chosen.values()) for what in ("survivors", "equivalent")]
        yield f"| all | {' | '.join(map(str, sums))} |"
    if missing := [name for name in SUITES if name not in tallies]:
        yield f"\nNot judged: {', '.join(f'`{name}`' for name in missing)}."
    yield "\n## Survivors\n"
    yield from _listed(tallies, "survivors") or ["None."]
    yield "\n## Equivalent\n"
    yield from _listed(tallies, "equivalent") or ["None."]


def _listed(tallies: Mapping[str, Mapping[str, Any]], what: str) -> list[str]:
    """Each line of a source as it is, as it was changed, and, where one is known, the reason."""
    return [
        f"* `{name}`: `{one['before']}` → `{one['after']}`" + (f"  \n  {one['reason']}" if "reason" in one else "")
        for name, tally in tallies.items()
        for one in tally[what]
    ]
