"""What `then` says: the methods of a mask, and what can be refused about them without looking at a table."""

from collections.abc import Iterator

from retentiond.policy.document import (
    AnonymiseAction,
    ClearAction,
    ConstantMethod,
    JsonMethod,
    MaskMethod,
    PrefixMethod,
    PseudonymiseAction,
    RoundMethod,
    RuleDocument,
    TokenMethod,
    TruncateMethod,
)
from retentiond.policy.model import Action, Method, MethodName, Record
from retentiond.policy.nodes import Path
from retentiond.policy.reader import Reading
from retentiond.policy.wording import quoted

# What one of these makes of a value still leads back to the person: the token to the key, the rest to the value itself.
WAYS_BACK: frozenset[MethodName] = frozenset({"token", "mask", "domain", "redact"})
# SQL cannot tell a row that these have been through from one they have not.
UNRECOGNISED: frozenset[MethodName] = frozenset({"redact", "json"})


def action_of(rule: RuleDocument, path: Path, record: Record | None, reading: Reading) -> Action | None:
    """The action a rule names; None where it could not be read. Reports what cannot be right on any table."""
    if rule.then is None:
        return None
    action, inner = _action(rule)
    if action.masks:
        _check_columns(action, (*path, "then", *inner), reading)
        if action.verb == "anonymise":
            _check_ways_back(action, (*path, "then", *inner), record, reading)
        if record is not None:
            _check_marker(action, (*path, "then", *inner), record, reading)
    return action


def _action(rule: RuleDocument) -> tuple[Action, Path]:
    match rule.then:
        case AnonymiseAction(anonymise=columns):
            extra = columns.model_extra or {}
            methods = tuple((column, method_of(document)) for column, document in extra.items())
            return Action("anonymise", methods, tuple(columns.leave or ())), ("anonymise",)
        case PseudonymiseAction(pseudonymise=columns):
            methods = tuple((column, method_of(document)) for column, document in columns.items())
            return Action("pseudonymise", methods), ("pseudonymise",)
        case ClearAction(clear=cleared):
            return Action("clear", tuple((column, Method("empty")) for column in cleared)), ("clear",)
        case "nothing":
            return Action("nothing"), ()
        case _:
            return Action("delete"), ()


def method_of(document: object) -> Method:
    """The method that a part of a document states."""
    match document:
        case ConstantMethod(constant=text):
            return Method("constant", text)
        case TruncateMethod(truncate=part):
            return Method("truncate", part)
        case RoundMethod(round_=size):
            return Method("round", size)
        case PrefixMethod(prefix=length):
            return Method("prefix", length)
        case MaskMethod(mask=mask):
            return Method("mask", mask.keep_last)
        case TokenMethod(token=shape):
            return Method("token", shape)
        case JsonMethod(inside=inside):
            return Method("json", inside=tuple((path, method_of(inner)) for path, inner in inside.items()))
        case _:
            return Method(_word(document))


def _word(document: object) -> MethodName:
    names: tuple[MethodName, ...] = ("empty", "random", "network", "domain", "token", "redact")
    return next(name for name in names if name == document)


def _all_methods(method: Method) -> Iterator[Method]:
    yield method
    for _, inner in method.inside:
        yield from _all_methods(inner)


def _check_columns(action: Action, path: Path, reading: Reading) -> None:
    """Each column is named once, and at least one changes."""
    if not action.methods:
        reading.report(reading.place(*path), "blank", f"{action.verb} names no column with a method")
    seen: set[str] = {column for column, _ in action.methods} if action.verb != "clear" else set()
    listed = action.leave if action.verb == "anonymise" else [column for column, _ in action.methods]
    if action.verb == "pseudonymise":
        return
    where = (*path, "leave") if action.verb == "anonymise" else path
    for index, column in enumerate(listed):
        if column in seen:
            reading.report(
                reading.place(*where, index), "duplicate-name", f"the column {quoted(column)} stands here twice"
            )
        seen.add(column)


def _check_ways_back(action: Action, path: Path, record: Record | None, reading: Reading) -> None:
    """Nobody may be able to tell whose an anonymised row was."""
    owners = {link.column for link in record.belongs_to} if record else set()
    if record and record.subject_column:
        owners.add(record.subject_column)
    for column, method in action.methods:
        place = reading.place(*path, column)
        if back := next((inner.name for inner in _all_methods(method) if inner.name in WAYS_BACK), None):
            message = f"{back} leaves a way back to the person, so {quoted(column)} is not anonymous"
            reading.report(place, "way-back", message, "use empty, random or a constant, or call it pseudonymise")
        elif column in owners and method.name != "empty":
            message = f"{quoted(column)} says whose the row is, so it must be emptied"
            reading.report(place, "way-back", message, f"write {column}: empty")


def _check_marker(action: Action, path: Path, record: Record, reading: Reading) -> None:
    for column, method in action.methods:
        place = reading.place(*path, column) if action.verb != "clear" else reading.place(*path)
        if column == record.marker:
            reading.report(place, "bad-method", f"{quoted(column)} is the marker; the rule sets it itself")
        unrecognised = next((inner.name for inner in _all_methods(method) if inner.name in UNRECOGNISED), None)
        if unrecognised and record.marker is None and not reading.unsure("records", record.name, "marker"):
            message = f"SQL cannot tell whether {unrecognised} has been done to {quoted(column)}"
            reading.report(place, "marker-needed", message, f"give the record {quoted(record.name)} a `marker` column")
