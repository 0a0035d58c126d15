"""Making certificates: from the state store, the settings and, as far as they can be reached, policies and sources."""

from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from retentiond import __version__
from retentiond.catalog.model import Catalog
from retentiond.compiler.plan import BlockedJob
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import open_workspace
from retentiond.errors import EvidenceError, PolicyError, RetentiondError, UsageError
from retentiond.policy.facts import rule_facts
from retentiond.policy.loader import load_policies
from retentiond.policy.model import Policy
from retentiond.reports.certificate import Certificate, Recount
from retentiond.reports.certificate_facts import Story, Surroundings, certificate_of, refuse_empty
from retentiond.reports.evidence import read_evidence
from retentiond.reports.recount import not_counted, recount
from retentiond.reports.subject import SubjectCertificate
from retentiond.reports.subject_search import History, Search, entries_of
from retentiond.settings import Settings
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store
from retentiond.state.values import RunRecord

_SHOWN = 5


def certify_run(
    run: str, settings: Settings, keys: Path, store: Store, now: datetime, *, count_again: bool
) -> Certificate:
    """
    The certificate of the run whose id begins so. With `count_again` the sources are asked, where they can be.

    Raises:
        UsageError: where no run or several have that id, or the run destroyed nothing.
        EvidenceError: where the ledger does not verify.
    """
    record = _the_run(run, store)
    ring = KeyRing(keys, store.keys)
    story = Story(record)
    evidence = read_evidence(store, ring, settings.ledger.checkpoint_copy, story.take)
    refuse_empty(story)
    around = Surroundings(
        rule=_words_of_today(record, settings),
        kept={name: source.backups_kept for name, source in settings.sources.items()},
        recount=_counted(story, settings, store, ring, now) if count_again else not_counted("nobody asked for it"),
        signed=evidence.signed,
    )
    return certificate_of(story, around, now)


def certify_subjects(
    policies: tuple[Policy, ...],
    of: tuple[Policy, str],
    ids: Mapping[str, int],
    settings: Settings,
    keys: Path,
    store: Store,
    now: datetime,
) -> SubjectCertificate:
    """
    What the ledger records of the subjects `of` a policy and type; `ids` are lines of a file, with their numbers.

    Raises:
        UsageError: where an id cannot be one. RefusedError: where a key of the tokens is missing.
        EvidenceError: where the ledger does not verify.
    """
    ring = KeyRing(keys, store.keys)
    history = History()
    evidence = read_evidence(store, ring, settings.ledger.checkpoint_copy, history.take)
    policy, subject_type = of
    catalogs, unreachable = _catalogs(policy, subject_type, settings)
    kept = {name: source.backups_kept for name, source in settings.sources.items()}
    search = Search(policies, policy, subject_type, ids, catalogs, unreachable, kept)
    looked = [search.look(table, history, store.ledger, ring) for table in search.tables()]
    matches = sorted((match for _, found in looked for match in found), key=lambda match: (match.line, match.seq))
    return SubjectCertificate(
        issued=now,
        tool=f"retentiond {__version__}",
        policy=policy.name,
        subject_type=subject_type,
        timezone=policy.timezone,
        subjects=len(ids),
        searched=tuple(searched for searched, _ in looked),
        not_searched=tuple(search.not_searched),
        matches=tuple(matches),
        signed=evidence.signed(entries_of(matches, history)),
    )


def _catalogs(
    policy: Policy, subject_type: str, settings: Settings
) -> tuple[dict[str, Catalog], dict[str, RetentiondError]]:
    """The schemas of the sources where these subjects have rows of their own; and why others are not known."""
    patterns = {one for record in policy.records if record.subject_type == subject_type for one in record.sources}
    with Sources(settings) as sources:
        names = [name for name in sources.names if any(fnmatchcase(name, pattern) for pattern in patterns)]
        try:
            return sources.catalogs(names)
        except RetentiondError as error:
            return {}, dict.fromkeys(names, error)


def _the_run(run: str, store: Store) -> RunRecord:
    found = store.runs.starting_with(run) if run else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} runs begin with {run}", hint="give more of the id", code="unknown-run")
    last = [f"{one.id[:8]} ({one.job.policy}/{one.job.rule})" for one in store.runs.starting_with("", _SHOWN)]
    hint = f"the last ones: {', '.join(last)}; `retentiond status --format json` prints them" if last else ""
    raise UsageError(f"no run begins with {run}", hint=hint, code="unknown-run")


def _words_of_today(record: RunRecord, settings: Settings) -> dict[str, object] | None:
    """What the policy file of today says of the run's rule; None where it says nothing, or cannot be read."""
    try:
        policies = load_policies(settings.policy_files(), default_timezone=str(settings.timezone))
    except RetentiondError:
        return None
    for policy in policies:
        if policy.name == record.job.policy and any(rule.name == record.job.rule for rule in policy.rules):
            return rule_facts(policy, policy.rule(record.job.rule))
    return None


def _counted(story: Story, settings: Settings, store: Store, keys: KeyRing, now: datetime) -> Recount:
    """The count made now, or why there is none: a certificate does not depend on a source that is gone."""
    job = story.run.job
    try:
        with Sources(settings) as sources:
            (found,) = open_workspace(settings, sources).select((f"{job.policy}/{job.rule}",), job.source) or (None,)
            if found is None:
                return not_counted(f"the rule has no part in {job.source} any more")
            if isinstance(found, BlockedJob):
                return not_counted(found.message)
            with Session(sources, apply=False) as session:
                return recount(found, story.batches, store.ledger, keys, session, now)
    except EvidenceError:
        raise
    except (PolicyError, UsageError):
        return not_counted("the settings and policies of today do not lead to these tables")
    except RetentiondError as error:
        return not_counted(error.message)
