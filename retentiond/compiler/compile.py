"""Policies and live schemas become one plan, or all their problems at once. Pure: no connection, no clock."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from retentiond.catalog.model import Catalog, Family, Table
from retentiond.compiler.advice import advise
from retentiond.compiler.binding import Binding, UnreachableError
from retentiond.compiler.cascades import CascadeCompiler
from retentiond.compiler.clocks import ClockCompiler
from retentiond.compiler.conditions_sql import type_problems
from retentiond.compiler.digest import job_digest, plan_digest
from retentiond.compiler.findings import Findings
from retentiond.compiler.links import key_column
from retentiond.compiler.mask_checks import check_action
from retentiond.compiler.plan import BlockedJob, Expiry, Floor, Job, Keepers, Masking, Plan, Relation, Step
from retentiond.compiler.stirs import with_stirs
from retentiond.compiler.triggers import with_partitions
from retentiond.errors import PolicyError, Problem, RetentiondError
from retentiond.policy.conditions import columns_of
from retentiond.policy.model import Policy, Record, Rule


@dataclass(frozen=True, slots=True)
class Compilation:
    """A plan, and what a person should look at before trusting it."""

    plan: Plan
    warnings: tuple[Problem, ...]


def compile_plan(
    policies: tuple[Policy, ...],
    catalogs: Mapping[str, Catalog],
    unreachable: Mapping[str, RetentiondError] = MappingProxyType({}),
    known: Collection[str] = (),
) -> Compilation:
    """
    The plan of all policies on the sources of `catalogs`. A job that rests on an `unreachable` source is blocked;
    `known` are all sources there are, for the nearest name to one that is not.

    Raises:
        PolicyError: with every problem of every policy, each with its place in the file.
    """
    findings = Findings()
    binding = Binding(policies, catalogs, (*unreachable, *known), findings)
    planned = [job for policy in policies for job in _PolicyCompiler(policy, binding, unreachable, findings).jobs()]
    jobs = [job for job in planned if isinstance(job, Job)]
    _check_overlap_between_policies(policies, jobs, findings)
    if findings.errors:
        raise PolicyError(findings.errors)
    advise(policies, binding, jobs, findings)
    return Compilation(Plan(tuple(planned), plan_digest(jobs)), findings.warnings)


class _PolicyCompiler:
    def __init__(
        self, policy: Policy, binding: Binding, unreachable: Mapping[str, RetentiondError], findings: Findings
    ) -> None:
        self._policy = policy
        self._binding = binding
        self._unreachable = unreachable
        self._findings = findings
        self._clocks = ClockCompiler(policy, binding, findings)
        self._cascades = CascadeCompiler(policy, binding, findings)

    def jobs(self) -> Iterator[Job | BlockedJob]:
        """One job per rule that destroys and source of its record, in file order."""
        for record in self._policy.records:
            self._check_record(record)
        for rule in self._policy.rules:
            record = self._policy.record(rule.record)
            for source in self._binding.sources(record):
                try:
                    if job := self._job(rule, record, source):
                        yield replace(job, digest=job_digest(job))
                except UnreachableError as error:
                    if rule.has_job:
                        yield self._blocked(rule, record, source, self._unreachable[error.source])

    def _blocked(self, rule: Rule, record: Record, source: str, why: RetentiondError) -> BlockedJob:
        code = why.code or "unreachable"
        return BlockedJob(
            self._policy.name, rule.name, source, record.name, record.table, rule.action.verb, code, str(why)
        )

    def _check_record(self, record: Record) -> None:
        self._binding.check_sources(self._policy, record)
        named = {
            "held": (record.held,),
            "marker": (record.marker,),
            "subject": (record.subject_column,),
            "belongs_to": tuple(link.column for link in record.belongs_to),
            "empty": record.never_happened,
            "format": tuple(column for column, _ in record.formats),
        }
        for source in self._binding.reached(record):
            if self._binding.relation(self._policy, record, source) is None:
                continue
            table = self._binding.table(record, source)
            assert table is not None
            self._check_links(record, source)
            for key, columns in named.items():
                for column in columns:
                    place = ("records", record.name, key, column or "")
                    if column and self._binding.check_column(self._policy, place, source, table, column):
                        self._check_held(record, source, table, key, column)

    def _check_links(self, record: Record, source: str) -> None:
        """Notes links to a column of the parent that is not there or may hold a value twice."""
        for link in record.belongs_to:
            parent = self._policy.record(link.record)
            for parent_source in self._binding.related_sources(record, source, parent):
                table = self._binding.table(parent, parent_source) if parent_source in self._binding.catalogs else None
                place = ("records", record.name, "belongs_to", link.record)
                named = link.references
                if table is None or (
                    named and not self._binding.check_column(self._policy, place, parent_source, table, named)
                ):
                    continue
                key_column(link, record.name, [table], self._policy, self._findings)

    def _check_held(self, record: Record, source: str, table: Table, key: str, column: str) -> None:
        found = table.column(column)
        if key == "held" and found and found.family not in (Family.BOOLEAN, Family.INTEGER):
            self._findings.error(
                self._policy,
                ("records", record.name, "held"),
                "held-not-boolean",
                f"{source}.{record.table}.{column} is {found.type}, not a boolean that could say hands off",
            )

    def _job(self, rule: Rule, record: Record, source: str) -> Job | None:
        table = self._binding.table(record, source)
        relation = self._binding.relation(self._policy, record, source)
        if table is None or relation is None:
            return None
        expiry = self._expiry(rule, record, source, relation)
        for index, column in enumerate(rule.columns):
            self._binding.check_column(self._policy, ("rules", rule.index, "columns", index), source, table, column)
        if rule.has_job:
            self._binding.check_target(self._policy, ("records", record.name, "table"), source, table, relation.key)
        if rule.action.masks:
            catalog = self._binding.catalogs[source]
            partitions = tuple(with_partitions(catalog, table))[1:]
            incoming = tuple(key for part in (table, *partitions) for key in catalog.incoming.get(part.name, ()))
            for problem in check_action(rule, record, table, incoming, self._policy, partitions):
                self._findings.add(problem)
        if expiry is None or not rule.has_job:
            return None
        steps = self._steps(rule, record, source, relation, table, expiry)
        return Job(
            policy=self._policy.name,
            rule=rule.name,
            source=source,
            record=record.name,
            step=steps[-1],
            cascade=steps[:-1],
            schedule=rule.schedule or self._policy.schedule,
            within=rule.within,
            effective=self._policy.effective,
            timezone=self._policy.timezone,
            guard=rule.guard,
        )

    def _expiry(self, rule: Rule, record: Record, source: str, relation: Relation) -> Expiry | None:
        place = ("rules", rule.index, "keep")
        clocks = [self._clocks.compile(record, source, term, place) for term in rule.keep.terms]
        fits = self._check_where(rule, relation)
        if not fits or any(clock is None for clock in clocks):
            return None
        where = rule.where.expression if rule.where else None
        return Expiry(where, tuple(clock for clock in clocks if clock), rule.keep.combine)

    def _check_where(self, rule: Rule, relation: Relation) -> bool:
        if rule.where is None:
            return True
        place = ("rules", rule.index, "where")
        table = self._binding.catalogs[relation.source].tables[relation.name]
        names = columns_of(rule.where.expression)
        known = [self._binding.check_column(self._policy, place, relation.source, table, name) for name in names]
        if not all(known):
            return False
        problems = list(type_problems(rule.where.expression, relation))
        for problem in problems:
            self._findings.error(self._policy, place, "unlike-types", f"{relation.label}: {problem}")
        return not problems

    def _steps(
        self, rule: Rule, record: Record, source: str, relation: Relation, table: Table, expiry: Expiry
    ) -> tuple[Step, ...]:
        """The steps of a job in the order of their execution; the job's own table last."""
        masking = Masking(rule.action.methods, record.marker) if rule.action.masks else None
        changed = {column for column, _ in rule.action.methods}
        keepers = self._keepers(source, table, changed if masking else None, rule)
        own = Step(relation, rule.action.verb, keepers, expiry=expiry, masking=masking)
        if masking:
            return with_stirs((own,), self._binding.catalogs)
        cascade = self._cascades.compile(record, source)
        steps = [
            Step(
                member.relation,
                "delete",
                self._keepers(member.relation.source, member.table, None, None),
                edges=edges,
            )
            for member, edges in cascade.members
        ]
        self._check_clock_in_cascade(rule, source, expiry, [step.relation for step in steps])
        return with_stirs((*steps, own), self._binding.catalogs)

    def _keepers(self, source: str, table: Table, changed: set[str] | None, rule: Rule | None) -> Keepers:
        """What keeps rows of a table: every `held` column and floor that any policy binds to it."""
        held: list[str] = []
        floors: list[Floor] = []
        for policy, record in self._binding.bound_to(source, table):
            held += [record.held] if record.held and table.column(record.held) else []
            for other in policy.rules:
                limited = changed is not None and bool(other.columns) and not changed & set(other.columns)
                if other.record == record.name and other.keep.floor and other is not rule and not limited:
                    floors += self._floor(policy, other, record, source)
        # In an order that does not depend on which file was read first.
        return Keepers(tuple(sorted(set(held))), tuple(sorted(floors, key=lambda floor: (floor.policy, floor.rule))))

    def _floor(self, policy: Policy, rule: Rule, record: Record, source: str) -> list[Floor]:
        compiler = ClockCompiler(policy, self._binding, self._findings)
        clock = compiler.compile(record, source, rule.keep.terms[0], ("rules", rule.index, "keep"))
        where = rule.where.expression if rule.where else None
        return [Floor(policy.name, rule.name, where, clock, rule.columns)] if clock else []

    def _check_clock_in_cascade(self, rule: Rule, source: str, expiry: Expiry, taken: list[Relation]) -> None:
        """Notes rows of another source that go first while the clock is theirs: a crash would stop it for ever."""
        far = {relation.label for relation in taken if relation.source != source}
        for clock in expiry.clocks:
            ends = {relation.label for relation in clock.hops[-1].far} if clock.hops else set()
            for label in sorted(far & ends):
                self._findings.error(
                    self._policy,
                    ("rules", rule.index, "keep"),
                    "clock-in-cascade",
                    f"the rows of {label} go first, in another source, and the clock {clock.term.clock.text} is theirs",
                    "give those rows a rule of their own, or take them out of the cascade",
                )


def _check_overlap_between_policies(policies: tuple[Policy, ...], jobs: list[Job], findings: Findings) -> None:
    """Notes two policies that delete from one table: neither file could be read alone."""
    by_name = {policy.name: policy for policy in policies}
    deleting: dict[str, Job] = {}
    for job in jobs:
        if job.action != "delete":
            continue
        first = deleting.setdefault(job.step.relation.label, job)
        if first.policy != job.policy:
            policy = by_name[job.policy]
            findings.error(
                policy,
                ("rules", policy.rule(job.rule).index, "then"),
                "overlap",
                f"{job.step.relation.label} is deleted by {first.policy}/{first.rule} too",
                "one policy must own the deletions of a table",
            )
