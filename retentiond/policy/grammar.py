"""
The grammar of `keep`: how long, counted from what.

Every function takes the text of one scalar and returns a value, or raises `NotUnderstoodError`, which knows the offset
of the word it stumbled over. Whitespace is free, keywords are lower case, nothing has a default.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from retentiond.policy.model import Clock, Combine, EndOf, Keep, Moment, Period, Term, Which
from retentiond.policy.wording import listed, nearest, quoted

LONGEST_YEARS = 200
UNITS = ("years", "months", "weeks", "days", "hours", "minutes")
LISTS: dict[str, Combine] = {"whichever comes first": "first", "whichever comes last": "last"}

_EXAMPLE = "write for example `3 years after closed_at` or `until closed_at`"
_TOKEN = re.compile(r'\s*(?:("(?:[^"]|"")*")|([,.])|([^\s,."]+(?:\.[0-9][^\s,"]*)?)|("))')
_NAME = re.compile(r"[^\W\d][\w$]*")
_ISO = re.compile(r"P(?:[0-9]+[YMWD])*(?:T(?:[0-9]+[HM])+)?")
_CALENDAR = frozenset({"years", "months", "weeks", "days"})
_MONTHS = {"years": 12, "months": 1}
_DAYS = {"weeks": 7, "days": 1}
_SECONDS = {"hours": 3600, "minutes": 60}
_ISO_DATE = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
_ISO_TIME = {"H": "hours", "M": "minutes"}
# 400 years have 4,800 months and 146,097 days: lengths compare in whole numbers.
_LONGEST = LONGEST_YEARS * 12 * 146_097 * 86_400


class NotUnderstoodError(Exception):
    """A scalar does not follow the grammar; `offset` counts characters from its start."""

    def __init__(self, code: str, message: str, hint: str = "", offset: int = 0) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset
        super().__init__(message)


def parse_keep(said: str | Mapping[str, Sequence[str]]) -> Keep:
    """The meaning of a `keep`: one sentence, or a list under `whichever comes first` or `whichever comes last`."""
    if not isinstance(said, str):
        ((which, terms),) = said.items()
        return Keep(tuple(parse_term(term) for term in terms), LISTS[which], floor=False)
    words = _Words(said, "bad-keep")
    floor = words.take_two("at", "least")
    if not floor:
        words.take_two("at", "most")
    term = _term(words)
    words.finish("the sentence ends after the clock")
    return Keep((term,), "only", floor)


def parse_term(text: str) -> Term:
    """The meaning of one line of a list: `PERIOD after CLOCK` or `until CLOCK`."""
    words = _Words(text, "bad-keep")
    for prefix in ("least", "most"):
        if words.take_two("at", prefix):
            words.fail(f"`at {prefix}` stands before a single term, not in a list", "leave it out", back=2)
    term = _term(words)
    words.finish("the sentence ends after the clock")
    return term


def parse_period(text: str) -> Period:
    """The length of time a text names, such as `1 year and 6 months` or `P18M`."""
    words = _Words(text, "bad-period")
    period = _period(words)
    words.finish("a period is all that may stand here")
    return period


def parse_clock(text: str) -> Clock:
    """The clock a text names, such as `end of year of issued_on` or `last contract.ended_at`."""
    words = _Words(text, "bad-clock")
    clock = _clock(words)
    words.finish("a clock is all that may stand here")
    return clock


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int


class _Words:
    """The words of one scalar and how far they have been read."""

    def __init__(self, text: str, code: str) -> None:
        self.text = text
        self.code = code
        self.next = 0
        self.words: list[_Word] = []
        end = 0
        while found := _TOKEN.match(text, end):
            end = found.end()
            word = found.group().lstrip()
            if word == '"':
                raise NotUnderstoodError(code, "a quote is never closed", offset=end - 1)
            self.words.append(_Word(word, end - len(word), end))
        if not self.words:
            raise NotUnderstoodError(code, "nothing is said here", _EXAMPLE)

    def peek(self, ahead: int = 0) -> str:
        at = self.next + ahead
        return self.words[at].text if at < len(self.words) else ""

    def take(self) -> str:
        self.next += 1
        return self.words[self.next - 1].text

    def take_two(self, first: str, second: str) -> bool:
        if (self.peek(), self.peek(1)) != (first, second):
            return False
        self.next += 2
        return True

    @property
    def offset(self) -> int:
        return self.words[self.next].start if self.next < len(self.words) else len(self.text.rstrip())

    def fail(self, message: str, hint: str = "", *, code: str = "", back: int = 0) -> NoReturn:
        self.next -= back
        raise NotUnderstoodError(code or self.code, message, hint, self.offset)

    def here(self) -> str:
        return quoted(self.peek()) if self.peek() else "the end"

    def finish(self, expected: str) -> None:
        if self.peek():
            self.fail(f"{expected}, but {self.here()} follows")

    def since(self, first: int) -> str:
        """The words from that one on, as written."""
        return " ".join(self.text[self.words[first].start : self.words[self.next - 1].end].split())


def _term(words: _Words) -> Term:
    if words.peek() == "until":
        words.take()
        if words.peek()[:1].isdigit():
            words.fail("`until` wants a clock, not a period", "write `PERIOD after CLOCK`")
        return Term(None, _clock(words))
    if not _period_begins(words.peek()):
        hint = _EXAMPLE if words.peek().lower() not in ("until", "at") else "keywords are lower case"
        words.fail(f"expected a period or `until`, found {words.here()}", hint)
    period = _period(words)
    if words.peek() != "after":
        words.fail(f"expected `after` and a clock behind the period, found {words.here()}", _EXAMPLE)
    words.take()
    return Term(period, _clock(words))


def _period_begins(word: str) -> bool:
    return bool(word) and (word[0].isdigit() or word[0] in "+-" or bool(re.match(r"P[0-9T]|P$", word)))


def _clock(words: _Words) -> Clock:
    first = words.next
    end_of: EndOf | None = None
    if words.take_two("end", "of"):
        match words.peek():
            case "month" | "quarter" | "year" as unit:
                end_of = unit
                words.take()
            case _:
                words.fail(f"expected month, quarter or year, found {words.here()}", code="bad-clock")
        if words.peek() != "of":
            words.fail(f"expected `of` and a column, found {words.here()}", code="bad-clock")
        words.take()
    moment = _moment(words)
    return Clock(moment, end_of, words.since(first))


def _moment(words: _Words) -> Moment:
    which: Which | None = None
    following = words.peek(1)
    if words.peek() in ("last", "first") and following and following != ".":
        which = "last" if words.take() == "last" else "first"
    name = _name(words, "a record" if which else "a column")
    if words.peek() == ".":
        words.take()
        return Moment(_name(words, "a column"), name, which)
    if which:
        words.fail(f"`{which}` wants record.column, found only {quoted(name)}", code="bad-clock", back=1)
    return Moment(name)


def _name(words: _Words, what: str) -> str:
    word = words.peek()
    if word.startswith('"') and len(word) > 2:
        words.take()
        return word[1:-1].replace('""', '"')
    if not _NAME.fullmatch(word):
        words.fail(f"expected {what}, found {words.here()}", code="bad-clock")
    return words.take()


def _period(words: _Words) -> Period:
    first = words.next
    if words.peek().startswith("P"):
        parts = _iso_parts(words)
    else:
        parts = {}
        _number_and_unit(words, parts)
        while words.peek() in ("and", ",") or words.peek()[:1].isdigit():
            if words.peek() in ("and", ","):
                words.take()
            _number_and_unit(words, parts)
    period = Period(
        months=sum(number * _MONTHS.get(unit, 0) for unit, number in parts.items()),
        days=sum(number * _DAYS.get(unit, 0) for unit, number in parts.items()),
        seconds=sum(number * _SECONDS.get(unit, 0) for unit, number in parts.items()),
        text=words.since(first),
    )
    length = (period.months * 146_097 + period.days * 4_800) * 86_400 + period.seconds * 4_800
    if length > _LONGEST:
        back = words.next - first
        words.fail(f"a period is at most {LONGEST_YEARS} years", code="bad-period", back=back)
    return period


def _number_and_unit(words: _Words, parts: dict[str, int]) -> None:
    number = _number(words.peek(), words)
    words.take()
    word = words.peek()
    unit = word if word.endswith("s") else f"{word}s"
    if unit not in UNITS or word == "":
        if word in ("second", "seconds"):
            words.fail("seconds are no unit of a period", "the shortest is `1 minute`", code="bad-period")
        hint = nearest(word, UNITS) if word else "write for example `3 years`"
        words.fail(f"expected a unit ({listed(UNITS)}), found {words.here()}", hint, code="bad-period")
    _add(words, parts, unit, number)
    words.take()


def _add(words: _Words, parts: dict[str, int], unit: str, number: int) -> None:
    if unit in parts:
        words.fail(f"{unit} are named twice in one period", "add them up", code="bad-period")
    if any((known in _CALENDAR) != (unit in _CALENDAR) for known in parts):
        message = "hours and minutes cannot be mixed with years, months, weeks or days"
        words.fail(message, "a calendar period counts whole days", code="bad-period")
    parts[unit] = number


def _number(word: str, words: _Words) -> int:
    """The whole number a word says; at least 1, written without a leading zero."""
    what = ""
    if not word:
        what = "expected a number, found the end"
    elif re.fullmatch(r"[+-].*", word):
        what = f"a period has no sign: {quoted(word)}"
    elif re.fullmatch(r"[0-9]+[.][0-9].*", word):
        what = f"a period is a whole number, not {quoted(word)}"
    elif re.fullmatch(r"[0-9]+[^\W\d_]+", word):
        what = f"expected a space between number and unit in {quoted(word)}"
    elif not re.fullmatch(r"[0-9]+", word):
        what = f"expected a number, found {quoted(word)}"
    elif not word.strip("0"):
        what = "a period of zero keeps nothing"
    elif word.startswith("0"):
        what = f"a number starts with no zero: {quoted(word)}"
    elif len(word) > 12:
        what = f"a period is at most {LONGEST_YEARS} years"
    if what:
        hint = "write for example `18 months`" if "whole number" in what else ""
        if "zero keeps nothing" in what:
            hint = "`until CLOCK` acts at once"
        words.fail(what, hint, code="bad-period")
    return int(word)


def _iso_parts(words: _Words) -> dict[str, int]:
    """The parts of an ISO 8601 duration; the word has not been taken where this fails."""
    text = words.peek()
    if not _ISO.fullmatch(text) or text == "P":
        message = f"not an ISO 8601 duration of years to minutes in whole numbers: {quoted(text)}"
        hint = "seconds are no unit of a period" if text.endswith("S") else "write for example P10Y, P18M or PT72H"
        words.fail(message, hint, code="bad-period")
    date_part, _, time_part = text[1:].partition("T")
    parts: dict[str, int] = {}
    order = ""
    for half, names in ((date_part, _ISO_DATE), (time_part, _ISO_TIME)):
        for number, letter in re.findall(r"([0-9]+)([A-Z])", half):
            _add(words, parts, names[letter], _number(number, words))
            order += letter if names is _ISO_DATE else letter.lower()
    if [*order] != sorted(order, key="YMWDhm".index):
        words.fail(
            f"the parts of {quoted(text)} stand in the wrong order", "years, months, weeks, days", code="bad-period"
        )
    words.take()
    return parts
