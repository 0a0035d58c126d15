"""What is to be said of the state store: open ends, stops, holds, approvals, keys, and the ledger's second place."""

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from retentiond.compiler.plan import Job
from retentiond.engine.finding import Finding, of_error, of_objection
from retentiond.engine.guard_clock import ClockWatch
from retentiond.errors import RetentiondError
from retentiond.settings import Settings
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store, open_store

WHERE = "state store"
_NAMED = 5
_NOWHERE = "sqlite:////dev/null/state.db"  # a store that was never made is an empty one
_KEYS = "keys"
_LEDGER = "ledger"


@contextmanager
def readable_store(settings: Settings, findings: list[Finding]) -> Iterator[Store]:
    """The state store, opened to read; where it cannot be, a finding says so and an empty one takes its place."""
    try:
        url = settings.state.connection_url()
        store = open_store(url, create=False)
        findings += _files(store, Path(url.database or ""))
    except RetentiondError as error:
        findings.append(of_error(error, WHERE))
        store = open_store(_NOWHERE, create=False)
    with store:
        yield store


def state_findings(settings: Settings, store: Store, clock: ClockWatch, jobs: Sequence[Job]) -> Iterator[Finding]:
    """Everything about a state store that could be opened."""
    now = clock.now()
    yield from _host_clock(clock)
    yield from _open_ends(store, now)
    yield from _stops(store)
    yield from _holds(store, now.date())
    yield from _approvals(store, jobs)
    yield from _keys(settings, store, now)
    yield from _checkpoints(settings, store)


def _files(store: Store, file: Path) -> Iterator[Finding]:
    if not store.exists:
        yield Finding("info", "state", WHERE, f"{file} is not there yet; the first run makes it")
        return
    for place in (file.parent, file):
        if stat.S_IMODE(place.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            message = f"others may look into {place}"
            yield Finding("warning", "state-readable", WHERE, message, f"chmod go-rwx {place}")
    yield Finding("ok", "state", WHERE, f"{file} can be read")


def _host_clock(clock: ClockWatch) -> Iterator[Finding]:
    objections = list(clock.here())
    yield from (of_objection(one, "this machine") for one in objections)
    if not objections:
        yield Finding("ok", "clock", "this machine", "its clock went on as it should since the last run")


def _open_ends(store: Store, now: datetime) -> Iterator[Finding]:
    for intent in store.intents.all_open():
        minutes = int((now - intent.opened_at).total_seconds() // 60)
        message = f"nobody knows yet how a chunk of {intent.planned.job} ended, begun {minutes} minutes ago"
        yield Finding("warning", "unresolved", WHERE, message, "the next run of the rule asks the fence")


def _stops(store: Store) -> Iterator[Finding]:
    for stop in store.stops.active():
        what = "everything" if stop.pattern == "*" else stop.pattern
        message = f"{stop.stopped_by} stopped {what} on {stop.stopped_at:%Y-%m-%d}"
        yield Finding("warning", "stop", WHERE, message, "`retentiond resume` lets it go on")


def _holds(store: Store, today: date) -> Iterator[Finding]:
    for hold in store.holds.all():
        if hold.overdue(today):
            message = f"the hold {hold.id} on {hold.on} was to be looked at by {hold.review}"
            remedy = "`retentiond hold release`, if its reason is gone"
            yield Finding("warning", "hold-review", WHERE, message, remedy)


def _approvals(store: Store, jobs: Sequence[Job]) -> Iterator[Finding]:
    missing = [job.name for job in jobs if not _approved(store, job)]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        message = f"not approved as they are now: {named}; a run leaves such a job as soon as something of it is due"
        yield Finding("info", "approval", WHERE, message, "look at `retentiond plan`, then `retentiond approve`")


def _approved(store: Store, job: Job) -> bool:
    newest = next((one for one in store.approvals.of(job.name) if one.counts), None)
    return newest is not None and newest.wanted.digest == job.digest


def _keys(settings: Settings, store: Store, now: datetime) -> Iterator[Finding]:
    folder = settings.ledger.keys
    if folder is None:
        yield Finding("warning", "no-keys", _KEYS, "there is no folder for keys", "set `keys` under [ledger]")
        return
    if not folder.exists():
        yield Finding("info", "keys", _KEYS, f"{folder} is not there yet; the first run makes it")
    elif stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("error", "key-readable", _KEYS, f"others may look into {folder}", f"chmod 700 {folder}")
    if not store.exists:
        return
    ring, count = KeyRing(folder, store.keys), 0
    for purpose, read in (
        ("mask", ring.mask_key),
        ("seal", ring.sealer),
        ("sign", ring.signer),
        ("tokens", lambda: ring.token_key(now)),
    ):
        known = [key for key in store.keys.of(purpose) if key.destroyed_at is None]  # type: ignore[arg-type]
        if not known or (purpose == "tokens" and not any(key.key.startswith(f"tokens-{now.year}") for key in known)):
            continue
        try:
            read()
            count += 1
        except RetentiondError as error:
            yield of_error(error, _KEYS)
    if count:
        yield Finding("ok", "keys", _KEYS, f"the keys in {folder} are those that were used before")


def _checkpoints(settings: Settings, store: Store) -> Iterator[Finding]:
    copy, folder = settings.ledger.checkpoint_copy, settings.ledger.keys
    if copy is None or folder is None:
        return
    if not copy.exists():
        if store.exists and store.ledger.size():
            message = f"the second place of checkpoints, {copy}, is not there"
            yield Finding("warning", "checkpoint-copy", _LEDGER, message, "make or mount it; the next run writes there")
        return
    state = Path(settings.state.connection_url().database or "").parent
    if state.exists() and copy.stat().st_dev == state.stat().st_dev:
        message = (
            f"checkpoints and the ledger lie on one file system: whoever restores one, restores the other ({copy})"
        )
        yield Finding("warning", "checkpoint-copy", _LEDGER, message, "`checkpoint_copy` on another disk or host")
    if store.exists and store.ledger.size():
        try:
            store.ledger.check_copy(KeyRing(folder, store.keys), copy)
            yield Finding("ok", "ledger", _LEDGER, "the ledger goes on from the checkpoint that was signed last")
        except RetentiondError as error:
            yield of_error(error, _LEDGER)
