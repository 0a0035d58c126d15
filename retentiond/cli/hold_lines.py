"""The file with the ids of a hold: one per line, as somebody's spreadsheet or editor wrote it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from retentiond.errors import UsageError

_LONGEST = 4_000  # characters; no key of any database is longer
_MOST = 1_000_000
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Lines:
    """The ids, each once and with the number of its first line; `blank` are lines that begin or end with a blank."""

    numbers: dict[str, int]
    twice: int
    blank: tuple[int, ...]

    def numbers_of(self, ids: Collection[str]) -> list[int]:
        """The lines on which these ids stand."""
        return sorted(self.numbers[one] for one in ids)


def read_lines(data: bytes, file: str) -> Lines:
    """
    The ids of a file. Empty lines, a byte order mark and either kind of line end are as good as nothing.

    Raises:
        UsageError: where a line cannot be an id. It is named by its number and never shown.
    """
    numbers: dict[str, int] = {}
    said, blank = 0, []
    for number, raw in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        text = _text(raw.removesuffix(b"\r"), file, number)
        if text.strip():
            said += 1
            numbers.setdefault(text, number)
            if text != text.strip():
                blank.append(number)
    if not numbers:
        raise UsageError(f"{file} holds no id", hint="one id per line, UTF-8", code="no-ids")
    if len(numbers) > _MOST:
        raise UsageError(f"{file} holds more than {_MOST:,} ids", hint="place several holds", code="too-many-ids")
    return Lines(numbers, said - len(numbers), tuple(blank))


def numbered(numbers: Sequence[int]) -> str:
    """`line 3`, or `lines 3, 5 and 12 more`."""
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    shown, rest = numbers[:10], len(numbers) - 10
    if rest > 0:
        return f"lines {', '.join(map(str, shown))} and {rest:,} more"
    return f"lines {', '.join(map(str, shown[:-1]))} and {shown[-1]}"


def _text(raw: bytes, file: str, number: int) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"{file}: line {number} is no UTF-8", hint="save the file as UTF-8", code="not-utf-8"
        ) from None
    if len(text) > _LONGEST:
        raise UsageError(
            f"{file}: line {number} is too long to be an id: {len(text):,} characters",
            hint="one id per line",
            code="bad-id",
        )
    if any(ord(letter) < 32 and letter != "\t" for letter in text):
        raise UsageError(f"{file}: line {number} holds a control character", hint="one id per line", code="bad-id")
    return text
