"""Which rights the roles of the sources lack, told at the place of each rule that needs them."""

from collections.abc import Iterable, Iterator

from retentiond.catalog.faults import errors_of
from retentiond.catalog.privileges import lacking
from retentiond.catalog.rights import Right, described
from retentiond.compiler.plan import Job
from retentiond.engine.grants import with_possible_holds
from retentiond.engine.rights import rights_of
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.errors import Problem
from retentiond.policy.model import Policy


def missing_rights(workspace: Workspace, sources: Sources) -> Iterator[Problem]:
    """A warning for each rule and source whose role lacks a right that a run of the rule needs."""
    needed: dict[str, list[tuple[Job, tuple[Right, ...]]]] = {}
    for job in with_possible_holds(workspace):
        for source, rights in rights_of(job).items():
            needed.setdefault(source, []).append((job, rights))
    for source, jobs in needed.items():
        dialect = workspace.catalogs[source].dialect
        with errors_of(source), sources.reading(source).connect() as connection, connection.begin():
            found = [(job, lacking(connection, dialect, rights)) for job, rights in jobs]
        yield from (_problem(workspace.policy(job.policy), job, source, missing) for job, missing in found if missing)


def _problem(policy: Policy, job: Job, source: str, missing: Iterable[Right]) -> Problem:
    listed = "; ".join(f"{described(right)} on {right.name}" for right in missing)
    return Problem(
        policy.place("rules", policy.rule(job.rule).index, "name"),
        "missing-right",
        f"the role on source {source} lacks rights that {job.rule} needs: {listed}",
        f"`retentiond prepare {source}` prints what to grant",
        "warning",
    )
