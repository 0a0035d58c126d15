"""
What a run must ask and leave behind: the state store and its keys, who may keep rows or stop a job, and the evidence.

A dry run has a custody too, opened to read only: it tells what is held and which guards would say no.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Job, Relation
from retentiond.engine.consent import NONE, Consent
from retentiond.engine.guards import Warden
from retentiond.engine.holds import HoldBook
from retentiond.engine.policy_files import Exposure
from retentiond.engine.recovery import Recovery
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.errors import EvidenceError, RefusedError
from retentiond.policy.facts import rule_facts
from retentiond.policy.model import Policy
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.signing import ROLLED_BACK
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tokens import make_tokens
from retentiond.state.store import Store


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Custody:
    """Made once for all jobs of a command, or of a round of the daemon."""

    store: Store
    keys: KeyRing
    sources: Sources
    warden: Warden
    holds: HoldBook
    policies: tuple[Policy, ...] = ()
    checkpoint_copy: Path | None = None
    now: Callable[[], datetime] = field(default=utc_now)

    @property
    def state_id(self) -> str:
        """The id of the state store; it exists."""
        identity = self.store.identity
        assert identity is not None
        return identity

    @property
    def recovery(self) -> Recovery:
        """What settles intents whose end nobody recorded."""
        return Recovery(self.store, self.sources, self.keys, self.now, self.state_id)

    def tokens(self, relation: Relation, keys: Sequence[Key]) -> TokenList:
        """The keyed tokens of rows that go, under this year's key."""
        name, key = self.keys.token_key(self.now())
        scheme, tokens = make_tokens(key, relation.source, *table_names(relation), keys)
        return TokenList(ledger_label(relation), scheme, name, tokens)

    def words_of(self, job: Job) -> dict[str, object]:
        """What the job's policy says of its rule, for the ledger: a certificate names it as it was then."""
        own = [policy for policy in self.policies if policy.name == job.policy]
        return {"rule": rule_facts(own[0], own[0].rule(job.rule))} if own else {}

    def refuse_restored(self) -> None:
        """
        Returns where the ledger is the one that was signed last.

        Raises:
            RefusedError: where the state store was lost or restored. EvidenceError: where the ledger was tampered with.
        """
        try:
            self.store.ledger.check_copy(self.keys, self.checkpoint_copy)
        except EvidenceError as error:
            if error.code != ROLLED_BACK:
                raise
            raise RefusedError(
                f"the state store was lost or restored from a back-up: {error.message}",
                hint="holds may be missing too; docs/running.md says how to go on",
                code="state-restored",
            ) from None

    def drop_old_tokens(self) -> None:
        """Drops the tokens whose time is over, and signs that. Not to be called where a clock is doubted."""
        kept = self.sources.settings.tokens_kept
        if self.store.ledger.prune_tokens(self.keys, self.now(), kept):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Signs the ledger as it is and puts the checkpoint into its second place."""
        self.store.ledger.checkpoint(self.keys, self.checkpoint_copy, self.now())


def open_custody(
    workspace: Workspace,
    sources: Sources,
    store: Store,
    *,
    consent: Consent = NONE,
    exposures: Sequence[Exposure] = (),
    now: Callable[[], datetime] = utc_now,
) -> Custody:
    """
    The custody of a command. `consent` is what its caller has said yes to; `exposures` the files that others may
    write to. With a store that was opened to read only nothing is made, and it serves a dry run.
    """
    settings = sources.settings
    keys = KeyRing(sources.keys_folder, store.keys, now)
    warden = Warden(
        settings,
        store,
        keys,
        workspace.policies,
        workspace.catalogs,
        sources,
        now=now,
        consent=consent,
        exposures=exposures,
    )
    return Custody(
        store,
        keys,
        sources,
        warden,
        HoldBook(store, keys, workspace),
        workspace.policies,
        settings.ledger.checkpoint_copy,
        now,
    )


def ledger_label(relation: Relation) -> str:
    """How the ledger names a table: source.schema.table where there are schemas, else source.table."""
    return f"{relation.source}.{relation.name}"


def table_names(relation: Relation) -> tuple[str, str]:
    """The schema (empty where there is none) and the bare name of a table."""
    schema, _, table = relation.name.rpartition(".") if relation.dialect == "postgresql" else ("", "", relation.name)
    return schema, table
