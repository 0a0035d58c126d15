"""
One leaf of the ledger: a JSON object in the one form that RFC 8785 gives it, so that its bytes can be hashed and read
again anywhere. Texts, whole numbers, truth values, lists and objects; a fraction has too many ways to be written.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import rfc8785

KINDS = frozenset(("intent", "outcome", "hold", "approval", "request", "stop", "restore", "key", "prune"))
CHECKPOINT = "checkpoint"  # the kind of an export's last line, which is no leaf

_LARGEST = 2**53 - 1
_LONGEST = 17  # characters of a number, with its sign

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z", re.ASCII)


def canonical(entry: Mapping[str, Any]) -> bytes:
    """
    The bytes of an entry, the same for the same entry whoever writes it.

    Raises:
        ValueError: where it holds what a leaf may not, such as a fraction.
    """
    return rfc8785.dumps(_plain(entry))


def parse(line: bytes) -> dict[str, Any]:
    """
    The entry that these bytes are.

    Raises:
        ValueError: where they are no JSON object, or another way of writing one than `canonical` has.
    """
    try:
        read: Any = _DECODER.decode(line.decode("utf-8"))
        entry: dict[str, Any] = read if isinstance(read, dict) else {}
        # Where every character is ASCII, those of names above all, both writers agree, and one is 20 times faster.
        written = _ENCODER.encode(entry).encode() if line.isascii() else canonical(entry)
    except (ValueError, RecursionError):
        raise ValueError("no JSON that a leaf may be") from None
    if written != line:
        raise ValueError("not the canonical form")
    return entry


def instant_text(instant: datetime) -> str:
    """The instant as a leaf writes it: UTC, with microseconds where it has any."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    plain = instant.astimezone(UTC).replace(tzinfo=None)
    return f"{plain.isoformat(timespec='microseconds' if plain.microsecond else 'seconds')}Z"


def instant_of(text: object) -> datetime:
    """
    The instant that a leaf wrote.

    Raises:
        ValueError: where `instant_text` would not write it so.
    """
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ValueError("no instant")
    instant = datetime.fromisoformat(text)
    if instant_text(instant) != text:
        raise ValueError("not the canonical form of an instant")
    return instant


def _plain(value: Any) -> Any:
    """The value in the types that JSON has; a ValueError for every other."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a name that is no text")
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    raise ValueError(f"a leaf holds no {type(value).__name__}")


def _refuse(_: str) -> NoReturn:
    raise ValueError("a leaf holds no fraction")


def _whole(text: str) -> int:
    number = int(text) if len(text) <= _LONGEST else _LARGEST + 1
    if abs(number) > _LARGEST:
        raise ValueError("a number that not every reader of JSON can hold")
    return number


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, parse_int=_whole)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
