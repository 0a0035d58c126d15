"""
From a document to a `Policy`: names find what they name, sentences get their meaning, defaults are filled in.

Goes on after a mistake. What rests on something unreadable is left unchecked, so that no mistake is reported twice.
"""

from datetime import date

from retentiond.policy import checks
from retentiond.policy.document import FileDocument, PromiseSection, RecordDocument, Stay
from retentiond.policy.fields import IDENTIFIER
from retentiond.policy.model import Link, OnRequest, Policy, Promise, Record, Rule
from retentiond.policy.reader import Reading
from retentiond.policy.rules import RuleResolver
from retentiond.policy.schedule import parse_schedule
from retentiond.policy.understanding import understand
from retentiond.policy.wording import nearest, quoted

DEFAULT_SCHEDULE = "daily at 02:00"
DEFAULT_PLAUSIBLE_FROM = date(1971, 1, 1)


def resolve(reading: Reading, default_timezone: str = "UTC") -> Policy | None:
    """The policy a document states; None, with the problems in `reading`, where it is not sound."""
    document = reading.document
    if document is None:
        return None
    records = _records(document, reading, default_timezone)
    schedule = document.schedule or DEFAULT_SCHEDULE
    if document.schedule and not understand(parse_schedule, ("schedule",), document.schedule, reading):
        schedule = DEFAULT_SCHEDULE
    resolver = RuleResolver(reading, records, schedule)
    rules = tuple(rule for index, said in enumerate(document.rules or ()) if (rule := resolver.rule(index, said)))
    promises = tuple(_promise(clause, said, reading) for clause, said in (document.promises or {}).items())
    policy = _policy(document, reading, (tuple(records.values()), rules, promises), default_timezone, schedule)
    checks.check(policy, reading)
    return None if reading.problems else policy


def _policy(
    document: FileDocument,
    reading: Reading,
    parts: tuple[tuple[Record, ...], tuple[Rule, ...], tuple[Promise, ...]],
    default_timezone: str,
    schedule: str,
) -> Policy:
    records, rules, promises = parts
    outside = tuple((item.what or "", item.owner or "") for item in document.outside or ())
    exempt = tuple((item.what or "", item.reason or "", item.owner or "") for item in document.exempt or ())
    return Policy(
        file=reading.file,
        version=1,
        name=document.name or "",
        title=document.title or "",
        records=records,
        rules=rules,
        promises=promises,
        controllers=tuple(document.controllers or ()),
        role="processor" if document.role == "processor" else "controller",
        dpo=document.dpo,
        authority=document.authority,
        published=document.published,
        effective=document.effective,
        timezone=document.timezone or default_timezone,
        schedule=schedule,
        answer_within=document.requests.answer_within if document.requests else None,
        plausible_from=document.plausible_from or DEFAULT_PLAUSIBLE_FROM,
        earliest_wins=document.overlap is not None,
        outside=outside,
        exempt=exempt,
        places=dict(reading.places),
    )


def _promise(clause: str, said: str | PromiseSection, reading: Reading) -> Promise:
    if isinstance(said, str):
        return Promise(clause, said)
    where = ("promises", clause)
    if said.undecided and not said.owner and not reading.unsure(*where, "owner"):
        message = f"the promise {quoted(clause)} is undecided and has no `owner`"
        reading.report(reading.key(*where, "undecided"), "missing-key", message, "say whose decision is missing")
    return Promise(clause, said.says or "", said.undecided, said.owner)


def on_request_of(said: str | Stay | None) -> OnRequest | None:
    """What a request does, as a record or a rule says it."""
    if said is None:
        return None
    return OnRequest(stay=True, reason=said.stay or "") if isinstance(said, Stay) else OnRequest(stay=False)


def _records(document: FileDocument, reading: Reading, default_timezone: str) -> dict[str, Record]:
    said = document.records or {}
    zone = document.timezone or default_timezone
    plausible = document.plausible_from or DEFAULT_PLAUSIBLE_FROM
    return {name: _record(name, record, set(said), reading, (zone, plausible)) for name, record in said.items()}


def _record(name: str, said: RecordDocument, names: set[str], reading: Reading, defaults: tuple[str, date]) -> Record:
    where = ("records", name)
    if not IDENTIFIER.fullmatch(name):
        message = f"{quoted(name)} is no name of a record"
        reading.report(reading.key(*where), "bad-name", message, "records are named like contract_document")
    for key in ("cascade", "key", "source"):
        _check_once(list(getattr(said, key) or ()), (*where, key), reading)
    if said.held and said.held == said.marker:
        reading.report(
            reading.place(*where, "marker"), "duplicate-name", "`held` and `marker` are two columns, not one"
        )
    subject_type, subject_column = _subject(name, said)
    return Record(
        name=name,
        sources=tuple(said.source or ()),
        table=said.table or "",
        subject_type=subject_type,
        subject_column=subject_column,
        belongs_to=_links(name, said, names, reading),
        cascade=tuple(said.cascade or ()),
        held=said.held,
        marker=said.marker,
        formats=tuple((said.format or {}).items()),
        timezone=said.timezone or defaults[0],
        plausible_from=said.plausible_from or defaults[1],
        never_happened=tuple(said.empty or {}),
        key=tuple(said.key) if said.key else None,
        on_request=on_request_of(said.on_request),
    )


def _check_once(items: list[str], path: tuple[str, ...], reading: Reading) -> None:
    for index, item in enumerate(items):
        if item in items[:index]:
            reading.report(reading.place(*path, index), "duplicate-name", f"{quoted(item)} stands here twice")


def _subject(name: str, said: RecordDocument) -> tuple[str | None, str | None]:
    if said.subject is None:
        return None, None
    if isinstance(said.subject, str):
        return name, said.subject
    ((subject_type, column),) = said.subject.items()
    return subject_type, column


def _links(name: str, said: RecordDocument, names: set[str], reading: Reading) -> tuple[Link, ...]:
    links: list[Link] = []
    for target, link in (said.belongs_to or {}).items():
        if target not in names:
            message = f"there is no record {quoted(target)}"
            hint = nearest(target, names, "known records")
            reading.report(reading.key("records", name, "belongs_to", target), "unknown-record", message, hint)
            reading.lost.add(("records", name, "belongs_to"))
        elif isinstance(link, str):
            links.append(Link(target, link))
        else:
            ((references, column),) = link.items()
            links.append(Link(target, column, references))
    return tuple(links)
