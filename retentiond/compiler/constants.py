"""The constants of `{constant: x}`: text of the policy, typed by the column it goes into."""

import datetime as dt
import ipaddress
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from retentiond.catalog.model import Family
from retentiond.compiler.mask_context import as_text

_INTEGER = re.compile(r"[+-]?[0-9]+")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def typed_constant(text: str, family: Family) -> object:
    """
    The constant as the column's type; ValueError where it is none.

    DATE, NAIVE and INSTANT become date and datetime (INSTANT without a zone is read as UTC), UUID a UUID; INET, JSON
    (written compactly), ISO texts and everything else stay text.
    """
    return _TYPED.get(family, str)(text)


def equals_constant(constant: object, value: object, family: Family) -> bool:
    """True where the column's value is the constant, whatever type the driver delivers it in."""
    if value is None:
        return False
    try:
        return _equal(constant, value, family)
    except (ValueError, ArithmeticError):  # a signalling NaN cannot even be compared
        return False


def _equal(constant: object, value: object, family: Family) -> bool:
    match family:
        case Family.INTEGER | Family.DECIMAL | Family.FLOAT:
            if isinstance(value, float):
                return float(str(constant)) == value
            return isinstance(value, (int, Decimal)) and value == constant
        case Family.BOOLEAN:
            return isinstance(value, int) and value == constant
        case Family.DATE | Family.NAIVE:
            return type(value) is type(constant) and value == constant
        case Family.INSTANT:
            if not isinstance(value, dt.datetime):
                return False
            return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)) == constant
        case Family.UUID:
            return uuid.UUID(str(value)) == constant
        case Family.INET:
            return ipaddress.ip_interface(str(value)) == ipaddress.ip_interface(str(constant))
        case Family.JSON:
            document = json.loads(value) if isinstance(value, str) else value
            return bool(document == json.loads(str(constant)))
        case _:
            return as_text(value) == constant


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number")
    return int(text)


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number") from None
    if not number.is_finite():
        raise ValueError("a number")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text.lower()]


def _naive(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo:
        raise ValueError("a timestamp without a zone")
    return moment


def _instant(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _iso_date(text: str) -> str:
    return dt.date.fromisoformat(text).isoformat()


def _iso_moment(text: str) -> str:
    dt.datetime.fromisoformat(text)
    return text


def _inet(text: str) -> str:
    ipaddress.ip_interface(text)
    return text


def _json(text: str) -> str:
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


_TYPED: Mapping[Family, Callable[[str], object]] = {
    Family.INTEGER: _integer,
    Family.DECIMAL: _decimal,
    Family.FLOAT: _float,
    Family.BOOLEAN: _boolean,
    Family.DATE: dt.date.fromisoformat,
    Family.NAIVE: _naive,
    Family.INSTANT: _instant,
    Family.TEXT_DATE: _iso_date,
    Family.TEXT_DATETIME: _iso_moment,
    Family.UUID: uuid.UUID,
    Family.INET: _inet,
    Family.JSON: _json,
}
