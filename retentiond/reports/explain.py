"""
One row: every rule, clock, hold and floor that bears on it, and what will happen when.

The class of the row is found by the engine's own examination, so that it is what `plan` counts. The values of the
clocks are read once more, one by one, and judged by the row evaluator; the two must agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from retentiond.compiler.binding import Binding, UnreachableError
from retentiond.compiler.clocks import ClockCompiler
from retentiond.compiler.findings import Findings
from retentiond.compiler.key_sets import Key, in_keys
from retentiond.compiler.plan import BlockedJob, Floor, Job, Relation, Step
from retentiond.compiler.predicates import Predicates, floor_applies
from retentiond.compiler.tables import table_of
from retentiond.engine.examine import examine
from retentiond.engine.family import Family, gather, needed_columns
from retentiond.engine.holds import HoldBook
from retentiond.engine.job_run import start_of_day
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.errors import FailedError, RefusedError, TransientError, UsageError
from retentiond.policy.clocks import Special
from retentiond.policy.evaluator import KeepExplanation, TermExplanation, explain_keep, term_state
from retentiond.policy.model import Policy, Record, Rule
from retentiond.policy.wording import nearest
from retentiond.reports.hold_reasons import HeldBy, HoldReasons
from retentiond.reports.readings import clock_values, key_of

_BATCH = 500
_AGREE = {Special.SUSPECT: "suspect", Special.RUNNING: "not_started", Special.NEVER: "not_started"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A floor and the rows of one table that it keeps now; `until` None: no end is known."""

    policy: str
    rule: str
    clause: str
    law: str
    table: str
    rows: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """Rows of one table whose `held` column says hands off."""

    table: str
    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """
    One rule for the row. `verdict` is the class that `plan` counts it in; `outside` does not pass the rule's `where`,
    `done` is masked already. `goes` is the instant it goes if nothing changes; None where that is not known.
    """

    policy: str
    rule: str
    clause: str
    action: str
    keep: str
    schedule: str
    zone: str
    verdict: str
    due: datetime | None
    goes: datetime | None
    effective: datetime | None
    terms: tuple[TermExplanation, ...] = ()
    held: tuple[Held, ...] = ()
    holds: tuple[HeldBy, ...] = ()
    floors: tuple[Kept, ...] = ()
    cascade: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RowView:
    """
    One row in one source: its rules, the legal holds and floors on itself, the rules of other tables that take it
    along; `blocked` names rules of which nothing can be told now, and why.
    """

    policy: str
    record: str
    source: str
    table: str
    at: datetime
    rules: tuple[RuleView, ...]
    floors: tuple[Kept, ...]
    goes_with: tuple[str, ...]
    blocked: tuple[tuple[str, str], ...]
    holds: tuple[HeldBy, ...] = ()


def explain(
    workspace: Workspace,
    sources: Sources,
    policy_name: str,
    record_name: str,
    key: str,
    at: datetime,
    book: HoldBook | None = None,
) -> tuple[RowView, ...]:
    """
    The row of that key in each source where it exists; without a book as if nothing was under a legal hold.

    Raises:
        UsageError: where there is no such record, or no row has that key.
    """
    policy = workspace.policy(policy_name)
    if record_name not in {record.name for record in policy.records}:
        hint = nearest(record_name, [record.name for record in policy.records], "records")
        raise UsageError(f"the policy {policy.name} has no record {record_name}", hint=hint, code="unknown-record")
    record = policy.record(record_name)
    binding = Binding(workspace.policies, workspace.catalogs, tuple(workspace.unreachable), Findings())
    views = []
    with Session(sources, apply=False) as session:
        for source in binding.reached(record):
            relation = binding.relation(policy, record, source)
            if relation and (found := _find(session, relation, key_of(key, relation))):
                views.append(_Explainer(workspace, binding, session, at, book).row(policy, record, relation, found))
    if not views:
        for source in set(binding.sources(record)) - set(binding.reached(record)):
            raise workspace.unreachable[source]
        tables = ", ".join(f"{source}.{record.table}" for source in binding.sources(record))
        raise UsageError(f"no row of {tables} has this key", code="no-row")
    return tuple(views)


def _find(session: Session, relation: Relation, key: Key) -> Key | None:
    """The key as the database holds it; None where no row has it."""
    table = table_of(relation)
    columns = [table.c[name] for name in relation.key]
    rows = session.read(relation.source, sa.select(*columns).where(in_keys(columns, [key])))
    return tuple(rows[0]) if rows else None


class _Explainer:
    def __init__(
        self, workspace: Workspace, binding: Binding, session: Session, at: datetime, book: HoldBook | None
    ) -> None:
        self._workspace = workspace
        self._binding = binding
        self._session = session
        self._at = at
        self._book = book
        self._reasons = HoldReasons(book, workspace, session) if book else None

    def row(self, policy: Policy, record: Record, relation: Relation, key: Key) -> RowView:
        """All that bears on one row."""
        jobs = [job for job in self._workspace.plan.ready if job.step.relation.label == relation.label]
        jobs.sort(key=lambda job: job.policy != policy.name)
        blocked = [
            (f"{job.policy}/{job.rule}", job.message)
            for job in self._workspace.plan.jobs
            if isinstance(job, BlockedJob) and (job.source, job.table) == (relation.source, record.table)
        ]
        held = list(self._with_holds(jobs, blocked))
        others = [
            f"{job.policy}/{job.rule}"
            for job in self._workspace.plan.ready
            if job.step.relation.label != relation.label
            and any(step.relation.label == relation.label for step in job.cascade)
        ]
        return RowView(
            policy=policy.name,
            record=record.name,
            source=relation.source,
            table=relation.short,
            at=self._at,
            rules=tuple(self._rule(job, key) for job in held),
            floors=tuple(self._kept(self._floors_of(relation), relation, [key])),
            goes_with=tuple(dict.fromkeys(others)),
            blocked=tuple(blocked),
            holds=tuple(self._reasons.of(relation, [key])) if self._reasons and len(held) == len(jobs) else (),
        )

    def _with_holds(self, jobs: Sequence[Job], blocked: list[tuple[str, str]]) -> Iterator[Job]:
        """The jobs with what is held; where nobody can tell what is, a job joins the blocked ones."""
        for job in jobs:
            try:
                yield self._book.apply(job) if self._book else job
            except (RefusedError, FailedError, TransientError, UsageError) as error:
                blocked.append((f"{job.policy}/{job.rule}", str(error)))

    def _rule(self, job: Job, key: Key) -> RuleView:
        policy = self._workspace.policy(job.policy)
        rule = policy.rule(job.rule)
        keep, verdict, family = self._judged(policy, job, rule, key)
        effective = start_of_day(job.effective, job.timezone) if job.effective else None
        due = keep.state if isinstance(keep.state, datetime) else None
        if verdict == "due" and effective and self._at < effective:
            verdict = "not_yet"
        floors = tuple(self._floors(job, key, family)) if family else ()
        held = tuple(self._held(job, key, family)) if family else ()
        holds = tuple(self._holds(job, key, family)) if family else ()
        return RuleView(
            policy=job.policy,
            rule=job.rule,
            clause=rule.clause,
            action=job.action,
            keep=keep_text(rule),
            schedule=job.schedule,
            zone=job.timezone,
            verdict=verdict,
            due=due,
            goes=_goes(due, effective, floors, held=bool(held or holds)) if family else None,
            effective=effective,
            terms=keep.terms,
            held=held,
            holds=holds,
            floors=floors,
            cascade=_counts(family) if family else (),
        )

    def _judged(self, policy: Policy, job: Job, rule: Rule, key: Key) -> tuple[KeepExplanation, str, Family | None]:
        """What the row evaluator and the engine find; where they differ, somebody may just have changed the row."""
        for _ in range(2):
            keep = self._keep(policy, job, rule, key)
            verdict, family = self._examined(job, key)
            if family is None or _agree(verdict, keep, self._at):
                break
        else:
            raise FailedError(
                f"{job.name}: SQL and the row evaluator disagree on this row, which SQL finds {verdict}",
                hint="nothing should go by this rule until this is understood: please report it",
                code="evaluators-disagree",
            )
        kept = family.kept_roots().get((family.own, key)) if family else None
        return keep, kept if verdict == "due" and kept else verdict, family

    def _keep(self, policy: Policy, job: Job, rule: Rule, key: Key) -> KeepExplanation:
        """The terms of a rule for this row, as the row evaluator sees them."""
        values, zones = [], []
        for clock in job.expiry.clocks:
            owner = policy.record(clock.term.clock.moment.record or rule.record)
            values.append(clock_values(self._session, clock, owner, job.step.relation, [key])[key])
            zones.append(ZoneInfo(clock.zone))
        return explain_keep(rule.keep, values, zones)

    def _examined(self, job: Job, key: Key) -> tuple[str, Family | None]:
        """The class of the row as the engine finds it, and what hangs on it where the rule speaks of it at all."""
        with self._session.transaction() as transaction:
            extra = needed_columns(job, job.step.relation.label)
            candidates = examine(job, self._at, transaction, [key], extra)
            if not candidates:
                return self._unspoken(job, key), None
            verdict = candidates[0].verdict(job)
            return verdict, gather(job, self._at, transaction, candidates, _BATCH)

    def _unspoken(self, job: Job, key: Key) -> str:
        """`outside` where the rule's `where` is not true of the row, `done` where its mask has been put on."""
        rows = Predicates(job.step, self._at)
        query = sa.select(*rows.key_columns()).where(in_keys(rows.key_columns(), [key]), rows.passes())
        return "done" if self._session.read(job.source, query) else "outside"

    def _held(self, job: Job, key: Key, family: Family) -> Iterator[Held]:
        for step, keys in _parts(job, key, family):
            if step.keepers.held:
                rows = Predicates(step, self._at)
                count = len(self._which(step.relation, keys, rows.held_by_column(), rows.table))
                if count:
                    yield Held(step.relation.label, count, step.keepers.held)

    def _holds(self, job: Job, key: Key, family: Family) -> Iterator[HeldBy]:
        for step, keys in _parts(job, key, family):
            yield from self._reasons.of(step.relation, keys) if self._reasons and step.keepers.holds else ()

    def _floors(self, job: Job, key: Key, family: Family) -> Iterator[Kept]:
        for step, keys in _parts(job, key, family):
            yield from self._kept(step.keepers.floors, step.relation, keys)

    def _kept(self, floors: Sequence[Floor], relation: Relation, keys: Sequence[Key]) -> Iterator[Kept]:
        """The floors that keep any of these rows now."""
        for floor in floors:
            policy = self._workspace.policy(floor.policy)
            rule = policy.rule(floor.rule)
            table = table_of(relation)
            bound = self._which(relation, keys, floor_applies(floor, relation, table), table)
            owner = policy.record(floor.clock.term.clock.moment.record or rule.record)
            values = clock_values(self._session, floor.clock, owner, relation, bound)
            ends = [term_state(floor.clock.term, value, ZoneInfo(floor.clock.zone)) for value in values.values()]
            keeping = [end for end in ends if not (isinstance(end, datetime) and end <= self._at)]
            if keeping:
                known = [end for end in keeping if isinstance(end, datetime)]
                until = max(known) if len(known) == len(keeping) else None
                law = rule.statute.law if rule.statute else ""
                yield Kept(policy.name, rule.name, rule.clause, law, relation.label, len(keeping), until)

    def _which(
        self, relation: Relation, keys: Sequence[Key], condition: sa.ColumnElement[bool], table: sa.FromClause
    ) -> list[Key]:
        """Those of the keys for whose rows the condition is true."""
        columns = [table.c[name] for name in relation.key]
        found: list[Key] = []
        for start in range(0, len(keys), _BATCH):
            query = sa.select(*columns).where(in_keys(columns, keys[start : start + _BATCH]), condition)
            found += [tuple(row) for row in self._session.read(relation.source, query)]
        return found

    def _floors_of(self, relation: Relation) -> list[Floor]:
        """Every floor on a table, that of rules without a job too."""
        table = self._binding.catalogs[relation.source].tables[relation.name]
        floors = []
        for policy, record in self._binding.bound_to(relation.source, table):
            for rule in policy.rules:
                if rule.keep.floor and rule.record == record.name:
                    compiler = ClockCompiler(policy, self._binding, Findings())
                    try:
                        clock = compiler.compile(record, relation.source, rule.keep.terms[0], ("rules", rule.index))
                    except UnreachableError as error:
                        raise self._workspace.unreachable[error.source] from None
                    where = rule.where.expression if rule.where else None
                    floors += [Floor(policy.name, rule.name, where, clock, rule.columns)] if clock else []
        return floors


def keep_text(rule: Rule) -> str:
    """A rule's `keep` as a reader would say it."""
    terms = ", ".join(term.text for term in rule.keep.terms)
    prefix = {"only": "", "first": "whichever comes first: ", "last": "whichever comes last: "}[rule.keep.combine]
    return f"{'at least ' if rule.keep.floor else ''}{prefix}{terms}"


def _agree(verdict: str, keep: KeepExplanation, at: datetime) -> bool:
    """True where both evaluators say the same of the row's expiry."""
    if isinstance(keep.state, datetime):
        expected = ("due", "held", "floored") if keep.state <= at else ("not_yet",)
    else:
        expected = (_AGREE.get(keep.state, "not_yet"),)
    return verdict in expected


def _parts(job: Job, key: Key, family: Family) -> Iterator[tuple[Step, list[Key]]]:
    """The job's own row and the rows below it, each with the step that speaks of its table."""
    yield job.step, [key]
    for step in job.cascade:
        keys = [
            found
            for label, found in family.nodes
            if label == step.relation.label and (label, found) not in family.roots
        ]
        if keys:
            yield step, keys


def _counts(family: Family) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for node in family.nodes:
        if node not in family.roots:
            counts[node[0]] = counts.get(node[0], 0) + 1
    return tuple(sorted(counts.items()))


def _goes(due: datetime | None, effective: datetime | None, floors: Sequence[Kept], *, held: bool) -> datetime | None:
    """The instant from which nothing keeps the row; None while something without a known end does."""
    ends = [floor.until for floor in floors]
    if due is None or held or None in ends:
        return None
    return max([due, *(end for end in ends if end), *([effective] if effective else [])])
