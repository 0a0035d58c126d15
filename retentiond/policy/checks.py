"""What must hold between the parts of a policy: promises kept, deletions apart, nobody's data forgotten."""

from collections.abc import Iterator
from itertools import combinations

from retentiond.policy.expression import All, Column, Compare, Constant, Expression, InList
from retentiond.policy.model import Policy, Record, Rule, Where
from retentiond.policy.reach import destroyed, same_table
from retentiond.policy.reader import Reading
from retentiond.policy.relations import NoPathError, clock_path
from retentiond.policy.wording import nearest, quoted


def check(policy: Policy, reading: Reading) -> None:
    """Report everything that is wrong between records, rules and promises."""
    _check_clauses(policy, reading)
    _check_overlap(policy, reading)
    _check_subjects(policy, reading)
    for record in policy.records:
        _check_cascade(policy, record, reading)
    for rule in policy.rules:
        _check_own_clock(policy, rule, reading)


def _check_clauses(policy: Policy, reading: Reading) -> None:
    """Each rule's clause is a promise, and each promise has a rule or stands there undecided."""
    document = reading.document
    if document is None or document.promises is None:
        return
    promised = {promise.clause for promise in policy.promises}
    rules = document.rules or ()
    named = {rule.clause for rule in rules}
    unkept = {promise.clause for promise in policy.promises if not promise.undecided} - named
    meant: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.clause is None or rule.clause in promised or reading.unsure("promises"):
            continue
        # Rather one that no rule names: then this is the mistake, and not two.
        hints = (nearest(rule.clause, unkept), nearest(rule.clause, promised, "promised"))
        hint = next((hint for hint in hints if hint.startswith("did you mean")), hints[-1])
        meant.update(clause for clause in promised if hint == f"did you mean {quoted(clause)}?")
        message = f"there is no promise {quoted(rule.clause)}"
        reading.report(reading.place("rules", index, "clause"), "unknown-clause", message, hint)
    if reading.unsure("rules") or None in named:
        return
    for clause in [promise.clause for promise in policy.promises if promise.clause in unkept - meant]:
        if not reading.unsure("promises", clause, "undecided"):
            message = f"no rule names the promise {quoted(clause)}"
            hint = "give it a rule, or write {says: …, undecided: …, owner: …}"
            reading.report(reading.key("promises", clause), "promise-without-rule", message, hint)


def _check_overlap(policy: Policy, reading: Reading) -> None:
    """Two rules that delete on one table would undercut each other."""
    if policy.earliest_wins or reading.unsure("overlap"):
        return
    deleting = [rule for rule in policy.rules if rule.action.verb == "delete"]
    for one, other in combinations(deleting, 2):
        if any(reading.unsure("rules", rule.index, "where") for rule in (one, other)):
            continue
        if same_table(policy.record(one.record), policy.record(other.record)) and not _apart(one.where, other.where):
            message = (
                f"deletes from the same table as the rule {quoted(one.name)}: the shorter would undercut the longer"
            )
            hint = (
                "combine them, `clear` the columns of the shorter, let their `where` compare one column "
                "with different constants, or say overlap: earliest wins"
            )
            reading.report(reading.place("rules", other.index, "name"), "overlap", message, hint)


def _apart(one: Where | None, other: Where | None) -> bool:
    """True where no row can satisfy both conditions, because one column would need two values."""
    if one is None or other is None:
        return False
    theirs = dict(_demands(other.expression))
    return any(
        column in theirs
        and values.isdisjoint(theirs[column])
        and len({kind for kind, _ in values | theirs[column]}) == 1
        for column, values in _demands(one.expression)
    )


def _demands(expression: Expression) -> Iterator[tuple[str, frozenset[tuple[str, object]]]]:
    """The columns that a condition pins to certain constants, with these; text and numbers are told apart."""
    parts = expression.operands if isinstance(expression, All) else (expression,)
    for part in parts:
        match part:
            case All():
                yield from _demands(part)
            case Compare("=", Column(name), Constant(value)) | Compare("=", Constant(value), Column(name)):
                yield name, frozenset({_typed(value)})
            case InList(Column(name), options) if all(isinstance(option, Constant) for option in options):
                yield name, frozenset(_typed(option.value) for option in options if isinstance(option, Constant))


def _typed(value: object) -> tuple[str, object]:
    return (
        ("text", value)
        if isinstance(value, str)
        else ("truth", value)
        if isinstance(value, bool)
        else ("number", value)
    )


def _check_subjects(policy: Policy, reading: Reading) -> None:
    """Where a person's rows stay whatever is asked for, the file must say why."""
    document = reading.document
    if document is None or reading.unsure("rules"):
        return
    if any(reading.unsure("rules", index) for index in range(len(document.rules or ()))):
        return
    reached = [record for rule in policy.rules for record, _ in destroyed(policy, rule)]
    reached += [policy.record(rule.record) for rule in policy.rules if rule.action.verb == "anonymise"]
    raw = {name: record for record in policy.records if record in reached for name in record.cascade}
    for record in policy.records:
        if record.subject_column is None or reading.unsure("records", record.name, "on_request"):
            continue
        carried = record.table in raw and set(record.sources) & set(raw[record.table].sources)
        stays = record.on_request is not None and record.on_request.stay
        if not (stays or carried or any(same_table(record, other) for other in reached)):
            message = f"no rule deletes or anonymises the persons of {quoted(record.name)}"
            hint = "give it a rule, or say why in on_request: {stay: …}"
            reading.report(reading.key("records", record.name), "subject-not-reached", message, hint)


def _check_cascade(policy: Policy, record: Record, reading: Reading) -> None:
    """Across sources there is no foreign key, so only `belongs_to` can say which rows go along."""
    names = {other.name: other for other in policy.records}
    for place, name in enumerate(record.cascade):
        child = names.get(name)
        if child is None or not (child.sources and record.sources) or set(child.sources) & set(record.sources):
            continue
        linked = any(link.record == record.name for link in child.belongs_to)
        if not linked and not reading.unsure("records", name, "belongs_to"):
            message = f"{quoted(name)} lies in another source and does not say how it belongs to {quoted(record.name)}"
            hint = f"give it belongs_to: {{{record.name}: …}}"
            reading.report(
                reading.place("records", record.name, "cascade", place), "cascade-without-link", message, hint
            )


def _check_own_clock(policy: Policy, rule: Rule, reading: Reading) -> None:
    """A cascade over sources runs first, in a transaction of its own; it must not take the rule's clock with it."""
    own = set(policy.record(rule.record).sources)
    if not own:
        return
    elsewhere = {
        record.name
        for record, parent in destroyed(policy, rule)
        if record.sources and parent is not None and not set(record.sources) & own
    }
    for place, term in enumerate(rule.keep.terms):
        try:
            steps = clock_path(policy.records, rule.record, term.clock.moment).steps
        except NoPathError:
            continue
        if held := next((step.target for step in steps if step.target in elsewhere), None):
            path = ("rules", rule.index, "keep")
            which = {"first": "whichever comes first", "last": "whichever comes last", "only": ""}[rule.keep.combine]
            position = reading.place(*path, which, place) if which else reading.place(*path)
            message = f"the cascade takes {quoted(held)} in another source first, and this clock rests on it"
            hint = (
                "a crash between the two would leave rows that never fall due; keep a copy of the date beside the row"
            )
            reading.report(position, "cascade-holds-clock", message, hint)
