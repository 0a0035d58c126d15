"""What a test's run leaves behind and asks: prepared sources, and a custody whose caller says yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from retentiond.catalog.model import Catalog, Dialect
from retentiond.compiler.plan import Plan
from retentiond.engine.consent import Consent, consent_of_this_person
from retentiond.engine.custody import Custody, open_custody
from retentiond.engine.prepare import make_fence
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.policy.model import Policy
from retentiond.state.store import Store

ACCEPT = 'accept = ["owner", "superuser"]'
"""The line of a source's settings for tests, whose role is the server's administrator."""


def prepare(url: str, role: str | None = None) -> None:
    """Makes the fence of a source that is a server; a SQLite file gets its own from the first run."""
    if url.startswith("sqlite"):
        return
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    dialect: Dialect = "postgresql" if url.startswith("postgresql") else "mariadb"
    with engine.begin() as connection:
        make_fence(connection, dialect, role)
    engine.dispose()


def custody_of(
    policies: Sequence[Policy],
    catalogs: Mapping[str, Catalog],
    sources: Sources,
    store: Store,
    consent: Consent | None = None,
) -> Custody:
    """The custody of a test's run. Who runs it says yes, unless told otherwise."""
    workspace = Workspace(tuple(policies), dict(catalogs), Plan((), ""), (), {})
    return open_custody(workspace, sources, store, consent=consent_of_this_person() if consent is None else consent)
