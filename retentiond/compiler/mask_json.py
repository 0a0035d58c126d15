"""Methods inside JSON documents."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

from retentiond.catalog.model import Family
from retentiond.compiler.constants import typed_constant
from retentiond.compiler.mask_context import MaskContext, MaskFailure
from retentiond.policy.model import Method

MaskFunction = Callable[[Method, object, MaskContext], object]

# These take the place of whatever stands at the path; the others work on each scalar below it.
_WHOLE = ("empty", "constant")


def mask_document(method: Method, value: object, context: MaskContext, mask: MaskFunction) -> object:
    """
    The document with every path masked: text for text (compact, keys in order), a new one for a dict or list.

    A path is keys joined by dots. `*` is every key or element, a number one element; a list on the way stands for
    each of its elements. What is not there stays away. Blank text holds nothing and stays.
    """
    if isinstance(value, str) and not value.strip():
        return value
    try:
        document = json.loads(value, parse_constant=_no_number) if isinstance(value, str) else value
        if isinstance(value, str) or isinstance(document, (dict, list)):
            for path, inner in method.inside:
                document = _along(tuple(path.split(".")), document, inner, context, mask)
            return document_text(document) if isinstance(value, str) else document
    except (ValueError, RecursionError):
        # Python's own message would quote the document.
        raise MaskFailure("`json` met a text that is no JSON document") from None
    raise MaskFailure(f"`json` cannot mask a value of type {type(value).__name__}")


def _along(path: tuple[str, ...], node: Any, method: Method, context: MaskContext, mask: MaskFunction) -> Any:
    """The node with the method applied to what the rest of the path reaches."""
    if not path:
        return _apply(node, method, context, mask)
    step, rest = path[0], path[1:]
    if isinstance(node, dict):
        return {
            key: _along(rest, child, method, context, mask) if step in ("*", key) else child
            for key, child in node.items()
        }
    if isinstance(node, list):
        if step != "*" and not step.isdecimal():
            return [_along(path, child, method, context, mask) for child in node]
        return [
            _along(rest, child, method, context, mask) if step == "*" or int(step) == index else child
            for index, child in enumerate(node)
        ]
    return node


def _apply(node: Any, method: Method, context: MaskContext, mask: MaskFunction) -> Any:
    if method.name not in _WHOLE:
        if isinstance(node, dict):
            return {key: _apply(child, method, context, mask) for key, child in node.items()}
        if isinstance(node, list):
            return [_apply(child, method, context, mask) for child in node]
    elif isinstance(node, (dict, list)):
        # `constant` has a text to give, not a document.
        return None if method.name == "empty" else str(method.argument)
    family = _family(node, method)
    return mask(method, node, replace(context, family=family, length=None, nullable=True))


def _family(node: object, method: Method) -> Family:
    """The family a scalar would have in a column of its own: a number's constant is a number where it can be."""
    if isinstance(node, str):
        return Family.TEXT_DATETIME if method.name == "truncate" else Family.TEXT
    family = next((family for kind, family in _FAMILIES if isinstance(node, kind)), Family.TEXT)
    if method.name == "constant":
        try:
            typed_constant(str(method.argument), family)
        except ValueError:
            return Family.TEXT
    return family


_FAMILIES = ((bool, Family.BOOLEAN), (int, Family.INTEGER), (float, Family.FLOAT))


def _no_number(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


def document_text(document: object) -> str:
    """The document as compact JSON, keys in order."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only the escaped form can travel
        return json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text
