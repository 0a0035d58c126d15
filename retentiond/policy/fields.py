"""
The scalars of a policy file: text, typed by the key it stands under.

YAML gives text and nothing else, so `3.10`, `0042` and `NO` are what was written; only here does text become a date
or a number, and only in the one spelling that cannot be misread.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from retentiond.policy.clocks import pattern_fault
from retentiond.policy.model import Basis, Period
from retentiond.policy.wording import nearest, quoted

NAME = re.compile(r"[a-z][a-z0-9-]*")
SOURCE = re.compile(r"[a-z*?][a-z0-9*?-]*")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Editors read YAML with types of their own; what is text for us may be a number or a boolean for them.
TEXT_SCHEMA: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_NUMBER_SCHEMA: dict[str, Any] = {"type": ["integer", "string"], "pattern": "^(0|[1-9][0-9]*)$", "minimum": 0}
_MACHINE_ZONES = frozenset({"localtime", "posixrules", "Factory"})


def wrong(code: str, message: str, hint: str = "", offset: int = 0) -> PydanticCustomError:
    """The error that a validator raises; the reader turns it into a problem with a place."""
    return PydanticCustomError(code, "{message}", {"message": message, "hint": hint, "offset": offset})


def scalar(value: object) -> str:
    """The text of a scalar."""
    if isinstance(value, str):
        return value
    raise wrong("bad-type", f"expected text here, not a {'list' if isinstance(value, list) else 'mapping'}")


def filled(value: object) -> str:
    """The text of a scalar that must not be empty."""
    text = scalar(value)
    if not text.strip():
        raise wrong("blank", "expected text, found nothing")
    return text


def named(pattern: re.Pattern[str], what: str, example: str) -> Callable[[object], str]:
    """A check that text is a name of that kind."""

    def check(value: object) -> str:
        text = filled(value)
        if not pattern.fullmatch(text):
            raise wrong("bad-name", f"{quoted(text)} is no {what}", f"{what}s look like {example}")
        return text

    return check


def day(value: object) -> date:
    """The date written as YYYY-MM-DD."""
    text = filled(value)
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError as error:
        raise wrong("bad-date", f"there is no such day: {quoted(text)}") from error
    raise wrong("bad-date", f"expected a date, found {quoted(text)}", "dates are written 2026-11-22")


def whole(least: int) -> Callable[[object], int]:
    """A check that text is a whole decimal number of at least that much."""

    def check(value: object) -> int:
        text = filled(value)
        if not re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text):
            raise wrong(
                "bad-number", f"expected a whole number, found {quoted(text)}", "decimal, without leading zeros"
            )
        if int(text) < least:
            raise wrong("bad-number", f"expected {least} or more, found {text}")
        return int(text)

    return check


def version(value: object) -> int:
    """The version of the language, which is 1."""
    if (text := filled(value)) != "1":
        raise wrong("bad-version", f"this retentiond reads version 1, not {quoted(text)}")
    return 1


def share(value: object) -> float:
    """The fraction that a percentage such as `5 %` says."""
    text = filled(value)
    found = re.fullmatch(r"((?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,6})?)\s*%", text)
    if not found:
        raise wrong("bad-share", f"expected a percentage, found {quoted(text)}", "write for example `5 %`")
    if float(found[1]) > 100:
        raise wrong("bad-share", f"a share is at most 100 %, found {quoted(text)}")
    return float(found[1]) / 100


def zone(value: object) -> str:
    """The name of a time zone of the tz database."""
    text = filled(value)
    try:
        if text in _MACHINE_ZONES:
            raise ValueError(text)
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        from zoneinfo import available_timezones  # noqa: PLC0415 - reads the whole database; only a mistake pays for it

        hint = nearest(text, available_timezones() - _MACHINE_ZONES)
        hint = hint if hint.startswith("did") else "zones are named like Europe/Brussels or UTC"
        raise wrong("bad-timezone", f"there is no time zone {quoted(text)}", hint) from error
    return text


def period(value: object) -> Period:
    """The period that a text says."""
    from retentiond.policy.grammar import NotUnderstoodError, parse_period  # noqa: PLC0415

    try:
        return parse_period(scalar(value))
    except NotUnderstoodError as error:
        raise wrong(error.code, error.message, error.hint, error.offset) from error


def date_format(value: object) -> str:
    """A declared form of dates: a number of seconds or milliseconds, ISO text, or a strptime pattern."""
    text = filled(value)
    if text in ("epoch s", "epoch ms", "iso"):
        return text
    fault = pattern_fault(text)
    if "%" not in text or fault:
        message = f"{quoted(text)} is no form that fixes a day" + (f": {fault}" if fault and "%" in text else "")
        raise wrong("bad-format", message, 'expected epoch s, epoch ms, iso, or a pattern such as "%d.%m.%Y"')
    return text


def word(code: str, *words: str, forms: str = "", others: tuple[str, ...] = ()) -> Callable[[object], str]:
    """A check that text is one of those words. `forms` says all that may stand there, `others` what takes a value."""

    def check(value: object) -> str:
        text = filled(value)
        if text in words:
            return text
        what = forms or (" or ".join(words) if len(words) < 4 else f"one of: {', '.join(words)}")
        hint = f"`{text}` needs a value: {{{text}: …}}" if text in others else nearest(text, (*words, *others))
        raise wrong(code, f"expected {what}, found {quoted(text)}", hint if hint.endswith(("?", "}")) else "")

    return check


def _enumerated(*words: str) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(words)})


def one_or_more(value: object) -> object:
    """A list, also where a single text was written."""
    return [value] if isinstance(value, str) else value


BASES: tuple[Basis, ...] = (
    "consent",
    "contract",
    "legal obligation",
    "vital interests",
    "public task",
    "legitimate interest",
    "legal claims",
)
ROLES = ("controller", "processor")
PARTS = ("year", "month", "day")

AnyText = Annotated[str, BeforeValidator(scalar), WithJsonSchema(TEXT_SCHEMA)]
Text = Annotated[str, BeforeValidator(filled), WithJsonSchema(TEXT_SCHEMA)]
Name = Annotated[
    str,
    BeforeValidator(named(NAME, "name", "contract-data: a-z, then a-z, 0-9 and -")),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"}),
]
SourceName = Annotated[
    str,
    BeforeValidator(named(SOURCE, "source", "crm or tenant-*: a-z, then a-z, 0-9 and -, * for any")),
    WithJsonSchema({"type": "string", "pattern": f"^{SOURCE.pattern}$"}),
]
Day = Annotated[date, BeforeValidator(day), WithJsonSchema({"type": "string", "format": "date"})]
Count = Annotated[int, BeforeValidator(whole(0)), WithJsonSchema(_NUMBER_SCHEMA)]
Positive = Annotated[int, BeforeValidator(whole(1)), WithJsonSchema(_NUMBER_SCHEMA | {"minimum": 1})]
Version = Annotated[int, BeforeValidator(version), WithJsonSchema({"enum": [1, "1"]})]
Share = Annotated[
    float, BeforeValidator(share), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*%$"})
]
Zone = Annotated[str, BeforeValidator(zone), WithJsonSchema({"type": "string"})]
PeriodText = Annotated[Period, BeforeValidator(period), WithJsonSchema({"type": "string"})]
DateFormat = Annotated[str, BeforeValidator(date_format), WithJsonSchema({"type": "string"})]
BasisWord = Annotated[str, BeforeValidator(word("bad-basis", *BASES)), _enumerated(*BASES)]
RoleWord = Annotated[str, BeforeValidator(word("bad-role", *ROLES)), _enumerated(*ROLES)]
PartWord = Annotated[str, BeforeValidator(word("bad-method", *PARTS)), _enumerated(*PARTS)]
TokenShape = Annotated[str, BeforeValidator(word("bad-method", "email")), _enumerated("email")]
NeverHappened = Annotated[str, BeforeValidator(word("bad-empty", "never happened")), _enumerated("never happened")]
EarliestWins = Annotated[str, BeforeValidator(word("bad-overlap", "earliest wins")), _enumerated("earliest wins")]
