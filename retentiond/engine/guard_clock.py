"""
The guard `clock`: a clock that is wrong makes rows due that are not.

The wall clock is held against the machine's own count of seconds since it started, the ledger and the databases.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from retentiond.engine.guard_objection import Objection
from retentiond.state.control import ClockNote
from retentiond.state.store import Store

TOLERANCE = timedelta(seconds=60)

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")  # counts on in a suspended machine, and no program can set it
_APPROVE = "if the clock is right now, `retentiond approve` takes it as it is"


def reading(wall: datetime) -> ClockNote | None:
    """How the clock stands; None where the system does not say how long it has been up."""
    try:
        uptime = float(_UPTIME.read_text(encoding="ascii").split()[0])
        return ClockNote(wall, uptime, _BOOT.read_text(encoding="ascii").strip())
    except (OSError, ValueError, IndexError):
        return None


def jump(before: ClockNote | None, after: ClockNote | None) -> timedelta:
    """By how much the wall clock moved against the time that passed; 0 where nobody knows: after a restart."""
    if before is None or after is None or before.boot != after.boot:
        return timedelta(0)
    return (after.wall - before.wall) - timedelta(seconds=after.uptime - before.uptime)


@dataclass(slots=True)
class ClockWatch:
    """The clock of this machine, watched from when this is made."""

    store: Store
    now: Callable[[], datetime]
    _start: ClockNote | None = field(init=False)

    def __post_init__(self) -> None:
        self._start = reading(self.now())

    def running(self) -> Iterator[Objection]:
        """What is wrong since this process began; cheap."""
        moved = jump(self._start, reading(self.now()))
        if abs(moved) > TOLERANCE:
            message = f"the clock of this machine was moved by {_seconds(moved)} while this ran"
            yield Objection("clock", message, "start again once it is right")

    def here(self) -> Iterator[Objection]:
        """What is wrong with the clock of this machine."""
        yield from self.running()
        now = self.now()
        moved = jump(self.store.control.clock_note(), reading(now))
        if abs(moved) > TOLERANCE:
            yield Objection(
                "clock", f"the clock of this machine was moved by {_seconds(moved)} since the last run", _APPROVE, True
            )
        last = self.store.ledger.head().clock
        if last is not None and last > now + TOLERANCE:
            message = f"the clock of this machine is {_seconds(last - now)} behind the last entry of the ledger"
            yield Objection("clock", message, _APPROVE, True)

    def there(self, source: str, server: datetime | None) -> Iterator[Objection]:
        """What is wrong between this machine's clock and a database's."""
        if server is None:
            return
        apart = self.now() - server
        if abs(apart) > TOLERANCE:
            which = "ahead of" if apart > timedelta(0) else "behind"
            message = f"the clock of this machine is {_seconds(apart)} {which} that of {source}"
            yield Objection("clock", message, "set the one that is wrong")

    def note(self) -> None:
        """Remembers how the clock stands, for the next run to compare."""
        found = reading(self.now())
        if found is not None:
            self.store.control.note_clock(found)


def _seconds(length: timedelta) -> str:
    return f"{abs(length).total_seconds():,.0f} s"
