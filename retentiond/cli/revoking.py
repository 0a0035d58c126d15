"""`stop`, `resume` and `approve --withdraw`: none of them needs a source or a policy to be right."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

import click

from retentiond.cli.failures import FINE
from retentiond.cli.output import warn
from retentiond.engine.custody import utc_now
from retentiond.engine.people import this_person
from retentiond.engine.revocation import take_back
from retentiond.engine.sources import Sources
from retentiond.errors import RetentiondError, UsageError
from retentiond.policy.loader import load_policies
from retentiond.policy.wording import nearest
from retentiond.settings import Settings
from retentiond.state.stops import EVERYTHING
from retentiond.state.store import Store, open_store


def stop(settings: Settings, rule: str) -> None:
    """Stops the rules of that pattern, those too that do not exist yet."""
    known = _rules(settings)
    matching = [name for name in known or () if fnmatchcase(name, rule)]
    if known is not None and not matching:
        warn(f"no rule is called {rule} ({nearest(rule, known, 'rules')}); if one comes, it is stopped")
    with _writing(settings) as (store, sources):
        take_back(store, sources, lambda: store.stops.stop(rule, now=utc_now(), by=this_person().name))
    beside = f": {', '.join(matching)}" if rule != EVERYTHING and matching not in ([], [rule]) else ""
    click.echo(f"stopped: {_called(rule)}{beside}")


def resume(settings: Settings, rule: str) -> None:
    """Ends the stops of that pattern, and says what is stopped still."""
    ended: list[str] = []
    with _writing(settings) as (store, sources):
        stopped = [stop.pattern for stop in store.stops.active()]
        if not any(fnmatchcase(pattern, rule) or pattern == rule for pattern in stopped):
            hint = f"stopped: {', '.join(map(_called, stopped)) or 'nothing'}"
            raise UsageError(f"{_called(rule)} was not stopped", hint=hint, code="not-stopped")
        take_back(store, sources, lambda: ended.extend(store.stops.resume(rule, now=utc_now(), by=this_person().name)))
        left = [stop.pattern for stop in store.stops.active()]
    click.echo(f"goes on: {', '.join(map(_called, ended))}")
    for pattern in left:
        click.echo(f"still stopped: {_called(pattern)}")


def withdraw(settings: Settings, rule: str) -> int:
    """Takes back every approval of the rules of that pattern, of those too that are in no policy any more."""
    with _writing(settings) as (store, sources):
        jobs = sorted({one.wanted.job for one in store.approvals.open() if fnmatchcase(_rule_of(one.wanted.job), rule)})
        known = {*(_rules(settings) or ()), *map(_rule_of, jobs)}
        if not any(fnmatchcase(name, rule) for name in known):
            raise UsageError(f"no rule {rule}", hint=nearest(rule, sorted(known), "rules"), code="unknown-rule")
        if jobs:
            take_back(store, sources, lambda: store.approvals.withdraw(jobs, by=this_person(), now=utc_now()))
    for job in jobs:
        click.echo(f"withdrawn: {job}")
    if not jobs:
        click.echo(f"nothing of {rule} was approved")
    return FINE


@contextmanager
def _writing(settings: Settings) -> Iterator[tuple[Store, Sources]]:
    """The state store to write, and sources that are connected to only where something was left unsettled."""
    with (
        Sources(settings) as sources,
        open_store(settings.state.connection_url(), create=True, keys=settings.ledger.keys) as store,
    ):
        yield store, sources


def _rules(settings: Settings) -> list[str] | None:
    """Every `policy/rule` there is; None where the policies cannot be read, which must stop nobody from stopping."""
    try:
        policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
    except RetentiondError:
        return None
    return sorted(f"{policy.name}/{rule.name}" for policy in policies for rule in policy.rules)


def _rule_of(job: str) -> str:
    return job.rpartition("@")[0]


def _called(pattern: str) -> str:
    return "everything" if pattern == EVERYTHING else pattern
