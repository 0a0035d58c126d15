"""What a `where` says of one row: three-valued, by code points, exact."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.policy.expression import (
    All,
    Any,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Column,
    Compare,
    CompareOperator,
    Constant,
    Expression,
    Function,
    FunctionName,
    InList,
    IsNull,
    Like,
    Negative,
    Not,
)
from retentiond.policy.expression_value import evaluate_expression, truth_of

X = Column("x")
TRUE, FALSE, UNKNOWN = Constant(value=True), Constant(value=False), Constant(None)


def compare(operator: CompareOperator, value: object, other: str | int | Decimal | bool | None) -> object:
    return evaluate_expression(Compare(operator, X, Constant(other)), {"x": value})


@pytest.mark.parametrize(
    ("value", "operator", "other", "holds"),
    [
        ("closed", "=", "closed", True),
        ("Closed", "=", "closed", False),
        ("closed ", "=", "closed", False),
        ("\u00e9", "=", "e\u0301", False),
        ("Z", "<", "a", True),
        ("\U0001f600", ">", "\uffff", True),
        ("10", "<", "9", True),
        (None, "=", "closed", None),
        (None, "<>", "closed", None),
        ("closed", "=", None, None),
        (3, ">=", 3, True),
        (Decimal("0.1"), "=", Decimal("0.10"), True),
        (0.1, "=", Decimal("0.1"), True),
        (2**53 + 1, ">", 2**53, True),
        (float(2**53), "<", 2**53 + 1, True),
        (True, "=", 1, True),
        (0, "=", False, True),
        (1, "<>", True, False),
        (date(2020, 1, 2), ">", "2020-01-01", True),
        (datetime(2020, 1, 1, 10), "<", "2020-01-01 10:00:01", True),  # noqa: DTZ001
        (datetime(2020, 1, 1, 10), ">", "2020-01-01", True),  # noqa: DTZ001
        (datetime(2020, 1, 1, 10, tzinfo=UTC), "=", "2020-01-01T11:00+01:00", True),
        (UUID(int=1), "=", "00000000-0000-0000-0000-000000000001", True),
    ],
)
def test_comparisons(
    value: object, operator: CompareOperator, other: str | int | Decimal | bool | None, holds: bool | None
) -> None:
    assert compare(operator, value, other) is holds


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("1", 1),
        (1, "1"),
        (date(2020, 1, 1), "yesterday"),
        (date(2020, 1, 1), 20200101),
        (datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01 10:00"),
        (b"closed", "closed"),
        ([], 1),
    ],
)
def test_unlike_things_do_not_compare(value: object, other: str | int) -> None:
    with pytest.raises(TypeError):
        compare("=", value, other)


@pytest.mark.parametrize(
    ("expression", "truth"),
    [
        (All((TRUE, UNKNOWN)), None),
        (All((FALSE, UNKNOWN)), False),
        (All((TRUE, TRUE)), True),
        (Any((TRUE, UNKNOWN)), True),
        (Any((FALSE, UNKNOWN)), None),
        (Any((FALSE, FALSE)), False),
        (Not(UNKNOWN), None),
        (Not(FALSE), True),
        (IsNull(UNKNOWN), True),
        (IsNull(Column("missing")), True),
        (Not(IsNull(Constant(0))), True),
        (InList(Constant("a"), (Constant("b"), UNKNOWN)), None),
        (InList(Constant("a"), (Constant("a"), UNKNOWN)), True),
        (InList(Constant("a"), (Constant("b"),)), False),
        (InList(UNKNOWN, (Constant("b"),)), None),
        (Between(Constant(2), Constant(1), Constant(2)), True),
        (Between(Constant(3), Constant(1), Constant(2)), False),
        (Between(Constant(3), UNKNOWN, Constant(2)), False),
        (Between(Constant(1), UNKNOWN, Constant(2)), None),
        (Constant(1), True),
        (Constant(0), False),
    ],
)
def test_three_valued_logic(expression: Expression, truth: bool | None) -> None:
    assert truth_of(expression, {}) is truth


def test_text_is_no_truth() -> None:
    with pytest.raises(TypeError):
        truth_of(Constant("true"), {})


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("closed", "clo%", True),
        ("Closed", "clo%", False),
        ("closed", "%o%e%", True),
        ("closed", "c_osed", True),
        ("closed", "c_sed", False),
        ("a\nb", "a%b", True),
        ("a\nb", "a_b", True),
        ("", "%", True),
        ("", "_", False),
        ("100%", "100%", True),
        ("a\\%", "a\\%", True),
        ("a.b", "a_b", True),
        ("axb", "a.b", False),
        ("aXbXc", "%X", False),
        ("ab" * 20_000, "%a%a%a%a%a%a%a%a%c", False),
        (None, "%", None),
    ],
)
def test_like(text: str | None, pattern: str, matches: bool | None) -> None:
    assert evaluate_expression(Like(X, pattern), {"x": text}) is matches


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("lower", ("ÀB",), "àb"),
        ("upper", ("àb",), "ÀB"),
        ("length", ("😀é",), 2),
        ("trim", ("  a\t ",), "a\t"),
        ("abs", (-3,), 3),
        ("abs", (Decimal("-0.5"),), Decimal("0.5")),
        ("coalesce", (None, "b", "c"), "b"),
        ("coalesce", (None, None), None),
        ("lower", (None,), None),
        ("length", (None,), None),
        ("abs", (None,), None),
    ],
)
def test_functions(name: FunctionName, arguments: tuple[str | int | Decimal | None, ...], value: object) -> None:
    assert evaluate_expression(Function(name, tuple(map(Constant, arguments))), {}) == value


@pytest.mark.parametrize(
    ("operator", "left", "right", "value"),
    [
        ("+", 1, 2, 3),
        ("-", 1, Decimal("0.1"), Decimal("0.9")),
        ("*", 10**20, 10**20, 10**40),
        ("*", Decimal("1.000000000000000000000001"), Decimal("1.000000000000000000000001"), None),
        ("/", Decimal(1), 4, 0.25),
        ("/", Decimal(1), 0, None),
        ("%", 7, 0, None),
        ("%", -7, 3, -1),
        ("%", 7, -3, 1),
        ("+", None, 1, None),
        ("+", True, 1, 2),
    ],
)
def test_arithmetic(
    operator: ArithmeticOperator, left: int | Decimal | None, right: int | Decimal | None, value: object
) -> None:
    found = evaluate_expression(Arithmetic(operator, Constant(left), Constant(right)), {})
    if isinstance(left, Decimal) and left == right:
        value = Decimal("1.000000000000000000000002000000000000000000000001")
    assert found == value


def test_floats_calculate_as_floats() -> None:
    assert evaluate_expression(Arithmetic("+", X, Constant(Decimal("0.2"))), {"x": 0.1}) == 0.1 + 0.2
    assert evaluate_expression(Negative(X), {"x": 0.5}) == -0.5
    assert evaluate_expression(Negative(X), {"x": None}) is None


def test_what_engines_disagree_on_is_refused() -> None:
    with pytest.raises(ValueError, match="two integers"):
        evaluate_expression(Arithmetic("/", Constant(7), Constant(2)), {})
    for expression in (
        Arithmetic("%", Constant(7), Constant(Decimal("2.5"))),
        Arithmetic("+", Constant("7"), Constant(1)),
        Function("length", (Constant(7),)),
        Like(Constant(7), "7"),
        Negative(Constant("7")),
    ):
        with pytest.raises(TypeError):
            evaluate_expression(expression, {})


@given(st.text("ab%_", max_size=8), st.text("ab%_", max_size=6))
def test_like_is_what_it_says(text: str, pattern: str) -> None:
    def matches(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "%":
            return matches(text, pattern[1:]) or (bool(text) and matches(text[1:], pattern))
        return bool(text) and pattern[0] in ("_", text[0]) and matches(text[1:], pattern[1:])

    assert evaluate_expression(Like(X, pattern), {"x": text}) is matches(text, pattern)
