"""
CHECK constraints asked beforehand whether they would accept what a mask writes.

A small evaluator over what sqlglot parses. It works with sets of outcomes: what it does not know can come out any way.
So a provable conflict is told from a proof that all is well, and both from not knowing.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from enum import Enum

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

Truth = frozenset[bool | None]

_ANYTHING: Truth = frozenset({True, False, None})
_EITHER: Truth = frozenset({True, False})
_UNKNOWN: Truth = frozenset({None})


class Blank(Enum):
    """What is not known of a value: not even whether it is NULL, or only which value it is."""

    ANYTHING = "anything"
    NOT_NULL = "anything but NULL"


Scalar = str | Decimal | bool | Blank | None


class Verdict(Enum):
    """What can be said of a constraint before the first row."""

    PASSES = "passes"
    FAILS = "fails"
    UNPROVEN = "cannot be proven"


def judge(text: str, column: str, value: Scalar) -> Verdict:
    """Whether a CHECK in the engine's own words accepts the value in that column, whatever the others hold."""
    tree = _parse(text)
    if tree is None:
        mentioned = re.search(rf"(?<!\w){re.escape(column)}(?!\w)", text, re.IGNORECASE)
        return Verdict.UNPROVEN if mentioned else Verdict.PASSES
    if not any(_is_column(found, column) for found in tree.find_all(exp.Column)):
        return Verdict.PASSES
    outcomes = _Evaluation(column, value).truth(tree)
    if False not in outcomes:
        return Verdict.PASSES
    return Verdict.FAILS if outcomes == {False} else Verdict.UNPROVEN


def _parse(text: str) -> exp.Expr | None:
    stripped = re.sub(r"^\s*CHECK\b|\b(NO INHERIT|NOT VALID|NOT ENFORCED)\s*$", "", text, flags=re.IGNORECASE)
    dialects = ("mysql", "sqlite") if "`" in text else ("postgres", "mysql", "sqlite")
    for dialect in dialects:
        try:
            select = sqlglot.parse_one(f"SELECT {stripped}", read=dialect)
        except (SqlglotError, RecursionError):
            continue
        expressions = select.expressions if isinstance(select, exp.Select) else []
        if len(expressions) == 1:
            found = expressions[0]
            return found if isinstance(found, exp.Expr) else None
    return None


def _is_column(node: object, column: str) -> bool:
    return isinstance(node, exp.Column) and node.name.casefold() == column.casefold()


class _Evaluation:
    """One CHECK with one column's value put in."""

    def __init__(self, column: str, value: Scalar) -> None:
        self._column = column
        self._value = value

    def truth(self, node: object) -> Truth:
        outcomes = self._positive(node)
        # sqlglot marks NOT LIKE and IS NOT NULL on the node itself.
        negated = isinstance(node, exp.Expr) and node.args.get("negate")
        return _invert(outcomes) if negated else outcomes

    def _positive(self, node: object) -> Truth:
        match node:
            case exp.Paren():
                return self.truth(node.this)
            case exp.Not():
                return _invert(self.truth(node.this))
            case exp.And() | exp.Or():
                return _combine(self.truth(node.this), self.truth(node.expression), isinstance(node, exp.Or))
            case exp.Is():
                return self._is(node)
            case exp.In():
                return self._in(node.this, node.expressions) if node.expressions else self._guess(node)
            case exp.Between():
                low = self._compare(exp.GTE, node.this, node.args["low"])
                return _combine(low, self._compare(exp.LTE, node.this, node.args["high"]), either=False)
            case exp.Like():
                return _like(self.scalar(node.this), self.scalar(node.expression))
            case exp.EQ() | exp.NEQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                return self._comparison(node)
            case exp.Column() | exp.Boolean():
                value = self.scalar(node)
                return frozenset({value}) if isinstance(value, bool) or value is None else self._guess(node)
            case _:
                return self._guess(node)

    def _guess(self, node: object) -> Truth:
        return _UNKNOWN if self._is_absent(node) else _ANYTHING

    def _is(self, node: exp.Is) -> Truth:
        value = self.scalar(node.this)
        if isinstance(node.expression, exp.Null):
            return _EITHER if value is Blank.ANYTHING else frozenset({value is None})
        if isinstance(node.expression, exp.Boolean) and not isinstance(value, Blank):
            return frozenset({value is node.expression.this})
        return _EITHER

    def _in(self, operand: object, options: Iterable[object]) -> Truth:
        outcome: Truth = frozenset({False})
        for option in options:
            outcome = _combine(outcome, self._compare(exp.EQ, operand, option), either=True)
        return outcome

    def _comparison(self, node: exp.Binary) -> Truth:
        if isinstance(node.expression, exp.Any):
            array = _inside(node.expression.this)
            if isinstance(node, exp.EQ) and isinstance(array, exp.Array):
                return self._in(node.this, array.expressions)
            return _UNKNOWN if self.scalar(node.this) is None else _ANYTHING
        return self._compare(type(node), node.this, node.expression)

    def _compare(self, operator: type[object], left: object, right: object) -> Truth:
        return _compare(operator, self.scalar(left), self.scalar(right))

    def scalar(self, node: object) -> Scalar:
        match node:
            case exp.Paren():
                return self.scalar(node.this)
            case exp.Column():
                return self._value if _is_column(node, self._column) else Blank.ANYTHING
            case exp.Literal():
                return str(node.this) if node.is_string else _number(str(node.this))
            case exp.Null():
                return None
            case exp.Boolean():
                return bool(node.this)
            case exp.Introducer():
                return self.scalar(node.expression)
            case exp.Cast():
                return _cast(self.scalar(node.this), node.to)
            case exp.Neg():
                value = self.scalar(node.this)
                return -value if isinstance(value, Decimal) else value
            case exp.Length() | exp.Lower() | exp.Upper() | exp.Trim():
                return _apply(node, self.scalar(node.this))
            case _:
                return None if self._is_absent(node) else Blank.ANYTHING

    def _is_absent(self, node: object) -> bool:
        """True where the node is certainly NULL because a part of it is, and the engines agree on that."""
        if isinstance(node, exp.Anonymous):
            strict = node.name.lower() in _STRICT_NAMES
        else:
            strict = isinstance(node, (*_STRICT, *_ARITHMETIC))
        return strict and isinstance(node, exp.Expr) and any(self.scalar(c) is None for c in node.iter_expressions())


# What is NULL where an operand is; other functions may be made for NULLs (COALESCE).
_STRICT = (exp.RegexpLike, exp.RegexpILike, exp.ILike)
_STRICT_NAMES = frozenset({"json_valid", "octet_length", "char_length", "character_length", "regexp_like"})
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)


def _inside(node: object) -> object:
    while isinstance(node, (exp.Paren, exp.Cast)):
        node = node.this
    return node


def _number(text: str) -> Scalar:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Blank.NOT_NULL


def _cast(value: Scalar, to: exp.DataType) -> Scalar:
    if isinstance(value, str) and to.this in exp.DataType.NUMERIC_TYPES:
        return _number(value)
    if isinstance(value, Decimal) and to.this in exp.DataType.TEXT_TYPES:
        return str(value)
    return value


_FUNCTIONS: dict[type[object], Callable[[str], Scalar]] = {
    exp.Length: lambda text: Decimal(len(text)),
    exp.Lower: str.lower,
    exp.Upper: str.upper,
}


def _apply(node: exp.Expr, value: Scalar) -> Scalar:
    if isinstance(node, exp.Trim) and isinstance(value, str):
        return Blank.NOT_NULL if node.expression else value.strip(" ")
    return _FUNCTIONS[type(node)](value) if isinstance(value, str) else value if value is None else Blank.ANYTHING


def _invert(outcomes: Truth) -> Truth:
    return frozenset(None if outcome is None else not outcome for outcome in outcomes)


def _combine(left: Truth, right: Truth, either: bool) -> Truth:
    """AND, or with `either` OR, of three-valued outcomes."""

    def one(pair: tuple[bool | None, bool | None]) -> bool | None:
        if either in pair:
            return either
        return None if None in pair else not either

    return frozenset(one(pair) for pair in itertools.product(left, right))


_ORDERED = re.compile(r"\d{4}-\d\d-\d\d.*")


def _compare(operator: type[object], left: Scalar, right: Scalar) -> Truth:
    if left is None or right is None:
        return _UNKNOWN
    if isinstance(left, Blank) or isinstance(right, Blank):
        return _ANYTHING if Blank.ANYTHING in (left, right) else _EITHER
    if isinstance(left, str) and isinstance(right, str):
        return _compare_texts(operator, left, right)
    if isinstance(left, str) or isinstance(right, str):
        return _EITHER  # engines convert in their own ways
    return frozenset({_holds(operator, Decimal(left), Decimal(right))})


def _compare_texts(operator: type[object], left: str, right: str) -> Truth:
    """Certain only where every collation agrees: equal letters, or different ones whatever their case and blanks."""
    if operator in (exp.EQ, exp.NEQ):
        if left == right:
            return frozenset({operator is exp.EQ})
        plain = (left + right).isascii() and left.rstrip().casefold() != right.rstrip().casefold()
        return frozenset({operator is exp.NEQ}) if plain else _EITHER
    if _ORDERED.fullmatch(left) and _ORDERED.fullmatch(right):
        return frozenset({_holds(operator, left, right)})
    return _EITHER


def _holds(operator: type[object], left: Decimal | str, right: Decimal | str) -> bool:
    smaller = left < right  # type: ignore[operator]
    if operator in (exp.EQ, exp.NEQ):
        return (left == right) is (operator is exp.EQ)
    if left == right:
        return operator in (exp.GTE, exp.LTE)
    return smaller is (operator in (exp.LT, exp.LTE))


def _like(value: Scalar, pattern: Scalar) -> Truth:
    if value is None or pattern is None:
        return _UNKNOWN
    if not isinstance(value, str) or not isinstance(pattern, str) or "\\" in pattern:
        return _ANYTHING if Blank.ANYTHING in (value, pattern) else _EITHER
    parts = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in pattern)
    regex = "".join(parts)
    strict = re.fullmatch(regex, value, re.DOTALL) is not None
    loose = re.fullmatch(regex, value, re.DOTALL | re.IGNORECASE) is not None
    return frozenset({strict, loose})
