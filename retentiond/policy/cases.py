"""
A policy's own test cases, run: a row, a date, and whether what must happen would happen.

No database is asked; each case goes through the row evaluator. What it cannot know offline are columns: one that a
case leaves out is NULL.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from os.path import normpath
from pathlib import Path
from zoneinfo import ZoneInfo

from retentiond.errors import PolicyError, Position, Problem
from retentiond.policy.calendar import later_instant
from retentiond.policy.case_file import Case, CaseFile, Expectation
from retentiond.policy.evaluator import Verdict, evaluate_row
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy


@dataclass(frozen=True, slots=True)
class Answer:
    """What would happen to a case's row at one instant, beside what must; `when` is as written."""

    position: Position
    when: str
    expected: str
    got: str

    @property
    def passed(self) -> bool:
        """True where what must happen would happen."""
        return self.expected == self.got

    def __str__(self) -> str:
        return f"{self.position}: {self.when}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case and its answers, in the order of the file."""

    position: Position
    name: str
    policy: str
    rule: str
    answers: tuple[Answer, ...]

    @property
    def passed(self) -> bool:
        """True where every answer is as expected."""
        return all(answer.passed for answer in self.answers)

    @property
    def failures(self) -> tuple[Answer, ...]:
        """The answers that are not as expected."""
        return tuple(answer for answer in self.answers if not answer.passed)


def run_cases(paths: Iterable[str | Path], *, default_timezone: str = "UTC") -> tuple[CaseResult, ...]:
    """
    The results of all cases of these files, in order.

    Raises:
        PolicyError: with all problems of all files and of the policies they name; then nothing was run.
    """
    problems: list[Problem] = []
    policies: dict[Path, Policy | None] = {}
    cases: list[Case] = []
    for path in map(Path, paths):
        file = _open(path, problems)
        if file is None:
            continue
        if file.policy is not None:
            policy = _policy(path.parent / file.policy, file, policies, default_timezone)
            cases += file.cases(policy) if policy is not None else ()
        problems += file.problems
    results = tuple(_run(case, problems) for case in cases)
    if problems:
        raise PolicyError(tuple(dict.fromkeys(problems)))
    return results


def _open(path: Path, problems: list[Problem]) -> CaseFile | None:
    try:
        return CaseFile(path.read_bytes(), str(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.append(Problem(Position(str(path), 1, 1), "unreadable", f"the file cannot be read: {reason}"))
        return None


def _policy(path: Path, file: CaseFile, known: dict[Path, Policy | None], default_timezone: str) -> Policy | None:
    """The policy of a file of cases; each is loaded once, and its problems are told once."""
    place = path.resolve()
    if place not in known:
        known[place] = None
        if not place.is_file():
            message = "there is no such policy file"
            file.problems.append(Problem(file.policy_place, "no-policy", message, "the path starts at this file"))
            del known[place]  # said for every file that names it
            return None
        try:
            plain = Path(normpath(path))  # `tests/../p.yaml` reads badly, but may be the way through a link
            path = plain if plain.resolve() == place else path
            (known[place],) = load_policies((path,), default_timezone=default_timezone)
        except PolicyError as error:
            file.problems.extend(error.problems)
    return known[place]


def _run(case: Case, problems: list[Problem]) -> CaseResult:
    answers = []
    for expectation in case.expectations:
        try:
            got = _outcome(case, expectation)
        except (TypeError, ValueError) as error:
            message = f"the condition cannot be asked of this row: {error}"
            problems.append(Problem(case.position, "bad-row", message, "write each value as its column holds it"))
            break
        answers.append(Answer(expectation.position, expectation.when, expectation.expected, got))
    return CaseResult(case.position, case.name, case.policy.name, case.rule.name, tuple(answers))


def _outcome(case: Case, expectation: Expectation) -> str:
    """What would happen; a row that the rule does not govern, or a rule that does not act yet, is `not yet`."""
    verdict = evaluate_row(case.policy, case.rule, case.row, case.related, expectation.at)
    if verdict is not Verdict.DUE:
        return (verdict or Verdict.NOT_YET).value
    if case.policy.effective is not None:
        zone = ZoneInfo(case.policy.timezone)
        if expectation.at < later_instant(datetime.combine(case.policy.effective, time.min), zone):
            return Verdict.NOT_YET.value
    return case.rule.action.verb
