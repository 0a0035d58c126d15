"""What a person should look at before trusting a plan: warnings that need the live schema."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from retentiond.catalog.model import Catalog, Column, ForeignKey, Table
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.plan import ClockRead, Job
from retentiond.policy.conditions import columns_of
from retentiond.policy.model import Policy, Rule

_STATUS_NAMES = (
    "status",
    "state",
    "*_status",
    "*_state",
    "reopened*",
    "*reopened_at",
    "is_open",
    "active",
    "is_active",
)


def advise(policies: Iterable[Policy], binding: Binding, jobs: Iterable[Job], findings: Findings) -> None:
    """Notes warnings on every job, each at the place of its rule."""
    by_name = {policy.name: policy for policy in policies}
    for job in jobs:
        policy = by_name[job.policy]
        rule = policy.rule(job.rule)
        catalog = binding.catalogs[job.source]
        table = catalog.tables[job.step.relation.name]
        _ignored_status(policy, rule, job, table, findings)
        _blind_spots(policy, rule, job, catalog, table, findings)
        for clock in job.expiry.clocks:
            _may_stay_empty(policy, rule, job, clock, binding, findings)
            _unguarded_relation(policy, rule, clock, binding, findings)


def _ignored_status(policy: Policy, rule: Rule, job: Job, table: Table, findings: Findings) -> None:
    """A re-opened complaint keeps its old closed_at: a column that says so and that the rule does not ask."""
    used = set(columns_of(rule.where.expression)) if rule.where else set()
    used |= {clock.column for clock in job.expiry.clocks if not clock.hops} | set(job.step.keepers.held)
    address = any(
        column.name.lower() in ("city", "country", "zip", "postalcode", "postal_code") for column in table.columns
    )
    for column in table.columns:
        if address and column.name.lower() == "state":
            continue  # of an address, not of a process
        if column.name not in used and any(fnmatchcase(column.name.lower(), name) for name in _STATUS_NAMES):
            findings.warning(
                policy,
                ("rules", rule.index, "where" if rule.where else "name"),
                "ignored-status",
                f"{job.step.relation.label} has a column {column.name} that rule {rule.name} does not ask",
                f"should `where` say which {column.name} may go?",
            )


def _may_stay_empty(
    policy: Policy, rule: Rule, job: Job, clock: ClockRead, binding: Binding, findings: Findings
) -> None:
    """A nullable clock of a single-term rule keeps its row for ever while it is NULL."""
    if clock.nulls_never or len(job.expiry.clocks) > 1:
        return
    relation = clock.hops[-1].far[0] if clock.hops else job.step.relation
    column = _column(binding, relation.source, relation.name, clock.column)
    if column and column.nullable and not (rule.where and column.name in columns_of(rule.where.expression)):
        findings.warning(
            policy,
            ("rules", rule.index, "keep"),
            "may-never-start",
            f"{relation.label}.{clock.column} may be NULL, and while it is, rule {rule.name} keeps the row for ever",
            "watch `not_started`, or add a second clock under `whichever comes first`",
        )


def _unguarded_relation(policy: Policy, rule: Rule, clock: ClockRead, binding: Binding, findings: Findings) -> None:
    """Where no foreign key prevents a new related row, one may come in the moment of deletion."""
    for hop in clock.hops:
        for far in hop.far:
            if far.source != clock.source or hop.up:
                continue
            keys = binding.catalogs[far.source].tables[far.name].foreign_keys
            if not any(_is_over(key, hop.far_column) for key in keys):
                findings.warning(
                    policy,
                    ("rules", rule.index, "keep"),
                    "no-foreign-key",
                    f"no foreign key on {far.label}.{hop.far_column} keeps new rows away while {rule.name} runs",
                    "add one, or accept that a row inserted in that instant is not seen",
                )


def _blind_spots(policy: Policy, rule: Rule, job: Job, catalog: Catalog, table: Table, findings: Findings) -> None:
    if not catalog.complete:
        findings.warning(
            policy,
            ("rules", rule.index, "record"),
            "blind-role",
            f"the role on source {job.source} may not see every foreign key that points at {job.step.relation.label}",
            "GRANT PROCESS ON *.* to it",
        )
    if table.row_security:
        findings.warning(
            policy,
            ("rules", rule.index, "record"),
            "row-security",
            f"{job.step.relation.label} has row-level security: rows that the role may not see stay",
            "give the role a policy that shows it every row",
        )


def _is_over(key: ForeignKey, column: str) -> bool:
    return key.columns == (column,)


def _column(binding: Binding, source: str, table: str, name: str) -> Column | None:
    return binding.catalogs[source].tables[table].column(name)
