"""Deployable contracts as the compiler makes them, for every EVM version that a market's chain may have."""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.output import build_layout_output
from vyper.compiler.phases import CompilerData
from vyper.compiler.settings import OptimizationLevel, Settings, anchor_settings
from vyper.warnings import VyperWarning

CONTRACTS = Path(__file__).resolve().parents[1] / "contracts"
TARGETS = ("london", "cancun")
# Where the compiler is installed is no part of the name of an interface that it brings along.
_INSTALLED = re.compile(r"^.*/(?=vyper/builtins/)")


@dataclass(frozen=True)
class Build:
    """What a deployable comes to on a chain of one EVM version.

    `size` is what a node counts: code and immutables, bytes. `code_sha256` is over the runtime code alone, `integrity`
    over the sources that it is made of, `layout` where storage and immutables stand.
    """

    contract: str
    target: str
    size: int
    code_sha256: str
    integrity: str
    layout: dict[str, Any]


def compiler(folder: Path, path: Path, target: str) -> CompilerData:
    """The compiler at one source, with the settings that deployments use."""
    bundle = FilesystemInputBundle([folder.parent, folder])
    settings = Settings(evm_version=target, optimize=OptimizationLevel.GAS, experimental_codegen=False)
    return CompilerData(bundle.load_file(path), input_bundle=bundle, settings=settings)


def build(folder: Path, path: Path, target: str) -> Build:
    """Compiles a deployable; raises VyperException, and VyperWarning for what the compiler only warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=VyperWarning)
        made = compiler(folder, path, target)
        # The code generator reads the settings in force, not those of its input.
        with anchor_settings(made.settings):
            code: bytes = made.bytecode_runtime
            layout: dict[str, Any] = _anywhere(build_layout_output(made))
            return Build(
                contract=path.stem,
                target=target,
                size=len(code) + made.global_ctx.immutable_section_bytes,
                code_sha256=hashlib.sha256(code).hexdigest(),
                integrity=made.integrity_sum,
                layout=layout,
            )


def _anywhere(layout: Any) -> Any:
    """A layout as it is wherever the compiler stands."""
    if isinstance(layout, dict):
        return {key: _anywhere(value) for key, value in layout.items()}
    return _INSTALLED.sub("", layout) if isinstance(layout, str) else layout
