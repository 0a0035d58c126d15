"""Everything a command needs of one moment: the policies, the live schemas they speak of, and the plan they make."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from retentiond.catalog.model import Catalog
from retentiond.compiler.compile import compile_plan
from retentiond.compiler.plan import BlockedJob, Job, Plan
from retentiond.engine.policy_files import Exposure, Inspection, exposures
from retentiond.engine.sources import Sources
from retentiond.errors import Problem, RetentiondError, UsageError
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy
from retentiond.policy.wording import nearest
from retentiond.settings import Settings


@dataclass(frozen=True, slots=True)
class Workspace:
    """
    Policies, catalogs and plan that belong together. `warnings` are the compiler's; `unreachable` says by source why
    its schema could not be read: the plan's jobs that rest on it are blocked. `exposures` are what others could have
    changed among settings and policies when they were read; `sources` are all that there are, named by a policy or not.
    """

    policies: tuple[Policy, ...]
    catalogs: dict[str, Catalog]
    plan: Plan
    warnings: tuple[Problem, ...]
    unreachable: dict[str, RetentiondError]
    exposures: tuple[Exposure, ...] = ()
    sources: tuple[str, ...] = ()

    def policy(self, name: str) -> Policy:
        """The policy of that name, or a UsageError with the nearest one."""
        for policy in self.policies:
            if policy.name == name:
                return policy
        raise UsageError(f"no policy {name}", hint=nearest(name, [p.name for p in self.policies], "policies"))

    def select(self, rules: tuple[str, ...], source: str | None = None) -> tuple[Job | BlockedJob, ...]:
        """
        The jobs of these RULE patterns (`policy/rule` or globs; none: all) on `source` (None: all), in file order.

        Raises:
            UsageError: where a pattern matches no rule, or no rule has that source.
        """
        known = sorted(f"{policy.name}/{rule.name}" for policy in self.policies for rule in policy.rules)
        for pattern in rules:
            if not any(fnmatchcase(name, pattern) for name in known):
                raise UsageError(f"no rule {pattern}", hint=nearest(pattern, known, "rules"), code="unknown-rule")
        known_sources = [*self.catalogs, *self.unreachable]
        if source is not None and source not in known_sources:
            hint = nearest(source, known_sources, "sources")
            raise UsageError(f"no rule has a source {source}", hint=hint, code="unknown-source")
        return tuple(
            job
            for job in self.plan.jobs
            if (not rules or any(fnmatchcase(f"{job.policy}/{job.rule}", pattern) for pattern in rules))
            and (source is None or job.source == source)
        )


def open_workspace(settings: Settings, sources: Sources) -> Workspace:
    """
    The policies of the settings compiled against the live schemas.

    Raises:
        PolicyError: with all problems of all policy files.
        UsageError, FailedError: where a source refuses to be read. One that cannot be opened blocks its own jobs.
    """
    inspection = Inspection()
    policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone), opened=inspection.opened)
    found = {*inspection.exposures, *exposures([settings.file] if settings.file else [])}
    return replace(compile_workspace(policies, sources), exposures=tuple(sorted(found)))


def compile_workspace(policies: tuple[Policy, ...], sources: Sources) -> Workspace:
    """These policies compiled against the live schemas of the sources they name."""
    patterns = {pattern for policy in policies for record in policy.records for pattern in record.sources}
    named = [name for name in sources.names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    catalogs, unreachable = sources.catalogs(named)
    compilation = compile_plan(policies, catalogs, unreachable, sources.names)
    plan, warnings = compilation.plan, compilation.warnings
    return Workspace(policies, catalogs, plan, warnings, unreachable, sources=sources.names)
