"""What is in force and where it came from, for people: every secret hidden."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from retentiond.settings.model import Database, Settings


def settings_in_force(settings: Settings) -> list[tuple[str, str, str]]:
    """Each setting as (key, what may be shown of its value, where it came from), in the order of the file."""
    rows = _rows(settings, "", settings)
    for name, source in settings.sources.items():
        rows += _rows(source, f"sources.{name}.", settings)
    return rows


def _rows(table: BaseModel, prefix: str, settings: Settings) -> list[tuple[str, str, str]]:
    rows = []
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            rows += _rows(value, f"{prefix}{name}.", settings)
        elif not (table is settings and name == "sources"):
            if isinstance(table, Database) and name == "url":
                value = table.shown_url()
            rows.append((f"{prefix}{name}", shown(value), settings.origin(f"{prefix}{name}")))
    return rows


def shown(value: object) -> str:
    """The value in the words of the settings file."""
    match value:
        case None:
            return "unset"
        case bool():
            return "true" if value else "false"
        case timedelta():
            return f"{value.days} days"
        case ZoneInfo():
            return value.key
        case tuple():
            return ", ".join(str(item) for item in value) if value else "none"
        case float() | int() | str() | Path():
            return str(value)
    return str(value)
