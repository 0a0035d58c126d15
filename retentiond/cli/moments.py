"""WHEN: an instant of the command line, and how instants are shown to people."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from retentiond.cli.output import NOTHING
from retentiond.errors import UsageError
from retentiond.policy.calendar import LAST_YEAR, later_instant


def now() -> datetime:
    """The second it is, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def instant(when: str | None, zone: ZoneInfo) -> datetime:
    """
    The UTC instant, cut to whole seconds, of an ISO 8601 instant or date; now without one.

    A date is the start of that day in `zone`, and an instant without an offset a time of day there.
    """
    if when is None:
        return now()
    try:
        return _read(when.strip(), zone).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--at {when}: neither an instant nor a date", hint="2026-11-22T01:00:00Z, or 2026-11-22", code="bad-when"
        ) from None


def past_instant(when: str | None, zone: ZoneInfo) -> datetime:
    """The same, for what changes rows: a UsageError where the instant lies in the future."""
    found = instant(when, zone)
    if found > now():
        raise UsageError(
            f"--at {when} lies in the future: nothing is deleted before its time",
            hint="`retentiond plan --at` looks ahead",
            code="future",
        )
    return found


def _read(when: str, zone: ZoneInfo) -> datetime:
    try:
        found = datetime.combine(date.fromisoformat(when), datetime.min.time())
    except ValueError:
        found = datetime.fromisoformat(when)
    if found.year > LAST_YEAR:
        raise ValueError("beyond what retentiond counts with")
    return later_instant(found, zone) if found.tzinfo is None else found.astimezone(UTC)


def shown(moment: datetime | None, zone: ZoneInfo) -> str:
    """The instant as people of that zone read it, to the minute; seconds where there are any."""
    if moment is None:
        return NOTHING
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        local = moment
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"
