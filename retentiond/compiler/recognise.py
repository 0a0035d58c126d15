"""
How a finished column is recognised by its form alone, in SQL and in Python.

The two must say the same of every value: a row that SQL calls unfinished and Python finished would be masked for ever.
`mask_value` leaves alone what has the form, so that masking twice is masking once by construction.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from retentiond.catalog.model import Column, Family
from retentiond.compiler.constants import equals_constant, typed_constant
from retentiond.compiler.mask_context import as_text
from retentiond.policy.model import Method

ANON = "anon-"
DOTS = "••••"
# Above it not every whole number is a double, and SQLite's CAST to INTEGER soon saturates.
LARGEST_EXACT_FLOAT = 2**53 - 1


class Kind(StrEnum):
    """
    The forms. Text compares byte for byte, lengths count characters, and in every kind but EQUALS a NULL is done.

    On SQLite every kind but NULL and EQUALS needs `typeof(col) <> 'blob'` beside it: bytes are never done.
    """

    NULL = "null"
    """`col IS NULL`"""

    EQUALS = "equals constant"
    """
    `col IS NOT NULL AND col = argument`, the argument (typed by `typed_constant`) cast to the column's type: a `real`
    0.1 is not the double 0.1. JSON is compared as a document (`col::jsonb`, JSON_EQUALS, `json(col)`).
    """

    ANON = "prefix anon-"
    """The first five characters are `anon-` (`substr(col, 1, 5) = 'anon-'`)."""

    YEAR_START = "first day of a year"
    """
    DATE: month and day are 1. NAIVE: that, at 00:00:00 without a fraction. INSTANT: the same of its UTC reading.
    TEXT_DATE and TEXT_DATETIME: `col GLOB '[0-9][0-9][0-9][0-9]-01-01*' AND trim(substr(col, 11), 'T 0:.Z+') = ''`.
    """

    MONTH_START = "first day of a month"
    """As YEAR_START without the month; text: `GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-01*'` and the same trim."""

    DAY_START = "midnight"
    """
    DATE: every value. NAIVE and INSTANT: 00:00:00 (UTC) without a fraction.
    Text: `GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'` and the same trim.
    """

    MULTIPLE = "multiple of a number"
    """
    `col % argument = 0`, exactly, and finite (NaN and infinity are not done). FLOAT families: and
    `col BETWEEN -9007199254740991 AND 9007199254740991`; PostgreSQL has no % for them: cast to numeric.
    SQLite's % cuts fractions off and takes text for 0, so there: `typeof(col) = 'integer' AND col % n = 0 OR
    typeof(col) = 'real' AND col BETWEEN … AND … AND col = CAST(col AS INTEGER) AND CAST(col AS INTEGER) % n = 0`.
    """

    AT_MOST = "at most n characters"
    """`char_length(col) <= argument`"""

    NETWORK = "network address"
    """
    `^(::ffff:)?[0-9]*[.][0-9]*[.][0-9]*[.]0$` and at most 20 characters, or
    `^([0-9a-f]*:){0,3}:$`, at least 2 and at most 16 characters (lower case only). INET: of `host(col)`, lower case.
    Without regular expressions: the last two characters are `.0` and the text, less a leading `::ffff:`, less its
    digits is `...`; or the last two are `::` and the text less its characters 0-9a-f is `::`, `:::` or `::::`.
    """

    MASK = "masked but for the end"
    """The first four characters are `••••` and `char_length(col) <= 4 + argument`."""

    NO_AT = "no @"
    """No `@` in the text (`col NOT LIKE '%@%'`)."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A form and, where the kind has one, its argument: the typed constant, the bucket or a number of characters."""

    kind: Kind
    argument: object = None
    family: Family = Family.TEXT

    @property
    def null_is_done(self) -> bool:
        """True where a NULL has the form: nothing is left in it to hide."""
        return self.kind is not Kind.EQUALS

    @property
    def number(self) -> int:
        """The argument of MULTIPLE, AT_MOST and MASK."""
        return int(str(self.argument))


def done_condition(method: Method, column: Column) -> Recognised | None:
    """The form in which the method's output is recognised; None where only a marker can tell."""
    return form_of(method, column.family)


def is_done(method: Method, value: object, column: Column) -> bool:
    """True where the value has the form of the method's output; False wherever `done_condition` is None."""
    form = form_of(method, column.family)
    return form is not None and has_form(form, value)


def form_of(method: Method, family: Family) -> Recognised | None:
    """The form of the method's output in a column of that family; None where SQL cannot see it."""
    match method.name:
        case "empty":
            return Recognised(Kind.NULL, None, family)
        case "constant":
            return _constant_form(method, family)
        case "random":
            return None if family is Family.UUID else Recognised(Kind.ANON, None, family)
        case "truncate":
            return Recognised(_STARTS[str(method.argument)], None, family)
        case "redact" | "json":
            return None
        case _:
            return Recognised(_FORMS[method.name], method.argument if method.name in _COUNTED else None, family)


_STARTS = {"year": Kind.YEAR_START, "month": Kind.MONTH_START, "day": Kind.DAY_START}
_FORMS = {
    "round": Kind.MULTIPLE,
    "prefix": Kind.AT_MOST,
    "network": Kind.NETWORK,
    "mask": Kind.MASK,
    "domain": Kind.NO_AT,
    "token": Kind.ANON,
}
_COUNTED = ("round", "prefix", "mask")


def _constant_form(method: Method, family: Family) -> Recognised | None:
    try:
        return Recognised(Kind.EQUALS, typed_constant(str(method.argument), family), family)
    except ValueError:  # refused by the checks; nothing has this form
        return None


def has_form(form: Recognised, value: object) -> bool:
    """True where the value has the form: the Python twin of the SQL that `Kind` describes."""
    if value is None:
        return form.null_is_done
    if form.kind is Kind.NULL:
        return False
    if form.kind is Kind.EQUALS:
        return equals_constant(form.argument, value, form.family)
    if form.kind is Kind.MULTIPLE:
        return _is_multiple(value, form.number)
    if form.kind in _TEXT_STARTS:
        return _is_start(form, value)
    text = as_text(value)
    return text is not None and _TEXT_FORMS[form.kind](form, text)


def _is_multiple(value: object, bucket: int) -> bool:
    if isinstance(value, float):
        return abs(value) <= LARGEST_EXACT_FLOAT and math.fmod(value, bucket) == 0
    if isinstance(value, Decimal):
        # Decimal's own % gives up beyond 28 digits.
        return value.is_finite() and value == (whole := math.floor(value)) and whole % bucket == 0
    return isinstance(value, int) and value % bucket == 0


def _is_start(form: Recognised, value: object) -> bool:
    if isinstance(value, str):
        return _TEXT_STARTS[form.kind].fullmatch(value) is not None
    if isinstance(value, dt.datetime):
        utc = in_utc(value) if form.family is Family.INSTANT else value
        if utc.time() != dt.time():
            return False
        value = utc.date()
    if not isinstance(value, dt.date):
        return False
    if form.kind is Kind.YEAR_START and value.month != 1:
        return False
    return form.kind is Kind.DAY_START or value.day == 1


def in_utc(moment: dt.datetime) -> dt.datetime:
    """The moment in UTC; one without a zone comes from a session in UTC. The calendar's ends are not left."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        return moment.replace(tzinfo=dt.UTC)


_TEXT_STARTS: Mapping[Kind, re.Pattern[str]] = {
    Kind.YEAR_START: re.compile(r"[0-9]{4}-01-01[T 0:.Z+]*"),
    Kind.MONTH_START: re.compile(r"[0-9]{4}-[0-9]{2}-01[T 0:.Z+]*"),
    Kind.DAY_START: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T 0:.Z+]*"),
}
_IPV4_NETWORK = re.compile(r"(::ffff:)?[0-9]*[.][0-9]*[.][0-9]*[.]0")
_IPV6_NETWORK = re.compile(r"([0-9a-f]*:){0,3}:")


def _is_network(form: Recognised, text: str) -> bool:
    if form.family is Family.INET:  # a driver writes 192.0.2.0/24 where the netmask is not the host's
        text = text.partition("/")[0]
    if len(text) <= 20 and _IPV4_NETWORK.fullmatch(text):
        return True
    return 2 <= len(text) <= 16 and _IPV6_NETWORK.fullmatch(text) is not None


def _is_masked(form: Recognised, text: str) -> bool:
    return text.startswith(DOTS) and len(text) <= len(DOTS) + form.number


_TEXT_FORMS: Mapping[Kind, Callable[[Recognised, str], bool]] = {
    Kind.ANON: lambda _, text: text.startswith(ANON),
    Kind.AT_MOST: lambda form, text: len(text) <= form.number,
    Kind.NETWORK: _is_network,
    Kind.MASK: _is_masked,
    Kind.NO_AT: lambda _, text: "@" not in text,
}
