# ruff: noqa: DTZ001 - timestamps without a zone are what many columns hold
import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.model import Family
from retentiond.compiler.masks import MaskFailure, mask_value
from retentiond.compiler.recognise import Kind, done_condition, is_done
from retentiond.policy.model import Method
from tests.unit.compiler.mask_strategies import JSON_METHODS, RECOGNISED, VALUES, column, context


@given(RECOGNISED, VALUES, st.booleans(), st.none() | st.integers(18, 60))
def test_what_a_method_makes_is_recognised_and_stays(
    pair: tuple[Method, Family], value: object, nullable: bool, length: int | None
) -> None:
    method, family = pair
    try:
        masked = mask_value(method, value, context(family, length, nullable=nullable))
    except MaskFailure:
        return
    assert is_done(method, masked, column(family, length))
    again = mask_value(method, masked, context(family, length, nullable=nullable))
    assert again is masked


@given(RECOGNISED, VALUES)
def test_what_is_recognised_stays(pair: tuple[Method, Family], value: object) -> None:
    method, family = pair
    if is_done(method, value, column(family)):
        assert mask_value(method, value, context(family)) is value


@given(JSON_METHODS | st.just(Method("redact")), VALUES)
def test_what_sql_cannot_see_is_never_recognised(method: Method, value: object) -> None:
    assert done_condition(method, column()) is None
    assert not is_done(method, value, column())


def test_a_random_uuid_needs_a_marker() -> None:
    assert done_condition(Method("random"), column(Family.UUID)) is None
    assert done_condition(Method("random"), column()) is not None


@pytest.mark.parametrize(
    ("method", "family", "kind", "argument"),
    [
        (Method("empty"), Family.DATE, Kind.NULL, None),
        (Method("constant", "7"), Family.INTEGER, Kind.EQUALS, 7),
        (Method("constant", "7"), Family.TEXT, Kind.EQUALS, "7"),
        (Method("random"), Family.TEXT, Kind.ANON, None),
        (Method("token", "email"), Family.TEXT, Kind.ANON, None),
        (Method("truncate", "year"), Family.DATE, Kind.YEAR_START, None),
        (Method("truncate", "month"), Family.NAIVE, Kind.MONTH_START, None),
        (Method("truncate", "day"), Family.INSTANT, Kind.DAY_START, None),
        (Method("round", 1000), Family.DECIMAL, Kind.MULTIPLE, 1000),
        (Method("prefix", 2), Family.TEXT, Kind.AT_MOST, 2),
        (Method("network"), Family.INET, Kind.NETWORK, None),
        (Method("mask", 4), Family.TEXT, Kind.MASK, 4),
        (Method("domain"), Family.TEXT, Kind.NO_AT, None),
    ],
)
def test_each_method_has_its_form(method: Method, family: Family, kind: Kind, argument: object) -> None:
    form = done_condition(method, column(family))
    assert form is not None
    assert (form.kind, form.argument, form.family) == (kind, argument, family)
    assert form.null_is_done is (kind is not Kind.EQUALS)


@pytest.mark.parametrize(
    ("method", "family", "done", "not_done"),
    [
        (Method("network"), Family.TEXT, ["192.0.2.0", "2001:db8:1::", "::", "::ffff:192.0.2.0", None], None),
        (
            Method("network"),
            Family.TEXT,
            [],
            ["192.0.2.1", "hello.0", "2001:db8::1", "a:b:c:d::", "2001:DB8::", "x::", ""],
        ),
        (Method("network"), Family.INET, ["192.0.2.0/24"], ["192.0.2.7/24"]),
        (Method("mask", 4), Family.TEXT, ["••••", "••••1234"], ["••••12345", "1234", "•••1", b"x"]),
        (Method("truncate", "year"), Family.TEXT_DATETIME, ["2024-01-01", "2024-01-01T00:00:00.000Z"], ["John-01-01"]),
        (Method("truncate", "year"), Family.TEXT_DATETIME, ["2024-01-01 00:00+00:00"], ["2024-01-01 00:00:01", "2024"]),
        (Method("truncate", "month"), Family.NAIVE, [dt.datetime(2024, 5, 1)], [dt.datetime(2024, 5, 1, 0, 0, 1)]),
        (Method("round", 10), Family.FLOAT, [20.0, -10.0], [float("nan"), float("inf"), 15.0, 1e300, "10"]),
        (Method("round", 10), Family.DECIMAL, [Decimal("20.00"), 10.0, 10], [Decimal("NaN"), Decimal("20.5")]),
        (Method("constant", "x"), Family.TEXT, ["x"], [None, "X", "x "]),
        (Method("constant", "0.1"), Family.DECIMAL, [Decimal("0.10"), 0.1], [Decimal("0.11"), "0.1"]),
        (Method("constant", "false"), Family.BOOLEAN, [False, 0], [None, True, 1]),
        (Method("domain"), Family.TEXT, ["example.com", ""], ["@", "a@example.com"]),
    ],
)
def test_forms_by_example(method: Method, family: Family, done: list[object], not_done: list[object] | None) -> None:
    assert [value for value in done if not is_done(method, value, column(family))] == []
    assert [value for value in not_done or [] if is_done(method, value, column(family))] == []


def test_an_instant_is_looked_at_in_utc() -> None:
    method, family = Method("truncate", "day"), column(Family.INSTANT)
    brussels = dt.timezone(dt.timedelta(hours=2))
    assert is_done(method, dt.datetime(2024, 5, 1, 2, tzinfo=brussels), family)
    assert not is_done(method, dt.datetime(2024, 5, 1, tzinfo=brussels), family)
    assert is_done(method, dt.datetime(2024, 5, 1), family)


def test_a_uuid_constant_is_known_in_any_spelling() -> None:
    method = Method("constant", "00000000-0000-0000-0000-000000000000")
    assert is_done(method, UUID(int=0), column(Family.UUID))
    assert is_done(method, "0" * 32, column(Family.UUID))
    assert not is_done(method, "nonsense", column(Family.UUID))
