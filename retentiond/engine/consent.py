"""What whoever runs a command has said yes to beforehand."""

from dataclasses import dataclass

from retentiond.engine.people import this_person
from retentiond.state.approvals import Person


@dataclass(frozen=True, slots=True)
class Consent:
    """A yes to whatever is due now, in a person's name; `by` is None where nobody said it."""

    by: Person | None = None

    def __bool__(self) -> bool:
        return self.by is not None


NONE = Consent()
"""Nobody said yes: there must be approvals."""


def consent_of_this_person() -> Consent:
    """The yes of `run --yes`, or of the answer on the terminal."""
    return Consent(this_person())
