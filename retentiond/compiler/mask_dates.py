"""Dates and timestamps cut down to the first day of their year or month, or to midnight."""

import datetime as dt
import re

from retentiond.catalog.model import Family
from retentiond.compiler.mask_context import MaskContext, unfit
from retentiond.compiler.recognise import in_utc

_ISO = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?P<time>[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?)?"
    r"(?P<zone>(?<=[T :.0-9])(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)


def truncate(unit: str, value: object, context: MaskContext) -> object:
    """
    The first day of the value's year or month, or its midnight; a zoned timestamp in UTC.

    ISO text keeps its shape: separator, seconds and fraction stay, as zeros. What is no date becomes NULL, or a failure
    where the column takes none.
    """
    if isinstance(value, dt.datetime):
        moment = in_utc(value) if context.family is Family.INSTANT else value
        day = _first_day(unit, moment.date())
        return dt.datetime.combine(day, dt.time(), moment.tzinfo)
    if isinstance(value, dt.date):
        return _first_day(unit, value)
    truncated = _truncate_text(unit, value) if isinstance(value, str) else None
    if truncated is None:
        unfit("truncate", context)
    return truncated


def _first_day(unit: str, day: dt.date) -> dt.date:
    if unit == "year":
        return day.replace(month=1, day=1)
    return day.replace(day=1) if unit == "month" else day


def _truncate_text(unit: str, text: str) -> str | None:
    found = _ISO.fullmatch(text)
    if found is None or (found["zone"] and not found["time"]):
        return None
    try:
        day = dt.date.fromisoformat(found["day"])
        if found["time"]:
            day = _utc_day(day, found["time"], found["zone"])
    except ValueError:
        return None
    # Zeros for every digit: the offset is UTC's now, and says nothing of where the person was.
    tail = re.sub("[0-9]", "0", (found["time"] or "") + (found["zone"] or "")).replace("-", "+")
    return _first_day(unit, day).isoformat() + tail


def _utc_day(day: dt.date, time: str, zone: str | None) -> dt.date:
    moment = dt.datetime.combine(day, dt.time.fromisoformat(time[1:16]))
    if zone is None or zone == "Z":
        return day
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    try:
        return (moment - offset if zone[0] == "+" else moment + offset).date()
    except OverflowError:
        return day
