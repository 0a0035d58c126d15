"""Reading documents as their reader would: the text of an HTML page, and proofs with nothing but hashes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

_BLOCKS = {"p", "h1", "h2", "h3", "li", "tr", "dt", "dd", "section", "header", "pre", "table", "dl", "ul", "div"}
_ALONE = {"meta"}
_HIDDEN = {"style", "script", "title"}


class Page(HTMLParser):
    """The lines a reader sees, the tags in use, and what the page says to programs."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self._text: list[str] = []
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hidden: dict[str, str] = {}
        self.feed(page)
        self.close()
        assert self.open == [], "an element that does not end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _ALONE:
            self.open.append(tag)
        if tag in _BLOCKS:
            self._text.append("\n")
        elif tag in ("td", "th"):
            self._text.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements that overlap"
        if tag in _BLOCKS:
            self._text.append("\n")

    def handle_data(self, data: str) -> None:
        inside = next((tag for tag in self.open if tag in _HIDDEN), None)
        if inside:
            self.hidden[inside] = self.hidden.get(inside, "") + data
        else:
            self._text.append(data)

    @property
    def lines(self) -> list[str]:
        return [line for line in (" ".join(line.split()) for line in "".join(self._text).splitlines()) if line]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.hidden["script"])
        return found


def root_from(entry: dict[str, Any], size: int) -> bytes:
    """The root that an entry and its path lead to, as RFC 6962 says it and no line of ours."""
    found = hashlib.sha256(b"\x00" + entry["leaf"].encode()).digest()
    path = [bytes.fromhex(one) for one in entry["path"]]
    index, last = entry["seq"], size - 1
    while last:
        if index % 2:
            found = hashlib.sha256(b"\x01" + path.pop(0) + found).digest()
        elif index < last:
            found = hashlib.sha256(b"\x01" + found + path.pop(0)).digest()
        index, last = index // 2, last // 2
    assert path == []
    return found


def root_of_note(note: str) -> bytes:
    return base64.b64decode(note.split("\n")[2])


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
