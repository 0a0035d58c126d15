"""
The errors that leave a room, ordered by their consequence.

The class docstring says what the error means for the data; `hint` says what to do. Only `retentiond.cli` maps a
class to an exit code. No message may carry a value of a user's row: name tables, columns, constraints and codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a policy file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding: where, a stable code in kebab-case, a sentence, and what to do about it."""

    position: Position
    code: str
    message: str
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        word = "" if self.severity == "error" else f"{self.severity}: "
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.position}: {word}{self.code}: {self.message}{tail}"


class RetentiondError(Exception):
    """Something stopped retentiond; nothing is known about the data."""

    def __init__(self, message: str = "", *, hint: str = "", code: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        self.code = code
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(RetentiondError):
    """The command or the settings are wrong; nothing was touched."""


class PolicyError(RetentiondError):
    """A policy does not compile; nothing was touched."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RefusedError(RetentiondError):
    """A guard or a missing approval said no; nothing was touched."""


class TransientError(RetentiondError):
    """The database refused this transaction for now; it was rolled back and may be tried again."""


class FailedError(RetentiondError):
    """A step failed at run time; what was committed before stays committed and recorded."""


class EvidenceError(RetentiondError):
    """The record of what was destroyed cannot be written or does not verify; everything stops."""
