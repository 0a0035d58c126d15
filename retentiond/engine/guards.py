"""
The guards: all must say yes before a job destroys anything, and what people have approved.

Some guards look at what is there (`Warden.check_before`), some at numbers (`check_counts`); the switch and the approval
are asked again while a chunk waits to commit (`recheck`). A dry run asks the same and is not stopped (`foresee`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from retentiond.catalog.faults import errors_of
from retentiond.catalog.fingerprint import combined
from retentiond.catalog.identity import address_of, identity_of
from retentiond.catalog.model import Catalog
from retentiond.catalog.roles import role_of
from retentiond.catalog.server_clock import server_time
from retentiond.compiler.plan import Job
from retentiond.engine.consent import NONE, Consent
from retentiond.engine.count import Tally
from retentiond.engine.guard_approval import Judgement, judge, most, why_missing
from retentiond.engine.guard_caps import SPIKE_RUNS
from retentiond.engine.guard_clock import ClockWatch
from retentiond.engine.guard_objection import Objection
from retentiond.engine.guard_schema import engine_objections, fingerprints, rests_on, schema_objections
from retentiond.engine.guard_source import identity_objections, role_objections
from retentiond.engine.people import this_person
from retentiond.engine.policy_files import MEND, Exposure
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.errors import RefusedError
from retentiond.policy.model import Policy
from retentiond.settings import Settings
from retentiond.state.approvals import Approval, Wanted
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.known_keys import Purpose
from retentiond.state.pins import Pin
from retentiond.state.store import Store
from retentiond.state.values import Person

# A schema that was read longer ago than this is read again before a job begins.
_FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What the guards say of a job's numbers, in the words of a report; `stops` where nothing may go. `most` is how many
    rows the run may take: the caps, or what was approved beyond them.
    """

    guard: str = "ok"
    guard_message: str = ""
    approval: str = "not needed"
    stops: bool = False
    most: int | None = None

    @property
    def goes(self) -> bool:
        """True where rows may go: nothing stops them, and somebody approved."""
        return not self.stops and self.approval == "given"


class Warden:
    """Asks all guards of one command, or of one round of the daemon; what it wrote stands in the ledger."""

    def __init__(  # noqa: PLR0913 - all that guards look at
        self,
        settings: Settings,
        store: Store,
        keys: KeyRing,
        policies: Sequence[Policy],
        catalogs: Mapping[str, Catalog],
        sources: Sources,
        *,
        now: Callable[[], datetime],
        consent: Consent = NONE,
        exposures: Sequence[Exposure] = (),
    ) -> None:
        self._settings, self._store, self._keys, self._sources = settings, store, keys, sources
        self._now, self._consent, self._exposures = now, consent, exposures
        self._rules = {f"{policy.name}/{rule.name}" for policy in policies for rule in policy.rules}
        self._planned = dict(catalogs)
        self._catalogs = dict(catalogs)
        self._read_at = dict.fromkeys(catalogs, time.monotonic())
        self._tables: dict[str, dict[str, str]] = {}
        self._clock = ClockWatch(store, now)

    def check_before(self, job: Job, session: Session) -> None:
        """
        Returns where no guard objects that looks at what is there. The first real run of a source pins what it is.

        Raises:
            RefusedError: whose code is the guard's name.
        """
        for objection in self.objections(job, session):
            raise objection.error()
        if session.apply:
            self._keys.signer()
            self._keys.token_key(self._now())
            self._clock.note()
            self.pin(job, session)

    def objections(self, job: Job, session: Session) -> Iterator[Objection]:
        """What guards have against the job before anything is counted, the gravest first."""
        yield from self._stop(job)
        yield from self._files()
        yield from self._forged(job)
        yield from self._lost_keys()
        yield from self._clock.here()
        catalogs = self._current(job)
        for source in rests_on(job):
            yield from self._source(job, source, catalogs[source], session)
        tables = self._tables[job.name] = fingerprints(job, catalogs)
        if tables != fingerprints(job, self._planned):
            message = f"the schema under {job.name} was changed since this command read it"
            yield Objection("schema", message, "start again, and look at the plan")
        yield from schema_objections(tables, self._last(job))
        yield from engine_objections(job, catalogs)

    def check_counts(self, job: Job, tally: Tally, run: str) -> Verdict:
        """
        Whether that many rows may go in this run; a yes said beforehand is recorded as an approval of just these.

        The tally is exact, or `needs_exact` has said that an upper bound will do.
        """
        judgement = self.judge(job, tally, run)
        if judgement.stops and self._consent.by is not None:
            refusal = self._refuse_consent(job, judgement)
            if refusal:
                return replace(_verdict(judgement), guard_message=refusal)
            self._store.approvals.give(self.wanted(job, tally), by=self._consent.by, now=self._now())
            judgement = self.judge(job, tally, run)
        if judgement.first_use and run:
            self._store.approvals.use(judgement.first_use.seq, run)
        return replace(_verdict(judgement), most=most(job.guard, judgement, tally.total))

    def needs_exact(self, job: Job, tally: Tally) -> bool:
        """True where the tally, if it is no more than an upper bound, would stop the job or need an approval."""
        bound = tally.due if job.expiry.local else tally.total
        return self.judge(job, replace(tally, due=bound)).stops

    def foresee(self, job: Job, session: Session, tally: Tally) -> Verdict:
        """What a run would be told, for a dry run: nothing is written, nothing is stopped."""
        verdict = _verdict(self.judge(job, tally))
        for objection in self.objections(job, session):
            return replace(verdict, guard=objection.guard, guard_message=str(objection), stops=True)
        return verdict

    def recheck(self, job: Job) -> None:
        """
        Returns where the job may still commit: cheap enough to be asked behind the gate.

        Raises:
            RefusedError: where it was stopped, its approval was withdrawn, or the clock was moved.
        """
        for objection in (*self._stop(job), *self._clock.running()):
            raise objection.error()
        if not self._standing(job):
            message = f"{job.name} is not approved any more, or never was"
            raise RefusedError(message, hint="`retentiond approve`", code="approval")

    def judge(self, job: Job, tally: Tally, run: str = "") -> Judgement:
        """What approvals and caps say of these numbers; `run` is the run that would take the rows."""
        standing = self._standing(job)
        unused = [one for one in standing if one.run in (None, run) or not self._store.runs.get(one.run).done]
        history = self._store.runs.takings(job.policy, job.rule, job.source, SPIKE_RUNS)
        reason = "" if standing or not tally.due else self.why_missing(job)
        return judge(
            job.guard, standing, due=tally.due, total=tally.total, history=history, unused=unused, reason=reason
        )

    def why_missing(self, job: Job) -> str:
        """Why there is no approval of the job's plan."""
        approvals = self._store.approvals.of(job.name)
        two = self._settings.approval.four_eyes
        return why_missing(approvals, job.digest, two=two, elsewhere=self._gone_like(job))

    def wanted(self, job: Job, tally: Tally) -> Wanted:
        """What an approval of these numbers would be over."""
        caps = self.judge(job, tally).exceeded
        return Wanted(job.name, job.digest, self._fingerprints(job), tally.due, caps)

    def pin(self, job: Job, session: Session) -> None:
        """Remembers what those of the job's sources are that are met for the first time."""
        for source in rests_on(job):
            if self._store.pins.of(source) is None and (found := self._found(source, session)):
                self._store.pins.pin(found, now=self._now(), by=this_person())

    def pin_anew(self, job: Job, session: Session, by: Person) -> None:
        """Takes the job's sources for what they are now; one that has no identity yet is met at the next run."""
        for source in rests_on(job):
            found, known = self._found(source, session), self._store.pins.of(source)
            if found is not None and found != known:
                self._store.pins.pin(found, now=self._now(), by=by)
            elif found is None and known is not None:
                self._store.pins.forget(source, now=self._now(), by=by)

    def _stop(self, job: Job) -> Iterator[Objection]:
        stop = self._store.stops.covering(f"{job.policy}/{job.rule}")
        if stop is not None:
            what = "everything" if stop.pattern == "*" else stop.pattern
            yield Objection("stop", f"{stop.stopped_by} stopped {what}", "`retentiond resume` lets it go on")

    def _files(self) -> Iterator[Objection]:
        if self._exposures:
            message = "; ".join(str(exposure) for exposure in self._exposures)
            yield Objection("policy-file-mode", message, MEND)

    def _forged(self, job: Job) -> Iterator[Objection]:
        if self._store.approvals.forged(job.name):
            message = f"somebody wrote an approval of {job.name} into the state store, and the ledger knows of none"
            yield Objection("forged", message, "find out who; `retentiond approve --withdraw` clears it")

    def _lost_keys(self) -> Iterator[Objection]:
        """Keys that were used before and cannot be read now; those that never were, the first real run makes."""
        now = self._now()
        this_year = f"tokens-{now.astimezone(UTC).year:04}-"
        readings: list[tuple[Purpose, str, Callable[[], object]]] = [
            ("sign", "", self._keys.signer),
            ("tokens", this_year, lambda: self._keys.token_key(now)),
        ]
        for purpose, prefix, read in readings:
            known = [one for one in self._store.keys.of(purpose) if one.destroyed_at is None]
            try:
                if any(one.key.startswith(prefix) for one in known):
                    read()
            except RefusedError as error:
                yield Objection(error.code, error.message, error.hint)

    def _source(self, job: Job, source: str, catalog: Catalog, session: Session) -> Iterator[Objection]:
        own = [step.relation.name for step in (job.step, *job.cascade) if step.relation.source == source]
        with _asking(session, source, writes=False) as connection:
            server = server_time(connection, catalog.dialect)
            identity = identity_of(connection, catalog.dialect)
            role = role_of(connection, catalog.dialect, own)
        yield from self._clock.there(source, server)
        pin = self._store.pins.of(source)
        address = address_of(self._sources.reading(source).url)
        yield from identity_objections(pin, source, identity, address)
        if session.apply and own and catalog.dialect != "sqlite":
            with _asking(session, source, writes=True) as connection:
                written = identity_of(connection, catalog.dialect)
            if written != identity:
                message = f"{source} is one database for reading and another one for writing"
                yield Objection("identity", message, "name one server in the URL")
        accepted = self._settings.source(source).accept
        yield from role_objections(source, role, accepted, blind=bool(own) and not catalog.complete)

    def _found(self, source: str, session: Session) -> Pin | None:
        """What the source is now; None where it has no identity yet."""
        with _asking(session, source, writes=False) as connection:
            identity = identity_of(connection, self._catalogs[source].dialect)
        return None if identity is None else Pin(source, identity, address_of(self._sources.reading(source).url))

    def _current(self, job: Job) -> Mapping[str, Catalog]:
        """The schemas that the job rests on, as they are, or were half a minute ago."""
        for source in rests_on(job):
            if time.monotonic() - self._read_at[source] > _FRESH_SECONDS:
                found, unreachable = self._sources.catalogs([source])
                for why in unreachable.values():
                    raise why
                self._catalogs |= found
                self._read_at[source] = time.monotonic()
        return self._catalogs

    def _fingerprints(self, job: Job) -> dict[str, str]:
        """Those of the job's tables as they were when guards looked at them last."""
        if job.name not in self._tables:
            self._tables[job.name] = fingerprints(job, self._current(job))
        return self._tables[job.name]

    def _standing(self, job: Job) -> tuple[Approval, ...]:
        fingerprint = combined(self._fingerprints(job))
        two = self._settings.approval.four_eyes
        return self._store.approvals.standing(job.name, job.digest, fingerprint, by_two=two)

    def _last(self, job: Job) -> Approval | None:
        """The job's newest approval, were it taken back since."""
        return next((one for one in self._store.approvals.of(job.name) if one.in_force), None)

    def _gone_like(self, job: Job) -> list[str]:
        """Rules that are in no policy any more and did the same to the same table: perhaps this one was called so."""
        same = (job.source, job.step.relation.short, job.action)
        return [
            f"{past.job.policy}/{past.job.rule}"
            for past in self._store.runs.latest()
            if (past.job.source, past.job.table, past.job.action) == same
            and f"{past.job.policy}/{past.job.rule}" not in self._rules
        ]

    def _refuse_consent(self, job: Job, judgement: Judgement) -> str:
        """Why a yes said beforehand does not count for this; empty where it does."""
        if self._settings.approval.four_eyes:
            return "four_eyes is on: two people have to `retentiond approve` this, and a yes of one is not enough"
        if not self._consent.covers(job.name, judgement.due):
            return f"{judgement.due:,} rows are due now, more than were shown; look again"
        return ""


def _verdict(judgement: Judgement) -> Verdict:
    return Verdict(judgement.guard, judgement.message, judgement.approval, judgement.stops)


@contextmanager
def _asking(session: Session, source: str, *, writes: bool) -> Iterator[Connection]:
    """A connection for a few questions, in a short transaction unless one is open there."""
    with errors_of(source):
        connection = session.connection(source, writes=writes)
        if connection.in_transaction():
            yield connection
        else:
            with connection.begin():
                yield connection
