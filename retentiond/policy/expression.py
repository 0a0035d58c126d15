"""
The small language of `where` as values: what the SQL parser's tree becomes, and all that may be compiled or evaluated.

Three-valued: an expression is true, false or unknown (None). Text compares code point by code point.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

CompareOperator = Literal["=", "<>", "<", "<=", ">", ">="]
ArithmeticOperator = Literal["+", "-", "*", "/", "%"]
FunctionName = Literal["lower", "upper", "length", "coalesce", "trim", "abs"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the rule's own record."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; None is SQL's NULL."""

    value: str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two scalars; unknown where one of them is NULL."""

    operator: CompareOperator
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A number made of two numbers; `/` is refused for two integers because engines disagree."""

    operator: ArithmeticOperator
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Negative:
    """The number with its sign turned."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Function:
    """One of the six allowed functions."""

    name: FunctionName
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class InList:
    """`operand [NOT] IN (…)`; NOT is expressed by `Not`."""

    operand: "Expression"
    options: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Between:
    """`low <= operand <= high`."""

    operand: "Expression"
    low: "Expression"
    high: "Expression"


@dataclass(frozen=True, slots=True)
class Like:
    """`operand LIKE pattern`, case-sensitive, `%` and `_` only, no escape character."""

    operand: "Expression"
    pattern: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """True where the operand is NULL; never unknown."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Not:
    """Negation; unknown stays unknown."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class All:
    """Conjunction (AND)."""

    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Disjunction (OR)."""

    operands: tuple["Expression", ...]


Expression = (
    Column | Constant | Compare | Arithmetic | Negative | Function | InList | Between | Like | IsNull | Not | All | Any
)
