"""
`doctor`: everything that could keep retentiond from its work, or make its work worth less, and what to do about it.

Nothing is written anywhere. What cannot be looked at is a finding, and the rest is looked at all the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from retentiond.catalog.faults import errors_of
from retentiond.catalog.model import Catalog
from retentiond.catalog.privileges import role_name
from retentiond.catalog.rights import quoted_role
from retentiond.compiler.compile import compile_plan
from retentiond.compiler.plan import Plan
from retentiond.engine.doctor_files import policy_file_findings, settings_findings, sqlite_findings
from retentiond.engine.doctor_source import SourceDoctor
from retentiond.engine.doctor_state import readable_store, state_findings
from retentiond.engine.finding import Finding, Severity, of_error
from retentiond.engine.grants import Needs, Section, needs_on, tables_seen
from retentiond.engine.guard_clock import ClockWatch
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.errors import PolicyError, Problem, RetentiondError
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy
from retentiond.settings import Settings
from retentiond.state.store import Store

_POLICIES = "policies"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and by source the least grants of its rules."""

    findings: tuple[Finding, ...]
    grants: Mapping[str, tuple[Section, ...]]


def diagnose(settings: Settings, environ: Mapping[str, str], now: Callable[[], datetime]) -> Diagnosis:
    """Looks at everything that these settings name."""
    findings = [*settings_findings(settings, environ), *policy_file_findings(settings)]
    policies = list(_policies(settings, findings))
    grants: dict[str, tuple[Section, ...]] = {}
    with readable_store(settings, findings) as store, Sources(settings) as sources:
        catalogs, unreachable = _catalogs(sources, findings)
        workspace, compiled = _compiled(tuple(policies), catalogs, unreachable, sources, findings)
        clock = ClockWatch(store, now)
        findings += _guarded("state store", lambda: list(state_findings(settings, store, clock, workspace.plan.ready)))
        for name, catalog in catalogs.items():
            needs = _needs(workspace, name, store, settings) if compiled else None
            doctor = SourceDoctor(
                name,
                settings.source(name),
                catalog,
                tables_seen(workspace, name),
                needs,
                sources.reading(name),
                store,
                clock,
            )
            findings += doctor.findings()
            if catalog.dialect == "sqlite":
                findings += sqlite_findings(name, Path(sources.reading(name).url.database or ""))
            elif needs is not None:
                grants[name] = _sections(needs, catalog, sources)
    return Diagnosis(tuple(findings), grants)


def _policies(settings: Settings, findings: list[Finding]) -> Iterator[Policy]:
    try:
        yield from load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
    except PolicyError as error:
        findings += map(_of_problem, error.problems)
    except RetentiondError:
        return  # said of the files already


def _catalogs(sources: Sources, findings: list[Finding]) -> tuple[dict[str, Catalog], dict[str, RetentiondError]]:
    """The schemas that can be read, one by one."""
    catalogs: dict[str, Catalog] = {}
    unreachable: dict[str, RetentiondError] = {}
    for name in sources.names:
        try:
            found, why = sources.catalogs([name])
        except RetentiondError as error:
            found, why = {}, {name: error}
        catalogs |= found
        unreachable |= why
    findings += [of_error(error, f"source {name}") for name, error in unreachable.items()]
    return catalogs, unreachable


def _compiled(
    policies: tuple[Policy, ...],
    catalogs: dict[str, Catalog],
    unreachable: dict[str, RetentiondError],
    sources: Sources,
    findings: list[Finding],
) -> tuple[Workspace, bool]:
    """The policies against the schemas that could be read; without a plan where they do not compile."""
    try:
        compilation = compile_plan(policies, catalogs, unreachable, sources.names)
    except PolicyError as error:
        findings += map(_of_problem, error.problems)
        return Workspace(policies, catalogs, Plan((), ""), (), unreachable), False
    findings += map(_of_problem, compilation.warnings)
    if policies:
        findings.append(Finding("ok", "policies", _POLICIES, f"{len(compilation.plan.jobs)} jobs fit their tables"))
    return Workspace(policies, catalogs, compilation.plan, compilation.warnings, unreachable), True


def _needs(workspace: Workspace, name: str, store: Store, settings: Settings) -> Needs:
    recorded = store.manifests.of(name) is not None
    return needs_on(workspace, name, recorded=recorded, fenced=settings.source(name).fence == "table")


def _sections(needs: Needs, catalog: Catalog, sources: Sources) -> tuple[Section, ...]:
    try:
        with (
            errors_of(catalog.source),
            sources.reading(catalog.source).connect() as connection,
            connection.begin(),
        ):
            role = role_name(connection, catalog.dialect)
    except RetentiondError:  # a source that went away meanwhile has a finding of its own
        return ()
    return needs.sections(catalog.dialect, quoted_role(catalog.dialect, role))


def _guarded(where: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except RetentiondError as error:
        return [of_error(error, where)]


def _of_problem(problem: Problem) -> Finding:
    severity: Severity = "error" if problem.severity == "error" else "warning"
    message = f"{problem.position}: {problem.message}"
    return Finding(severity, problem.code, _POLICIES, message, problem.hint, PolicyError)
