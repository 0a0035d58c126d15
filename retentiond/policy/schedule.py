"""When a rule runs: a few words, or a crontab line."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import NoReturn

from retentiond.policy.grammar import NotUnderstoodError
from retentiond.policy.wording import nearest, quoted

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_FORMS = (
    "daily at HH:MM, every N minutes, every N hours, weekly on DAY at HH:MM, monthly on D at HH:MM, or a crontab line"
)
_TIME = r"([0-9]{1,2}):([0-9]{2})"
_DAILY = re.compile(rf"daily at {_TIME}")
_EVERY = re.compile(r"every ([0-9]+) (minute|hour)s?")
_WEEKLY = re.compile(rf"weekly on ([a-z]+) at {_TIME}")
_MONTHLY = re.compile(rf"monthly on ([0-9]+) at {_TIME}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rhythm. `every` is set where only the distance counts, `crontab` where the wall clock does; never both."""

    text: str
    interval: timedelta
    every: timedelta | None = None
    crontab: str | None = None


def parse_schedule(text: str) -> Schedule:
    """The rhythm a text names; `interval` is the longest time between two runs."""
    said = " ".join(text.split())
    if found := _EVERY.fullmatch(said):
        return _every(said, found)
    if found := _DAILY.fullmatch(said):
        return Schedule(said, timedelta(days=1), crontab=f"{_time(found[1], found[2])} * * *")
    if found := _WEEKLY.fullmatch(said):
        if found[1] not in DAYS:
            _refuse(f"{quoted(found[1])} is no day of the week", nearest(found[1], DAYS))
        weekday = (DAYS.index(found[1]) + 1) % 7
        return Schedule(said, timedelta(days=7), crontab=f"{_time(found[2], found[3])} * * {weekday}")
    if found := _MONTHLY.fullmatch(said):
        if not re.fullmatch("[1-9]|1[0-9]|2[0-8]", found[1]):
            _refuse(f"not every month has a day {quoted(found[1])}", "expected 1 to 28")
        return Schedule(said, timedelta(days=31), crontab=f"{_time(found[2], found[3])} {found[1]} * *")
    if len(said.split(" ")) == 5 and re.match(r"[0-9*]", said):
        return Schedule(said, _longest_gap(said), crontab=said)
    return _refuse(f"{quoted(text)} is no schedule", f"expected {_FORMS}")


def _refuse(message: str, hint: str = "") -> NoReturn:
    raise NotUnderstoodError("bad-schedule", message, hint)


def _time(hour: str, minute: str) -> str:
    if int(hour) > 23 or int(minute) > 59:
        _refuse(f"there is no such time of day: {quoted(f'{hour}:{minute}')}", "expected 00:00 to 23:59")
    return f"{int(minute)} {int(hour)}"


def _every(said: str, found: re.Match[str]) -> Schedule:
    number = found[1]
    if number.startswith("0") or len(number) > 5:
        _refuse(f"expected a number from 1 to 99999 without leading zeros, found {quoted(number)}")
    distance = timedelta(minutes=int(number)) if found[2] == "minute" else timedelta(hours=int(number))
    return Schedule(said, distance, every=distance)


def _longest_gap(crontab: str) -> timedelta:
    """The longest time between two of the first runs from a fixed day on (a leap year, a Monday)."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - few policies need it

    try:
        runs = list(islice(CronSim(crontab, datetime(2024, 1, 1, tzinfo=UTC)), 200))
    except CronSimError as error:
        raise NotUnderstoodError(
            "bad-schedule", f"{quoted(crontab)} is no crontab line: {error}".rstrip(": ")
        ) from None
    if len(runs) < 2:
        _refuse(f"{quoted(crontab)} never comes round")
    return max(later - earlier for earlier, later in pairwise(runs))
