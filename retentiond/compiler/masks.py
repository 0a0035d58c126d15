"""
The methods of `then`: what each makes of one value.

What has the form of a method's output stays, so that masking twice is masking once; `recognise` says which form.
"""

import base64
import hashlib
import hmac
import ipaddress
import math
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal

from retentiond.catalog.model import Family
from retentiond.compiler.constants import typed_constant
from retentiond.compiler.mask_context import MaskContext, MaskFailure, need_text, unfit
from retentiond.compiler.mask_dates import truncate
from retentiond.compiler.mask_json import mask_document
from retentiond.compiler.recognise import ANON, DOTS, LARGEST_EXACT_FLOAT, form_of, has_form
from retentiond.compiler.redaction import redact
from retentiond.policy.model import Method, MethodName

__all__ = ["ANON_MAIL", "MaskContext", "MaskFailure", "mask_value", "shortest"]

ANON_MAIL = "@anon.invalid"  # RFC 2606: nobody can ever receive mail there
NO_NETWORK = "0.0.0.0"  # noqa: S104 - stands for "was no address", nothing binds to it

# Letters are base32, five bits each.
_LETTERS = 26
_UNIQUE_LETTERS = 13  # 65 random bits: two of a billion rows collide with a chance of 1 in 70
_TOKEN_LETTERS = 13  # as many: names of other people's schemas are VARCHAR(20)
_FEWEST_LETTERS = 5


def mask_value(method: Method, value: object, context: MaskContext) -> object:
    """The value as the method leaves it: NULL stays NULL (but for `constant`), a finished value stays as it is."""
    if value is None and method.name != "constant":
        return None
    form = form_of(method, context.family)
    if form is not None and has_form(form, value):
        return value
    result = _MASKS[method.name](method, value, context)
    # Some servers cut what does not fit (m13): a cut token is no longer unique, a cut document no longer one.
    if isinstance(result, str) and context.length is not None and len(result) > context.length:
        raise MaskFailure(f"`{method.name}` makes a text longer than its column")
    return result


def shortest(method: Method, *, unique: bool) -> int:
    """The fewest characters a text column needs for the method's shortest trustworthy output; 0 where any will do."""
    match method.name:
        case "random":
            return len(ANON) + (_UNIQUE_LETTERS if unique else _FEWEST_LETTERS)
        case "token":
            return len(ANON) + _TOKEN_LETTERS + (len(ANON_MAIL) if method.argument == "email" else 0)
        case "mask":
            return len(DOTS) + int(str(method.argument))
        case "network":
            return len(NO_NETWORK)
        case _:
            return 0


def _empty(_method: Method, _value: object, _context: MaskContext) -> None:
    return None


def _constant(method: Method, _value: object, context: MaskContext) -> object:
    try:
        return typed_constant(str(method.argument), context.family)
    except ValueError:
        raise MaskFailure("the constant does not fit the type of its column") from None


def _random(_method: Method, value: object, context: MaskContext) -> object:
    if context.family is Family.UUID:
        made = uuid.UUID(bytes=context.random(16), version=4)
        return made if isinstance(value, uuid.UUID) else str(made)
    mail = isinstance(value, str) and "@" in value
    # An e-mail column too short for an unguessable address gets a plain text: unique goes before shape.
    if mail and _room(context.length, ANON_MAIL) < _UNIQUE_LETTERS:
        mail = False
    suffix = ANON_MAIL if mail else ""
    room = _room(context.length, suffix)
    if room < 1:
        raise MaskFailure("`random` has no room in its column")
    return f"{ANON}{_base32(context.random(17))[:room]}{suffix}"


def _token(method: Method, value: object, context: MaskContext) -> str:
    suffix = ANON_MAIL if method.argument == "email" else ""
    room = _room(context.length, suffix)
    if room < _TOKEN_LETTERS:
        raise MaskFailure("`token` has no room in its column")
    # Lengths go first, so that no scope and value can be read as another scope and value (D04).
    parts = [part.encode("utf-8", "surrogatepass") for part in (context.scope, need_text("token", value))]
    message = b"".join(len(part).to_bytes(8) + part for part in parts)
    digest = hmac.new(context.key, message, hashlib.sha256).digest()
    return f"{ANON}{_base32(digest)[:room]}{suffix}"


def _room(length: int | None, suffix: str) -> int:
    """How many letters go between `anon-` and the suffix."""
    return _LETTERS if length is None else min(_LETTERS, length - len(ANON) - len(suffix))


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def _truncate(method: Method, value: object, context: MaskContext) -> object:
    return truncate(str(method.argument), value, context)


def _round(method: Method, value: object, context: MaskContext) -> object:
    bucket = int(str(method.argument))
    if isinstance(value, int):
        return value // bucket * bucket
    if isinstance(value, Decimal) and value.is_finite():
        return Decimal(math.floor(value) // bucket * bucket)
    # Beyond 2^53 a double cannot hold every multiple, so that no engine could recognise the bucket.
    if isinstance(value, float) and abs(value) <= LARGEST_EXACT_FLOAT:
        rounded = math.floor(value) // bucket * bucket
        if abs(rounded) <= LARGEST_EXACT_FLOAT:
            return float(rounded)
    unfit("round", context)
    return None


def _prefix(method: Method, value: object, _context: MaskContext) -> str:
    return need_text("prefix", value)[: int(str(method.argument))]


def _mask(method: Method, value: object, _context: MaskContext) -> str:
    text = need_text("mask", value)
    shown = int(str(method.argument))
    return DOTS + (text[len(text) - shown :] if len(text) > shown else "")


def _network(_method: Method, value: object, context: MaskContext) -> str:
    network = network_of(need_text("network", value))
    # An IPv4 address in IPv6 hexadecimal is a character longer in the dotted form.
    return NO_NETWORK if context.length is not None and len(network) > context.length else network


def network_of(text: str) -> str:
    """The address of the /24 (IPv4) or /48 (IPv6) the text names; `0.0.0.0` where it is no address."""
    try:
        address = ipaddress.ip_interface(text.strip()).ip
    except ValueError:
        return NO_NETWORK
    if isinstance(address, ipaddress.IPv4Address):
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFF00))
    if address.ipv4_mapped is not None:  # spelled out because Python changed how it spells these
        return f"::ffff:{ipaddress.IPv4Address(int(address.ipv4_mapped) & 0xFFFFFF00)}"
    return str(ipaddress.IPv6Address(int(address) >> 80 << 80))


# `Jo <jo@example.com> (office)` has a domain, and more behind it that is none.
_DOMAIN = re.compile(r"[\w.-]*")


def _domain(_method: Method, value: object, _context: MaskContext) -> str:
    """
    What follows the last @, as far as it looks like a domain.

    A text without @ never comes here, it has the form already: `example.com` and `jsmith` look alike to SQL. `validate`
    calls the result personal data anyway, and `anonymise` refuses this method.
    """
    found = _DOMAIN.match(need_text("domain", value).rpartition("@")[2])
    return found.group() if found else ""


def _redact(_method: Method, value: object, context: MaskContext) -> object:
    text = need_text("redact", value)
    redacted = redact(text, context.length)
    return value if redacted == text else redacted


def _json(method: Method, value: object, context: MaskContext) -> object:
    return mask_document(method, value, context, mask_value)


_MASKS: Mapping[MethodName, Callable[[Method, object, MaskContext], object]] = {
    "empty": _empty,
    "constant": _constant,
    "random": _random,
    "token": _token,
    "truncate": _truncate,
    "round": _round,
    "prefix": _prefix,
    "mask": _mask,
    "network": _network,
    "domain": _domain,
    "redact": _redact,
    "json": _json,
}
