"""
Phone numbers in free text, told from dates, prices and invoice numbers.

International ones begin with + or 00. National ones begin with 0 (most of Europe), have the North American grouping
(555) 123-4567, or follow a word like `tel`. Everything else that is made of digits is left alone.
"""

import re
from collections.abc import Iterator

_YEAR = r"(?:1[89]|20|21)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
# Dates and times cut a text into pieces, so that no number grows into one ("12-03-2024 10:15").
_DATE = re.compile(
    rf"""(?<![\d+]) (?<!\d[./-]) (?:
        {_YEAR} ([./-]) {_MONTH} \1 {_DAY}
      | (?:{_DAY} ([./-]) {_MONTH} | {_MONTH} ([./-]) {_DAY}) (?:\2|\3) (?:{_YEAR}|\d\d)
      | \d{{1,2}} : \d\d (?: : \d\d (?:[.,]\d{{1,9}})? )?
    ) (?!\d) (?![./:-]\d)""",
    re.VERBOSE,
)

_BETWEEN = r"(?:[ \u00a0.\-/]|[ ]?\(|\)[ .\-/]?)"
_RUN = re.compile(rf"(?<![\w#])(?<!\d[-/.,])(?:\+ ?)?\(?\d(?:{_BETWEEN}?\d){{5,}}+")
_GROUP = re.compile(r"\d+")

_WORD = re.compile(r"[^\W\d_]+")
_CALLED = frozenset(
    {"tel", "tél", "phone", "telefoon", "telefon", "téléphone", "telephone", "gsm", "mobile", "mobiel", "mobil", "mob"}
    | {"fax", "whatsapp", "handy", "portable", "cell"}
)
_NUMBERED = frozenset(
    {"invoice", "inv", "factuur", "facture", "rechnung", "order", "bestelling", "commande", "bestellung", "ticket"}
)
_COMPANY = frozenset({"btw", "vat", "tva", "ust", "kbo", "bce", "ondernemingsnummer"})
_NUMBER = frozenset({"no", "nr", "number", "nummer", "n", "is"})
_LOOK_BACK = 32
_FEWEST = 6


def phone_spans(text: str) -> Iterator[tuple[int, int]]:
    """The places of all phone numbers, in order and apart from each other."""
    at = 0
    for date in _DATE.finditer(text):
        yield from _in_piece(text, at, date.start())
        at = date.end()
    yield from _in_piece(text, at, len(text))


def _in_piece(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end - start < _FEWEST:
        return
    for run in _RUN.finditer(text, start, end):
        # Belgium's structured payment references look like +++090/9337/55493+++.
        if text[max(0, run.start() - 1) : run.start()] not in ("+", "*"):
            yield from _in_run(text, run.start(), run.end())


def _in_run(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    groups = list(_GROUP.finditer(text, start, end))
    word = _word_before(text, start)
    # An invoice's number is in one piece (ABC-0475123456 is one too), a company's has full stops.
    glued = bool(word) and word not in _CALLED and text[start - 1] in "-/"
    spared = ((word in _NUMBERED or glued) and len(groups) == 1) or word in _COMPANY
    first = 0
    if text[start] == "+":
        word = "+"
    elif spared:
        first = len(groups) if word in _COMPANY else 1
    while first < len(groups):
        used = _count(groups, first, word if first == 0 else "")
        if used and not _glued(text, groups[first + used - 1], used):
            opens = groups[first].start()
            yield start if first == 0 else opens - (text[opens - 1] == "("), groups[first + used - 1].end()
        first += used or 1


def _word_before(text: str, start: int) -> str:
    """The word that says what the number is, in small letters; "" where none stands close before it."""
    found = list(_WORD.finditer(text, max(0, start - _LOOK_BACK), start))
    at = start
    for word in reversed(found[-3:]):
        if at - word.end() > 3:
            return ""
        if word[0].lower() not in _NUMBER:
            return "vat" if word[0] == "BE" else word[0].lower()
        at = word.start()
    return ""


def _glued(text: str, last: re.Match[str], used: int) -> bool:
    """True where a letter right behind makes a single group an identifier: 0123456789abcdef."""
    return used == 1 and text[last.end() : last.end() + 1].isalpha()


def _count(groups: list[re.Match[str]], first: int, word: str) -> int:
    """How many groups from `first` on make a phone number (`word` stands before it); 0 where they make none."""
    head = groups[first][0]
    if word == "+":
        return _take(groups, first, 7, 15, 11)
    if head[0] == "0" and len(head) > 1:
        return _take(groups, first, 11, 17, 13) if head[1] == "0" else _take(groups, first, 9, 12, 9)
    if word in _CALLED:
        return _take(groups, first, _FEWEST, 15, 11)
    return _american(groups, first)


def _take(groups: list[re.Match[str]], first: int, fewest: int, most: int, enough: int) -> int:
    """The most groups with `fewest` to `most` digits; with `enough` of them, a group with 0 begins the next number."""
    total = taken = 0
    for group in groups[first : first + 16]:
        size = group.end() - group.start()
        if total + size > most or (total >= enough and group[0][0] == "0"):
            break
        total += size
        taken += 1
    return taken if total >= fewest else 0


def _american(groups: list[re.Match[str]], first: int) -> int:
    prefix = 1 if groups[first][0] == "1" else 0
    parts = groups[first + prefix : first + prefix + 3]
    for part, size in zip(parts, (3, 3, 4), strict=False):
        if part.end() - part.start() != size:
            return 0
    return prefix + 3 if len(parts) == 3 and parts[0][0][0] not in "01" else 0
