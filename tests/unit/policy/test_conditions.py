"""What a `where` may say, and all that it may not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.policy.conditions import columns_of, parse_where
from retentiond.policy.expression import (
    All,
    Any,
    Arithmetic,
    Between,
    Column,
    Compare,
    Constant,
    Expression,
    Function,
    InList,
    IsNull,
    Like,
    Negative,
    Not,
)
from retentiond.policy.grammar import NotUnderstoodError

A, B = Column("a"), Column("b")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a", A),
        ("not a", Not(A)),
        ("a = 'closed'", Compare("=", A, Constant("closed"))),
        ("a <> 1", Compare("<>", A, Constant(1))),
        ("a != 1", Compare("<>", A, Constant(1))),
        ("a >= -1", Compare(">=", A, Constant(-1))),
        ("a < 1.50", Compare("<", A, Constant(Decimal("1.50")))),
        ("a = 'it''s'", Compare("=", A, Constant("it's"))),
        (r"a = 'x\n'", Compare("=", A, Constant(r"x\n"))),
        ("a = '-- no comment'", Compare("=", A, Constant("-- no comment"))),
        ("a = ';'", Compare("=", A, Constant(";"))),
        ("a = true", Compare("=", A, Constant(value=True))),
        ("a is null", IsNull(A)),
        ("a is not null", Not(IsNull(A))),
        ("a is true", All((Not(IsNull(A)), A))),
        ("a is not false", Not(All((Not(IsNull(A)), Not(A))))),
        ("a in (1, 2)", InList(A, (Constant(1), Constant(2)))),
        ("a not in ('x')", Not(InList(A, (Constant("x"),)))),
        ("a between 1 and b", Between(A, Constant(1), B)),
        ("a not between 1 and 2", Not(Between(A, Constant(1), Constant(2)))),
        ("a like 'x%'", Like(A, "x%")),
        ("a not like 'x_'", Not(Like(A, "x_"))),
        ("lower(a) = 'x'", Compare("=", Function("lower", (A,)), Constant("x"))),
        ("COALESCE(a, b, 0) > 3", Compare(">", Function("coalesce", (A, B, Constant(0))), Constant(3))),
        ("trim(a) = upper(b)", Compare("=", Function("trim", (A,)), Function("upper", (B,)))),
        ("length(a) > abs(b)", Compare(">", Function("length", (A,)), Function("abs", (B,)))),
        ("a + 1 > b * 2", Compare(">", Arithmetic("+", A, Constant(1)), Arithmetic("*", B, Constant(2)))),
        ("a % 2 = 0", Compare("=", Arithmetic("%", A, Constant(2)), Constant(0))),
        ("-a > 3", Compare(">", Negative(A), Constant(3))),
        ("a and b and not a", All((A, B, Not(A)))),
        ("not a = 1 or b and a", Any((Not(Compare("=", A, Constant(1))), All((B, A))))),
        ("(a or b) and a", All((Any((A, B)), A))),
        ('"Order Date" is null', IsNull(Column("Order Date"))),
        (
            "status = 'x'\n  and amount = 0",
            All((Compare("=", Column("status"), Constant("x")), Compare("=", Column("amount"), Constant(0)))),
        ),
    ],
)
def test_meaning(text: str, meaning: Expression) -> None:
    assert parse_where(text) == meaning


@pytest.mark.parametrize(
    "name", ["date", "type", "key", "user", "group", "order", "end", "comment", "name", "rank", "état"]
)
def test_a_column_may_be_named_like_a_keyword(name: str) -> None:
    assert parse_where(f"{name} = 1") == Compare("=", Column(name), Constant(1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("a in (select 1)", "subquery"),
        ("a = (select 1)", "subquery"),
        ("exists (select 1)", "subquery"),
        ("a = 1; drop table x", "one expression"),
        ("a = 1 -- c", "comments"),
        ("/* c */ a = 1", "comments"),
        ("a /*+ hint */ = 1", "comments"),
        ("a = 1 /* c", "not a condition"),
        ("now() > a", "current time"),
        ("a > current_date", "current time"),
        ("a > CURRENT_TIMESTAMP", "current time"),
        ("a > localtimestamp", "current time"),
        ("md5(a) = 'x'", "md5"),
        ("ifnull(a, 1) = 1", "ifnull"),
        ('"ifnull"(a, 1) = 1', "ifnull"),
        ("nvl(a, 1) = 1", "nvl"),
        ("len(a) = 1", "len"),
        ("char_length(a) = 1", "char_length"),
        ("count(a) > 1", "count"),
        ("sum(a) over () > 1", "sum"),
        ("random() < 1", "random"),
        ("cast(a as int) = 1", "cast"),
        ("a::int = 1", "cast"),
        ("a = date '2020-01-01'", "cast"),
        ("case when a then b end", "CASE"),
        ("a = ?", "parameter"),
        ("a = :x", "parameter"),
        ("a = @x", "parameter"),
        ("a = $1", "no column"),
        ("a = %s", "not a condition"),
        ("a || b = 'x'", r"\|\|"),
        ("a & 1 = 1", "BITWISEAND"),
        ("a ilike 'x'", "ILIKE"),
        ("a similar to 'x'", "SIMILAR"),
        ("a ~ 'x'", "."),
        ("a rlike 'x'", "regular"),
        ("a glob 'x'", "GLOB"),
        ("a like 'x!%' escape '!'", "ESCAPE"),
        ("a like b", "single quotes"),
        ("a like any ('x')", "ANY"),
        ("a = 1 = 1", "value is expected"),
        ("a < b < 3", "value is expected"),
        ("1", "no condition"),
        ("'x'", "no condition"),
        ("a + 1", "no condition"),
        ("lower(a)", "no condition"),
        ("true", "no condition"),
        ("a = 1 or true", "no condition"),
        ("1 = 1", "names no column"),
        ("a = null", "never true"),
        ("a <> NULL", "never true"),
        ("a in (1, null)", "NULL"),
        ("t.a = 1", "alone"),
        ("s.t.a = 1", "alone"),
        ("a is distinct from b", "DISTINCT"),
        ("a is 1", "IS is followed"),
        ("a in b", "IN is followed"),
        ("a in ()", "IN is followed"),
        ("(a, b) in ((1, 2))", "several"),
        ("a between symmetric 1 and 2", "SYMMETRIC"),
        ("trim(both 'x' from a) = 'y'", "TRIM"),
        ("lower(distinct a) = 'x'", "DISTINCT"),
        ("coalesce(a) = 1", "two values"),
        ("a = 007", "zero"),
        ("1 / 2 = a", "divided"),
        ("a = 1e99", "engine"),
        ("a = 'x' 'y'", "side by side"),
        ("a[0] = 1", "BRACKET"),
        ("a -> 'x' = 1", "JSON"),
        ("{a} = 1", "STRUCT"),
        ("a collate nocase = 'x'", "COLLATE"),
        ("!a", "NOT"),
        ("a = 1 limit 1", "limit"),
        ("a = 1 union select 2", "union"),
        ("delete from x", "."),
        ("a = `b`", "not a condition"),
        ("a =", "missing"),
        ("(a = 1", "."),
        ("*", r"\*"),
        ("a = 1" + " or a = 1" * 2000, "at most"),
        ("(" * 2000 + "a" + ")" * 2000, "deep"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(NotUnderstoodError, match=words) as caught:
        parse_where(text)
    assert caught.value.code == "bad-where"
    assert 0 <= caught.value.offset <= len(text)


def test_null_is_answered_with_a_hint() -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        parse_where("a = NULL")
    assert "IS NULL" in caught.value.hint


def test_columns_are_sorted_and_named_once() -> None:
    expression = parse_where("z = 1 and (lower(b) in (a, 'x') or not z like '%') and c between -d and 2 and e is null")
    assert columns_of(expression) == ("a", "b", "c", "d", "e", "z")


@given(st.text(alphabet="ab1' =<>()-/*;,.%_\"\n", max_size=30))
def test_nothing_but_the_own_error_ever_comes_out(text: str) -> None:
    try:
        expression = parse_where(text)
    except NotUnderstoodError:
        return
    assert columns_of(expression)
    quoteless = "".join(part for place, part in enumerate(text.split("'")) if place % 2 == 0)
    quoteless = "".join(part for place, part in enumerate(quoteless.split('"')) if place % 2 == 0)
    assert "--" not in quoteless
    assert "/*" not in quoteless
    assert ";" not in quoteless
