"""
A value that stands in every text column and in every key, and must be seen nowhere else, however it is written.

It holds letters of both cases, digits, a quote and letters beyond ASCII, so that each way of writing text changes it;
and it is long enough to be found by a part of it where a way of writing shifts its edges.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CANARY = "Kanarie'Vogel-Ünï-7Q4x9Zw2"
"""The value; what stands in a row is this with a number behind it."""


def written() -> dict[str, list[bytes]]:
    """The canary in every way of writing: by name the texts of which one gives it away."""
    plain = CANARY.encode()
    found = {
        "utf-8": [plain],
        "without its special letters": [b"7Q4x9Zw2"],  # whatever an encoding does to the others
        "latin-1": [CANARY.encode("latin-1")],
        "utf-16-le": [CANARY.encode("utf-16-le")],
        "utf-16-be": [CANARY.encode("utf-16-be")],
        "utf-32": [CANARY.encode("utf-32-le"), CANARY.encode("utf-32-be")],
        "hex": [plain.hex().encode(), plain.hex().upper().encode(), plain.hex(" ").encode(), plain.hex(":").encode()],
        "base64": [part for text in _texts() for part in _base64(text)],
        "base32": [part for offset in range(5) for part in _inside(base64.b32encode, plain, offset, 5, 8)],
        "in a URL": [urllib.parse.quote(CANARY).encode(), urllib.parse.quote_plus(CANARY).encode()],
        "in JSON": [json.dumps(CANARY)[1:-1].encode()],
        "in HTML": [html.escape(CANARY).encode(), CANARY.encode("ascii", "xmlcharrefreplace")],
        "as Python writes it": [repr(plain)[2:-1].encode(), ascii(CANARY)[1:-1].encode()],
        "backwards": [CANARY[::-1].encode(), plain[::-1]],
        "other case": [CANARY.upper().encode(), CANARY.lower().encode(), CANARY.casefold().encode()],
        "in SQL": [CANARY.replace("'", "''").encode(), CANARY.replace("'", "\\'").encode()],
    }
    return {name: [text for text in texts if text] for name, texts in found.items()}


def _texts() -> Iterator[bytes]:
    yield CANARY.encode()
    yield CANARY.encode("utf-16-le")


def _base64(text: bytes) -> Iterator[bytes]:
    for offset in range(3):
        yield from _inside(base64.b64encode, text, offset, 3, 4)
        yield from _inside(base64.urlsafe_b64encode, text, offset, 3, 4)


def _inside(encode: object, text: bytes, offset: int, group: int, letters: int) -> Iterator[bytes]:
    """The part of an encoded text that is the same whatever stands before and behind it, beginning at that offset."""
    assert callable(encode)
    padded = b"\0" * offset + text
    whole = padded[: len(padded) // group * group]
    coded = encode(whole)
    assert isinstance(coded, bytes)
    yield coded[letters if offset else 0 :]


@dataclass(frozen=True)
class Sighting:
    """Where the canary was seen, how it was written, and what stood around it."""

    where: str
    how: str
    around: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.how}: {self.around!r}"


def search(where: str, data: bytes) -> list[Sighting]:
    """Every way in which the canary stands in the data."""
    # Lines that a printer broke, and the letters of a hex dump, are put together again.
    joined = re.sub(rb"[\r\n]+[ \t]*", b"", data)
    found = []
    for how, texts in written().items():
        for text in texts:
            for haystack in (data, joined):
                at = haystack.find(text)
                if at >= 0:
                    found.append(Sighting(where, how, haystack[max(0, at - 60) : at + len(text) + 20]))
                    break
    return found


def search_files(folders: Iterable[Path], *, but: Iterable[Path] = ()) -> list[Sighting]:
    """Every way in which the canary stands in a file, or in its name, below these folders; `but` is left out."""
    left_out = set(but)
    found = []
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file in left_out or left_out & set(file.parents):
                continue
            found += search(f"the name of {file.name}", str(file.relative_to(folder)).encode())
            if file.is_file():
                found += search(str(file.relative_to(folder)), file.read_bytes())
    return found
