"""Leaves: one way to write each, and no way to read another."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.state.ledger.leaf import canonical, instant_of, instant_text, parse

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
entries = st.dictionaries(texts, values, max_size=6)


def test_a_leaf_is_what_the_documents_show() -> None:
    entry = {
        "seq": 812,
        "time": "2026-11-22T01:00:03Z",
        "kind": "outcome",
        "job": "sparkcentral/contract-data@crm",
        "tables": {"crm.customers": 500, "crm.contracts": 610},
        "note": 'é €\u2028\x07"\\/',
        "none": None,
        "list": (True, -1),
    }
    written = canonical(entry)
    assert written == (
        b'{"job":"sparkcentral/contract-data@crm","kind":"outcome","list":[true,-1],"none":null,'
        b'"note":"\xc3\xa9 \xe2\x82\xac\xe2\x80\xa8\\u0007\\"\\\\/","seq":812,'
        b'"tables":{"crm.contracts":610,"crm.customers":500},"time":"2026-11-22T01:00:03Z"}'
    )
    assert parse(written) == {**entry, "list": [True, -1]}


@given(entries)
def test_what_was_written_is_read(entry: dict[str, Any]) -> None:
    assert parse(canonical(entry)) == entry


@given(entries)
def test_one_that_is_all_ascii_is_read_by_the_same_rules(entry: dict[str, Any]) -> None:
    line = canonical(entry)
    assert line.isascii() == all(ord(one) < 128 for one in line.decode())
    plain = json.dumps(entry, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()
    if plain == line:
        assert parse(plain) == entry
    else:
        with pytest.raises(ValueError, match="canonical"):
            parse(plain)


@given(entries, st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(entry: dict[str, Any], random: Any) -> None:
    names = list(entry)
    random.shuffle(names)
    assert canonical({name: entry[name] for name in names}) == canonical(entry)


@given(entries.filter(bool), st.sampled_from([{"indent": 1}, {"separators": (", ", ": ")}, {"sort_keys": False}]))
def test_there_is_no_other_way_to_write_it(entry: dict[str, Any], form: dict[str, Any]) -> None:
    other = json.dumps(dict(reversed(entry.items())), ensure_ascii=False, **form).encode()
    if other != canonical(entry):
        with pytest.raises(ValueError, match="canonical"):
            parse(other)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"1",
        b'"x"',
        b"null",
        b'{"a":1}\n',
        b' {"a":1}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":1.0}',
        b'{"a":1.5}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":9007199254740993}',
        b'{"a":-9007199254740992}',
        b'{"\xc3\xa9":9007199254740992}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\x07"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"\x00",
    ],
)
def test_what_is_no_leaf(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind, it is one
        parse(line)


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), b"x", {1: 2}, {None: 1}, [object()], 2**53, -(2**53), "\ud800", datetime.now(UTC)]
)
def test_what_no_leaf_holds(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind, it is one
        canonical({"a": {"b": [value]}})


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 11, 22, 1, 0, 3, tzinfo=UTC), "2026-11-22T01:00:03Z"),
        (datetime(2026, 11, 22, 1, 0, 3, 50, tzinfo=UTC), "2026-11-22T01:00:03.000050Z"),
        (datetime(2026, 11, 22, 1, 30, 3, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T23:30:03Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant: datetime, text: str) -> None:
    assert instant_text(instant) == text
    assert instant_of(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        None,
        20261122,
        "",
        "2026-11-22",
        "2026-11-22T01:00:03",
        "2026-11-22T01:00:03+00:00",
        "2026-11-22T01:00:03.000000Z",
        "2026-11-22T01:00:03.5Z",
        "2026-11-22t01:00:03Z",
        "2026-11-22 01:00:03Z",
        "2026-02-30T01:00:03Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T01:00:03Z\n",
        "٢٠٢٦-11-22T01:00:03Z",
    ],
)
def test_what_is_no_instant(text: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind, it is one
        instant_of(text)


def test_an_instant_has_a_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        instant_text(datetime(2026, 11, 22))  # noqa: DTZ001 - that is the point
