"""
Tokens: what the ledger remembers of a row that went. Who has the key can ask whether a certain row is among them; from
the tokens alone nobody learns anything, not even whether two of different tables are of the same person.

A token is made of source, schema, table and the typed values of the row's key, under a key of its own for each table,
which is derived from the year's. Two schemes:

- `a1` for keys of one whole number or one UUID: the number as one AES block. It cannot collide, and takes no time.
- `h1` for all others: HMAC-SHA256 over the typed values with their lengths, cut to 16 bytes.
"""

import hmac
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from retentiond.errors import FailedError
from retentiond.state.ledger.token_list import TOKEN_BYTES

Scheme = Literal["a1", "h1"]

_PURPOSE = b"retentiond/tokens/v1"
_LEAST, _MOST = -(2**63), 2**64 - 1  # what a column of 64 bits holds, with a sign or without
_LOW = 2**64 - 1


def make_tokens(
    key: bytes, source: str, schema: str, table: str, rows: Sequence[Sequence[object]]
) -> tuple[Scheme, bytes]:
    """
    The scheme and the tokens of the rows with these keys, sorted, one behind the other; no schema is an empty one.

    Raises:
        FailedError: where a key holds a value of a type that no token can be made of.
    """
    if rows and {len(row) for row in rows} == {1}:
        blocks = _blocks([row[0] for row in rows])
        if blocks is not None:
            kind, data = blocks
            return "a1", _sorted(_encrypted(_sub_key(key, "a1", source, schema, table, kind), data))
    sub_key = _sub_key(key, "h1", source, schema, table, "")
    return "h1", b"".join(sorted(_hashed(sub_key, row) for row in rows))


def token_of(key: bytes, scheme: str, source: str, schema: str, table: str, row: Sequence[object]) -> bytes | None:
    """The token that the row with this key has under that scheme; None where it has none."""
    if scheme == "h1":
        return _hashed(_sub_key(key, "h1", source, schema, table, ""), row)
    blocks = _blocks(list(row)) if len(row) == 1 else None
    if blocks is None:
        return None
    kind, data = blocks
    return _encrypted(_sub_key(key, "a1", source, schema, table, kind), data)


def tokens_in_order(
    key: bytes, scheme: str, source: str, schema: str, table: str, rows: Sequence[Sequence[object]]
) -> list[bytes | None]:
    """What `token_of` gives for each of these rows, and much faster than asking for one after the other."""
    if scheme == "h1":
        sub_key = _sub_key(key, "h1", source, schema, table, "")
        return [_hashed(sub_key, row) for row in rows]
    blocks = _blocks([row[0] for row in rows]) if all(len(row) == 1 for row in rows) else None
    if blocks is None:
        return [token_of(key, scheme, source, schema, table, row) for row in rows]
    kind, data = blocks
    tokens = _encrypted(_sub_key(key, "a1", source, schema, table, kind), data)
    return [tokens[start : start + TOKEN_BYTES] for start in range(0, len(tokens), TOKEN_BYTES)]


def _blocks(values: list[Any]) -> tuple[str, bytes] | None:
    """The values as blocks of 16 bytes, and of which kind they are; None where they do not all fit."""
    kinds = set(map(type, values))
    if kinds == {UUID}:
        return "uuid", b"".join(value.bytes for value in values)
    if kinds != {int}:
        return None
    least, most = min(values), max(values)
    if least < _LEAST or most > _MOST:
        return None
    # As numbers of 128 bits, high half first: the high half of a negative one is all ones.
    halves = array("Q", bytes(TOKEN_BYTES * len(values)))
    halves[1::2] = array("Q", [value & _LOW for value in values] if least < 0 else values)
    if least < 0:
        halves[::2] = array("Q", [_LOW if value < 0 else 0 for value in values])
    if sys.byteorder == "little":
        halves.byteswap()
    return "int", halves.tobytes()


def _encrypted(sub_key: bytes, blocks: bytes) -> bytes:
    # Each block is another one, and is encrypted once: what ECB is bad at does not happen.
    encryptor = Cipher(algorithms.AES256(sub_key), modes.ECB()).encryptor()  # noqa: S305 - see above
    return encryptor.update(blocks) + encryptor.finalize()


def _sorted(tokens: bytes) -> bytes:
    pieces = struct.unpack(f"{TOKEN_BYTES}s" * (len(tokens) // TOKEN_BYTES), tokens)
    return b"".join(sorted(pieces))


def _hashed(sub_key: bytes, row: Sequence[object]) -> bytes:
    data = _framed([_typed(value) for value in row])
    return hmac.digest(sub_key, data, sha256)[:TOKEN_BYTES]


def _sub_key(key: bytes, *place: str) -> bytes:
    """The key of one table, for one scheme and one kind of block."""
    info = _framed([_PURPOSE, *(part.encode("utf-8", "surrogatepass") for part in place)])
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


def _framed(parts: Sequence[bytes]) -> bytes:
    """The parts with their number and lengths, so that no other parts give the same bytes."""
    framed = [len(parts).to_bytes(4, "big")]
    for part in parts:
        framed += (len(part).to_bytes(8, "big"), part)
    return b"".join(framed)


@singledispatch
def _typed(value: object) -> bytes:
    """The value with its type, the same wherever and whenever it is read."""
    raise FailedError(f"no token can be made of a key of the type {type(value).__name__}", code="token-type")


@_typed.register
def _(value: None) -> bytes:  # noqa: ARG001 - the type says it all
    return b"nothing"


@_typed.register
def _(value: bool) -> bytes:
    return b"truth:1" if value else b"truth:0"


@_typed.register
def _(value: int) -> bytes:
    return b"int:%d" % value


@_typed.register
def _(value: float) -> bytes:
    return b"float:" + struct.pack(">d", value + 0.0)  # there is one zero


@_typed.register
def _(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return b"decimal:" + str(value).encode()
    number = int("".join(map(str, digits)))
    while number and not number % 10:
        number, exponent = number // 10, exponent + 1
    return b"decimal:%d:%d:%d" % (sign and number > 0, number, exponent if number else 0)


@_typed.register
def _(value: str) -> bytes:
    return b"text:" + value.encode("utf-8", "surrogatepass")


@_typed.register(bytes)
@_typed.register(bytearray)
@_typed.register(memoryview)
def _(value: bytes | bytearray | memoryview) -> bytes:
    return b"bytes:" + bytes(value)


@_typed.register
def _(value: UUID) -> bytes:
    return b"uuid:" + value.bytes


@_typed.register
def _(value: date) -> bytes:
    return b"date:" + value.isoformat().encode()


@_typed.register
def _(value: datetime) -> bytes:
    if value.tzinfo is None:
        return b"datetime:" + value.isoformat(timespec="microseconds").encode()
    return b"instant:" + value.astimezone(UTC).isoformat(timespec="microseconds").encode()


@_typed.register
def _(value: time) -> bytes:
    return b"time:" + value.isoformat(timespec="microseconds").encode()


@_typed.register
def _(value: timedelta) -> bytes:
    return b"span:%d:%d:%d" % (value.days, value.seconds, value.microseconds)


@_typed.register(IPv4Address)
@_typed.register(IPv4Network)
@_typed.register(IPv6Address)
@_typed.register(IPv6Network)
def _(value: object) -> bytes:
    return f"{type(value).__name__}:{value}".encode()


@_typed.register(list)
@_typed.register(tuple)
def _(value: Sequence[object]) -> bytes:
    return b"list:" + _framed([_typed(one) for one in value])


@_typed.register(dict)
def _(value: Mapping[str, object]) -> bytes:
    pairs = sorted((_typed(name), _typed(one)) for name, one in value.items())
    return b"object:" + _framed([part for pair in pairs for part in pair])
