"""
A rule's `where` as SQL that means the same on every engine, and the checks that make it so.

Text compares byte for byte whatever the collation; LIKE is case-sensitive; a comparison of unlike types, an integer
division and everything an engine would silently convert is refused. Constants are bound.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from retentiond.catalog.model import Column as CatalogColumn
from retentiond.catalog.model import Family
from retentiond.compiler.plan import Relation
from retentiond.policy.expression import All as AllOf
from retentiond.policy.expression import Any as AnyOf
from retentiond.policy.expression import (
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

_NUMBERS = {Family.INTEGER: "integer", Family.DECIMAL: "number", Family.FLOAT: "number"}
_MOMENTS = {Family.DATE: "date", Family.NAIVE: "timestamp", Family.INSTANT: "instant"}
_TEXTS = (Family.TEXT, Family.UUID, Family.TEXT_DATE, Family.TEXT_DATETIME)
_NUMERIC = ("integer", "number")


def type_problems(expression: Expression, relation: Relation) -> Iterator[str]:
    """Sentences that say which comparisons of the condition would not mean the same on every engine."""
    result = _type_of(expression, relation)
    yield from _walk(expression, relation)
    if result not in ("boolean", "unknown"):
        yield f"the condition is a {result}, not something true or false"


def _walk(expression: Expression, relation: Relation) -> Iterator[str]:  # noqa: C901, PLR0912 - one case per form
    for part in _children(expression):
        yield from _walk(part, relation)
    match expression:
        case Compare(_, left, right):
            yield from _comparable((left, right), relation)
        case Between(operand, low, high):
            yield from _comparable((operand, low), relation)
            yield from _comparable((operand, high), relation)
        case InList(operand, options):
            for option in options:
                yield from _comparable((operand, option), relation)
        case Like(operand, _):
            yield from _expect(operand, ("text",), "LIKE", relation)
        case Arithmetic(operator, left, right):
            yield from _expect(left, _NUMERIC, operator, relation)
            yield from _expect(right, _NUMERIC, operator, relation)
            sides = {_type_of(left, relation), _type_of(right, relation)}
            if operator == "/" and sides == {"integer"}:
                yield "`/` on two integers is refused: engines disagree on the result"
            if operator == "%" and sides != {"integer"}:
                yield "`%` needs two integers: engines disagree on the rest"
        case Negative(operand):
            yield from _expect(operand, _NUMERIC, "-", relation)
        case Function("abs", arguments):
            yield from _expect(arguments[0], _NUMERIC, "abs", relation)
        case Function("coalesce", arguments):
            yield from _comparable(arguments, relation)
        case Function(name, arguments):
            yield from _expect(arguments[0], ("text",), name, relation)
        case Not(operand):
            yield from _expect(operand, ("boolean",), "NOT", relation)
        case AllOf(operands) | AnyOf(operands):
            for operand in operands:
                yield from _expect(operand, ("boolean",), "AND/OR", relation)
        case _:
            pass


def _children(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return (left, right)
        case Between(operand, low, high):
            return (operand, low, high)
        case InList(operand, options):
            return (operand, *options)
        case Function(_, arguments):
            return arguments
        case AllOf(operands) | AnyOf(operands):
            return operands
        case Like(operand, _) | Negative(operand) | IsNull(operand) | Not(operand):
            return (operand,)
        case _:
            return ()


def _type_of(expression: Expression, relation: Relation) -> str:
    match expression:
        case Column(name):
            return _column_type(relation.column(name))
        case Constant(value):
            return _constant_type(value)
        case Arithmetic(_, left, right):
            types = {_type_of(left, relation), _type_of(right, relation)}
            return "integer" if types == {"integer"} else "number"
        case Negative(operand) | Function("abs", (operand,)):
            return _type_of(operand, relation)
        case Function("length", _):
            return "integer"
        case Function("coalesce", arguments):
            kinds = (_type_of(argument, relation) for argument in arguments)
            return next((found for found in kinds if found != "unknown"), "unknown")
        case Function():
            return "text"
        case _:
            return "boolean"


def _column_type(column: CatalogColumn) -> str:
    if column.family in _TEXTS:
        return "text"
    if column.family is Family.BOOLEAN:
        return "boolean"
    return _NUMBERS.get(column.family) or _MOMENTS.get(column.family) or f"column of type {column.type}"


def _constant_type(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, Decimal) else "text"


def _comparable(parts: tuple[Expression, ...], relation: Relation) -> Iterator[str]:
    types = [_type_of(part, relation) for part in parts]
    groups = {"number" if kind in _NUMERIC else kind for kind in types} - {"unknown"}
    if any(found.startswith("column of") for found in groups):
        yield f"a {next(found for found in groups if found.startswith('column of'))} cannot be compared"
    elif len(groups) > 1 and not _switch(parts, groups) and not _moment_constant(parts, groups, relation):
        yield f"a {' and a '.join(sorted(groups))} do not compare: engines would convert one of them silently"


def _switch(parts: tuple[Expression, ...], groups: set[str]) -> bool:
    """True where 0 or 1 meets a boolean, or TRUE/FALSE an integer."""
    if groups != {"boolean", "number"}:
        return False
    return any(isinstance(part, Constant) and part.value in (0, 1, True, False) for part in parts)


def _moment_constant(parts: tuple[Expression, ...], groups: set[str], relation: Relation) -> bool:
    moments = [part for part in parts if _type_of(part, relation) in ("date", "timestamp", "instant")]
    texts = [part for part in parts if isinstance(part, Constant) and isinstance(part.value, str)]
    if len(groups) != 2 or len(moments) + len(texts) != len(parts):
        return False
    kinds = {_type_of(part, relation) for part in moments}
    return len(kinds) == 1 and all(_moment(str(text.value), kinds.copy().pop()) is not None for text in texts)


def _moment(text: str, kind: str) -> date | datetime | None:
    """The constant as what the column holds, or None where it does not fit exactly."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if kind == "date":
        return moment.date() if len(text) == 10 else None
    return moment if (moment.tzinfo is not None) == (kind == "instant") else None


def _expect(part: Expression, types: tuple[str, ...], what: str, relation: Relation) -> Iterator[str]:
    found = _type_of(part, relation)
    if found not in (*types, "unknown"):
        yield f"{what} needs a {types[-1]}, not a {found}"


class ConditionSql:
    """Renders conditions over the columns of one table (or alias) of a relation."""

    def __init__(self, relation: Relation, table: sa.FromClause) -> None:
        self._relation = relation
        self._table = table
        self._dialect = relation.dialect

    def render(self, expression: Expression) -> ColumnElement[bool]:
        """The condition as SQL; NULL where it is unknown. The condition has passed `type_problems`."""
        match expression:
            case AllOf(operands):
                return sa.and_(*map(self.render, operands))
            case AnyOf(operands):
                return sa.or_(*map(self.render, operands))
            case Not(operand):
                return sa.not_(self.render(operand))
            case IsNull(operand):
                return self._scalar(operand).is_(None)
            case Compare(operator, left, right):
                return self._compare(operator, left, right)
            case Between(operand, low, high):
                return sa.and_(self._compare(">=", operand, low), self._compare("<=", operand, high))
            case InList(operand, options):
                return sa.or_(*(self._compare("=", operand, option) for option in options))
            case Like(operand, pattern):
                return self._like(operand, pattern)
            case Column(name):
                return self._truth(self._relation.column(name))
            case Constant(value):
                return (
                    sa.type_coerce(sa.null(), sa.Boolean) if value is None else sa.literal(bool(value)).is_(sa.true())
                )
            case _:
                return sa.type_coerce(self._scalar(expression), sa.Boolean)

    def _truth(self, column: CatalogColumn) -> ColumnElement[bool]:
        value = self._table.c[column.name]
        return sa.type_coerce(value, sa.Boolean) if self._dialect == "postgresql" else value != sa.literal(0)

    def _compare(self, operator: str, left: Expression, right: Expression) -> ColumnElement[bool]:
        types = [_type_of(side, self._relation) for side in (left, right)]
        if "text" in types and not ({"date", "timestamp", "instant"} & set(types)):
            return self._compare_text(operator, left, right)
        sides = [self._typed(side, other) for side, other in ((left, types[1]), (right, types[0]))]
        return _operate(operator, sides[0], sides[1])

    def _typed(self, side: Expression, other: str) -> ColumnElement[Any]:
        """A scalar, a constant made into what the other side holds."""
        if not isinstance(side, Constant):
            return self._scalar(side)
        value = side.value
        if other in ("date", "timestamp", "instant") and isinstance(value, str):
            return _moment_literal(_moment(value, other), other, self._dialect)
        if other == "boolean" and value is not None:
            return sa.literal(bool(value)) if self._dialect == "postgresql" else sa.literal(int(value))
        if isinstance(value, bool) and (other in _NUMERIC or self._dialect != "postgresql"):
            return sa.literal(int(value))
        return self._scalar(side)

    def _compare_text(self, operator: str, left: Expression, right: Expression) -> ColumnElement[bool]:
        sides = (self._scalar(left), self._scalar(right))
        exact = _operate(operator, self._bytes(sides[0]), self._bytes(sides[1]))
        if operator != "=":
            return exact
        if self._dialect == "postgresql" and all(self._plain_text(side) for side in (left, right)):
            return sides[0] == sides[1]
        if self._dialect in ("mariadb", "mysql"):
            # The collation's own equality is wider than bytes; asking it first lets an index serve.
            return sa.and_(sides[0] == sides[1], exact)
        return exact

    def _plain_text(self, side: Expression) -> bool:
        """True where PostgreSQL's own equality is bytewise: constants, and texts of the default collation."""
        if isinstance(side, Column):
            column = self._relation.column(side.name)
            return column.collation is None and column.type.split("(")[0] in ("text", "character varying", "varchar")
        return isinstance(side, Constant)

    def _bytes(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        if self._dialect == "postgresql":
            return sa.cast(value, sa.Text).collate("C")
        if self._dialect == "sqlite":
            return sa.type_coerce(value, sa.Text).collate("BINARY")
        return sa.cast(sa.cast(value, sa.CHAR), sa.BINARY)

    def _like(self, operand: Expression, pattern: str) -> ColumnElement[bool]:
        value = self._scalar(operand)
        if self._dialect == "sqlite":
            return sa.type_coerce(value, sa.Text).op("GLOB", is_comparison=True)(_glob(pattern))
        collation = "C" if self._dialect == "postgresql" else "utf8mb4_bin"
        text = sa.cast(value, sa.Text if self._dialect == "postgresql" else sa.CHAR)
        return text.collate(collation).like(pattern, escape="")

    def _scalar(self, expression: Expression) -> ColumnElement[Any]:
        match expression:
            case Column(name):
                return self._table.c[name]
            case Constant(value):
                return sa.null() if value is None else sa.literal(value)
            case Negative(operand):
                return -self._scalar(operand)
            case Arithmetic(operator, left, right):
                return self._arithmetic(operator, left, right)
            case Function(name, arguments):
                return self._function(name, [self._scalar(argument) for argument in arguments])
            case _:
                return self.render(expression)

    def _arithmetic(self, operator: str, left: Expression, right: Expression) -> ColumnElement[Any]:
        one, two = self._scalar(left), self._scalar(right)
        if operator in ("/", "%"):
            # A division by zero is unknown everywhere; PostgreSQL alone would fail the statement.
            two = sa.func.nullif(two, 0)
        match operator:
            case "+":
                return one + two
            case "-":
                return one - two
            case "*":
                return one * two
            case "/":
                return sa.cast(one, sa.Double) / sa.cast(two, sa.Double)
            case _:
                return one % two

    def _function(self, name: str, arguments: list[ColumnElement[Any]]) -> ColumnElement[Any]:
        first = arguments[0]
        match name:
            case "lower" | "upper":
                if self._dialect == "postgresql":
                    first = sa.cast(first, sa.Text)
                    first = first.collate("und-x-icu") if "icu" in self._relation.features else first
                prefix = "retentiond_" if self._dialect == "sqlite" else ""  # the built-in ones know ASCII only
                changed: ColumnElement[Any] = getattr(sa.func, prefix + name)(first, type_=sa.Text)
                return changed
            case "length":
                return sa.func.char_length(first) if self._dialect in ("mariadb", "mysql") else sa.func.length(first)
            case "coalesce":
                return sa.func.coalesce(*arguments)
            case "trim":
                return sa.func.trim(first, type_=sa.Text)
            case _:
                return sa.func.abs(first)


def _operate(operator: str, left: ColumnElement[Any], right: ColumnElement[Any]) -> ColumnElement[bool]:
    match operator:
        case "=":
            return left == right
        case "<>":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def _moment_literal(moment: date | datetime | None, kind: str, dialect: str) -> ColumnElement[Any]:
    if kind == "date":
        return sa.literal(moment, sa.Date)
    return sa.literal(moment, sa.DateTime(timezone=kind == "instant" and dialect == "postgresql"))


def _glob(pattern: str) -> str:
    """SQLite's GLOB is its only case-sensitive pattern that needs no change of the session."""
    special = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(special.get(character, character) for character in pattern)
