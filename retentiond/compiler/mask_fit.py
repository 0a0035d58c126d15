"""Whether a method's output fits its column: type, length, ENUM, character set."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from retentiond.catalog.model import Column, Family
from retentiond.compiler.constants import typed_constant
from retentiond.compiler.masks import shortest
from retentiond.compiler.recognise import DOTS
from retentiond.policy.model import Method
from retentiond.policy.wording import listed, quoted


class Complaint(NamedTuple):
    """A problem that has no place yet."""

    code: str
    message: str
    hint: str = ""
    severity: str = "error"


NUMBERS = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT})
DATES = frozenset({Family.DATE, Family.NAIVE, Family.INSTANT, Family.TEXT_DATE, Family.TEXT_DATETIME})
TEXTS = frozenset({Family.TEXT})

_NEEDS: dict[str, tuple[frozenset[Family], str]] = {
    "random": (TEXTS | {Family.UUID}, "a text or a UUID"),
    "truncate": (DATES, "a date or a timestamp"),
    "round": (NUMBERS, "a number"),
    "prefix": (TEXTS, "a text"),
    "network": (TEXTS | {Family.INET}, "a text or an address"),
    "mask": (TEXTS, "a text"),
    "domain": (TEXTS, "a text"),
    "token": (TEXTS, "a text"),
    "redact": (TEXTS, "a text"),
    "json": (TEXTS | {Family.JSON}, "JSON or a text"),
}
_NOUNS = {
    Family.INTEGER: "a whole number",
    Family.DECIMAL: "a number",
    Family.FLOAT: "a number",
    Family.BOOLEAN: "true or false",
    Family.DATE: "a date like 2020-12-31",
    Family.NAIVE: "a timestamp like 2020-12-31 10:00, without a zone",
    Family.INSTANT: "a timestamp like 2020-12-31T10:00Z",
    Family.TEXT_DATE: "a date like 2020-12-31",
    Family.TEXT_DATETIME: "a timestamp like 2020-12-31 10:00",
    Family.UUID: "a UUID",
    Family.INET: "an IP address",
    Family.JSON: "a JSON document",
}
# MySQL's names of what cannot hold every letter; its latin1 is Microsoft's.
_CHARACTER_SETS = {"ascii": "ascii", "latin1": "cp1252", "latin2": "iso8859_2", "cp1250": "cp1250", "cp1251": "cp1251"}
_ENUM = re.compile(r"(?:enum|set)\s*\(", re.IGNORECASE)
_PRECISION = re.compile(r"\w+\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "int2": 16, "mediumint": 24, "bigint": 64, "int8": 64}


def fit_complaints(column: Column, method: Method, *, unique: bool) -> Iterator[Complaint]:
    """What keeps the method's output out of the column, whatever the row."""
    if method.name == "empty":
        if not column.nullable:
            yield Complaint(
                "null-into-not-null",
                f"{column.name} may not be NULL",
                "use `random` or a constant, or drop the NOT NULL",
            )
        return
    if method.name == "constant":
        yield from _constant_complaints(column, str(method.argument))
        return
    families, noun = _NEEDS[method.name]
    if column.family not in families:
        yield Complaint("wrong-type", f"`{method.name}` needs {noun}, and {column.name} is {column.type}")
    elif _ENUM.match(column.type):
        yield Complaint(
            "wrong-type",
            f"{column.name} is {column.type}: `{method.name}` makes none of these",
            "use one as a constant",
        )
    else:
        yield from _length_complaints(column, method, unique=unique)
        yield from _futile(column, method)
        yield from _overlaps(column, method)


def _length_complaints(column: Column, method: Method, *, unique: bool) -> Iterator[Complaint]:
    if column.family is not Family.TEXT:
        return
    needed = shortest(method, unique=unique)
    if column.length is not None and column.length < needed:
        yield Complaint(
            "too-long",
            f"`{method.name}` needs {needed} characters here, and {column.name} takes {column.length}",
            "use `empty` or a constant" if method.name in ("random", "token") else "",
        )
    if method.name == "mask":
        yield from _unwritable(column, DOTS)


def _futile(column: Column, method: Method) -> Iterator[Complaint]:
    longest = method.name == "prefix" and column.length is not None and int(str(method.argument)) >= column.length
    midnight = method.argument == "day" and column.family in (Family.DATE, Family.TEXT_DATE)
    if longest or (method.name == "truncate" and midnight):
        yield Complaint(
            "no-effect", f"`{method.name}: {method.argument}` leaves every {column.name} as it is", severity="warning"
        )


def _overlaps(column: Column, method: Method) -> Iterator[Complaint]:
    """Two methods on one place of a document undo each other: twice would not be once."""
    paths = [tuple(path.split(".")) for path, _ in method.inside]
    for at, one in enumerate(paths):
        for other in paths[at + 1 :]:
            if all(a == b or "*" in (a, b) for a, b in zip(one, other, strict=False)):
                yield Complaint(
                    "json-overlap",
                    f"two paths reach the same place in {column.name}: {'.'.join(one)}, {'.'.join(other)}",
                )
    for path in paths:
        if "" in path:
            yield Complaint("json-path", f"{quoted('.'.join(path))} is no path: keys joined by dots, `*` for every one")


def _constant_complaints(column: Column, text: str) -> Iterator[Complaint]:
    if _ENUM.match(column.type):
        options = [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", column.type)]
        if text not in options:
            yield Complaint("wrong-type", f"{column.name} takes {listed(map(quoted, options))}, not {quoted(text)}")
        return
    if column.family is Family.BINARY:
        yield Complaint("wrong-type", f"{column.name} is {column.type}: only `empty` can be written there")
        return
    try:
        constant = typed_constant(text, column.family)
    except ValueError:
        yield Complaint(
            "wrong-type", f"{column.name} is {column.type} and takes {_NOUNS[column.family]}, not {quoted(text)}"
        )
        return
    if column.family is Family.OTHER:
        yield Complaint(
            "unproven", f"whether {column.name} ({column.type}) takes {quoted(text)} cannot be told", severity="warning"
        )
    if column.family is Family.TEXT and column.length is not None and len(text) > column.length:
        yield Complaint(
            "too-long", f"{quoted(text)} has {len(text)} characters, and {column.name} takes {column.length}"
        )
    if column.family is Family.TEXT:
        yield from _unwritable(column, text)
    if isinstance(constant, (int, Decimal)) and not isinstance(constant, bool):
        yield from _number_complaints(column, Decimal(constant))


def _unwritable(column: Column, text: str) -> Iterator[Complaint]:
    codec = _CHARACTER_SETS.get((column.collation or "").split("_")[0].lower(), "utf-8")
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        yield Complaint(
            "wrong-type", f"the character set of {column.name} ({column.collation}) cannot hold {quoted(text)}"
        )


def _number_complaints(column: Column, number: Decimal) -> Iterator[Complaint]:
    words = column.type.lower().split("(")[0].split()
    bits = _INTEGER_BITS.get(words[0]) if words and column.family is Family.INTEGER else None
    if bits is not None:
        unsigned = "unsigned" in column.type.lower()
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if not low <= number <= high:
            yield Complaint("too-long", f"{column.name} is {column.type} and takes {low} to {high}")
    precision = _PRECISION.match(column.type) if column.family is Family.DECIMAL else None
    if precision is not None:
        digits, scale = int(precision[1]), int(precision[2] or 0)
        if abs(number) >= 10 ** (digits - scale) or number != round(number, scale):
            yield Complaint("too-long", f"{column.name} is {column.type} and cannot hold {number} exactly")
