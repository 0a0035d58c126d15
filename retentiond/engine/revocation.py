"""Taking a permission back – a stop, a withdrawn approval – so that it holds when the command returns."""

from collections.abc import Callable
from datetime import UTC, datetime

from retentiond.engine.recovery import Recovery
from retentiond.engine.sources import Sources
from retentiond.errors import FailedError, TransientError
from retentiond.state.intents import Intent
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store

SECONDS = 10.0  # how long to wait for the gate, and then for what dead processes left behind


def take_back(store: Store, sources: Sources, write: Callable[[], object], seconds: float = SECONDS) -> None:
    """
    Carries out `write`, which takes a permission back, behind the gate. When this returns no chunk commits any more
    that still had it.

    Where somebody keeps the gate it is written all the same, since to everybody else it is a help.

    Raises:
        FailedError: where it is written, but a chunk that is under way may yet be committed, or may have been.
    """
    try:
        with store.gate.exclusive(seconds):
            write()
            left = _recovery(store, sources).settle_dead(seconds) if store.intents.all_open() else []
    except TransientError as error:
        if error.code != "gate-busy":
            raise
        write()
        left = store.intents.all_open()  # whoever has the gate has an intent; a later one asks again behind it
    if left:
        raise _in_flight(left)


def _recovery(store: Store, sources: Sources) -> Recovery:
    identity = store.identity
    assert identity is not None
    return Recovery(store, sources, KeyRing(sources.keys_folder, store.keys, _now), _now, identity)


def _in_flight(left: list[Intent]) -> FailedError:
    chunks = ", ".join(f"batch {intent.planned.batch} of {intent.planned.job}" for intent in left)
    return FailedError(
        f"it is recorded, and not yet in force for what is under way: {chunks}",
        hint="end that process, or bring its source up; then `retentiond run` settles it",
        code="in-flight",
    )


def _now() -> datetime:
    return datetime.now(UTC)
