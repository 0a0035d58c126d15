"""The least rights on one source, rule by rule, as statements that an administrator can paste."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from retentiond.catalog.model import Dialect
from retentiond.catalog.rights import Right, grant_statements, merged
from retentiond.compiler.binding import UnreachableError
from retentiond.compiler.holds import HoldCompiler, HoldOn
from retentiond.compiler.plan import BlockedJob, Job
from retentiond.engine.rights import fence_rights, inspection_rights, rights_of, tables_by_source
from retentiond.engine.workspace import Workspace

# A subject's id as columns of each type can hold it: a hold that is none, to learn what holds would have to be asked.
_NOBODY = ("0", "00000000-0000-0000-0000-000000000000", "1970-01-01")


@dataclass(frozen=True, slots=True)
class Need:
    """What one rule needs on the source; `rule` is `policy/rule`, with `@source` where it works on another one."""

    rule: str
    rights: tuple[Right, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Statements that belong together: of one `rule`, or "" for what all of them need in order to see."""

    rule: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """
    What a source's role needs: to see, rule by rule, and for the fence. `unknown` names rules of which it cannot be
    told now, and why.
    """

    inspection: tuple[Right, ...]
    rules: tuple[Need, ...]
    fence: tuple[Right, ...]
    unknown: tuple[tuple[str, str], ...]

    @property
    def everything(self) -> tuple[Right, ...]:
        """All of it together."""
        rules = (right for need in self.rules for right in need.rights)
        return merged([*self.inspection, *rules, *self.fence])

    def sections(self, dialect: Dialect, role: str) -> tuple[Section, ...]:
        """The grants for the role, but for those on the fence, which come with it."""
        parts = [("", self.inspection), *((need.rule, need.rights) for need in self.rules)]
        found = (Section(rule, tuple(grant_statements(dialect, rights, role))) for rule, rights in parts)
        return tuple(section for section in found if section.statements)


def needs_on(workspace: Workspace, source: str, *, recorded: bool, fenced: bool) -> Needs:
    """
    What the role on a source needs for the workspace's rules. `recorded`: an administrator has seen what it cannot;
    `fenced`: the source holds a fence of ours.
    """
    catalog = workspace.catalogs[source]
    rules = []
    for job in with_possible_holds(workspace):
        rights = rights_of(job).get(source)
        if rights:
            rules.append(Need(_title(job, source), rights))
    unknown = [(job.name, job.message) for job in workspace.plan.jobs if isinstance(job, BlockedJob)]
    return Needs(
        inspection_rights(catalog.dialect, tables_seen(workspace, source), recorded=recorded),
        tuple(rules),
        fence_rights(catalog.dialect) if fenced else (),
        tuple(unknown),
    )


def with_possible_holds(workspace: Workspace) -> Iterator[Job]:
    """The jobs that can be carried out, as if somebody of each type of subject were under a hold."""
    holds = [
        HoldOn("", "subject", policy=policy.name, subject_type=kind, ids=_NOBODY)
        for policy in workspace.policies
        for kind in dict.fromkeys(record.subject_type for record in policy.records if record.subject_type)
    ]
    compiler = HoldCompiler(workspace.policies, workspace.catalogs, tuple(workspace.unreachable), holds)
    for job in workspace.plan.ready:
        try:
            yield compiler.put_into(job)
        except UnreachableError:
            yield job


def tables_seen(workspace: Workspace, source: str) -> tuple[str, ...]:
    """The tables of a source that the policies speak of, as its catalog names them."""
    catalog = workspace.catalogs[source]
    bound = (table for name in _bound_tables(workspace, source) if (table := catalog.find(name)) is not None)
    jobs = tables_by_source(workspace.plan.ready).get(source, ())
    return tuple(sorted({*(table.name for table in bound), *jobs}))


def _bound_tables(workspace: Workspace, source: str) -> Iterator[str]:
    for policy in workspace.policies:
        for record in policy.records:
            if any(fnmatchcase(source, pattern) for pattern in record.sources):
                yield record.table


def _title(job: Job, source: str) -> str:
    rule = f"{job.policy}/{job.rule}"
    return rule if job.source == source else f"{rule}@{job.source}"
