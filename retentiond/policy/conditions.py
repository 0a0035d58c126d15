"""
The condition of a rule: from SQL text to the few forms of `expression`.

Parsed by sqlglot, then rebuilt node by node; a form that is not listed here does not pass. What the parser would hide
(comments, a synonym of a function, a second statement) is looked for among the tokens first.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn

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
from retentiond.policy.grammar import NotUnderstoodError
from retentiond.policy.wording import quoted

if TYPE_CHECKING:
    from sqlglot import Token, exp

LONGEST = 10_000
FUNCTIONS: tuple[FunctionName, ...] = ("lower", "upper", "length", "coalesce", "trim", "abs")

_ARITY: dict[FunctionName, tuple[int, int]] = {"coalesce": (2, 20)}
_COMPARISONS: dict[str, CompareOperator] = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_ARITHMETIC: dict[str, ArithmeticOperator] = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}
_BEFORE_PARENTHESIS = frozenset({"and", "or", "not", "in", "between", "like", "is"})
_NOW = re.compile(
    r"current_(date|time|timestamp|datetime)|now|localtime|localtimestamp|sysdate|getdate|utc_\w+", re.IGNORECASE
)
_CALLS = {
    "exists": "a subquery",
    "any": "ANY",
    "all": "ALL",
    "some": "SOME",
    "over": "a window",
    "cast": "a cast",
    "try_cast": "a cast",
}
_KINDS = {
    "Select": "a subquery",
    "Subquery": "a subquery",
    "Exists": "a subquery",
    "Case": "CASE",
    "Cast": "a cast or typed literal",
    "TryCast": "a cast",
    "Placeholder": "a parameter",
    "Parameter": "a parameter",
    "DPipe": "`||`",
    "ILike": "ILIKE",
    "SimilarTo": "SIMILAR TO",
    "RegexpLike": "a regular expression",
    "RegexpILike": "a regular expression",
    "Glob": "GLOB",
    "Escape": "LIKE with ESCAPE",
    "Window": "a window",
    "Interval": "an interval",
    "Collate": "COLLATE",
    "AtTimeZone": "AT TIME ZONE",
    "Star": "`*`",
    "Tuple": "a list of several columns",
    "NullSafeEQ": "IS NOT DISTINCT FROM",
    "NullSafeNEQ": "IS DISTINCT FROM",
    "IntDiv": "DIV",
    "Xor": "XOR",
    "Any": "ANY",
    "All": "ALL",
    "Distinct": "DISTINCT",
}


def parse_where(text: str) -> Expression:
    """The condition that a text states; raises `NotUnderstoodError` for everything else."""
    from sqlglot.errors import SqlglotError  # noqa: PLC0415 - a quarter of a second that only conditions need

    if not text.strip():
        _refuse("nothing is said here")
    if len(text) > LONGEST:
        _refuse(f"a condition has at most {LONGEST} characters")
    try:
        tree = _parsed(text)
        expression = _truth(tree)
    except SqlglotError as error:
        message, offset = _syntax(error, text)
        raise NotUnderstoodError("bad-where", message, "", offset) from None
    except RecursionError:
        raise NotUnderstoodError("bad-where", "the condition is nested too deep") from None
    if not columns_of(expression):
        _refuse("the condition names no column", "it is the same for every row")
    return expression


def columns_of(expression: Expression) -> tuple[str, ...]:
    """The columns an expression reads, sorted."""
    found: set[str] = set()
    waiting: list[Expression] = [expression]
    while waiting:
        node = waiting.pop()
        match node:
            case Column(name=name):
                found.add(name)
            case Constant():
                pass
            case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
                waiting += (left, right)
            case All(operands=inner) | Any(operands=inner) | Function(arguments=inner):
                waiting += inner
            case InList(operand=operand, options=options):
                waiting += (operand, *options)
            case Between(operand=operand, low=low, high=high):
                waiting += (operand, low, high)
            case Like(operand=operand) | IsNull(operand=operand) | Not(operand=operand) | Negative(operand=operand):
                waiting.append(operand)
    return tuple(sorted(found))


def _refuse(message: str, hint: str = "", offset: int = 0) -> NoReturn:
    raise NotUnderstoodError("bad-where", message, hint, offset)


def _parsed(text: str) -> "exp.Expr":
    import sqlglot  # noqa: PLC0415 - see above
    from sqlglot import exp  # noqa: PLC0415 - see above

    _check_tokens(sqlglot.tokenize(text), text)
    return sqlglot.maybe_parse(text, into=exp.Condition)


def _check_tokens(tokens: "Sequence[Token]", text: str) -> None:
    """Refuse what the tree no longer shows."""
    from sqlglot import TokenType  # noqa: PLC0415 - see above

    for place, token in enumerate(tokens):
        word = token.text
        if token.comments or token.token_type == TokenType.HINT:
            behind = re.search(r"--|/\*", text[token.end :])
            offset = token.end + behind.start() if behind else 0
            _refuse("comments are not allowed in a condition", offset=offset)
        if token.token_type == TokenType.SEMICOLON:
            _refuse("a condition is one expression, without `;`", offset=token.start)
        if token.token_type == TokenType.NOT and word == "!":
            _refuse("write NOT instead of `!`", offset=token.start)
        if token.token_type in (TokenType.STRING, TokenType.NUMBER):
            continue
        plain = token.token_type != TokenType.IDENTIFIER
        if plain and _NOW.fullmatch(word):
            _refuse("the current time has no place in a condition", "a rule's time is its `keep`", token.start)
        following = tokens[place + 1].token_type if place + 1 < len(tokens) else None
        called = following == TokenType.L_PAREN and (re.match(r"\w", word) or not plain)
        if called and not (plain and word.lower() in (*_BEFORE_PARENTHESIS, *FUNCTIONS)):
            what = _CALLS.get(word.lower(), f"the function {quoted(word)}")
            _refuse(f"{what} is not allowed in a condition", f"allowed functions: {', '.join(FUNCTIONS)}", token.start)


def _syntax(error: Exception, text: str) -> tuple[str, int]:
    """What the parser stumbled over, and where."""
    details = (getattr(error, "errors", None) or [{}])[0]
    word = details.get("highlight") or ""
    line, column = details.get("line") or 0, details.get("col") or 0
    if not word:
        return "not a condition: a quote is never closed, or a character is strange", 0
    offset = max(column - len(word), 0) if line == 1 and "\n" not in text else 0
    if "Required keyword" in str(details.get("description")):
        return f"not a condition: something is missing beside {quoted(word)}", offset
    return f"not a condition: {quoted(word)} is unexpected", offset


def _kind(node: "exp.Expr") -> str:
    return type(node).__name__


def _only(node: "exp.Expr", *allowed: str) -> None:
    """Refuse a node that says more than those arguments, so that nothing is dropped in silence."""
    for name, value in node.args.items():
        if name not in allowed and value not in (None, False, []):
            _refuse(f"{_KINDS.get(_kind(node), _kind(node).upper())} with {name.upper()} is not allowed")


def _truth(node: "exp.Expr") -> Expression:
    """A node that is true, false or unknown."""
    kind = _kind(node)
    if kind in ("And", "Or"):
        made = tuple(_truth(part) for part in node.flatten())
        return All(made) if kind == "And" else Any(made)
    if kind in _COMPARISONS:
        return _comparison(node)
    if form := _TRUTHS.get(kind):
        return form(node)
    if kind in ("Literal", "Boolean", "Null", "Neg", *_ARITHMETIC) or kind.upper() in map(str.upper, FUNCTIONS):
        _refuse(f"{quoted(node.sql())} is no condition", "compare it with something")
    return _refuse_kind(node)


def _refuse_kind(node: "exp.Expr") -> NoReturn:
    kind = _kind(node)
    _refuse(f"{_KINDS.get(kind, kind.upper())} is not allowed in a condition")


def _comparison(node: "exp.Expr") -> Compare:
    _only(node, "this", "expression")
    if any(_kind(part) == "Null" for part in (node.this, node.expression)):
        _refuse("a comparison with NULL is never true", "write IS NULL or IS NOT NULL")
    return Compare(_COMPARISONS[_kind(node)], _scalar(node.this), _scalar(node.expression))


def _is(node: "exp.Expr") -> Expression:
    _only(node, "this", "expression")
    match _kind(node.expression):
        case "Null":
            return IsNull(_scalar(node.this))
        case "Boolean":
            column = _column(node.this) if _kind(node.this) == "Column" else None
            if column is None:
                _refuse("IS TRUE and IS FALSE follow a column only")
            known = Not(IsNull(column))
            return All((known, column if node.expression.this else Not(column)))
        case _:
            _refuse("IS is followed by NULL, TRUE or FALSE")


def _in(node: "exp.Expr") -> Expression:
    if node.args.get("query") is not None:
        _refuse("a subquery is not allowed in a condition")
    if node.args.get("field") is not None or node.args.get("unnest") is not None or not node.expressions:
        _refuse("IN is followed by a list in parentheses", "write for example status IN ('a', 'b')")
    _only(node, "this", "expressions", "negate")
    made = InList(_scalar(node.this), tuple(_scalar(option) for option in node.expressions))
    return Not(made) if node.args.get("negate") else made


def _between(node: "exp.Expr") -> Expression:
    _only(node, "this", "low", "high", "negate")
    made = Between(_scalar(node.this), _scalar(node.args["low"]), _scalar(node.args["high"]))
    return Not(made) if node.args.get("negate") else made


def _like(node: "exp.Expr") -> Expression:
    _only(node, "this", "expression", "negate")
    pattern = node.expression
    if _kind(pattern) in ("Any", "All"):
        _refuse_kind(pattern)
    if _kind(pattern) != "Literal" or not pattern.is_string:
        _refuse("LIKE is followed by a text in single quotes")
    made = Like(_scalar(node.this), pattern.this)
    return Not(made) if node.args.get("negate") else made


def _not(node: "exp.Expr") -> Expression:
    return Not(_truth(node.this))


def _inner(node: "exp.Expr") -> Expression:
    return _truth(node.this)


def _column(node: "exp.Expr") -> Column:
    if any(node.args.get(part) is not None for part in ("table", "db", "catalog")):
        _refuse(f"{quoted(node.sql())}: columns are named alone", "a condition sees its own record only")
    _only(node, "this")
    if _kind(node.this) != "Identifier":
        _refuse_kind(node.this)
    name: str = node.this.this
    if not node.this.args.get("quoted") and not re.fullmatch(r"[^\W\d]\w*", name):
        _refuse(f"{quoted(name)} is no column", 'put an unusual name in "double quotes"')
    return Column(name)


_TRUTHS: "dict[str, Callable[[exp.Expr], Expression]]" = {
    "Is": _is,
    "In": _in,
    "Between": _between,
    "Like": _like,
    "Not": _not,
    "Paren": _inner,
    "Column": _column,
}


def _scalar(node: "exp.Expr") -> Expression:
    """A node that is a value."""
    kind = _kind(node)
    if kind == "Paren":
        return _scalar(node.this)
    if kind == "Column":
        return _column(node)
    if kind in ("Literal", "Boolean"):
        return _constant(node)
    if kind == "Neg":
        inner = _scalar(node.this)
        if isinstance(inner, Constant) and isinstance(inner.value, int | Decimal) and not isinstance(inner.value, bool):
            return Constant(-inner.value)
        return Negative(inner)
    if kind in _ARITHMETIC:
        return _arithmetic(node)
    if kind == "Null":
        _refuse("NULL stands only in IS NULL and IS NOT NULL")
    if kind == "Concat":
        _refuse("two texts stand side by side", "write one text in one pair of quotes")
    if (name := kind.lower()) in FUNCTIONS:
        return _function(node, next(known for known in FUNCTIONS if known == name))
    if kind in ("And", "Or", *_COMPARISONS, *_TRUTHS):
        _refuse(f"{quoted(node.sql())} is a condition where a value is expected", "comparisons do not chain")
    return _refuse_kind(node)


def _constant(node: "exp.Expr") -> Constant:
    if _kind(node) == "Boolean":
        return Constant(bool(node.this))
    text: str = node.this
    if node.is_string:
        return Constant(text)
    if re.fullmatch(r"0[0-9]+", text):
        _refuse(f"a number starts with no zero: {quoted(text)}", "put it in single quotes if it is text")
    try:
        number = Decimal(text)
    except ArithmeticError:
        _refuse(f"{quoted(text)} is no number")
    if len(text) > 40 or abs(number.adjusted()) > 40:
        _refuse(f"{quoted(text)} is no number that every engine can hold")
    return Constant(int(text) if text.isdecimal() else number)


def _arithmetic(node: "exp.Expr") -> Arithmetic:
    _only(node, "this", "expression")
    made = Arithmetic(_ARITHMETIC[_kind(node)], _scalar(node.this), _scalar(node.expression))
    sides = (made.left, made.right)
    if made.operator == "/" and all(isinstance(side, Constant) and isinstance(side.value, int) for side in sides):
        _refuse("whole numbers are not divided: engines disagree about the result", "write 1.0 for 1")
    return made


def _function(node: "exp.Expr", name: FunctionName) -> Function:
    _only(node, "this", "expressions")
    arguments = tuple(_scalar(part) for part in (node.this, *node.expressions))
    low, high = _ARITY.get(name, (1, 1))
    if not low <= len(arguments) <= high:
        _refuse(f"{name} takes {'one value' if high == 1 else 'two values or more'}")
    return Function(name, arguments)
