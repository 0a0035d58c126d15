"""
The value of a `where` for one row, in plain Python: true, false, or None where it is unknown.

It means what the compiled SQL means on every engine: text compares code point by code point, LIKE knows only `%` and
`_` and is case-sensitive, numbers compare exactly (floats as floats), a division by zero is unknown. What the compiler
refuses because engines would silently convert is a TypeError here.
"""

import operator
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Context, Decimal
from uuid import UUID

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

Row = Mapping[str, object]
Number = int | float | Decimal

_COMPARISONS: dict[str, Callable[[typing.Any, typing.Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXACT = Context(prec=130)  # two of MariaDB's longest decimals multiplied


def evaluate_expression(expression: Expression, row: Row) -> object:
    """The value of an expression; of a condition True, False, or None for unknown. A missing column is NULL."""
    match expression:
        case Constant(value):
            return value
        case Column(name):
            return row.get(name)
        case Negative() | Arithmetic() | Function():
            return _scalar(expression, row)
        case All(operands):
            return _all(_truths(operands, row))
        case Any(operands):
            return _negated(_all([_negated(truth) for truth in _truths(operands, row)]))
        case Not(operand):
            return _negated(truth_of(operand, row))
        case IsNull(operand):
            return evaluate_expression(operand, row) is None
        case Like(operand, pattern):
            text = _text(evaluate_expression(operand, row))
            return None if text is None else _like(text, pattern)
        case _:
            return _comparison(expression, row)


def truth_of(expression: Expression, row: Row) -> bool | None:
    """The truth of a condition; a boolean column may hold 0 and 1."""
    value = evaluate_expression(expression, row)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    raise TypeError(f"neither true nor false: a value of type {type(value).__name__}")


def _truths(operands: tuple[Expression, ...], row: Row) -> list[bool | None]:
    return [truth_of(operand, row) for operand in operands]


def _all(truths: list[bool | None]) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def _negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _comparison(expression: Compare | Between | InList, row: Row) -> bool | None:
    match expression:
        case Compare(sign, left, right):
            return _compare(sign, evaluate_expression(left, row), evaluate_expression(right, row))
        case Between(operand, low, high):
            value, least, most = (evaluate_expression(part, row) for part in (operand, low, high))
            return _all([_compare(">=", value, least), _compare("<=", value, most)])
        case InList(operand, options):
            value = evaluate_expression(operand, row)
            equal = [_compare("=", value, evaluate_expression(option, row)) for option in options]
            return _negated(_all([_negated(truth) for truth in equal]))


def _compare(sign: str, left: object, right: object) -> bool | None:
    if left is None or right is None:
        return None
    return _COMPARISONS[sign](*_alike(_plain(left), _plain(right)))


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


def _alike(left: object, right: object) -> tuple[object, object]:
    """Both values as things that compare: numbers, texts or moments."""
    if isinstance(left, date) or isinstance(right, date):
        first, second = _moment(left), _moment(right)
        if (first.tzinfo is None) == (second.tzinfo is None):
            return first, second
    elif {type(left), type(right)} == {float, Decimal}:
        return float(typing.cast("Number", left)), float(typing.cast("Number", right))  # as every engine does
    elif any(isinstance(left, kind) and isinstance(right, kind) for kind in (Number, str, bytes)):
        return left, right
    raise TypeError(f"values of type {type(left).__name__} and {type(right).__name__} do not compare")


def _moment(value: object) -> datetime:
    """A date, a datetime or its ISO text as a datetime; a date is its first moment."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise TypeError("a date compares with ISO 8601 text only") from None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - compared with local times
    raise TypeError(f"a date and a value of type {type(value).__name__} do not compare")


def _scalar(expression: Negative | Arithmetic | Function, row: Row) -> object:
    match expression:
        case Negative(operand):
            number = _number(evaluate_expression(operand, row))
            return None if number is None else -number
        case Arithmetic(sign, left, right):
            one, two = (_number(evaluate_expression(side, row)) for side in (left, right))
            return None if one is None or two is None else _calculate(sign, one, two)
        case Function("coalesce", arguments):
            values = (evaluate_expression(argument, row) for argument in arguments)
            return next((value for value in values if value is not None), None)
        case Function("abs", arguments):
            number = _number(evaluate_expression(arguments[0], row))
            return None if number is None else abs(number)
        case Function(name, arguments):
            text = _text(evaluate_expression(arguments[0], row))
            return None if text is None else _text_function(name, text)


def _text_function(name: str, text: str) -> str | int:
    match name:
        case "lower":
            return text.lower()
        case "upper":
            return text.upper()
        case "length":
            return len(text)
        case _:
            return text.strip(" ")


def _calculate(sign: str, one: Number, two: Number) -> Number | None:
    if sign in ("/", "%"):
        if two == 0:
            return None
        return _divide(one, two) if sign == "/" else _remainder(one, two)
    calculate = {"+": _EXACT.add, "-": _EXACT.subtract, "*": _EXACT.multiply}[sign]
    if isinstance(one, int) and isinstance(two, int):
        return {"+": one + two, "-": one - two, "*": one * two}[sign]
    if isinstance(one, float) or isinstance(two, float):
        first, second = float(one), float(two)
        return {"+": first + second, "-": first - second, "*": first * second}[sign]
    return calculate(one, two)


def _divide(one: Number, two: Number) -> float:
    if isinstance(one, int) and isinstance(two, int):
        raise ValueError("`/` on two integers is refused: engines disagree on the result")
    return float(one) / float(two)  # as the compiled SQL does, on every engine


def _remainder(one: Number, two: Number) -> int:
    if not (isinstance(one, int) and isinstance(two, int)):
        raise TypeError("`%` needs two integers: engines disagree on the rest")
    rest = abs(one) % abs(two)  # with the sign of the dividend, as SQL has it
    return -rest if one < 0 else rest


def _number(value: object) -> Number | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Number):
        return value
    raise TypeError(f"no number: a value of type {type(value).__name__}")


def _text(value: object) -> str | None:
    value = _plain(value)
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"no text: a value of type {type(value).__name__}")


def _like(text: str, pattern: str) -> bool:
    """True where `%` for any characters and `_` for one make the pattern the text; never explosive."""
    place, mark, star, resume = 0, 0, -1, 0
    while place < len(text):
        if mark < len(pattern) and pattern[mark] == "%":
            star, resume = mark, place
            mark += 1
        elif mark < len(pattern) and pattern[mark] in ("_", text[place]):
            place, mark = place + 1, mark + 1
        elif star >= 0:
            resume += 1
            place, mark = resume, star + 1
        else:
            return False
    return all(rest == "%" for rest in pattern[mark:])
