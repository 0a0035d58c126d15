"""The compiler's notebook: problems with their places, gathered so that all of them come at once."""

from retentiond.errors import Problem
from retentiond.policy.model import Policy


class Findings:
    """Problems and warnings of one compilation, in the order they were found, each said once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}

    def error(self, policy: Policy, path: tuple[str | int, ...], code: str, message: str, hint: str = "") -> None:
        """Notes what makes the policy wrong."""
        self.add(Problem(policy.place(*path), code, message, hint))

    def warning(self, policy: Policy, path: tuple[str | int, ...], code: str, message: str, hint: str = "") -> None:
        """Notes what a person should look at."""
        self.add(Problem(policy.place(*path), code, message, hint, "warning"))

    def add(self, problem: Problem) -> None:
        """Notes a problem that somebody else found."""
        self._problems.setdefault(problem)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a compilation, by place."""
        return tuple(sorted(problem for problem in self._problems if problem.severity == "error"))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The others, by place."""
        return tuple(sorted(problem for problem in self._problems if problem.severity != "error"))
