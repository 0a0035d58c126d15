"""
YAML text as a tree of our own, in which every scalar is text and every node knows its place.

Built from the parser's event stream, so that anchors, tags and nesting are seen and refused before anything is made of
them. A node that could not be read is a `BrokenNode`: already reported, and never the reason for a second message.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from retentiond.errors import Position, Problem
from retentiond.policy.wording import quoted

LARGEST_FILE = 1024 * 1024
DEEPEST = 32

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BLANK = frozenset({"", "~", "null", "Null", "NULL"})

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """
    A piece of text. `blank` where nothing was written.

    `quotes` is None where it is folded, escaped or a block; `written` is then how it stands in the file.
    """

    position: Position
    text: str
    blank: bool = False
    quotes: int | None = None
    written: str = ""

    def at(self, offset: int) -> Position:
        """The place of a character within the text, as exactly as the file's form lets us say it."""
        file, line, column = self.position.file, self.position.line, self.position.column
        if self.quotes is not None:
            return Position(file, line, column + self.quotes + offset)
        places = [place for place, character in enumerate(self.written) if not character.isspace()]
        if [self.written[place] for place in places] != [
            character for character in self.text if not character.isspace()
        ]:
            return self.position  # escaped: characters of the text do not stand in the file as they are
        before = sum(not character.isspace() for character in self.text[:offset])
        ends = [*places, (places or [-1])[-1] + 1]
        found = ends[min(before, len(places))]
        lines = _LINE.split(self.written[:found])
        if len(lines) == 1:
            return Position(file, line, column + found)
        return Position(file, line + len(lines) - 1, len(lines[-1]) + 1)


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    position: Position
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order of the file. `lost` where an entry could not be read: a key may be missed."""

    position: Position
    entries: "dict[str, Node]"
    keys: dict[str, Position]
    lost: bool = False


@dataclass(frozen=True, slots=True)
class BrokenNode:
    """Something unreadable; its problem has been reported."""

    position: Position


Node = ScalarNode | SequenceNode | MappingNode | BrokenNode


@dataclass(slots=True)
class _Open:
    """A collection that the events have not closed yet."""

    position: Position
    mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Position] = field(default_factory=dict)
    key: Node | None = None
    lost: bool = False


def parse(content: bytes | str, file: str) -> tuple[Node, tuple[Problem, ...]]:
    """The tree of a YAML file and every hazard found on the way; a `BrokenNode` where there is no tree."""
    start = Position(file, 1, 1)
    size = len(content) if isinstance(content, bytes) else len(content.encode("utf-8", "surrogatepass"))
    if size > LARGEST_FILE:
        return BrokenNode(start), (Problem(start, "file-too-large", "a policy file holds at most 1 MiB"),)
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        position = _position_of(content[: error.start].decode("utf-8", "replace"), file)  # type: ignore[union-attr]
        return BrokenNode(start), (Problem(position, "not-utf-8", "a policy file is UTF-8 text", "save it as UTF-8"),)
    text = text.removeprefix("\ufeff")
    if strange := _UNPRINTABLE.search(text):
        message = f"the character U+{ord(strange.group()):04X} has no place in a policy file"
        return BrokenNode(start), (Problem(_position_of(text[: strange.start()], file), "bad-character", message),)
    return _Builder(file).build(text)


def _position_of(before: str, file: str) -> Position:
    lines = _LINE.split(before)
    return Position(file, len(lines), len(lines[-1]) + 1)


class _Builder:
    """Makes nodes of events, and problems of everything a policy file may not contain."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.documents = 0
        self.root: Node | None = None
        self.too_deep = False
        self.last_scalar: object = None

    def build(self, text: str) -> tuple[Node, tuple[Problem, ...]]:
        from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - keeps `--help` light

        try:
            for event in _events(text):
                self.take(event, text)
                if self.documents > 1 or self.too_deep:
                    break
        except MarkedYAMLError as error:
            from retentiond.policy.yaml_faults import yaml_problem  # noqa: PLC0415 - only a mistake pays for it

            opened = self.stack[-1].position if self.stack else None
            problem = yaml_problem(error, text, self.file, self.last_scalar, opened)
            self.problems.append(problem)
            return BrokenNode(problem.position), tuple(self.problems)
        except (YAMLError, ValueError, RecursionError):
            self.report(Position(self.file, 1, 1), "bad-yaml", "not YAML")
            return BrokenNode(Position(self.file, 1, 1)), tuple(self.problems)
        if self.too_deep:
            return BrokenNode(Position(self.file, 1, 1)), tuple(self.problems)
        if self.root is None or (isinstance(self.root, ScalarNode) and self.root.blank):
            self.report(Position(self.file, 1, 1), "empty-file", "the file says nothing", "start with `version: 1`")
            return BrokenNode(Position(self.file, 1, 1)), tuple(self.problems)
        if self.documents > 1 and isinstance(self.root, MappingNode):
            self.root = replace(self.root, lost=True)  # what it lacks may stand in the other document
        return self.root, tuple(self.problems)

    def report(self, position: Position, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(position, code, message, hint))

    def take(self, event: object, text: str) -> None:
        kind = type(event).__name__
        mark = event.start_mark  # type: ignore[attr-defined]
        position = Position(self.file, mark.line + 1, mark.column + 1)
        if kind == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                self.report(position, "several-documents", "one file holds one policy", "split the file at `---`")
        elif kind == "ScalarEvent":
            self.last_scalar = event
            tagged = self.check_marks(event, position)
            scalar = _scalar(event, position, text)
            self.put(BrokenNode(position) if tagged and scalar.blank else scalar)
        elif kind == "AliasEvent":
            self.report(
                position, "alias", "aliases are not allowed in a policy file", "write the value out, or put * in quotes"
            )
            self.put(BrokenNode(position))
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self.check_marks(event, position)
            self.open(position, mapping=kind == "MappingStartEvent")
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self.close()

    def check_marks(self, event: object, position: Position) -> bool:
        """Reports an anchor and a tag; true where there was one."""
        if event.anchor is not None:  # type: ignore[attr-defined]
            self.report(position, "anchor", "anchors are not allowed in a policy file", "write the value out")
        if (tag := event.tag) is not None:  # type: ignore[attr-defined]
            shown = quoted(str(tag))
            self.report(
                position, "tag", f"tags are not allowed in a policy file: {shown}", "every value is read as text"
            )
        return event.anchor is not None or tag is not None  # type: ignore[attr-defined]

    def open(self, position: Position, *, mapping: bool) -> None:
        if len(self.stack) < DEEPEST:
            self.stack.append(_Open(position, mapping))
            return
        self.too_deep = True  # and no event more: the parser's look-ahead is quadratic in the depth
        self.report(position, "too-deep", f"nested more than {DEEPEST} levels deep")

    def close(self) -> None:
        done = self.stack.pop()
        if done.mapping:
            self.put(MappingNode(done.position, done.entries, done.keys, done.lost))
        else:
            self.put(SequenceNode(done.position, tuple(done.items)))

    def put(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if not top.mapping:
            top.items.append(node)
        elif top.key is None:
            top.key = node
        else:
            key, top.key = top.key, None
            self.put_entry(top, key, node)

    def put_entry(self, top: _Open, key: Node, value: Node) -> None:
        if not isinstance(key, ScalarNode) or key.blank:
            top.lost = True
            if not isinstance(key, BrokenNode):
                self.report(key.position, "bad-key", "a key is a piece of text")
        elif key.text == "<<":
            top.lost = True
            self.report(key.position, "merge-key", "merge keys are not allowed in a policy file", "write the keys out")
        elif key.text in top.entries:
            first = top.keys[key.text].line
            message = f"the key {quoted(key.text)} stands here twice, first in line {first}"
            self.report(key.position, "duplicate-key", message)
        else:
            if isinstance(value, ScalarNode) and value.blank and value.text == "":
                value = ScalarNode(key.position, "", blank=True)  # its own mark is on the next line
            top.entries[key.text] = value
            top.keys[key.text] = key.position


def _events(text: str) -> Iterator[object]:
    """The parser's events. One token and one event at a time: nothing is nested, so nothing can overflow."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - keeps `--help` light

    yield from YAML(typ="safe", pure=True).parse(text)  # "safe" keeps no comments: a third faster than "rt"


def _scalar(event: object, position: Position, text: str) -> ScalarNode:
    value: str = event.value  # type: ignore[attr-defined]
    style: str | None = event.style  # type: ignore[attr-defined]
    quotes = 0 if style is None else 1
    start, end = event.start_mark, event.end_mark  # type: ignore[attr-defined]
    if end.line + 1 == position.line and end.column + 1 - position.column == len(value) + 2 * quotes:
        return ScalarNode(position, value, not quotes and value in _BLANK, quotes)
    written = text[start.index : end.index]
    # What is no character of the text is made a space: the quotes, or the first line of a block.
    head = len(written.split("\n", 1)[0]) if style in ("|", ">") else quotes
    tail = quotes if style in ("'", '"') else 0
    inner = " " * head + written[head : len(written) - tail]
    return ScalarNode(position, value, not quotes and value in _BLANK, None, inner)
