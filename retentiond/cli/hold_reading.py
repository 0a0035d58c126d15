"""What is held, for commands that only look: a warning where nobody can tell, never a reason to stop."""

from collections.abc import Iterator
from contextlib import contextmanager

from retentiond.cli.output import warn
from retentiond.engine.holds import HoldBook
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace
from retentiond.errors import RefusedError, RetentiondError
from retentiond.settings import Settings
from retentiond.state.keys import KeyRing
from retentiond.state.store import open_store


@contextmanager
def reading_book(settings: Settings, workspace: Workspace, sources: Sources) -> Iterator[HoldBook | None]:
    """The book of what is held; None, and a warning, where it cannot be read."""
    try:
        store = open_store(settings.state.connection_url(), create=False)
    except RetentiondError as error:
        warn(f"what is held is not known: {error}")
        yield None
        return
    with store:
        book = HoldBook(store, KeyRing(sources.keys_folder, store.keys), workspace)
        try:
            refuse_sealed(book)
        except RefusedError as error:
            warn(f"what is held is not known: {error}")
            yield None
        else:
            yield book


def refuse_sealed(book: HoldBook) -> None:
    """
    Returns where the holds can be read. One that is placed nowhere can: it is the jobs' to say so.

    Raises:
        RefusedError: where the key that sealed them is not to be had.
    """
    try:
        book.active  # noqa: B018 - reads them
    except RefusedError as error:
        if error.code != "hold-unplaced":
            raise
