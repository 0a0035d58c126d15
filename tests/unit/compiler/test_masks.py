# ruff: noqa: DTZ001, DTZ901 - timestamps without a zone are what many columns hold
import datetime as dt
import ipaddress
import json
import time
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.model import Family
from retentiond.compiler.masks import MaskContext, MaskFailure, mask_value, shortest
from retentiond.compiler.redaction import redact
from retentiond.policy.model import Method
from tests.unit.compiler.mask_strategies import (
    DOCUMENTS,
    JSON_METHODS,
    RECOGNISED,
    TEXTS,
    VALUES,
    context,
    counting,
)

UTC_2 = dt.timezone(dt.timedelta(hours=2))


def masked(method: Method, value: object, family: Family = Family.TEXT, length: int | None = None) -> object:
    return mask_value(method, value, context(family, length))


@given(RECOGNISED, st.booleans())
def test_null_stays_null_but_for_a_constant(pair: tuple[Method, Family], nullable: bool) -> None:
    method, family = pair
    result = mask_value(method, None, context(family, nullable=nullable))
    assert (result is None) is (method.name != "constant")


@given(JSON_METHODS, DOCUMENTS, st.booleans())
def test_a_document_masked_twice_is_masked_once(method: Method, document: object, as_text: bool) -> None:
    value = json.dumps(document) if as_text else document
    once = masked(method, value, Family.JSON)
    assert masked(method, once, Family.JSON) == once
    assert isinstance(once, str) is as_text


@given(st.one_of(TEXTS, st.text(alphabet="0123456789 +-./()@:abc[]", max_size=120)), st.none() | st.integers(1, 60))
def test_a_text_redacted_twice_is_redacted_once(text: str, length: int | None) -> None:
    once = redact(text, length)
    assert redact(once, length) == once
    assert length is None or len(once) <= length


@given(st.sampled_from([Method("prefix", 2), Method("redact"), Method("token"), Method("mask", 3)]), VALUES)
def test_only_what_has_no_text_fails(method: Method, value: object) -> None:
    try:
        masked(method, value)
    except MaskFailure:
        assert isinstance(value, (bytes, list))


def test_key_and_value_stay_out_of_reprs() -> None:
    made = MaskContext(Family.TEXT, None, b"very-secret", "scope", counting())
    assert "very-secret" not in repr(made)


# --- random and token ------------------------------------------------------------------------------------------------


def test_random_is_unique_and_of_the_right_shape() -> None:
    given_context = context()
    results = {mask_value(Method("random"), "Jo Smith", given_context) for _ in range(100)}
    assert len(results) == 100
    assert all(isinstance(result, str) and len(result) == 31 and result.startswith("anon-") for result in results)
    mail = masked(Method("random"), "jo@example.com")
    assert isinstance(mail, str)
    assert mail.startswith("anon-")
    assert mail.endswith("@anon.invalid")


@pytest.mark.parametrize("length", range(6, 60))
@pytest.mark.parametrize("value", ["Jo Smith", "jo@example.com"])
def test_random_is_never_longer_than_its_column(value: str, length: int) -> None:
    result = masked(Method("random"), value, length=length)
    assert isinstance(result, str)
    assert len(result) <= length
    if length >= 31:
        assert ("@" in result) is ("@" in value)
    if length >= 18:
        letters = result.removeprefix("anon-").removesuffix("@anon.invalid")
        assert len(letters) >= 13


def test_a_random_uuid_is_of_the_kind_that_came() -> None:
    old = uuid4()
    new = masked(Method("random"), old, Family.UUID)
    assert isinstance(new, UUID)
    assert new != old
    text = masked(Method("random"), str(old), Family.UUID)
    assert isinstance(text, str)
    assert UUID(text).version == 4


def test_tokens_are_the_same_for_the_same_value_scope_and_key_only() -> None:
    def token(value: str, scope: str = "s", key: bytes = b"k" * 32) -> object:
        return mask_value(Method("token"), value, MaskContext(Family.TEXT, None, key, scope, counting()))

    assert token("a") == token("a")
    assert len({token("a"), token("b"), token("a", "t"), token("a", "s", b"l" * 32), token("s", "a")}) == 5
    assert token("ab", "c") != token("b", "ca")
    assert token("", "ab") != token("b", "a")


def test_a_token_is_pinned() -> None:
    # Another encoding would unlink all tokens written before.
    assert masked(Method("token"), "jo@example.com") == "anon-ft4jkerlkaat6gb4srrccvmgwq"
    mail = masked(Method("token", "email"), "jo@example.com")
    assert mail == "anon-ft4jkerlkaat6gb4srrccvmgwq@anon.invalid"


@pytest.mark.parametrize("method", [Method("token"), Method("token", "email")])
def test_a_token_is_cut_to_what_stays_unique_and_no_further(method: Method) -> None:
    needed = shortest(method, unique=True)
    result = masked(method, "Jo", length=needed)
    assert isinstance(result, str)
    assert len(result) == needed
    with pytest.raises(MaskFailure):
        masked(method, "Jo", length=needed - 1)


# --- dates and numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "value", "family", "expected"),
    [
        ("year", dt.date(2024, 5, 17), Family.DATE, dt.date(2024, 1, 1)),
        ("month", dt.datetime(2024, 5, 17, 3, 4, 5, 6), Family.NAIVE, dt.datetime(2024, 5, 1)),
        ("day", dt.datetime(2024, 5, 17, 3), Family.NAIVE, dt.datetime(2024, 5, 17)),
        ("year", dt.datetime(2024, 1, 1, 1, tzinfo=UTC_2), Family.INSTANT, dt.datetime(2023, 1, 1, tzinfo=dt.UTC)),
        ("year", "2024-05-17", Family.TEXT_DATE, "2024-01-01"),
        ("month", "2024-05-17 10:20:30.123456", Family.TEXT_DATETIME, "2024-05-01 00:00:00.000000"),
        ("day", "2024-05-17T10:20", Family.TEXT_DATETIME, "2024-05-17T00:00"),
        ("day", "2024-05-17T10:20:30Z", Family.TEXT_DATETIME, "2024-05-17T00:00:00Z"),
        ("day", "2024-05-17T01:20:30+02:00", Family.TEXT_DATETIME, "2024-05-16T00:00:00+00:00"),
        ("day", "2024-05-17T23:20:30-0230", Family.TEXT_DATETIME, "2024-05-18T00:00:00+0000"),
        ("year", "17/05/2024", Family.TEXT_DATE, None),
        ("year", "2024-02-30", Family.TEXT_DATE, None),
        ("year", "2024-02-03 25:00", Family.TEXT_DATETIME, None),
        ("year", 1715900000, Family.TEXT_DATETIME, None),
    ],
)
def test_truncate(unit: str, value: object, family: Family, expected: object) -> None:
    assert masked(Method("truncate", unit), value, family) == expected


@pytest.mark.parametrize("edge", [dt.datetime.max, dt.datetime.min])
@pytest.mark.parametrize("hours", [-11, 11])
def test_truncate_stays_within_the_calendar(edge: dt.datetime, hours: int) -> None:
    value = edge.replace(tzinfo=dt.timezone(dt.timedelta(hours=hours)))
    result = masked(Method("truncate", "year"), value, Family.INSTANT)
    assert isinstance(result, dt.datetime)
    assert result.year == edge.year


def test_what_is_no_date_fails_where_null_may_not_go() -> None:
    with pytest.raises(MaskFailure):
        mask_value(Method("truncate", "year"), "soon", context(Family.TEXT_DATE, nullable=False))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1999, 1000),
        (-1, -1000),
        (0, 0),
        (Decimal("1999.99"), Decimal(1000)),
        (Decimal("-0.01"), Decimal(-1000)),
        (Decimal("123456789012345678901234567890.5"), Decimal(123456789012345678901234567000)),
        (2500.5, 2000.0),
        (-0.5, -1000.0),
        (float("nan"), None),
        (Decimal("Infinity"), None),
        ("12", None),
    ],
)
def test_round_goes_down_to_the_bucket(value: object, expected: object) -> None:
    result = masked(Method("round", 1000), value, Family.DECIMAL)
    assert result == expected
    assert result is None or type(result) is type(value)


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        (Method("prefix", 2), "9000", "90"),
        (Method("prefix", 2), "é🙂x", "é🙂"),
        (Method("prefix", 2), 9000, "90"),
        (Method("mask", 4), "BE68539007547034", "••••7034"),
        (Method("mask", 4), "7034", "••••"),
        (Method("mask", 4), "", "••••"),
        (Method("mask", 4), "••••12345678", "••••5678"),
        (Method("domain"), "jo@example.com", "example.com"),
        (Method("domain"), '"a@b"@example.com', "example.com"),
        (Method("domain"), "Jo <jo@example.com> (tel 02)", "example.com"),
        (Method("domain"), "example.com", "example.com"),
        (Method("network"), "192.0.2.77", "192.0.2.0"),
        (Method("network"), " 192.0.2.77/16 ", "192.0.2.0"),
        (Method("network"), "2001:DB8:1:2:3:4:5:6", "2001:db8:1::"),
        (Method("network"), "fe80::1%eth0", "fe80::"),
        (Method("network"), "::1", "::"),
        (Method("network"), "::ffff:192.0.2.77", "::ffff:192.0.2.0"),
        (Method("network"), "jo", "0.0.0.0"),
        (Method("network"), "", "0.0.0.0"),
        (Method("network"), "192.0.2.300", "0.0.0.0"),
        (Method("empty"), "Jo", None),
        (Method("constant", "gone"), None, "gone"),
    ],
)
def test_texts(method: Method, value: object, expected: object) -> None:
    assert masked(method, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ipaddress.ip_address("192.0.2.77"), "192.0.2.0"),
        (ipaddress.ip_interface("192.0.2.77/24"), "192.0.2.0"),
        (ipaddress.ip_network("2001:db8:1:2::/64"), "2001:db8:1::"),
        ("2001:db8::1", "2001:db8::"),
    ],
)
def test_networks_of_address_columns(value: object, expected: str) -> None:
    assert masked(Method("network"), value, Family.INET) == expected


@pytest.mark.parametrize(
    ("text", "family", "expected"),
    [
        ("7", Family.INTEGER, 7),
        ("7.50", Family.DECIMAL, Decimal("7.50")),
        ("TRUE", Family.BOOLEAN, True),
        ("1900-01-01", Family.DATE, dt.date(1900, 1, 1)),
        ("1900-01-01", Family.NAIVE, dt.datetime(1900, 1, 1)),
        ("1900-01-01", Family.INSTANT, dt.datetime(1900, 1, 1, tzinfo=dt.UTC)),
        ("{ }", Family.JSON, "{}"),
        ("x", Family.OTHER, "x"),
    ],
)
def test_constants_take_the_columns_type(text: str, family: Family, expected: object) -> None:
    result = masked(Method("constant", text), None, family)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("name", ["prefix", "mask", "token", "network", "domain", "redact", "json"])
def test_bytes_in_a_text_column_fail_without_being_told(name: str) -> None:
    method = {"prefix": Method("prefix", 2), "mask": Method("mask", 2)}.get(name) or Method(name)  # type: ignore[arg-type]
    with pytest.raises(MaskFailure, match="bytes") as caught:
        masked(method, b"secret")
    assert "secret" not in str(caught.value)


def test_bytes_are_replaced_where_nothing_of_them_is_kept() -> None:
    assert str(masked(Method("random"), b"secret")).startswith("anon-")
    assert masked(Method("empty"), b"secret") is None


# --- redact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail jo.o'brien+x@example.co.uk, now", "mail [email], now"),
        ("<mailto:jo@bücher.example>", "<mailto:[email]>"),
        ('"john doe"@example.com', "[email]"),
        ("jo@[192.0.2.1] and root@server", "[email] and [email]"),
        ("+32 475 12 34 56.", "[phone]."),
        ("+32(0)475/12.34.56", "[phone]"),
        ("0032475123456", "[phone]"),
        ("0475 12 34 56 of 02 123 45 67", "[phone] of [phone]"),
        ("0475123456 021234567", "[phone] [phone]"),
        ("(555) 123-4567 or 1-800-555-1234", "[phone] or [phone]"),
        ("(020) 7946 0958", "[phone]"),
        ("01 23 45 67 89", "[phone]"),
        ("06-12345678", "[phone]"),
        ("Tel.0475123456", "Tel.[phone]"),
        ("tel: 512 345 678", "tel: [phone]"),
        ("my phone number is 512345678", "my phone number is [phone]"),
        ("it will be 0475123456", "it will be [phone]"),
        ("call 0475/12.34.56 2024-05-01", "call [phone] 2024-05-01"),
        ("192.168.1.12:80 and 2001:db8::1.", "[ip]:80 and [ip]."),
        ("from ::ffff:192.0.2.1", "from [ip]"),
        ("BE68 5390 0754 7034 IS MINE", "[iban] IS MINE"),
        ("be68539007547034 BE68539007547034", "[iban] [iban]"),
        ("GB29NWBK60161331926819", "[iban]"),
        ("4111 1111 1111 1111 or 378282246310005", "[card] or [card]"),
        ("order 2024 4111-1111-1111-1111", "order 2024 [card]"),
    ],
)
def test_redact_takes_out(text: str, expected: str) -> None:
    assert masked(Method("redact"), text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15",
        "2024-03-15T10:20:30.123Z",
        "15/03/2024 10:20",
        "01.02.2024 to 03.04.2024",
        "03-04-2024 10:30:00",
        "INV-2024-00123",
        "INV-0475123456",
        "invoice 0123456789",
        "Invoice no. 0123456789",
        "2024-000123",
        "order 20240315001",
        "VAT BE 0123.456.789",
        "+++090/9337/55493+++",
        "€ 1.234.567,89",
        "1 234 567.00",
        "0.123456789",
        "3@1.50",
        "1234 5678 9012 3456",
        "BE68 5390 0754 7035",
        "std::vector at 12:30:45",
        "00:1a:2b:3c:4d:5e",
        "version 1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
    ],
)
def test_redact_leaves(text: str) -> None:
    assert masked(Method("redact"), text) == text


def test_redact_keeps_to_the_columns_length() -> None:
    assert masked(Method("redact"), "a@b.co", length=6) == "[email"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "@",
        "a@",
        "+",
        "0 ",
        "01 ",
        "4111 ",
        "4",
        "1.",
        ":",
        "a:",
        "BE68 ",
        '"',
        "1-",
        "(",
        "+1",
        "1.1.1.1",
        "@1",
        "12/12/",
        "a@b.c1.2.3.4",
        "4444 44444 ",
        '"a"@',
        "0475123456 ",
        "0(",
        ") ",
        "tel 123456 ",
        "a-",
        "٠",
    ],
)
def test_redact_is_linear(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        start = time.process_time()
        redact(text)
        return time.process_time() - start

    # A quadratic pattern takes minutes here; these took 0.04 to 0.37 s on a busy machine.
    assert any(seconds(100_000) < 1 for _ in range(3))


# --- json ------------------------------------------------------------------------------------------------------------


def document_method(**paths: Method) -> Method:
    return Method("json", inside=tuple((path.replace("__", "."), method) for path, method in paths.items()))


def test_json_keeps_order_letters_and_everything_else() -> None:
    method = document_method(user__name=Method("empty"), user__ip=Method("network"))
    text = '{"z": 1, "user": {"name": "Zoë", "ip": "192.0.2.7", "city": "Liège"}, "a": [1.5, true, null]}'
    expected = '{"z":1,"user":{"name":null,"ip":"192.0.2.0","city":"Liège"},"a":[1.5,true,null]}'
    assert masked(method, text) == expected
    assert masked(method, json.loads(text), Family.JSON) == json.loads(expected)


def test_json_does_not_change_the_document_it_got() -> None:
    document = {"a": {"b": "Jo"}}
    masked(document_method(a__b=Method("empty")), document, Family.JSON)
    assert document == {"a": {"b": "Jo"}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("people.name", {"people": [{"name": "A"}, {"name": "B", "tags": ["xy", "z"]}]}),
        ("people.*.name", {"people": [{"name": "A"}, {"name": "B", "tags": ["xy", "z"]}]}),
        ("people.1.name", {"people": [{"name": "Ann"}, {"name": "B", "tags": ["xy", "z"]}]}),
        ("people.tags", {"people": [{"name": "Ann"}, {"name": "Bob", "tags": ["x", "z"]}]}),
        ("people.1", {"people": [{"name": "Ann"}, {"name": "B", "tags": ["x", "z"]}]}),
        ("nowhere.name", {"people": [{"name": "Ann"}, {"name": "Bob", "tags": ["xy", "z"]}]}),
    ],
)
def test_json_paths(path: str, expected: object) -> None:
    document = {"people": [{"name": "Ann"}, {"name": "Bob", "tags": ["xy", "z"]}]}
    method = Method("json", inside=((path, Method("prefix", 1)),))
    assert masked(method, document, Family.JSON) == expected


def test_json_empties_and_replaces_whole_branches() -> None:
    assert masked(document_method(a=Method("empty")), '{"a":{"b":1}}') == '{"a":null}'
    assert masked(document_method(a=Method("constant", "7")), '{"a":[1]}') == '{"a":"7"}'
    assert masked(document_method(a=Method("constant", "7")), '{"a":1}') == '{"a":7}'


def test_json_does_not_leave_what_a_repeated_key_hides() -> None:
    text = '{"mail":"jo@example.com","mail":null}'
    assert "jo" not in str(masked(document_method(mail=Method("empty")), text))


@pytest.mark.parametrize("text", ["{", "jo@example.com", '{"a": NaN}', '{"b": 1e999}', "[" * 100_000])
def test_what_is_no_json_fails_without_being_told(text: str) -> None:
    with pytest.raises(MaskFailure) as caught:
        masked(document_method(a=Method("empty")), text)
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_blank_text_is_no_document_and_holds_nothing() -> None:
    assert masked(document_method(a=Method("empty")), "") == ""


def test_half_a_surrogate_pair_stays_escaped() -> None:
    assert masked(document_method(a=Method("empty")), '{"b":"\\ud800"}') == '{"b":"\\ud800"}'


def test_a_document_longer_than_its_column_fails() -> None:
    with pytest.raises(MaskFailure):
        masked(document_method(a=Method("random")), '{"a":"Jo"}', length=12)
