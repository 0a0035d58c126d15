"""
Builds of retentiond that are broken on purpose, in the process that asks for it. The suite must notice each of them:
they lost rows, or the record of rows, within minutes when the protocol was designed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fault.orders import Build

PAUSE = 0.02  # seconds between the look and the deletion: what a slow network or a busy machine would add


def install(build: Build) -> None:
    """From now on this process is that build."""
    installers: dict[Build, Callable[[], None]] = {
        "predicate": _without_predicate,
        "record": _recorded_afterwards,
        "holds": _holds_at_select,
        "no-lock": _without_lock,
    }
    installers[build]()


def _without_predicate() -> None:
    """Rows are looked at and then changed by their keys: no lock, no second look, no condition in the statement."""
    from retentiond.compiler import statements
    from retentiond.engine import change, chunk
    from retentiond.engine.steps import reached

    original = chunk._once

    def once(workshop: Any, keys: Any) -> Any:
        protocol, started = workshop.protocol, time.monotonic()
        if protocol is None:  # the dry run
            return original(workshop, keys)
        with workshop.session.transaction() as looking:
            decision = chunk._decide(workshop, looking, keys)
        time.sleep(PAUSE)
        epoch = protocol.epoch()
        with workshop.session.transaction() as transaction:
            attempt = protocol.begin(transaction, started, epoch)
            reached("change.before")
            return chunk._apply(workshop, transaction, decision, protocol, attempt)

    def nothing(*_: Any) -> None:
        pass

    _replace(chunk, "_once", once)
    _replace(statements, "still", lambda *_: [])
    for name in ("look_again", "look_abroad"):
        _replace(change, name, nothing)


def _recorded_afterwards() -> None:
    """What was destroyed is written down once it is destroyed, and nothing before."""
    from retentiond.engine import gate
    from retentiond.engine.protocol import Protocol, children_first
    from retentiond.engine.steps import reached
    from retentiond.state.intents import Ending, FenceStep, Status

    def commit(
        self: Protocol, transaction: Any, attempt: Any, changed: Any, rows: int, due: Any, look_abroad: Any
    ) -> None:
        self._chunks += 1
        effect = self._effect(changed, rows)
        look_abroad()
        gate.commit(transaction, children_first(self._job))
        reached("intent.before")
        intent = self._intent(transaction, attempt, changed, effect, due)
        stepped = tuple(FenceStep(step.source, step.seq + 1) for step in attempt.fences)
        status: Status = "changed" if self._job.step.masking else "destroyed"
        self._custody.store.intents.close(intent, Ending(status, effect, "fence", stepped), self._custody.now())

    _replace(Protocol, "commit", commit)


def _holds_at_select() -> None:
    """Holds are asked for when a run begins, and not again before its commits."""
    from retentiond.engine.protocol import Protocol

    first: dict[int, Any] = {}
    original = Protocol.allowed

    def allowed(self: Protocol, epoch: int) -> Any:
        if id(self) not in first:
            first[id(self)] = original(self, epoch)
        return first[id(self)]

    _replace(Protocol, "allowed", allowed)
    _replace(Protocol, "_still_allowed", lambda *_: None)


def _without_lock() -> None:
    """No lock keeps two processes from working at one job, as on two hosts."""
    from retentiond.engine import job_run

    @contextlib.contextmanager
    def open_door(_folder: Path, _job: str) -> Iterator[None]:
        yield

    _replace(job_run, "job_lock", open_door)


def _replace(where: object, name: str, by: object) -> None:
    """Puts something else in the place of a name that is there."""
    assert hasattr(where, name), f"{where} has no {name} any more: this build is not broken"
    setattr(where, name, by)
