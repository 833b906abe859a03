"""A folder that files are put into from outside: each content of each file is read once, and a bad one refused whole.

What was taken is copied beside (`taken/`), so that a file that is later damaged, or gone, does not take back what was
good before, not even after a restart.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Final, Generic, TypeVar

from member.lines import LineError

TAKEN: Final = "taken"

T = TypeVar("T")


class Inbox(Generic[T]):
    """The CSV files of a folder. `read` makes of a file what it says, or raises LineError.

    One thread uses it. `contents` are the good files by name, in the order of names; `refused` says for each file that
    was not taken why.
    """

    def __init__(self, folder: Path, read: Callable[[Path], T]) -> None:
        self._folder = folder
        self._read = read
        self._looks: dict[str, tuple[int, int]] = {}
        self._hashes: dict[str, str] = {}
        self._contents: dict[str, T] = {}
        self._refused: dict[str, str] = {}
        self._restored = False
        self.changes = 0
        """How often what the files say has changed."""

    @property
    def contents(self) -> Mapping[str, T]:
        """What the good files say, by file name in ascending order."""
        return {name: self._contents[name] for name in sorted(self._contents)}

    @property
    def refused(self) -> Mapping[str, str]:
        """Why files were not taken, by file name: file, line, field and reason."""
        return dict(self._refused)

    def scan(self) -> tuple[str, ...]:
        """Reads what is new or has changed since the last look; returns the names of the files that were taken.

        Raises OSError where the folder cannot be used.
        """
        taken = self._folder / TAKEN
        taken.mkdir(parents=True, exist_ok=True)
        if not self._restored:
            self._restore(taken)
            self._restored = True
        files = sorted(self._folder.glob("*.csv"))
        self._forget_all_but({file.name for file in files})
        return tuple(file.name for file in files if self._is_news(file) and self._take(file))

    def peek(self) -> None:
        """Reads all there is as `scan` would take it now, and leaves the folder as it is."""
        self._restore(self._folder / TAKEN)
        for file in sorted(self._folder.glob("*.csv")):
            try:
                self._contents[file.name] = self._read(file)
            except LineError as error:
                self._refused[file.name] = str(error)
        self.changes += 1

    def _restore(self, taken: Path) -> None:
        """What was taken before this program started."""
        for file in sorted(taken.glob("*.csv")):
            try:
                self._contents[file.name] = self._read(file)
            except LineError as error:
                # The rules it was good under have changed, for example the list of meters.
                self._refused[f"{TAKEN}/{file.name}"] = str(error)
            else:
                self._hashes[file.name] = _hash(file)
                self.changes += 1

    def _forget_all_but(self, names: Set[str]) -> None:
        """Whoever takes a refused file away has dealt with it."""
        for name in self._looks.keys() - names:
            del self._looks[name]
            self._refused.pop(name, None)

    def _is_news(self, file: Path) -> bool:
        try:
            state = file.stat()
            look = state.st_mtime_ns, state.st_size
            if self._looks.get(file.name) == look:
                return False
            is_known = self._hashes.get(file.name) == _hash(file)
        except FileNotFoundError:
            return False  # taken away while we looked
        self._looks[file.name] = look
        if is_known:
            self._refused.pop(file.name, None)
        return not is_known

    def _take(self, file: Path) -> bool:
        try:
            # Read from a copy: what is kept is then what was judged, whatever happens to the file meanwhile.
            copy = self._folder / TAKEN / f"{file.name}.part"
            shutil.copyfile(file, copy)
            content = self._read(copy)
        except LineError as error:
            self._refused[file.name] = str(error).replace(str(error.file), str(file))
            copy.unlink()
            return False
        self._hashes[file.name] = _hash(copy)
        copy.replace(self._folder / TAKEN / file.name)
        self._contents[file.name] = content
        self.changes += 1
        self._refused.pop(file.name, None)
        return True


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
