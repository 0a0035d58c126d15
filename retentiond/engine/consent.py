"""What whoever runs a command has said yes to beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass

from retentiond.engine.people import this_person
from retentiond.state.approvals import MARGIN
from retentiond.state.values import Person


@dataclass(frozen=True, slots=True)
class Consent:
    """
    A yes to whatever is due now, in a person's name; `by` is None where nobody said it. `shown` are the rows, by job,
    that were due when it was said; None where nothing was shown.
    """

    by: Person | None = None
    shown: Mapping[str, int] | None = None

    def covers(self, job: str, rows: int) -> bool:
        """True where that many rows of the job are no more than were shown, and a little."""
        return self.shown is None or rows <= self.shown.get(job, 0) * MARGIN


NONE = Consent()
"""Nobody said yes: there must be approvals."""


def consent_of_this_person(shown: Mapping[str, int] | None = None) -> Consent:
    """The yes of `run --yes`, or of the answer on the terminal, where rows were shown."""
    return Consent(this_person(), shown)
