"""
From nodes to a `FileDocument`: every wrong key and value becomes a problem with its place, the rest stays readable.

What was wrong is cut out and remembered as lost, so that the resolver neither trusts it nor complains about it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from retentiond.errors import Position, Problem
from retentiond.policy.document import METHOD_FORMS, METHOD_KEYS, SECTIONS, THEN_FORMS, VERB_KEYS, FileDocument, Section
from retentiond.policy.grammar import LISTS
from retentiond.policy.nodes import BrokenNode, MappingNode, Node, Path, ScalarNode, SequenceNode, parse
from retentiond.policy.wording import listed, nearest, quoted

_KEEP_FORMS = "a sentence such as `3 years after closed_at`, or a list under `whichever comes first` or `… last`"
_UNION_FORMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "keep": ("bad-keep", _KEEP_FORMS, tuple(LISTS)),
    "then": ("bad-then", THEN_FORMS, VERB_KEYS),
    "subject": ("bad-subject", "a column, or {type: column}", ()),
    "on_request": ("bad-on-request", "go or {stay: reason}", ("stay",)),
    "promises": ("bad-type", "a sentence, or {says, undecided, owner}", ("says", "undecided", "owner")),
    "belongs_to": ("bad-link", "{record: own column}, or {record: {its unique column: own column}}", ()),
}
_TYPES = {"list_type": "a list such as [a, b]", "dict_type": "a mapping of keys and values", "model_type": "a mapping"}


@dataclass(slots=True)
class Reading:
    """A file as far as it could be read: the document, the place of everything in it, and what is wrong."""

    file: str
    document: FileDocument | None = None
    problems: list[Problem] = field(default_factory=list)
    places: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    scalars: dict[Path, ScalarNode] = field(default_factory=dict)
    lost: set[Path] = field(default_factory=set)

    def unsure(self, *path: str | int) -> bool:
        """True where the file says something there that could not be read; nothing may be concluded from it."""
        return any(path[:end] in self.lost for end in range(len(path) + 1))

    def unsure_within(self, *path: str | int) -> bool:
        """True where anything at or below that path could not be read."""
        return self.unsure(*path) or any(lost[: len(path)] == path for lost in self.lost)

    def place(self, *path: str | int) -> Position:
        """The position of the deepest known part of that path."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.places.get((), Position(self.file, 1, 1))

    def key(self, *path: str | int) -> Position:
        """The position of the key at that path."""
        return self.keys.get(path) or self.place(*path)

    def report(self, position: Position, code: str, message: str, hint: str = "") -> None:
        """Add a problem."""
        self.problems.append(Problem(position, code, message, hint))


def read(content: bytes | str, file: str) -> Reading:
    """What a policy file says, and every mistake of its form."""
    reading = Reading(file)
    node, hazards = parse(content, file)
    reading.problems.extend(hazards)
    if isinstance(node, BrokenNode):
        return reading
    if not isinstance(node, MappingNode):
        reading.report(node.position, "bad-type", "expected keys and values", "start with `version: 1`")
        return reading
    reading.places[()] = node.position
    raw = _plain(node, (), reading)
    for path, table, section in _sections(raw):
        _check_keys(path, table, section, reading)
    _validate(raw, reading)
    return reading


def _plain(node: Node, path: Path, reading: Reading) -> Any:
    """The node as plain values; blank and broken ones are left out and remembered as lost."""
    match node:
        case ScalarNode(text=text):
            reading.scalars[path] = node
            return text
        case SequenceNode(items=items):
            result: list[Any] = []
            for item in items:
                if _usable(item, path, reading):
                    reading.places[(*path, len(result))] = item.position
                    result.append(_plain(item, (*path, len(result)), reading))
            return result
        case MappingNode(entries=entries, keys=keys):
            if node.lost:
                reading.lost.add(path)
            table: dict[str, Any] = {}
            for key, value in entries.items():
                inner = (*path, key)
                reading.keys[inner] = keys[key]
                reading.places[inner] = value.position if isinstance(value, ScalarNode) else keys[key]
                if _usable(value, inner, reading):
                    table[key] = _plain(value, inner, reading)
            return table
        case _:
            raise AssertionError(node)


def _usable(node: Node, path: Path, reading: Reading) -> bool:
    if isinstance(node, ScalarNode) and node.blank:
        what = f"{quoted(str(path[-1]))} says nothing" if path and isinstance(path[-1], str) else "nothing is said here"
        reading.report(node.position, "blank", what, "write a value, or leave the key out; there are no defaults")
    elif not isinstance(node, BrokenNode):
        return True
    reading.lost.add(path)
    return False


def _sections(raw: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any], type[Section]]]:
    """Every mapping of the file whose keys are known, with its path."""
    for pattern, section in SECTIONS.items():
        found: list[tuple[Path, Any]] = [((), raw)]
        for part in pattern:
            found = [((*path, key), inner) for path, value in found for key, inner in _children(value, pattern, part)]
        yield from ((path, value, section) for path, value in found if isinstance(value, dict))


def _children(value: Any, pattern: tuple[str, ...], part: str) -> list[tuple[str | int, Any]]:
    """The entries of a mapping, or the items of a list, that this part of a pattern means."""
    if part != "*":
        return [(part, value[part])] if isinstance(value, dict) and part in value else []
    if pattern[0] in ("records", "promises"):
        return list(value.items()) if isinstance(value, dict) else []
    return list(enumerate(value)) if isinstance(value, list) else []


def _check_keys(path: Path, table: dict[str, Any], section: type[Section], reading: Reading) -> None:
    """Report unknown and missing keys; an unknown key that means a missing one is said once."""
    known = set(section.model_fields)
    for key in [key for key in table if key not in known]:
        del table[key]
        meant = get_close_matches(key.casefold(), known, n=1, cutoff=0.6)
        reading.lost.update((*path, name) for name in meant)
        hint = f'did you mean "{meant[0]}"?' if meant else f"known: {', '.join(sorted(known))}"
        message = f"{quoted(key)} is no key of {_called(path)}"
        reading.report(reading.key(*path, key), "unknown-key", message, hint)
    for key in section.needed:
        if key not in table and not reading.unsure(*path, key):
            reading.lost.add((*path, key))
            reading.report(reading.place(*path), "missing-key", f"{_called(path)} lacks {quoted(key)}")


def _called(path: Path) -> str:
    match path:
        case ():
            return "a policy file"
        case ("records", str(name)):
            return f"the record {quoted(name)}"
        case ("rules", int()):
            return "this rule"
        case (*_, str(name)):
            return f"`{name}`"
        case (str(name), int()):
            return f"an item of `{name}`"
        case _:
            return "this"


def _validate(raw: dict[str, Any], reading: Reading) -> None:
    """Type the values by their keys; what does not fit is reported and cut out, until the rest fits."""
    while reading.document is None:
        try:
            reading.document = FileDocument.model_validate(raw)
        except ValidationError as error:
            found = [(_path(details), details) for details in error.errors(include_url=False, include_input=False)]
            for path, details in found:
                _report(details, path, raw, reading)
            for path, _ in found:
                _cut(raw, path, reading)


def _path(details: ErrorDetails) -> Path:
    """Where in the file the error is: its location without the tags of unions."""
    return tuple(part for part in details["loc"] if not (isinstance(part, str) and part.startswith("@")))


def _report(details: ErrorDetails, path: Path, raw: Any, reading: Reading) -> None:
    kind = details["type"]
    context = details.get("ctx", {})
    if kind.startswith("union_tag"):
        _report_union(path, _value(raw, path), reading)
    elif kind in _TYPES:
        reading.report(reading.place(*path), "bad-type", f"{_called(path)}: expected {_TYPES[kind]}")
    elif kind == "too_short":
        reading.report(reading.key(*path), "blank", f"{_called(path)} is empty; expected at least one entry")
    elif kind == "too_long":
        reading.report(reading.key(*path), "bad-type", f"{_called(path)}: expected exactly one entry")
    elif kind == "missing":
        reading.report(reading.place(*path[:-1]), "missing-key", f"{_called(path[:-1])} lacks {quoted(str(path[-1]))}")
    elif kind == "extra_forbidden":
        message = f"{quoted(str(path[-1]))} is not known here"
        reading.report(reading.key(*path), "unknown-key", message)
    elif "message" in context:
        reading.report(_within(reading, path, context["offset"]), kind, context["message"], context["hint"])
    else:
        reading.report(reading.place(*path), "bad-value", details["msg"])


def _within(reading: Reading, path: Path, offset: int) -> Position:
    scalar = reading.scalars.get(path)
    return scalar.at(offset) if scalar and offset else reading.place(*path)


def _report_union(path: Path, value: Any, reading: Reading) -> None:
    """Say what may stand where several forms may; a mapping with a wrong key is reported at that key."""
    field_name = str(path[2] if path[0] in ("records", "rules") and len(path) > 2 else path[0])
    code, forms, known = _UNION_FORMS.get(field_name, ("bad-type", "another value", ()))
    if field_name == "then" and path[-1] != "then":
        code, forms, known = "bad-method", METHOD_FORMS, METHOD_KEYS
    if isinstance(value, dict) and known:
        strange = [key for key in value if key not in known]
        for key in strange:
            hint = nearest(key, known)
            reading.report(
                reading.key(*path, key), "unknown-key", f"expected {listed(known)}, found {quoted(key)}", hint
            )
        if not strange:
            reading.report(reading.place(*path), code, f"expected one of {listed(known)}, found {len(value)} keys")
        return
    reading.report(reading.place(*path), code, f"expected {forms}")


def _value(raw: Any, path: Path) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _cut(raw: dict[str, Any], path: Path, reading: Reading) -> None:
    """Take the smallest part out that the resolver can do without: a field of a record, of a rule, or of the file."""
    depth = 3 if path[0] in ("records", "rules") else 2 if path[0] == "promises" else 1
    cut = path[:depth]
    reading.lost.add(cut)
    try:
        parent = _value(raw, cut[:-1])
    except (KeyError, IndexError, TypeError):
        return  # a larger part that holds it has gone
    match cut:
        case ("promises", _):
            parent[cut[-1]] = "?"
        case ("records" | "rules", _):
            parent[cut[-1]] = {}
        case _:
            parent.pop(cut[-1], None)
