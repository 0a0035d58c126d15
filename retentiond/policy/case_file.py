"""
The file of a policy's test cases: from nodes to cases, and every mistake in it with its place.

`policies/tests/*.yaml` names a policy and lists rows, instants and what must happen then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from retentiond.errors import Position, Problem
from retentiond.policy.calendar import later_instant
from retentiond.policy.case_rows import Scalar, typed_row
from retentiond.policy.evaluator import Verdict
from retentiond.policy.model import Policy, Record, Rule
from retentiond.policy.nodes import BrokenNode, MappingNode, Node, ScalarNode, SequenceNode, parse
from retentiond.policy.wording import listed, nearest, quoted

VERBS = ("delete", "anonymise", "pseudonymise", "clear", "nothing")
EXPECTATIONS = (*(verdict.value for verdict in Verdict if verdict is not Verdict.DUE), *VERBS)

_Known = TypeVar("_Known")
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must happen to the row of a case at an instant; `when` is as written."""

    position: Position
    when: str
    at: datetime
    expected: str


@dataclass(frozen=True, slots=True)
class Case:
    """A row, the rows related to it, and what must happen to it when."""

    position: Position
    name: str
    policy: Policy
    rule: Rule
    row: Row
    related: Mapping[str, tuple[Row, ...]]
    expectations: tuple[Expectation, ...]


class CaseFile:
    """A file of cases as far as it can be read without its policy: where that lies, and what is wrong."""

    def __init__(self, content: bytes, file: str) -> None:
        root, problems = parse(content, file)
        self._form = _Form(list(problems))
        self._root = self._form.mapping(root, ("policy", "cases"), ("policy", "cases"), "a file of test cases")
        self.policy = self._form.text(self._root, "policy") if self._root else None
        self.policy_place = Position(file, 1, 1)
        if self._root is not None and self.policy is not None:
            self.policy_place = self._root.entries["policy"].position

    @property
    def problems(self) -> list[Problem]:
        """What was found wrong so far."""
        return self._form.problems

    def cases(self, policy: Policy) -> tuple[Case, ...]:
        """The cases, read against their policy; what cannot be read is added to the problems."""
        if self._root is None or "cases" not in self._root.entries:
            return ()
        reader = _CaseReader(self._form, policy)
        nodes = self._form.items(self._root.entries["cases"], "cases")
        found = (reader.read(node, number) for number, node in enumerate(nodes, 1))
        return tuple(case for case in found if case is not None)


@dataclass(frozen=True, slots=True)
class _Form:
    """The shapes that nodes may have, and the problems of those that do not."""

    problems: list[Problem]

    def report(self, position: Position, code: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(position, code, message, hint))

    def mapping(self, node: Node, known: Sequence[str], needed: Sequence[str], what: str) -> MappingNode | None:
        """The node where it is a mapping; unknown and missing keys are reported."""
        if not isinstance(node, MappingNode):
            if not isinstance(node, BrokenNode):
                self.report(node.position, "bad-type", f"{what}: expected a mapping of keys and values")
            return None
        for key in node.entries:
            if key not in known:
                self.report(node.keys[key], "unknown-key", f"{quoted(key)} is no key of {what}", nearest(key, known))
        for key in needed:
            if key not in node.entries and not node.lost:
                self.report(node.position, "missing-key", f"{what} lacks {quoted(key)}")
        return node

    def items(self, node: Node, what: str) -> tuple[Node, ...]:
        """The items of a list."""
        if isinstance(node, SequenceNode):
            return node.items
        if not isinstance(node, BrokenNode):
            self.report(node.position, "bad-type", f"`{what}`: expected a list")
        return ()

    def text(self, mapping: MappingNode, key: str) -> str | None:
        """The text of a key, or None where there is none."""
        node = mapping.entries.get(key)
        if node is None or isinstance(node, BrokenNode):
            return None
        if isinstance(node, ScalarNode) and not node.blank:
            return node.text
        self.report(node.position, "bad-type", f"`{key}`: expected a text")
        return None


@dataclass(frozen=True, slots=True)
class _CaseReader:
    """Reads one case after the other; a case with a mistake yields none."""

    form: _Form
    policy: Policy

    def read(self, node: Node, number: int) -> Case | None:
        before = len(self.form.problems)
        keys = ("name", "rule", "row", "related", "expect")
        mapping = self.form.mapping(node, keys, ("rule", "expect"), "a case")
        if mapping is None:
            return None
        name = self.form.text(mapping, "name") or f"case {number}"
        rule = self._named(mapping, "rule", self.policy.rule, [rule.name for rule in self.policy.rules])
        row = self._row(mapping.entries.get("row"), rule.record if rule else None)
        related = self._related(mapping.entries.get("related"))
        expectations = self._expectations(mapping.entries.get("expect"))
        if rule is None or len(self.form.problems) > before:
            return None
        return Case(mapping.position, name, self.policy, rule, row, related, expectations)

    def _named(self, mapping: MappingNode, key: str, find: Callable[[str], _Known], known: list[str]) -> _Known | None:
        name = self.form.text(mapping, key)
        if name is None:
            return None
        if name in known:
            return find(name)
        self._unknown(mapping.entries[key].position, key, name, known)
        return None

    def _unknown(self, position: Position, what: str, name: str, known: list[str]) -> None:
        message = f"the policy {quoted(self.policy.name)} has no {what} {quoted(name)}"
        self.form.report(position, f"unknown-{what}", message, nearest(name, known, f"known {what}s"))

    def _related(self, node: Node | None) -> dict[str, tuple[Row, ...]]:
        """The related rows by record; one row may stand without a list."""
        if node is None or isinstance(node, BrokenNode):
            return {}
        if not isinstance(node, MappingNode):
            self.form.report(node.position, "bad-type", "`related`: expected {record: [rows]}")
            return {}
        known = [record.name for record in self.policy.records]
        found = {}
        for name, rows in node.entries.items():
            if name not in known:
                self._unknown(node.keys[name], "record", name, known)
                continue
            nodes = (rows,) if isinstance(rows, MappingNode) else self.form.items(rows, name)
            found[name] = tuple(self._row(row, name) for row in nodes)
        return found

    def _row(self, node: Node | None, record: str | None) -> Row:
        if node is None or isinstance(node, BrokenNode):
            return {}
        if not isinstance(node, MappingNode):
            self.form.report(node.position, "bad-type", "a row is a mapping of columns and values")
            return {}
        cells: dict[str, Scalar | None] = {}
        for column, value in node.entries.items():
            if isinstance(value, ScalarNode):
                cells[column] = None if value.blank else Scalar(value.text, plain=value.quotes == 0)
            elif not isinstance(value, BrokenNode):
                self.form.report(node.keys[column], "bad-type", f"`{column}`: a row holds single values")
        known: Record | None = self.policy.record(record) if record else None
        return typed_row(cells, known, self.policy) if known else {}

    def _expectations(self, node: Node | None) -> tuple[Expectation, ...]:
        if node is None or isinstance(node, BrokenNode):
            return ()
        if not isinstance(node, MappingNode) or not node.entries:
            self.form.report(node.position, "bad-type", "`expect`: expected {instant: what must happen}")
            return ()
        found = (self._expectation(when, node.keys[when], value) for when, value in node.entries.items())
        return tuple(one for one in found if one is not None)

    def _expectation(self, when: str, place: Position, node: Node) -> Expectation | None:
        at = read_instant(when, ZoneInfo(self.policy.timezone))
        if at is None:
            hint = "write 2026-03-01 or 2026-03-01T00:00:00+01:00"
            self.form.report(place, "bad-instant", f"{quoted(when)} is neither an instant nor a date", hint)
        if isinstance(node, BrokenNode):
            return None
        word = node.text if isinstance(node, ScalarNode) else ""
        if word not in EXPECTATIONS:
            message = f"expected one of {listed(EXPECTATIONS)}, found {quoted(word)}"
            self.form.report(node.position, "bad-expectation", message, nearest(word, EXPECTATIONS))
            return None
        return Expectation(place, when, at, word) if at is not None else None


def read_instant(text: str, zone: ZoneInfo) -> datetime | None:
    """The UTC instant of an ISO 8601 text; a date is its start and a time without an offset local, both in `zone`."""
    try:
        if len(text) == 10:
            return later_instant(datetime.combine(date.fromisoformat(text), datetime.min.time()), zone)
        moment = datetime.fromisoformat(text)
        return later_instant(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
