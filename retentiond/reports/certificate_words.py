"""The sentences of certificates: each says exactly as much as is known, in words that a lawyer need not translate."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

VERBS = {"delete": "deleted", "anonymise": "anonymised", "pseudonymise": "pseudonymised", "clear": "cleared"}
_NOUNS = {
    "delete": "deletion",
    "anonymise": "anonymisation",
    "pseudonymise": "pseudonymisation",
    "clear": "clearing of columns",
}
LEFT = {
    "delete": "They were taken out of these tables; nothing of them stayed there.",
    "anonymise": "The rows are still in the tables; by the policy, nothing in them says whose they were.",
    "pseudonymise": (
        "The rows are still in the tables and are still personal data: there is less in them, or it is hidden behind a "
        "token."
    ),
    "clear": "The rows are still in the tables and are still personal data; the named columns are empty.",
}
LEFT_OF_ONE = {
    "delete": "The row was taken out of its table.",
    "anonymise": "The row is still there; by the policy, nothing in it says whose it was.",
    "pseudonymise": "The row is still there and is still personal data, only less of it.",
    "clear": "The row is still there and is still personal data; the named columns are empty.",
}
EVIDENCE = {
    "fence": "a counter in the source moved in the same transaction as the rows, and the result was noted at once",
    "recovered": (
        "the process ended before it could note the result; the counter in the source, which moves in the same "
        "transaction as the rows, showed afterwards that they had gone"
    ),
    "probe": (
        "weaker: the source holds no table of ours, so a commit of unknown end was judged by whether the rows were "
        "still there; somebody else's change in that moment would look the same"
    ),
}
CROSS_SOURCE = (
    "The decision rested on rows of another database too. They were read again immediately before the commit; a change "
    "there in the milliseconds after that would not have been seen."
)
EVENTS = {"given": "given", "requested": "asked for, by the first of two people,", "withdrawn": "taken back"}
HOLD_KINDS = {
    "proceedings": "legal proceedings",
    "legal-obligation": "a legal obligation",
    "restriction": "a restriction of processing",
    "authority": "an authority",
}


def title(action: str, *, final: bool) -> str:
    """What a document about this action may call itself."""
    if final:
        return f"Certificate of {_NOUNS[action]}"
    return f"Record of {_NOUNS[action]} {'from' if action == 'delete' else 'in'} live systems"


def claim(action: str) -> str:
    """What `gone` means here, and what it does not."""
    if action == "delete":
        return (
            "Logical: whoever asks the database gets these rows no more. Their bytes may remain in free space of its "
            "files, in write-ahead, binary and undo logs and in replicas, until the database uses that space again."
        )
    return (
        "Logical: whoever asks the database gets the new values. Bytes of the old ones may remain in free space of its "
        "files, in write-ahead, binary and undo logs and in replicas, until the database uses that space again."
    )


def period(rule: Mapping[str, Any]) -> list[str]:
    """Each term of the rule in a sentence of its own."""
    return [
        f"{term['period']} after {term['start']}" if term["period"] else f"until {term['start']}"
        for term in rule["terms"]
    ]


def span(first: date, last: date) -> str:
    """From which day to which."""
    return f"on {day(first)}" if first == last else f"from {day(first)} to {day(last)}"


def due_unknown(as_of: datetime, zone: ZoneInfo) -> str:
    """What can be said of due dates that were not recorded."""
    return f"The dates were not recorded; none later than {instant(as_of, zone)}."


def kept(length: timedelta | None) -> str:
    """Where the end of the back-ups comes from."""
    if length is None:
        return "Nobody has declared it (backups_kept in the settings)."
    return f"They are kept for {length.days} days, as declared in the settings."


def clocks(host: datetime, database: datetime | None, apart: float | None) -> str:
    """What two clocks said, and how far apart they ever were."""
    began = f"When the run began the host said {_utc(host)}"
    if database is None or apart is None:
        return f"{began}; the database, a file, has no clock of its own."
    return f"{began}, the database {_utc(database)}; they were never more than {apart:.1f} s apart."


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def gap(steps: int, source: str, found: str) -> str:
    """What a state store that was lost took with it."""
    has = "batch of the rule that went there is" if steps == 1 else "batches of the rule that went there are"
    return (
        f"The record was lost or taken back to an older state, which was found on {found}: {steps:,} {has} known to "
        f"{source} and not to the ledger. What of it belongs to this run is not in this record."
    )


def batches(count: int) -> str:
    """`1 batch`, `12 batches`."""
    return "1 batch" if count == 1 else f"{count:,} batches"


def listed(names: Sequence[str]) -> str:
    """The names as a sentence says them; nothing where there are none."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def iso_day(text: str) -> str:
    """A date that was written as ISO, in words."""
    return day(date.fromisoformat(text))


def day(value: date) -> str:
    """A date in words."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def instant(value: datetime, zone: ZoneInfo) -> str:
    """An instant on the clock of a zone."""
    local = value.astimezone(zone)
    offset = f"{local:%z}"
    return f"{day(local.date())}, {local:%H:%M:%S} ({zone.key}, UTC{offset[:3]}:{offset[3:]})"


def rows(count: int) -> str:
    """`1 row`, `1,234 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def when(first: datetime, last: datetime, zone: ZoneInfo) -> str:
    """From when to when, as short as it can be said."""
    start, end = first.astimezone(zone), last.astimezone(zone)
    if start.replace(microsecond=0) == end.replace(microsecond=0):
        return f"On {day(start.date())} at {start:%H:%M:%S}"
    if start.date() == end.date():
        return f"On {day(start.date())} between {start:%H:%M:%S} and {end:%H:%M:%S}"
    return f"Between {day(start.date())}, {start:%H:%M:%S}, and {day(end.date())}, {end:%H:%M:%S}"


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
