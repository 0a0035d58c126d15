"""
Personal data taken out of free text: e-mail and IP addresses, IBANs, card and phone numbers.

All of it is linear in the length of the text: patterns are possessive or bounded, and whatever needs arithmetic is
judged on at most a few dozen characters. In doubt a phone number goes; dates, times, prices and invoice numbers stay.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator

from retentiond.compiler.mask_context import MaskFailure
from retentiond.compiler.phones import phone_spans

Span = tuple[int, int]

_PASSES = 12


def redact(text: str, length: int | None = None) -> str:
    """The text with `[email]`, `[ip]`, `[iban]`, `[card]` and `[phone]` in the place of each, cut to `length`."""
    for _ in range(_PASSES):
        # What was hidden behind a neighbour shows once the neighbour is gone: only a text that stays is finished.
        before = text
        for label, spans in _FINDERS:
            text = _replace(text, spans, label)
        if length is not None:
            text = text[:length]
        if text == before:
            return text
    raise MaskFailure("`redact` found no end in a text")


def _replace(text: str, find: Callable[[str], Iterator[Span]], label: str) -> str:
    parts: list[str] = []
    at = 0
    for start, end in find(text):
        parts += (text[at:start], label)
        at = end
    parts.append(text[at:])
    return "".join(parts)


_MAIL = re.compile(
    r"""(?:(?<![\w.+%'!\#$&*^`{|}~-])[\w.+%'!\#$&*^`{|}~-]++ | "[^"\r\n]{1,64}+")
        @ (?: (?=[\w.-]*[^\W\d_]) [\w-]++ (?:\.[\w-]++)*+ | \[[0-9A-Fa-f:.]{2,45}+\] )""",
    re.VERBOSE,
)


def _mails(text: str) -> Iterator[Span]:
    if "@" in text:
        for found in _MAIL.finditer(text):
            yield found.span()


_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:.]++(?:%\w++)?")


def _ipv6s(text: str) -> Iterator[Span]:
    if text.count(":") < 2:
        return
    for found in _IPV6.finditer(text):
        run = found.group()
        if len(run) > 64 or run.count(":") < 2:
            continue
        # The colon or full stop of the sentence clings to the run.
        for start, end in ((0, len(run)), (0, len(run.rstrip(".:"))), (len(run) - len(run.lstrip(".:")), len(run))):
            if _is_ipv6(run[start:end]):
                yield found.start() + start, found.start() + end
                break


def _is_ipv6(text: str) -> bool:
    if text == "::":
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_IPV4 = re.compile(rf"(?<![0-9])(?<![0-9]\.){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9]|\.[0-9])")


def _ipv4s(text: str) -> Iterator[Span]:
    for found in _IPV4.finditer(text):
        yield found.span()


# SWIFT's register of IBAN formats: how long a country's is.
_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, countries in _COUNTRIES.items() for country in countries.split()}
_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[ \u00a0.-]?[0-9]{2}")
_IBAN_BODY = re.compile(r"(?:[ \u00a0.-]?[A-Za-z0-9]){11,29}+")


_SEPARATORS = str.maketrans("", "", " \u00a0.-")
_IBAN_DIGITS = str.maketrans({chr(65 + at): str(10 + at) for at in range(26)})


def _ibans(text: str) -> Iterator[Span]:
    at = 0
    for head in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(head[1].upper(), 0)
        body = _IBAN_BODY.match(text, head.end()) if length and head.start() >= at else None
        if body is None or not _is_iban(text[head.start() : body.end()], length):
            continue
        at = _after_letters(text, head.start(), length)
        if not text[at : at + 1].isalnum():
            yield head.start(), at


def _is_iban(run: str, length: int) -> bool:
    letters = run.translate(_SEPARATORS)[:length].upper()
    return len(letters) == length and int((letters[4:] + letters[:4]).translate(_IBAN_DIGITS)) % 97 == 1


def _after_letters(text: str, at: int, count: int) -> int:
    while count:
        count -= text[at].isalnum()
        at += 1
    return at


_DIGITS = re.compile(r"\d+")
_CARD = re.compile(r"(?<!\d)([2-6][0-9]{3,18}+)(?:[ \u00a0-][0-9]{4,7}+){0,3}+(?:[ \u00a0-][0-9]{1,5}+)?")
# Visa, Mastercard (both ranges), American Express, Diners, Discover, JCB, Maestro, UnionPay.
_BRAND = re.compile(r"4|5[0-8]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[4-9]|30[0-5]|6[0-9]")


def _cards(text: str) -> Iterator[Span]:
    at = 0
    while found := _CARD.search(text, at):
        size = _size_of_card(found.group()) if _BRAND.match(found.group()) else None
        if size is not None:
            yield found.start(), found.start() + size
        # Without one here, the next group may begin one: "order 2024 4111 1111 1111 1111".
        at = found.start() + (size or len(found[1]))


def _size_of_card(run: str) -> int | None:
    """How much of the run is a card number: the most whole groups from its start whose check digit is right."""
    sizes: list[tuple[int, int]] = []
    total = 0
    for group in _DIGITS.finditer(run):
        total += len(group[0])
        if 13 <= total <= 19:
            sizes.append((group.end(), total))
    digits = run.translate(_SEPARATORS) if sizes else ""
    return next((size for size, total in reversed(sizes) if _luhn(digits[:total])), None)


_DOUBLED = str.maketrans("0123456789", "0246813579")


def _luhn(digits: str) -> bool:
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


# Narrow first: a card number must not lose its middle to a phone number's shape.
_FINDERS: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("[email]", _mails),
    ("[ip]", _ipv6s),
    ("[ip]", _ipv4s),
    ("[iban]", _ibans),
    ("[card]", _cards),
    ("[phone]", phone_spans),
)
