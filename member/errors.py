"""The error family of a member's daemon."""

from __future__ import annotations

from pathlib import Path

from wire.problems import Problem


class MemberError(Exception):
    """Something a member needs is not as it must be."""


class ConfigError(MemberError):
    """A configuration that is refused: `file`, `key` (dotted, empty where the whole file is meant), `message`."""

    def __init__(self, file: Path, key: str, message: str) -> None:
        super().__init__(f"{file}: {key}: {message}" if key else f"{file}: {message}")
        self.file = file
        self.key = key
        self.message = message


class KeyRefused(MemberError):
    """A key file that is not used; the message names the file and the cure, never what is in it."""


class NotKnown(MemberError):
    """Something that is asked for is not known, or not yet."""


class PeerSilent(MemberError):
    """A member gave no answer: it cannot be reached, took too long, or answered with what is no answer of ours."""

    def __init__(self, peer: str, what: str) -> None:
        super().__init__(f"{peer}: no answer: {what}")
        self.peer = peer
        self.what = what


class PeerRefused(MemberError):
    """A member answered with a problem."""

    def __init__(self, peer: str, problem: Problem) -> None:
        super().__init__(f"{peer}: {problem.code}: {problem.detail}")
        self.peer = peer
        self.problem = problem
