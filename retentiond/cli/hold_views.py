"""How holds look: a table for people, and the document."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from retentiond.cli.moments import shown
from retentiond.cli.output import NOTHING, Column, Sheet
from retentiond.engine.report import instant_text
from retentiond.state.holds import Hold


def hold_sheet(holds: Sequence[Hold], today: date, zone: ZoneInfo, *, released: bool) -> Sheet:
    """The holds as a table; with `released` when and by whom each was."""
    titles = ["hold", "kind", "on", "matter", "review", "since", "by", *(["released", "by"] if released else [])]
    return Sheet(tuple(map(Column, titles)), tuple(_row(hold, today, zone, released=released) for hold in holds))


def _row(hold: Hold, today: date, zone: ZoneInfo, *, released: bool) -> tuple[str, ...]:
    review = f"{hold.review} (overdue)" if hold.overdue(today) else str(hold.review)
    asked = f"asked by {hold.release_asked_by.name}" if hold.release_asked_by else NOTHING
    gone = (shown(hold.released_at, zone), hold.released_by or asked) if released else ()
    return hold.id, hold.kind, hold.on, hold.matter, review, shown(hold.added_at, zone), hold.added_by, *gone


def as_json(hold: Hold, today: date) -> dict[str, object]:
    """The hold of the document."""
    return {
        "id": hold.id,
        "kind": hold.kind,
        "scope": hold.scope,
        "policy": hold.policy,
        "subject": hold.subject_type,
        "record": hold.record,
        "source": hold.source,
        "count": hold.count,
        "matter": hold.matter,
        "review": hold.review.isoformat(),
        "overdue": hold.overdue(today),
        "since": instant_text(hold.added_at),
        "by": hold.added_by,
        "release_asked_by": hold.release_asked_by.name if hold.release_asked_by else None,
        "released": instant_text(hold.released_at),
        "released_by": hold.released_by,
    }


def summary(holds: Sequence[Hold], today: date) -> dict[str, int]:
    """How many holds are in force, and how many of these somebody should have looked at by now."""
    standing = [hold for hold in holds if hold.released_at is None]
    return {"active": len(standing), "review_overdue": sum(hold.overdue(today) for hold in standing)}
