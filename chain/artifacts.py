"""Compiled contracts: Vyper sources to ABI and bytecode, kept under `build/artifacts` until a source changes.

Compiled for London, so that chains of any age run them, in the compiler's gas mode. A file there carries a key over
everything that can change its content; whoever finds another key compiles again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from chain.errors import CompileFailed

ROOT: Final = Path(__file__).resolve().parents[1]
CONTRACTS: Final = ROOT / "contracts"
CACHE: Final = ROOT / "build" / "artifacts"
EVM: Final = "london"
OPTIMIZE: Final = "gas"
MOCKS: Final = "mocks"

Abi = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract. `bytecode` creates it; `runtime` is its code before the immutables are appended."""

    name: str
    abi: Abi
    bytecode: bytes
    runtime: bytes
    method_ids: dict[str, str]
    evm: str
    vyper: str


def load(name: str, sources: Path = CONTRACTS, cache_dir: Path = CACHE) -> Artifact:
    """The contract `<name>.vy` of `sources`, or of its `mocks`, compiled now or before.

    Raises CompileFailed when there is no such source or the compiler refuses it.
    """
    source = _find(name, sources)
    key = source_key(sources, mocks=source.parent.name == MOCKS)
    kept = cache_dir / f"{name}.json"
    artifact = _read(kept, key)
    if artifact is None:
        artifact = _compile(name, source, sources)
        _write(kept, key, artifact)
    return artifact


def load_all(names: Sequence[str]) -> dict[str, Artifact]:
    """The contracts of this checkout by name; those not yet compiled are, on every core at once.

    Raises CompileFailed as `load` does.
    """
    missing = [name for name in names if not _is_kept(name)]
    shares = [missing[core :: os.cpu_count() or 1] for core in range(os.cpu_count() or 1)]
    # A process each, because the compiler is Python. What one fails at is tried again below, where the error is seen.
    compiling = [
        subprocess.Popen([sys.executable, "-m", "chain.artifacts", *share], cwd=ROOT, stderr=subprocess.DEVNULL)
        for share in shares
        if share and len(missing) > 1
    ]
    for process in compiling:
        process.wait()
    return {name: load(name) for name in names}


def source_key(sources: Path = CONTRACTS, *, mocks: bool = False) -> str:
    """A hash of every source, the compiler and its settings: a contract depends on files that it imports.

    No contract imports a mock, so `mocks` are only taken in for the mocks themselves.
    """
    digest = hashlib.sha256(f"vyper {version('vyper')} {EVM} {OPTIMIZE}".encode())
    for file in sorted((*sources.rglob("*.vy"), *sources.rglob("*.vyi"))):
        if file.parent.name == MOCKS and not mocks:
            continue
        digest.update(b"\0" + file.relative_to(sources).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _is_kept(name: str) -> bool:
    mocks = _find(name, CONTRACTS).parent.name == MOCKS
    return _read(CACHE / f"{name}.json", source_key(mocks=mocks)) is not None


def _find(name: str, sources: Path) -> Path:
    for source in (sources / f"{name}.vy", sources / MOCKS / f"{name}.vy"):
        if source.is_file():
            return source
    raise CompileFailed(f"there is no contract {name} in {sources}")


def _compile(name: str, source: Path, sources: Path) -> Artifact:
    # A second to import, and not needed where the artifact is at hand.
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings
    from vyper.exceptions import VyperException

    bundle = FilesystemInputBundle([sources.parent, sources])
    settings = Settings(evm_version=EVM, optimize=OptimizationLevel.from_string(OPTIMIZE))
    wanted = ["abi", "bytecode", "bytecode_runtime", "method_identifiers"]
    try:
        made = compile_from_file_input(
            bundle.load_file(source), input_bundle=bundle, settings=settings, output_formats=wanted
        )
    except VyperException as error:
        raise CompileFailed(f"{source.name}: {error}") from error
    return Artifact(
        name=name,
        abi=made["abi"],
        bytecode=_from_hex(made["bytecode"]),
        runtime=_from_hex(made["bytecode_runtime"]),
        method_ids=dict(made["method_identifiers"]),
        evm=EVM,
        vyper=version("vyper"),
    )


def _read(file: Path, key: str) -> Artifact | None:
    try:
        document = json.loads(file.read_bytes())
        if document.pop("key") != key:
            return None
        document["bytecode"] = _from_hex(document["bytecode"])
        document["runtime"] = _from_hex(document["runtime"])
        return Artifact(**document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or not ours: it is made again


def _write(file: Path, key: str, artifact: Artifact) -> None:
    document = asdict(artifact) | {
        "key": key,
        "bytecode": "0x" + artifact.bytecode.hex(),
        "runtime": "0x" + artifact.runtime.hex(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, so that two processes that compile at once never read half a file.
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}-", suffix=".json")
    with os.fdopen(handle, "w") as stream:
        json.dump(document, stream, indent=1)
    Path(temporary).replace(file)


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        load(wanted)
