"""What a mask is given beside the value, and what it raises where it cannot mask one."""

import datetime as dt
import ipaddress
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from retentiond.catalog.model import Family
from retentiond.errors import FailedError

_SPEAKABLE = (
    int,
    float,
    Decimal,
    uuid.UUID,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


class MaskFailure(FailedError):  # noqa: N818 - a name of the contract between the rooms
    """A value cannot be masked; its row stays as it was and is set aside."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, code="mask")


@dataclass(frozen=True, slots=True)
class MaskContext:
    """
    The column (`family`, `length` in characters, `nullable`), the token `key` with its `scope` (the policy:
    equal values in different scopes get different tokens), and a source of `random` bytes.
    """

    family: Family
    length: int | None
    key: bytes = field(repr=False)
    scope: str
    random: Callable[[int], bytes]
    nullable: bool = True


def as_text(value: object) -> str | None:
    """The text a database would show for the value; None where it has none (bytes, documents)."""
    if isinstance(value, str):
        return value
    if isinstance(value, _SPEAKABLE):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return None


def need_text(method: str, value: object) -> str:
    """The value as text, or a failure that names the type only: SQLite keeps bytes in text columns."""
    text = as_text(value)
    if text is None:
        raise MaskFailure(f"`{method}` cannot mask a value of type {type(value).__name__}")
    return text


def unfit(method: str, context: MaskContext) -> None:
    """Nothing: what is no date or no number becomes NULL, as it cannot stay; a failure where NULL may not go."""
    if not context.nullable:
        raise MaskFailure(f"`{method}` met a value that does not fit, and the column cannot be NULL")
