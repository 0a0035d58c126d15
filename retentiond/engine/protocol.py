"""
The commit protocol: destroyed if and only if recorded, whatever ends at whatever instant.

Per chunk: the fence moves in the transaction that changes rows; its effect is measured; the intent is made durable;
behind the gate, holds, stops and approvals are asked for once more; the source commits; the outcome is made durable.
Where a commit's fate is unknown the fence is asked (`engine.recovery`), never the transaction repeated.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from retentiond import __version__
from retentiond.catalog.faults import errors_of
from retentiond.catalog.server_clock import server_time
from retentiond.compiler.plan import Job, Relation
from retentiond.engine import change, fence, gate
from retentiond.engine.change import Changed
from retentiond.engine.count import cutoffs
from retentiond.engine.custody import Custody, ledger_label
from retentiond.engine.effects import Baseline, Effects, Expected
from retentiond.engine.prepare import has_fence, make_sqlite_fence
from retentiond.engine.probe import sealed_keys
from retentiond.engine.recovery import restored
from retentiond.engine.replay import CameBack
from retentiond.engine.report import instant_text
from retentiond.engine.retry import EPOCH_CHANGED
from retentiond.engine.session import Session, Transaction
from retentiond.engine.sources import Sources
from retentiond.engine.steps import reached
from retentiond.errors import RefusedError, RetentiondError, TransientError
from retentiond.state.intents import Effect, Ending, Evidence, FenceStep, Intent, Planned, Restored, Status, new_batch

_LEAST_WAIT = 0.05  # seconds that a chunk may wait for the gate, however long it took
_SETTLE_SECONDS = 10.0
# Of a COMMIT: another session reads the SQLite file; a deferred constraint, a serialization or a deadlock.
_REFUSALS = ("SQLITE_BUSY", "SQLITE_CONSTRAINT", "23", "40", "P0", "1205", "1213")
REPLAYED = "replay:"
"""What stands before a batch that moved a fence above its numbers after a restore."""
_MOST_JUMP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Clock:
    """How the clocks stood when a run began."""

    now: Callable[[], datetime]
    host: datetime
    database: datetime | None
    monotonic: float

    @classmethod
    def start(cls, sources: Sources, source: str, now: Callable[[], datetime]) -> Self:
        """The clocks of this host and of the source's server, read together."""
        with errors_of(source), sources.reading(source).connect() as connection, connection.begin():
            database = server_time(connection, sources.dialect(source))
        return cls(now, now(), database, time.monotonic())

    @property
    def evidence(self) -> dict[str, str | None]:
        """What the ledger keeps of it."""
        return {"host": instant_text(self.host), "database": instant_text(self.database)}

    def refuse_jump(self) -> None:
        """Raises RefusedError where the wall clock was set since the run began."""
        gone_by = timedelta(seconds=time.monotonic() - self.monotonic)
        if abs(self.now() - self.host - gone_by) > _MOST_JUMP:
            raise RefusedError("the host's clock was set while the job ran", hint="look at the clock", code="clock")


@dataclass(slots=True)
class Attempt:
    """One try at a chunk: its batch, where the fences stood, what was in force, and what is measured against."""

    batch: str
    epoch: int
    started: float
    fences: list[FenceStep] = field(default_factory=list)
    baselines: dict[str, Baseline] = field(default_factory=dict)


class Protocol:
    """The protocol for one run of one job."""

    def __init__(self, job: Job, run_id: str, at: datetime, custody: Custody, session: Session) -> None:
        self._job, self._run_id, self._at = job, run_id, at
        self._custody, self._session = custody, session
        self._sources = session.sources
        self._fenced = [source for source in children_first(job) if self._sources.fenced(source)]
        self._key = fence.fence_key(custody.state_id, job.name)
        self._effects = Effects(job)
        self._chunks = self._tries = 0
        self._held, self._bound = job, -1  # the epoch in which it was last asked what is held
        self.partial: dict[str, int] = {}
        """What was destroyed by chunks that did not come to their end, by table label."""

    def open(self) -> None:
        """
        Settles what an earlier run left open, and compares the fences with the ledger.

        Raises:
            RefusedError: where a source is not prepared, or it or the state store was restored from a back-up.
            FailedError: where an open intent cannot be settled.
        """
        custody = self._custody
        left = custody.store.intents.open_of(self._job.name)
        if left is not None:
            custody.recovery.settle(left, _SETTLE_SECONDS)
        known = custody.store.intents.known(self._job.name)
        for source in self._fenced:
            self._prepare(source)
            dialect = self._sources.dialect(source)
            expected = known.get(source, 0)
            found = fence.standing(self._sources, source, dialect, self._key)
            if found is not None and found.seq == expected + 1 and found.batch.startswith(REPLAYED):
                custody.store.intents.told(self._job.name, [FenceStep(source, found.seq)])
                continue
            if found is None and expected == 0:
                found = fence.ensure(self._sources, source, dialect, self._key)
            if found is None or found.seq < expected:
                raise restored(source, self._job.name)
            if found.seq > expected:
                raise _state_restored(source, self._job.name)

        self._clock = Clock.start(self._sources, self._job.source, custody.now)

    def reopen(self, came_back: Sequence[CameBack]) -> None:
        """
        Records what a restored back-up brought back, and moves the fences above every number that was used: from here
        on the job is like any other. Said twice, it does nothing more.
        """
        custody, job = self._custody, self._job
        self._give_up_lost_intent()
        known = custody.store.intents.known(job.name)
        for back in came_back:
            self._prepare(back.source)
            dialect, above = self._sources.dialect(back.source), known[back.source] + 1
            tables = {ledger_label(self._relation(label)): count for label, count in back.counts.items()}
            restored = Restored(job.name, back.source, back.fence, known[back.source], tables, not back.whole)
            custody.store.intents.restored(restored, self._run_id, job.action, custody.now())
            batch = f"{REPLAYED}{restored.batch}"
            fence.move_above(self._sources, back.source, dialect, self._key, above, batch)
            custody.store.intents.told(job.name, [FenceStep(back.source, above)])
        self.open()

    def _give_up_lost_intent(self) -> None:
        """What an open intent was to destroy is there again, whether it was committed or not."""
        left = self._custody.store.intents.open_of(self._job.name)
        if left is None:
            return
        try:
            self._custody.recovery.settle(left, _SETTLE_SECONDS)
        except RefusedError as error:
            if error.code != "restore":
                raise
            ending = Ending("aborted", left.planned.effect.only((), self._job.source), "recovered", left.planned.fences)
            self._custody.store.intents.close(left, ending, self._custody.now())

    def _prepare(self, source: str) -> None:
        """Makes the fence table of a SQLite source; elsewhere an administrator must have made it."""
        dialect = self._sources.dialect(source)
        with errors_of(source), self._sources.reading(source).connect() as connection, connection.begin():
            if has_fence(connection, dialect):
                return
        if dialect != "sqlite":
            raise RefusedError(
                f"{source} holds no fence that this role may write to",
                hint=f"`retentiond prepare {source}` makes it, or prints what an administrator has to",
                code="prepare",
            )
        with errors_of(source), self._sources.writing(source).connect() as connection, connection.begin():
            make_sqlite_fence(connection)

    def epoch(self) -> int:
        """How often a permission was taken back until now."""
        return self._custody.store.control.epoch()

    def allowed(self, epoch: int) -> Job:
        """
        The job with all that is held in this epoch.

        Raises:
            RefusedError: where it was stopped, or its approval withdrawn.
        """
        if epoch != self._bound:
            if self._bound >= 0:
                self._custody.warden.recheck(self._job)
            self._held, self._bound = self._custody.holds.apply(self._job), epoch
        return self._held

    def begin(self, transaction: Transaction, started: float, epoch: int) -> Attempt:
        """Moves the fences in the chunk's transaction, before anything else is done in it."""
        attempt = Attempt(new_batch(), epoch, started)
        self._tries += 1
        for source in self._fenced:
            reached("fence.before")
            seq = fence.step(transaction, source, self._sources.dialect(source), self._key, attempt.batch)
            attempt.fences.append(FenceStep(source, seq))
            reached("fence.after")
        for source in self._job.sources:
            attempt.baselines[source] = self._effects.begin(transaction, source)
        return attempt

    def measure(self, transaction: Transaction, attempt: Attempt, changed: Changed) -> None:
        """Compares what the transaction touched, in every table, with what was meant; raises FailedError."""
        reached("effect.before")
        for source, baseline in attempt.baselines.items():
            self._effects.check(transaction, source, baseline, self._expected(changed))
        reached("effect.after")

    def commit(
        self,
        transaction: Transaction,
        attempt: Attempt,
        changed: Changed,
        rows: int,
        due: Mapping[str, str],
        look_abroad: Callable[[], None],
    ) -> None:
        """
        Records the intent, passes the gate, commits, records the outcome. When this returns the rows are gone and the
        ledger says so; when it raises a TransientError or a RefusedError, they are not.

        Raises:
            EvidenceError: where it cannot be recorded; before the commit nothing has happened, after it the intent
            stays open for the next process that can write.
        """
        self._chunks += 1
        effect = self._effect(changed, rows)
        reached("intent.before")
        intent = self._intent(transaction, attempt, changed, effect, due)
        sent = False
        try:
            reached("intent.after")
            look_abroad()
            reached("gate.before")
            rest = max(
                _LEAST_WAIT, self._sources.chunk_seconds(self._job.source) - (time.monotonic() - attempt.started)
            )
            with self._custody.store.gate.shared(rest):
                reached("gate.after")
                self._still_allowed(attempt)
                sent = True
                self._commit_and_record(transaction, intent, attempt, effect)
        except BaseException:
            if not sent:
                transaction.rollback()
                nothing = Ending("aborted", Effect({}, {}, 0, effect.number), "fence", tuple(attempt.fences))
                self._custody.store.intents.close(intent, nothing, self._custody.now())
            raise

    def _commit_and_record(self, transaction: Transaction, intent: Intent, attempt: Attempt, effect: Effect) -> None:
        order = children_first(self._job)
        try:
            gate.commit(transaction, order)
        except BaseException as error:
            committed = [source for source in order if source not in transaction.begun]
            transaction.rollback()
            if _refused(error):
                self._record_part(intent, attempt, committed)
            elif self._settled(intent, error):
                return
            raise
        reached("outcome.before")
        status: Status = "changed" if self._job.step.masking else "destroyed"
        stepped = tuple(FenceStep(step.source, step.seq + 1) for step in attempt.fences)
        evidence: Evidence = "probe" if intent.planned.mode == "probe" else "fence"
        ending = Ending(status, effect, evidence, stepped, time.monotonic() - attempt.started)
        self._custody.store.intents.close(intent, ending, self._custody.now())
        self._tries = 0
        reached("outcome.after")

    def _record_part(self, intent: Intent, attempt: Attempt, committed: Sequence[str]) -> None:
        """Records that a source refused its commit, after those that were asked before it had committed."""
        planned = intent.planned
        part = planned.effect.only(committed, self._job.source)
        stands = tuple(FenceStep(step.source, step.seq + (step.source in committed)) for step in attempt.fences)
        evidence: Evidence = "probe" if planned.mode == "probe" else "fence"
        status: Status = "destroyed" if part.tables else "aborted"
        self._custody.store.intents.close(intent, Ending(status, part, evidence, stands), self._custody.now())
        self._note_part(part)

    def _settled(self, intent: Intent, error: BaseException) -> bool:
        """True where the whole chunk was committed although its commit raised; the fence tells."""
        try:
            _, committed = self._custody.recovery.settle(intent, _SETTLE_SECONDS)
        except RetentiondError:
            # Its COMMIT may be under way yet. Whoever takes a permission back must not take it for ours to look after.
            self._custody.store.intents.disown(intent)
            raise
        if {label.partition(".")[0] for label in intent.planned.effect.tables} <= set(committed):
            return isinstance(error, Exception)
        self._note_part(intent.planned.effect.only(committed, self._job.source))
        return False

    def _note_part(self, part: Effect) -> None:
        for label, rows in part.shown.items():
            self.partial[label] = self.partial.get(label, 0) + rows

    def _still_allowed(self, attempt: Attempt) -> None:
        if self.epoch() != attempt.epoch:
            raise TransientError("a hold, a stop or a withdrawn approval came in between", code=EPOCH_CHANGED)
        self._clock.refuse_jump()

    def _intent(
        self,
        transaction: Transaction,
        attempt: Attempt,
        changed: Changed,
        effect: Effect,
        due: Mapping[str, str],
    ) -> Intent:
        job, custody = self._job, self._custody
        gone = {label: (self._relation(label), keys) for label, keys in changed.keys.items() if keys}
        probes = len(self._fenced) < len(job.sources)
        planned = Planned(
            batch=attempt.batch,
            run_id=self._run_id,
            job=job.name,
            action=job.action,
            mode="probe" if probes else "fence",
            fences=tuple(attempt.fences),
            effect=effect,
            probe=sealed_keys(gone, custody.keys) if probes and not job.step.masking else None,
        )
        facts = {
            "plan": job.digest,
            "at": instant_text(self._at),
            "cutoffs": [{"clock": one.clock, "cutoff": one.cutoff} for one in cutoffs(job, self._at)],
            "due": dict(due),
            "epoch": attempt.epoch,
            "cross_source": change.rests_abroad(job, transaction),
            "clock": self._clock.evidence,
            "tool": __version__,
            **(custody.words_of(job) if self._chunks == 1 else {}),
        }
        tokens = [custody.tokens(relation, keys) for relation, keys in gone.values()]
        return custody.store.intents.open(planned, tokens, facts, custody.now())

    def _effect(self, changed: Changed, rows: int) -> Effect:
        counts = {label: count for label, count in changed.counts.items() if count}
        tables = {ledger_label(self._relation(label)): count for label, count in counts.items()}
        return Effect(tables, counts, rows, self._chunks, self._tries - 1)

    def _expected(self, changed: Changed) -> Expected:
        if self._job.step.masking:
            return Expected(updated=changed.counts)
        return Expected(deleted=changed.counts, updated=changed.unlinked)

    def _relation(self, label: str) -> Relation:
        return next(step.relation for step in (self._job.step, *self._job.cascade) if step.relation.label == label)


def _refused(error: BaseException) -> bool:
    """True where the database said no to a commit; where it said nothing, or that its disk fails, nobody knows."""
    return isinstance(error, RetentiondError) and error.code.startswith(_REFUSALS)


def children_first(job: Job) -> list[str]:
    """The sources in the order in which they commit: a parent's after its children's."""
    return [*dict.fromkeys(source for source in job.sources if source != job.source), job.source]


def _state_restored(source: str, job: str) -> RefusedError:
    return RefusedError(
        f"the state store knows less of {job} than {source} does: it was lost, or restored from a back-up",
        hint="holds may be missing too; docs/running.md says how to go on (`retentiond ledger continue`)",
        code="state-restored",
    )
