"""Tokens: frozen, so that what was destroyed years ago is recognised; equal for equal rows and for no others."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from retentiond.errors import FailedError
from retentiond.state.ledger.token_list import TOKEN_BYTES, TokenList
from retentiond.state.ledger.tokens import make_tokens, token_of

YEAR = bytes(range(32))
NEXT_YEAR = bytes(range(1, 33))
PLACE = ("crm", "public", "customers")
SOME_UUID = UUID("5f0e3c1a-0000-4000-8000-000000000001")

FROZEN = [
    ((42,), "a1", "883776a70dffcf5c6d444b795c962a4c"),
    ((-1,), "a1", "4eb0027c3f3e39605dc781b404c8a2df"),
    ((2**63 - 1,), "a1", "d7abfe2133b1dd24b12909436a189fd0"),
    ((2**64 - 1,), "a1", "cf3b411bb92b5aaf285e72d1f7b52d32"),
    ((-(2**63),), "a1", "6b63af727de1f35246ac6f09ca3f76f4"),
    ((SOME_UUID,), "a1", "7389e2b5a576b6c66b65fd525c14e70a"),
    ((2**64,), "h1", "08e47230c48d033b5db956265058ead2"),
    (("42",), "h1", "d98c7aaa875422a28de1560ec5e6f7a8"),
    (("é",), "h1", "e521ccdfb5f2f1bc0290ffe1ce719a32"),
    ((b"42",), "h1", "6aafb7a4a8e0a1129cda4c3e4490c2a9"),
    ((Decimal("42.10"),), "h1", "f7186104317ce1ffc59c83da5859c980"),
    ((42.5,), "h1", "e18d20b46f01cc9038fb85d0700da3f6"),
    ((True,), "h1", "2ea884e4428e693be6f171f180a7059a"),
    ((date(2026, 11, 22),), "h1", "20faf1a962a169e7c181a99c28d52d66"),
    ((datetime(2026, 11, 22, 1, 2, 3),), "h1", "d4e9a9e6fbe9a7354fd41ff84ec1fa5b"),  # noqa: DTZ001
    ((datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC),), "h1", "ebf28775c92082eac7d11a5e15180385"),
    ((time(1, 2, 3),), "h1", "5e1cd6d36be48d90d5828c2770308387"),
    ((timedelta(days=1, seconds=2),), "h1", "52dcab7b53a2b73d753c96d5166ab0b1"),
    ((ip_address("192.0.2.1"),), "h1", "7c698625dca615b3357d190fc822c251"),
    ((42, "de"), "h1", "190e58a0b7a1558c81ccae48c966a09d"),
    (([1, 2],), "h1", "121d0009c0ec0174da9c457b375ab14b"),
    (({"a": 1},), "h1", "476cdbc192395ef061bf45509b1c7382"),
]

numbers = st.integers(-(2**63), 2**64 - 1)
scalars = (
    st.integers()
    | st.text()
    | st.binary()
    | st.booleans()
    | st.uuids()
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False)
    | st.ip_addresses()
)
rows = st.lists(scalars, min_size=1, max_size=3).map(tuple)


def framed(*parts: bytes) -> bytes:
    return len(parts).to_bytes(4, "big") + b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def table_key(year: bytes, *place: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) by hand: no salt, one block."""
    info = framed(b"retentiond/tokens/v1", *(part.encode() for part in place))
    secret = hmac.digest(bytes(32), year, "sha256")
    return hmac.digest(secret, info + b"\x01", "sha256")


def of(*row: object, key: bytes = YEAR, place: tuple[str, str, str] = PLACE) -> bytes:
    return make_tokens(key, *place, [row])[1]


@pytest.mark.parametrize(("row", "scheme", "token"), FROZEN)
def test_a_token_is_what_it_was_when_it_was_made(row: tuple[object, ...], scheme: str, token: str) -> None:
    made, tokens = make_tokens(YEAR, *PLACE, [row])
    assert (made, tokens.hex()) == (scheme, token)
    assert token_of(YEAR, scheme, *PLACE, row) == tokens


def test_the_schemes_are_what_the_documents_say() -> None:
    hashed = hmac.digest(table_key(YEAR, "h1", *PLACE, ""), framed(b"int:42", b"text:de"), "sha256")
    assert of(42, "de") == hashed[:16]
    for row, kind, block in (
        ((42,), "int", (42).to_bytes(16, "big")),
        ((-42,), "int", (-42).to_bytes(16, "big", signed=True)),
        ((SOME_UUID,), "uuid", SOME_UUID.bytes),
    ):
        cipher = Cipher(algorithms.AES256(table_key(YEAR, "a1", *PLACE, kind)), modes.ECB())
        assert of(*row) == cipher.encryptor().update(block)


@given(st.lists(numbers, min_size=1, max_size=30, unique=True))
def test_many_numbers_have_the_tokens_that_each_has(values: list[int]) -> None:
    scheme, tokens = make_tokens(YEAR, *PLACE, [(value,) for value in values])
    assert scheme == "a1"
    assert tokens == b"".join(sorted(of(value) for value in values))
    found = TokenList("crm.public.customers", scheme, "tokens-2026-00000000", tokens)
    assert found.well_formed()
    assert found.count == len(values)
    assert all(of(value) in found for value in values)
    assert of(max(values) + 1) not in found or max(values) + 1 in values


@given(rows, rows)
def test_different_rows_have_different_tokens(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    same = [(type(value), value) for value in one] == [(type(value), value) for value in other]
    assert (of(*one) == of(*other)) == same
    for scheme in ("a1", "h1"):
        first, second = token_of(YEAR, scheme, *PLACE, one), token_of(YEAR, scheme, *PLACE, other)
        assert first is None or (first == second) == same


@given(rows)
def test_a_token_is_of_one_place_and_one_year(row: tuple[Any, ...]) -> None:
    places = [PLACE, ("crm", "", "customers"), ("crm", "public", "Customers"), ("crm2", "public", "customers")]
    places += [("crm", "publicc", "ustomers"), ("crmp", "ublic", "customers"), ("crm", "public.customers", "")]
    tokens = [of(*row, key=key, place=place) for place in places for key in (YEAR, NEXT_YEAR)]
    assert len(set(tokens)) == len(tokens)


def test_equal_numbers_of_different_types_are_different_keys() -> None:
    keys: list[Any] = [5, "5", b"5", Decimal(5), 5.0, True, [5], {"5": 5}, UUID(int=5), timedelta(days=5)]
    tokens = {of(key) for key in keys} | {of(5, 5), of("5", 5), of(5, "5"), of("5,5"), of("", "5"), of("5", "")}
    assert len(tokens) == len(keys) + 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("5.00"), Decimal(5)),
        (Decimal("1E+3"), Decimal(1000)),
        (Decimal("-0.0"), Decimal(0)),
        (Decimal("1234567890123456789012345678901.50"), Decimal("1234567890123456789012345678901.5")),
        (0.0, -0.0),
        (b"x", bytearray(b"x")),
        (b"x", memoryview(b"x")),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))),
        ([1, "a"], (1, "a")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_the_same_value_written_otherwise_has_the_same_token(one: object, other: object) -> None:
    assert of(one) == of(other)


def test_what_a_driver_may_give_has_a_token() -> None:
    for value in (None, Decimal("NaN"), ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"), "\ud800"):
        assert len(of(value)) == TOKEN_BYTES


def test_a_mixed_table_is_hashed() -> None:
    scheme, tokens = make_tokens(YEAR, *PLACE, [(5,), ("5",)])
    assert scheme == "h1"
    assert token_of(YEAR, "h1", *PLACE, (5,)) in (tokens[:16], tokens[16:])
    assert make_tokens(YEAR, *PLACE, []) == ("h1", b"")
    assert token_of(YEAR, "a1", *PLACE, ("5",)) is None
    assert token_of(YEAR, "a1", *PLACE, (5, 5)) is None
    assert token_of(YEAR, "a1", *PLACE, (2**64,)) is None


def test_a_value_of_an_unknown_type_is_named_by_its_type_alone() -> None:
    with pytest.raises(FailedError) as caught:
        of(complex(4711, 0))
    assert caught.value.code == "token-type"
    assert "complex" in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("tokens", [b"x", b"b" * 16 + b"a" * 16, b"a" * 32, b"a" * 31])
def test_a_list_is_whole_sorted_and_without_repetition(tokens: bytes) -> None:
    assert not TokenList("crm.customers", "h1", "tokens-2026-00000000", tokens).well_formed()


def test_a_list_does_not_show_its_tokens() -> None:
    found = TokenList("crm.customers", "h1", "tokens-2026-00000000", b"a" * 16)
    assert "aaaa" not in repr(found)
    assert found.sha256 == hashlib.sha256(b"a" * 16).hexdigest()
