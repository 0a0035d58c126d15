"""What the compiler refuses of a mask before the first row."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from retentiond.catalog.model import Column, Family, ForeignKey, Table
from retentiond.compiler.check_constraints import Blank, Scalar, Verdict, judge
from retentiond.compiler.constants import typed_constant
from retentiond.compiler.mask_anonymous import anonymous_complaints
from retentiond.compiler.mask_fit import Complaint, fit_complaints
from retentiond.compiler.mask_keys import key_complaints, moving_clocks
from retentiond.compiler.mask_triggers import trigger_complaints
from retentiond.compiler.masks import ANON_MAIL
from retentiond.compiler.recognise import ANON, done_condition
from retentiond.errors import Problem
from retentiond.policy.model import Method, Policy, Record, Rule
from retentiond.policy.wording import nearest

# Two rows may come out alike.
_COLLIDING = frozenset({"constant", "truncate", "round", "prefix", "network", "mask", "domain", "redact", "json"})
_MARKERS = frozenset({Family.NAIVE, Family.INSTANT, Family.TEXT_DATETIME, Family.BOOLEAN})


def check_action(
    rule: Rule,
    record: Record,
    table: Table,
    incoming: tuple[ForeignKey, ...],
    policy: Policy,
    partitions: tuple[Table, ...] = (),
) -> list[Problem]:
    """Everything that is wrong with a rule's mask on this table, warnings included; nothing for other actions."""
    if not rule.action.masks:
        return []
    return list(_Check(rule, record, table, incoming, policy, partitions).problems())


@dataclass(frozen=True, slots=True)
class _Check:
    rule: Rule
    record: Record
    table: Table
    incoming: tuple[ForeignKey, ...]
    policy: Policy
    partitions: tuple[Table, ...] = ()

    def problems(self) -> Iterator[Problem]:
        action = self.rule.action
        for complaint in (*self._twice(), *moving_clocks(self.record, self.table, self.policy)):
            yield self._then(complaint)
        for at, (name, method) in enumerate(action.methods):
            # `clear` is a list: its items are found by number.
            step = at if action.verb == "clear" else name
            for complaint in self._column(name, method):
                yield self._then(complaint, step)
        for at, name in enumerate(action.leave):
            if self.table.column(name) is None:
                yield self._then(self._unknown(name), "leave", at)
        if action.verb == "anonymise":
            for column, complaint in anonymous_complaints(self.rule.action, self.record, self.table):
                yield self._then(complaint, *((column,) if column else ()))
        tables = (self.table, *self.partitions)
        for column, complaint in trigger_complaints(action, self.record, tables, self.policy):
            yield self._then(complaint, *((column,) if column and action.verb != "clear" else ()))
        for complaint in self._marker():
            yield self._problem(complaint, ("records", self.record.name, "marker"))

    def _then(self, complaint: Complaint, *steps: str | int) -> Problem:
        return self._problem(complaint, ("rules", self.rule.index, "then", self.rule.action.verb, *steps))

    def _problem(self, complaint: Complaint, path: tuple[str | int, ...]) -> Problem:
        message = f"{self.record.name}: {complaint.message}"
        return Problem(self.policy.place(*path), complaint.code, message, complaint.hint, complaint.severity)

    def _twice(self) -> Iterator[Complaint]:
        names = Counter((*(name for name, _ in self.rule.action.methods), *self.rule.action.leave))
        for name, times in names.items():
            if times > 1:
                yield Complaint("named-twice", f"{name} is named twice", "one method, or `leave`")

    def _column(self, name: str, method: Method) -> Iterator[Complaint]:
        column = self.table.column(name)
        if column is None:
            yield self._unknown(name)
            return
        unique = any(index.unique and name in index.columns for index in self.table.indexes)
        yield from key_complaints(column, method, self.record, self.table, self.incoming, self.policy)
        yield from fit_complaints(column, method, unique=unique)
        if method.name in _COLLIDING:
            yield from self._collisions(name, method)
        yield from self._checks(column, method)
        if done_condition(method, column) is None and self.record.marker is None and method.name != "constant":
            yield Complaint(
                "marker-missing",
                f"SQL cannot tell whether `{method.name}` was done to {name}",
                f"give record {self.record.name} a `marker`: a nullable timestamp or a boolean column",
            )

    def _unknown(self, name: str) -> Complaint:
        known = [column.name for column in self.table.columns]
        return Complaint("unknown-column", f"{self.record.table} has no column {name}", nearest(name, known, "columns"))

    def _collisions(self, name: str, method: Method) -> Iterator[Complaint]:
        masked = {column for column, other in self.rule.action.methods if other.name in _COLLIDING}
        key = set(self.table.primary_key)
        for index in self.table.indexes:
            concerned = name in index.columns or None in index.columns  # an expression may read any column
            if not index.unique or not concerned or (key and key <= set(index.columns)):
                continue
            message = f"`{method.name}` can give two rows the same {name}, and {index.name} is unique"
            if set(index.columns) <= masked and method.name not in ("redact", "json"):
                yield Complaint("not-unique", message, "use `random`, `token` or `empty`")
            else:
                yield Complaint("may-collide", message, severity="warning")

    def _checks(self, column: Column, method: Method) -> Iterator[Complaint]:
        samples = list(_samples(column, method))
        for check in self.table.checks:
            if method.name == "json" and "json_valid" in check.text.lower():
                continue
            verdicts = {judge(check.text, column.name, sample) for sample in samples}
            if Verdict.PASSES in verdicts:
                continue
            if verdicts == {Verdict.FAILS}:
                message = f"CHECK {check.name} refuses what `{method.name}` writes into {column.name}"
                yield Complaint("check-violated", message)
            else:
                message = (
                    f"nothing proves that CHECK {check.name} accepts what `{method.name}` writes into {column.name}"
                )
                yield Complaint("check-unproven", message, severity="warning")

    def _marker(self) -> Iterator[Complaint]:
        name = self.record.marker
        column = self.table.column(name) if name else None
        if column is None:  # a marker that is not there is said of the record, once for all its rules
            return
        if column.family not in _MARKERS or not (column.nullable or column.family is Family.BOOLEAN):
            kind = f"{column.type}{'' if column.nullable else ' NOT NULL'}"
            yield Complaint("bad-marker", f"marker {name} is {kind}, not a nullable timestamp or a boolean")
        elif column.on_update or column.generated:
            yield Complaint("bad-marker", f"marker {name} changes by itself, so that rows would pass for finished")
        else:
            for complaint in key_complaints(column, _MARKED, self.record, self.table, self.incoming, self.policy):
                if complaint.code != "marker-changed":
                    yield complaint


# Of the methods a marker could be set by, the one that `key_complaints` judges most severely.
_MARKED = Method("constant", "true")


def _samples(column: Column, method: Method) -> Iterator[Scalar]:
    """What the method may write, as far as it is known before the first row."""
    room = (column.length or 1000) - len(ANON)
    match method.name:
        case "empty":
            yield None
        case "constant":
            yield _constant_sample(column, method)
        case "random" | "token" if column.family is Family.TEXT:
            if method.argument == "email" or method.name == "random":
                yield f"{ANON}{_LETTERS[: room - len(ANON_MAIL)]}{ANON_MAIL}"
            if method.argument != "email":
                yield f"{ANON}{_LETTERS[:room]}"
        case _:
            yield Blank.NOT_NULL


_LETTERS = "q7x2mzk4w3v6ytj5hsd2bnr4cf"


def _constant_sample(column: Column, method: Method) -> Scalar:
    try:
        constant = typed_constant(str(method.argument), column.family)
    except ValueError:
        return Blank.NOT_NULL
    if isinstance(constant, bool):
        return constant
    if isinstance(constant, (int, float, Decimal)):
        return Decimal(str(constant))
    if isinstance(constant, date):
        return constant.isoformat()
    return str(constant)
