"""
A text clock judged value by value, for engines that call back: SQLite asks these functions from inside its SQL.

What would be pages of nested SQL there (its parser gives up at a depth of 100) is one call; and what it answers is by
construction what the row evaluator says.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from retentiond.policy.calendar import Bound, Kind, Reading, as_utc, due_instant, kind_of
from retentiond.policy.clocks import ClockType, Special, read_value
from retentiond.policy.model import EndOf, Period

SUSPECT, NOT_DUE, DUE = 0, 1, 2

_ISO_TYPES = (ClockType.TEXT_DATE, ClockType.TEXT_DATETIME, ClockType.ISO)


@dataclass(frozen=True, slots=True)
class ClockQuestion:
    """
    What is asked of every value: how it is read, and per kind what is due and what cannot be true. With `term` – its
    period as months, days and seconds, its `end of`, the time zone – values are ordered by the instant they fall due.
    """

    clock_type: ClockType
    pattern: str | None
    due: dict[Kind, Bound]
    implausible: dict[Kind, Bound]
    term: tuple[tuple[int, int, int] | None, EndOf | None, str] | None = None

    def as_text(self) -> str:
        """The question as one constant that a statement can carry."""
        bounds = [
            {kind.value: [_write(edge) for edge in (bound.upper, *(bound.hole or ()))] for kind, bound in side.items()}
            for side in (self.due, self.implausible)
        ]
        return json.dumps([self.clock_type.value, self.pattern, *bounds, self.term])


def clock_state(value: object, question: str) -> int | None:
    """SUSPECT, NOT_DUE or DUE; None for NULL."""
    if value is None:
        return None
    asked = _question(question)
    reading = _read(value, asked)
    if reading is Special.ENDLESS:
        return NOT_DUE
    if isinstance(reading, Special):
        return SUSPECT
    kind = kind_of(reading)
    if isinstance(reading, datetime) and kind is Kind.INSTANT:
        reading = as_utc(reading)
    if asked.implausible[kind].contains(reading):
        return SUSPECT
    return DUE if asked.due[kind].contains(reading) else NOT_DUE


def clock_order(value: object, question: str) -> str | None:
    """
    A text that orders readings in time, its last character the kind; None where there is no reading. Where the
    question names the term, the instant at which the value falls due stands in front of it, before a bar.
    """
    asked = _question(question)
    reading = _read(value, asked) if value is not None else None
    if reading is None or isinstance(reading, Special):
        return None
    return order_text(reading) if asked.term is None else f"{_due(reading, asked.term)}|{order_text(reading)}"


def order_text(reading: Reading) -> str:
    """The reading as `YYYY-MM-DD HH:MM:SS.ffffff` and D(ate), N(aive) or Z (instant)."""
    if not isinstance(reading, datetime):
        return f"{reading.isoformat()} 00:00:00.000000D"
    return (as_utc(reading) if reading.tzinfo else reading).replace(tzinfo=None).isoformat(" ", "microseconds") + (
        "Z" if reading.tzinfo else "N"
    )


def _due(reading: Reading, term: tuple[tuple[int, int, int] | None, EndOf | None, str]) -> str:
    parts, end_of, zone = term
    period = None if parts is None else Period(*parts, "")
    due = due_instant(period, end_of, reading, ZoneInfo(zone)) or datetime.max.replace(tzinfo=UTC)
    return due.replace(tzinfo=None).isoformat(" ", "microseconds")


def _read(value: object, asked: ClockQuestion) -> Reading | Special:
    if (
        asked.clock_type in _ISO_TYPES
        and isinstance(value, str)
        and len(value) in (10, 19)
        and value[4] == value[7] == "-"
    ):
        try:  # the two commonest forms, read by the fastest reader there is; years beyond 9000 go the long way
            if len(value) == 10:
                return date.fromisoformat(value) if value[0] != "9" else read_value(value, asked.clock_type)
            if value[10] in "T " and value[13] == value[16] == ":" and value[11:13] != "24" and value[0] != "9":
                moment = datetime.fromisoformat(value)
                return moment.date() if asked.clock_type is ClockType.TEXT_DATE else moment
        except ValueError:
            return Special.SUSPECT
    return read_value(value, asked.clock_type, asked.pattern)


@lru_cache(maxsize=256)
def _question(text: str) -> ClockQuestion:
    clock_type, pattern, *sides, term = json.loads(text)
    due, implausible = ({Kind(kind): _bound(edges) for kind, edges in side.items()} for side in sides)
    return ClockQuestion(ClockType(clock_type), pattern, due, implausible, term)


def _bound(edges: list[str]) -> Bound:
    upper, *hole = [_reading(edge) for edge in edges]
    return Bound(upper, (hole[0], hole[1]) if hole else None)


def _write(reading: Reading) -> str:
    return reading.isoformat() if not isinstance(reading, datetime) else reading.isoformat("T", "microseconds")


def _reading(text: str) -> Reading:
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
