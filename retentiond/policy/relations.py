"""How records hang together: which way from a row to the rows that hold its clock."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from retentiond.policy.model import Link, Moment, Record
from retentiond.policy.wording import nearest, quoted


@dataclass(frozen=True, slots=True)
class Step:
    """One `belongs_to`, walked from child to parent (`up`) or from parent to children."""

    link: Link
    child: str
    parent: str
    up: bool

    @property
    def origin(self) -> str:
        """The record this step starts at."""
        return self.child if self.up else self.parent

    @property
    def target(self) -> str:
        """The record this step leads to."""
        return self.parent if self.up else self.child


@dataclass(frozen=True, slots=True)
class Path:
    """The steps from a rule's record to the record of its clock; none where the clock is an own column."""

    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        if not self.steps:
            return "own column"
        names = [self.steps[0].origin, *(step.target for step in self.steps)]
        return " → ".join(names)


class NoPathError(Exception):
    """A clock names a record that cannot be reached, or can be reached in two ways."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        self.code = code
        self.message = message
        self.hint = hint
        super().__init__(message)


def clock_path(records: Iterable[Record], start: str, moment: Moment) -> Path:
    """The one way from the record `start` to the rows that hold `moment`; `NoPathError` where there is not one."""
    if moment.record is None:
        return Path()
    known = {record.name: record for record in records}
    if moment.record not in known:
        message = f"there is no record {quoted(moment.record)}"
        raise NoPathError("unknown-record", message, nearest(moment.record, known, "known records"))
    if start not in known:
        raise NoPathError(
            "unknown-record", f"there is no record {quoted(start)}", nearest(start, known, "known records")
        )
    found = _upwards(known, start, moment.record) if moment.which is None else _around(known, start, moment.record)
    if not found:
        raise _no_path(known, start, moment)
    if len(found) > 1:
        ways = " and ".join(_told(path) for path in found[:2])
        message = f"two ways lead from {quoted(start)} to {quoted(moment.record)}: {ways}"
        raise NoPathError("ambiguous-path", message, "leave out the belongs_to that this clock does not mean")
    return found[0]


def _told(path: Path) -> str:
    columns = ", ".join(f"{step.child}.{step.link.column}" for step in path.steps)
    return f"{path} (by {columns})"


def _no_path(known: Mapping[str, Record], start: str, moment: Moment) -> NoPathError:
    target = str(moment.record)
    if moment.which is None and start == target:
        return NoPathError("no-path", f"{quoted(start)} belongs to no other {start}", f"write `{moment.column}` alone")
    if moment.which is None:
        message = f"no belongs_to leads up from {quoted(start)} to {quoted(target)}"
        if _around(known, start, target):
            return NoPathError("no-path", message, f"one of several rows is named with `last {target}.{moment.column}`")
    else:
        message = f"no belongs_to connects {quoted(start)} with {quoted(target)}"
    loose = [name for name in (start, target) if not known[name].belongs_to]
    hint = f"{' and '.join(map(quoted, loose))} {'has' if len(loose) == 1 else 'have'} no belongs_to" if loose else ""
    return NoPathError("no-path", message, hint or f"known records: {', '.join(sorted(known))}")


def _ups(known: Mapping[str, Record], name: str) -> Iterator[Step]:
    for link in known[name].belongs_to:
        if link.record in known:
            yield Step(link, name, link.record, up=True)


def _downs(known: Mapping[str, Record], name: str) -> Iterator[Step]:
    for child in known.values():
        for link in child.belongs_to:
            if link.record == name:
                yield Step(link, child.name, name, up=False)


def _upwards(known: Mapping[str, Record], start: str, target: str) -> list[Path]:
    """The shortest ways up, of at least one step."""
    for level in _climb(known, start):
        if found := [path for path in level if path.steps[-1].target == target]:
            return found
    return []


def _climb(known: Mapping[str, Record], start: str) -> Iterator[list[Path]]:
    """All ways up of one step, of two steps, and so on; none passes a record twice, but the last step may come home."""
    level = [Path()]
    while level:
        level = [
            Path((*path.steps, step))
            for path in level
            for step in _ups(known, _end(path, start))
            if not _passes(path, step.target) and (not path.steps or _end(path, start) != start)
        ][:_ENOUGH]
        yield level


def _around(known: Mapping[str, Record], start: str, target: str) -> list[Path]:
    """The ways down, or, with as few steps up as reach it, up and then down; at most two."""
    above = _above(known, target)
    for level in ([Path()], *_climb(known, start)):
        found: list[Path] = []
        for path in level:
            base = _end(path, start)
            for way in _descend(known, base, target, above, Path()):
                found.append(Path((*path.steps, *way.steps)))
                if len(found) == 2:
                    return found
        if found:
            return found
    return []


def _descend(known: Mapping[str, Record], base: str, target: str, above: frozenset[str], way: Path) -> Iterator[Path]:
    """Every way down of at least one step that passes no record twice."""
    for step in _downs(known, _end(way, base)):
        longer = Path((*way.steps, step))
        if step.child == target:
            yield longer
        elif step.child in above and step.child != base and not _passes(way, step.child):
            yield from _descend(known, base, target, above, longer)


def _passes(path: Path, name: str) -> bool:
    return any(step.target == name for step in path.steps)


def _above(known: Mapping[str, Record], target: str) -> frozenset[str]:
    """The records from which `target` can be reached downwards."""
    found: set[str] = set()
    waiting = [target]
    while waiting:
        for step in _ups(known, waiting.pop()):
            if step.parent not in found:
                found.add(step.parent)
                waiting.append(step.parent)
    return frozenset(found)


def _end(path: Path, start: str) -> str:
    return path.steps[-1].target if path.steps else start


# Two ways are one too many; a policy that offers more at one height is refused anyway, and must not take for ever.
_ENOUGH = 1_000
