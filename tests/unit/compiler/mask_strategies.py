"""Hypothesis strategies: methods, the columns they go on, and whatever a driver may deliver from there."""

import datetime as dt
import ipaddress
import itertools
from collections.abc import Callable

from hypothesis import strategies as st

from retentiond.catalog.model import Column, Family
from retentiond.compiler.masks import MaskContext
from retentiond.policy.model import Method


def counting() -> Callable[[int], bytes]:
    """Random bytes that are never the same twice."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "little")


def context(
    family: Family = Family.TEXT, length: int | None = None, *, nullable: bool = True, scope: str = "crm.people.email"
) -> MaskContext:
    return MaskContext(family, length, b"k" * 32, scope, counting(), nullable)


def column(family: Family = Family.TEXT, length: int | None = None) -> Column:
    return Column("c", family.value, family, length=length)


TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="0123456789.:/-T Z+@•anon", max_size=40),
    st.emails(),
    st.sampled_from(["", "anon-x", "••••1234", "••••12345678", "2024-02-29", "2024-01-01T00:00:00.000Z", "a@b@c"]),
    st.ip_addresses().map(str),
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{3})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
    ),
)
ZONES = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(-dt.timedelta(hours=11))]
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.decimals(), st.integers(-(10**6), 10**6), st.booleans())
MOMENTS = st.one_of(st.dates(), st.datetimes(timezones=ZONES))
ODDITIES = st.one_of(
    st.binary(max_size=8), st.uuids(), st.ip_addresses(), st.just(ipaddress.ip_interface("192.0.2.7/24")), st.just([1])
)
VALUES = st.one_of(st.none(), TEXTS, NUMBERS, MOMENTS, ODDITIES)

COUNTS = st.integers(1, 12)
TEXT_METHODS = st.one_of(
    st.sampled_from([Method("random"), Method("token"), Method("token", "email"), Method("network"), Method("domain")]),
    COUNTS.map(lambda n: Method("prefix", n)),
    COUNTS.map(lambda n: Method("mask", n)),
    st.text().map(lambda text: Method("constant", text)),
)
DATE_FAMILIES = st.sampled_from([Family.DATE, Family.NAIVE, Family.INSTANT, Family.TEXT_DATE, Family.TEXT_DATETIME])
NUMBER_FAMILIES = st.sampled_from([Family.INTEGER, Family.DECIMAL, Family.FLOAT])

RECOGNISED = st.one_of(
    st.tuples(TEXT_METHODS, st.just(Family.TEXT)),
    st.tuples(st.just(Method("network")), st.just(Family.INET)),
    st.tuples(st.sampled_from(["year", "month", "day"]).map(lambda unit: Method("truncate", unit)), DATE_FAMILIES),
    st.tuples(st.integers(1, 10**6).map(lambda bucket: Method("round", bucket)), NUMBER_FAMILIES),
    st.tuples(st.just(Method("empty")), st.sampled_from(list(Family))),
    st.tuples(st.integers().map(lambda number: Method("constant", str(number))), NUMBER_FAMILIES),
    st.tuples(st.dates().map(lambda day: Method("constant", day.isoformat())), DATE_FAMILIES),
    st.tuples(st.sampled_from([Method("constant", "true"), Method("constant", "0")]), st.just(Family.BOOLEAN)),
    st.tuples(st.just(Method("constant", "192.0.2.0")), st.just(Family.INET)),
    st.tuples(st.just(Method("constant", '{"a": [1, "é"]}')), st.just(Family.JSON)),
    st.tuples(st.uuids().map(lambda made: Method("constant", str(made))), st.just(Family.UUID)),
)
INNER = st.one_of(
    TEXT_METHODS,
    st.just(Method("empty")),
    st.just(Method("redact")),
    st.just(Method("round", 10)),
    st.just(Method("truncate", "month")),
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=8,
).filter(lambda document: isinstance(document, (dict, list)))
PATHS = st.sampled_from(["a", "b.c", "*", "a.*", "a.0", "*.b", "a.b.c"])
JSON_METHODS = st.tuples(PATHS, INNER).map(lambda pair: Method("json", inside=(pair,)))
