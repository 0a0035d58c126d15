"""
What became of a chunk whose end nobody recorded: the fence knows, or, where a source holds none, the rows themselves.

Any process may ask, as often as it likes: the answer is the same, and given once to the ledger.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from retentiond.catalog.model import Dialect
from retentiond.engine import fence
from retentiond.engine.probe import probed
from retentiond.engine.sources import Sources
from retentiond.engine.steps import reached
from retentiond.errors import FailedError, RefusedError, RetentiondError, TransientError
from retentiond.state.intents import Ending, FenceStep, Intent, Status
from retentiond.state.keys import KeyRing
from retentiond.state.owner import is_alive
from retentiond.state.store import Store

_PAUSE = 0.05  # seconds between two tries while the old transaction is open

Found = Literal["committed", "shut out"]


class Recovery:
    """Settles intents; holds what that takes."""

    def __init__(
        self, store: Store, sources: Sources, keys: KeyRing, now: Callable[[], datetime], state_id: str
    ) -> None:
        self._store, self._sources, self._keys, self._now = store, sources, keys, now
        self._state_id = state_id

    def settle(self, intent: Intent, seconds: float) -> tuple[Status, tuple[str, ...]]:
        """
        How the intent ended, recorded when this returns, and the sources in which it was committed.

        Raises:
            FailedError: where its transaction is still open after `seconds`, or the fence was edited.
            RefusedError: where the source was restored from a back-up.
        """
        reached("settle.before")
        deadline = time.monotonic() + seconds
        committed: list[str] = []
        steps: list[FenceStep] = []
        planned = intent.planned
        for step in planned.fences:
            if self._ask_until(intent, step, deadline) == "committed":
                committed.append(step.source)
            steps.append(FenceStep(step.source, step.seq + 1))
        if planned.mode == "probe":
            committed += self._probe(intent, deadline)
        status: Status = "aborted" if not committed else "destroyed" if planned.action == "delete" else "changed"
        ending = Ending(
            status,
            planned.effect.only(committed, planned.source),
            "probe" if planned.mode == "probe" else "recovered",
            tuple(steps),
        )
        self._store.intents.close(intent, ending, self._now())
        reached("settle.after")
        return status, tuple(committed)

    def settle_dead(self, seconds: float) -> list[Intent]:
        """
        Settles the intents whose owner is dead or unknown; those that could not be settled in time.

        The caller holds the gate exclusively: a living owner asks again behind it, and rolls back.
        """
        deadline = time.monotonic() + seconds
        left = []
        for intent in self._store.intents.all_open():
            if is_alive(intent.owner):
                continue
            try:
                self.settle(intent, max(0.0, deadline - time.monotonic()))
            except RetentiondError:
                left.append(intent)
        return left

    def _ask_until(self, intent: Intent, step: FenceStep, deadline: float) -> Found:
        while True:
            try:
                return self._ask(intent, step)
            except TransientError as error:
                if time.monotonic() >= deadline:
                    raise _unsettled(intent, step.source, error.code) from None
                time.sleep(_PAUSE)

    def _ask(self, intent: Intent, step: FenceStep) -> Found:
        key = fence.fence_key(self._state_id, intent.planned.job)
        dialect = self._dialect(step.source)
        found = fence.shut_out(self._sources, step.source, dialect, key, step.seq, intent.planned.batch)
        if found is None or found.seq <= step.seq:
            raise restored(step.source, intent.planned.job)
        if found.seq == step.seq + 1 and found.batch == intent.planned.batch:
            return "committed"
        if found.seq == step.seq + 1 and found.batch == f"{fence.FENCED}{intent.planned.batch}":
            return "shut out"
        raise RefusedError(
            f"{step.source}: the fence of {intent.planned.job} stands where retentiond never put it",
            hint="somebody edited it, or the state store was restored; `retentiond doctor` says more",
            code="unresolved",
        )

    def _probe(self, intent: Intent, deadline: float) -> Sequence[str]:
        while True:
            try:
                return probed(intent, self._sources, self._keys)
            except TransientError as error:
                if time.monotonic() >= deadline:
                    raise _unsettled(intent, intent.planned.source, error.code) from None
                time.sleep(_PAUSE)

    def _dialect(self, source: str) -> Dialect:
        return self._sources.dialect(source)


def restored(source: str, job: str) -> RefusedError:
    """What to say where a source is behind the ledger."""
    return RefusedError(
        f"{source} was restored from a back-up: the ledger says that {job} did more than the source knows of",
        hint=f"`retentiond replay {source}` lists what came back, and destroys it again",
        code="restore",
    )


def _unsettled(intent: Intent, source: str, code: str) -> FailedError:
    planned = intent.planned
    return FailedError(
        f"{source}: nobody can tell yet whether batch {planned.batch} of {planned.job} was committed [{code}]",
        hint="its session is still open; it is asked again by the next run",
        code="unresolved",
    )
