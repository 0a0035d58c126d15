"""
The rows of a policy's test cases: text of a YAML file, typed by what the policy does with each column.

A test names no schema, so a column's type is guessed from its use: `amount = 0` makes a number of it, `held` and a bare
`active` a truth, a comparison with a date a date. Clocks stay text; reading them is the clocks' matter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from retentiond.policy.clocks import ClockType, read_value, type_of_format
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
from retentiond.policy.model import Policy, Record

Use = Literal["text", "value", "moment", "any"]

_NUMBER = re.compile(r"[+-]?[0-9]+(?P<fraction>\.[0-9]+)?")
_TRUTHS = {"true": True, "false": False}
_WORDS = {"yes": True, "on": True, "no": False, "off": False}  # booleans of YAML too, where a boolean is expected
_STRONGEST: tuple[Use, ...] = ("text", "value", "moment", "any")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A piece of text of the file, and whether it stood there without quotes."""

    text: str
    plain: bool


def typed_row(cells: Mapping[str, Scalar | None], record: Record, policy: Policy) -> dict[str, object]:
    """The row as a database might hand it over; None stays NULL."""
    uses = column_uses(policy, record)
    return {name: None if cell is None else _typed(cell, name, record, uses) for name, cell in cells.items()}


def column_uses(policy: Policy, record: Record) -> dict[str, Use]:
    """What the conditions on a record's table take its columns for; the strongest use where there are several."""
    found: dict[str, set[Use]] = {}
    for rule in policy.rules:
        if rule.where is not None and policy.record(rule.record).table == record.table:
            for name, use in _uses(rule.where.expression):
                found.setdefault(name, set()).add(use)
    return {name: next(use for use in _STRONGEST if use in uses) for name, uses in found.items()}


def _typed(cell: Scalar, name: str, record: Record, uses: Mapping[str, Use]) -> object:
    declared = record.format_of(name)
    if name in (record.held, record.marker):
        return _WORDS.get(cell.text.lower(), _value(cell.text))
    if declared is not None and type_of_format(declared) in (ClockType.EPOCH_S, ClockType.EPOCH_MS):
        return _value(cell.text) if cell.plain else cell.text
    match uses.get(name) if declared is None else None:
        case "value":
            return _value(cell.text)
        case "moment":
            return _moment(cell.text)
        case "any" if cell.plain:
            value = _value(cell.text)
            return _moment(cell.text) if isinstance(value, str) else value
        case _:
            return cell.text


def _value(text: str) -> object:
    """A truth or a number where the text is one, else the text."""
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    found = _NUMBER.fullmatch(text)
    if not found:
        return text
    return Decimal(text) if found["fraction"] else int(text)


def _moment(text: str) -> object:
    """A date or datetime where the text is one, else the text."""
    reading = read_value(text, ClockType.ISO)
    return reading if isinstance(reading, date) else text


def _uses(expression: Expression) -> Iterator[tuple[str, Use]]:
    """Every column of a condition with what it is taken for there."""
    match expression:
        case All(operands) | Any(operands):
            for operand in operands:
                yield from _truth(operand)
        case Not(operand):
            yield from _truth(operand)
        case Compare(_, left, right):
            yield from _alike((left, right))
        case Between(operand, low, high):
            yield from _alike((operand, low, high))
        case InList(operand, options):
            yield from _alike((operand, *options))
        case Like(operand, _):
            yield from _as(operand, "text")
        case IsNull(operand):
            yield from _as(operand, "any")
        case Column() | Constant():
            yield from _truth(expression)
        case Negative() | Arithmetic() | Function():
            yield from _as(expression, "any")


def _truth(operand: Expression) -> Iterator[tuple[str, Use]]:
    if isinstance(operand, Column | Constant):
        yield from _as(operand, "value")
    else:
        yield from _uses(operand)


def _alike(parts: tuple[Expression, ...]) -> Iterator[tuple[str, Use]]:
    kinds = {_kind(part) for part in parts}
    use = next(kind for kind in _STRONGEST if kind in kinds)
    for part in parts:
        yield from _as(part, use)


def _kind(part: Expression) -> Use:
    """What a scalar says about those it is compared with."""
    match part:
        case Constant(str() as text):
            return "text" if isinstance(_moment(text), str) else "moment"
        case Constant(None) | Column():
            return "any"
        case Function("coalesce", arguments):
            kinds = {_kind(argument) for argument in arguments}
            return next(kind for kind in _STRONGEST if kind in kinds)
        case Function("lower" | "upper" | "trim", _):
            return "text"
        case _:
            return "value"


def _as(part: Expression, use: Use) -> Iterator[tuple[str, Use]]:
    """The columns inside a scalar that is taken for `use`."""
    match part:
        case Column(name):
            yield name, use
        case Negative(operand):
            yield from _as(operand, "value")
        case Arithmetic(_, left, right):
            yield from _as(left, "value")
            yield from _as(right, "value")
        case Function("coalesce", arguments):
            for argument in arguments:
                yield from _as(argument, use)
        case Function(name, arguments):
            yield from _as(arguments[0], "value" if name == "abs" else "text")
        case Constant():
            return
        case _:
            yield from _uses(part)
