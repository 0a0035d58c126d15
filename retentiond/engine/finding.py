"""What `doctor` found: one thing that is well, or that somebody should know, look at, or put right."""

from dataclasses import dataclass
from typing import Literal

from retentiond.engine.guard_objection import Objection
from retentiond.errors import FailedError, RefusedError, RetentiondError

Severity = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One finding. `where` is a part of the installation or `source NAME`; `kind` is the class of error that a command
    would end with, where the severity is error.
    """

    severity: Severity
    code: str
    where: str
    message: str
    remedy: str = ""
    kind: type[RetentiondError] = RefusedError

    def as_json(self) -> dict[str, str]:
        """The finding as `doctor --format json` prints it."""
        return {
            "severity": self.severity,
            "code": self.code,
            "where": self.where,
            "message": self.message,
            "remedy": self.remedy,
        }


def of_error(error: RetentiondError, where: str) -> Finding:
    """The error as a finding."""
    return Finding("error", error.code or "failed", where, error.message, error.hint, type(error))


def of_objection(objection: Objection, where: str) -> Finding:
    """What a guard would say no for."""
    return Finding("error", objection.guard, where, objection.message, objection.hint)


def cannot_tell(error: RetentiondError, where: str, what: str) -> Finding:
    """A question that could not be answered: not known to be well."""
    return Finding("warning", "cannot-tell", where, f"{what} cannot be told: {error.message}", error.hint, FailedError)
