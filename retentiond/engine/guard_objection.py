"""What a guard says when it says no."""

from dataclasses import dataclass

from retentiond.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Objection:
    """A guard's name, what it found and what to do; `approvable` where `approve`, and nothing else, releases it."""

    guard: str
    message: str
    hint: str = ""
    approvable: bool = False

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def error(self) -> RefusedError:
        """The refusal that stops a job."""
        return RefusedError(self.message, hint=self.hint, code=self.guard)
