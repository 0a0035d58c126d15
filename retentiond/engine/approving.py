"""What an approval of a job would release, and giving it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from retentiond.compiler.plan import Job
from retentiond.engine.count import Tally
from retentiond.engine.guard_clock import reading
from retentiond.engine.guard_objection import Objection
from retentiond.engine.guards import Warden
from retentiond.engine.session import Session
from retentiond.state.approvals import Approval, Wanted
from retentiond.state.store import Store
from retentiond.state.values import Person


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What there is to approve of a job: `releases` says it in words, none where all is approved already; `blockers` are
    the guards that no approval releases.
    """

    job: Job
    wanted: Wanted
    releases: tuple[str, ...]
    blockers: tuple[Objection, ...]


def offer(job: Job, tally: Tally, warden: Warden, session: Session) -> Offer:
    """What an approval of the job, with these exact counts, would release."""
    objections = tuple(warden.objections(job, session))
    released = [objection for objection in objections if objection.approvable]
    judgement = warden.judge(job, tally)
    why = [] if judgement.standing else [warden.why_missing(job)]
    wanted = warden.wanted(job, tally)
    wanted = replace(wanted, caps=(*wanted.caps, *(objection.guard for objection in released)))
    return Offer(
        job,
        wanted,
        (*why, *(cap.message for cap in judgement.caps), *(objection.message for objection in released)),
        tuple(objection for objection in objections if not objection.approvable),
    )


@dataclass(frozen=True, slots=True)
class Approver:
    """Gives approvals in a person's name; with `four_eyes` each waits for a second person."""

    store: Store
    warden: Warden
    person: Person
    now: Callable[[], datetime]
    four_eyes: bool

    def give(self, offered: Offer, session: Session) -> Approval:
        """
        The approval; where it is in force, clock and identities count as they are now.

        Raises:
            RefusedError: where `four_eyes` does not let this person.
        """
        now = self.now()
        # A clock that went back is no reason to write nothing: that it did is what is approved.
        moment = max(now, self.store.ledger.head().clock or now)
        given = self.store.approvals.give(offered.wanted, by=self.person, now=moment, four_eyes=self.four_eyes)
        if given.in_force and "clock" in given.wanted.caps:
            self.store.control.accept_clock(reading(now), now=now, by=self.person)
        if given.in_force and "identity" in given.wanted.caps:
            self.warden.pin_anew(offered.job, session, self.person)
        return given
