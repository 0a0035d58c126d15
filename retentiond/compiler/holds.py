"""
Legal holds become part of a plan: each step learns which of its rows are held, after the digest was taken.

A hold of a data subject reaches its rows, all that belongs to them in any number of steps, and the cascades of these.
Where a column of the row itself holds what names the subject, it is asked; else the rows above it in the same source;
else the engine climbs. Pure: what cannot be placed is refused, never left out.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from retentiond.catalog.model import Catalog, Column, Dialect
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.hold_graph import SubjectGraph, bound_records
from retentiond.compiler.hold_values import spelled_keys, typed, typed_key
from retentiond.compiler.hold_ways import Origin, Shape, Ways
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Ancestor, HoldClimb, HoldTest, HoldTests, Job, Relation, Step
from retentiond.errors import RefusedError
from retentiond.policy.model import Policy

Scope = Literal["subject", "record", "source"]


@dataclass(frozen=True, slots=True)
class HoldOn:
    """What a hold is on: subjects of a type, by their ids; a record, or those of its rows with these keys; a source."""

    id: str
    scope: Scope
    policy: str | None = None
    subject_type: str | None = None
    record: str | None = None
    source: str | None = None
    ids: tuple[str, ...] = field(default=(), repr=False)


class HoldCompiler:
    """Puts holds into the jobs of one compilation; `others` are sources whose schema was not or could not be read."""

    def __init__(
        self,
        policies: tuple[Policy, ...],
        catalogs: Mapping[str, Catalog],
        others: Collection[str],
        holds: Sequence[HoldOn],
    ) -> None:
        _check_placed(policies, {*catalogs, *others}, holds)
        self._binding = Binding(policies, catalogs, tuple(others), Findings())
        self._sources = {hold.source for hold in holds if hold.scope == "source"}
        self._records = _by_record(holds)
        self._subjects = list(_by_subject(policies, holds, self._binding))
        self._known: dict[str, HoldTests] = {}

    def put_into(self, job: Job) -> Job:
        """
        The job with what the holds say of each of its tables; its digest stays.

        Raises:
            UnreachableError: where a source that a hold's way leads over cannot be reached.
        """
        cascade = tuple(self._step(step) for step in job.cascade)
        return replace(job, step=self._step(job.step), cascade=cascade)

    def tests_of(self, relation: Relation) -> HoldTests:
        """What the holds say of one table's rows."""
        if relation.label not in self._known:
            self._known[relation.label] = self._tests_of(relation)
        return self._known[relation.label]

    def _step(self, step: Step) -> Step:
        return replace(step, keepers=replace(step.keepers, holds=self.tests_of(step.relation)))

    def _tests_of(self, relation: Relation) -> HoldTests:
        if relation.source in self._sources:
            return HoldTests(every=True)
        tests: dict[Shape, set[Key]] = {}
        for policy, record in bound_records(self._binding, relation.source, relation.name):
            lines = self._records.get((policy.name, record.name), [])
            if "" in lines:
                return HoldTests(every=True)
            bound = self._binding.relation(policy, record, relation.source)
            if lines and bound is not None:
                keys = (typed_key(line, bound, bound.key) for line in lines)
                found = spelled_keys((key for key in keys if key is not None), relation, bound.key)
                tests.setdefault(Shape(bound.key), set()).update(found)
        climbs = []
        for subject in self._subjects:
            for shape, found in subject.tests(relation):
                tests.setdefault(shape, set()).update(found)
            climb = subject.climb(relation)
            climbs += [climb] if climb else []
        return HoldTests(tests=_tests(tests), climbs=tuple(climbs))


class _Subjects:
    """The held subjects of one type of one policy."""

    def __init__(self, graph: SubjectGraph, ids: Collection[str]) -> None:
        self._graph = graph
        self._ways = Ways(graph)
        self._ids = tuple(ids)
        self._typed: dict[tuple[Column, Dialect], list[Key]] = {}
        self._ancestors: dict[str, Ancestor] = {}

    def tests(self, relation: Relation) -> Iterator[tuple[Shape, tuple[Key, ...]]]:
        """What the relation's source can be asked, each with the keys that make a row held."""
        for shape, origins in self._ways.of(relation).tests.items():
            last = shape.hops[-1].far if shape.hops else relation
            values = (key for origin in origins for key in self._values(origin))
            yield shape, spelled_keys(values, last, shape.columns)

    def climb(self, relation: Relation) -> HoldClimb | None:
        """What the engine has to follow from the relation's rows; None where its source can tell everything."""
        first = self._ways.of(relation).climbs
        ancestors: dict[str, Ancestor] = {}
        waiting = [hop.far for hop in first]
        while waiting:
            far = waiting.pop()
            if far.label not in ancestors:
                ancestors[far.label] = found = self._ancestor(far)
                waiting += [hop.far for hop in found.hops]
        return HoldClimb(first, tuple(ancestors[label] for label in sorted(ancestors))) if first else None

    def _ancestor(self, relation: Relation) -> Ancestor:
        if relation.label not in self._ancestors:
            hops = self._ways.of(relation).climbs
            self._ancestors[relation.label] = Ancestor(relation, _tests(dict(self.tests(relation))), hops)
        return self._ancestors[relation.label]

    def _values(self, origin: Origin) -> list[Key]:
        """The ids as values of the column that names the subject; one that does not fit names nobody there."""
        column = origin.relation.column(origin.column)
        place = (column, origin.relation.dialect)
        if place not in self._typed:
            values = (typed(text, *place) for text in self._ids)
            self._typed[place] = [(value,) for value in values if value is not None]
        return self._typed[place]


def _tests(found: Mapping[Shape, Collection[Key]]) -> tuple[HoldTest, ...]:
    """The tests that some row could pass, the cheapest first."""
    shapes = sorted((shape for shape, keys in found.items() if keys), key=lambda shape: shape.place)
    return tuple(HoldTest(shape.columns, tuple(found[shape]), shape.hops) for shape in shapes)


def _check_placed(policies: Sequence[Policy], sources: Collection[str], holds: Sequence[HoldOn]) -> None:
    """
    Refuses to go on where a hold is on something that is not there any more.

    Raises:
        RefusedError: its rows may be there all the same, under another name.
    """
    known = {policy.name: policy for policy in policies}
    for hold in holds:
        policy = known.get(hold.policy or "")
        if hold.scope == "source":
            missing = "" if hold.source in sources else f"the source {hold.source} is not there"
        elif policy is None:
            missing = f"the policy {hold.policy} is not there"
        elif hold.scope == "record":
            there = any(record.name == hold.record for record in policy.records)
            missing = "" if there else f"{hold.policy} has no record {hold.record}"
        else:
            there = any(record.subject_type == hold.subject_type for record in policy.records)
            missing = "" if there else f"{hold.policy} has no subject {hold.subject_type}"
        if missing:
            raise RefusedError(
                f"nobody can say which rows the hold {hold.id} keeps: {missing}",
                hint="bring back the old name; or place the hold again under the new one, then release this one",
                code="hold-unplaced",
            )


def _by_record(holds: Sequence[HoldOn]) -> dict[tuple[str, str], list[str]]:
    """The lines that name held keys by (policy, record); one that is empty where a whole record is held."""
    found: dict[tuple[str, str], list[str]] = {}
    for hold in holds:
        if hold.scope == "record" and hold.policy and hold.record:
            found.setdefault((hold.policy, hold.record), []).extend(hold.ids or ("",))
    return found


def _by_subject(policies: Sequence[Policy], holds: Sequence[HoldOn], binding: Binding) -> Iterator[_Subjects]:
    for policy in policies:
        types = dict.fromkeys(
            hold.subject_type for hold in holds if hold.scope == "subject" and hold.policy == policy.name
        )
        for kind in types:
            same = (hold for hold in holds if (hold.policy, hold.subject_type) == (policy.name, kind))
            ids = dict.fromkeys(text for hold in same if hold.scope == "subject" for text in hold.ids)
            if kind is not None:
                yield _Subjects(SubjectGraph(policy, kind, binding), ids)
