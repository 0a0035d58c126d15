"""How messages about a policy file quote, list and guess names."""

from collections.abc import Iterable

LONGEST_QUOTE = 60


def quoted(text: str) -> str:
    """The text in quotes, on one line and cut where it is long. For text of the policy file only, never of a row."""
    flat = " ".join(text.split()) if any(c in text for c in "\n\t\r") else text
    flat = "".join(c if c.isprintable() else "�" for c in flat)
    return f'"{flat}"' if len(flat) <= LONGEST_QUOTE else f'"{flat[: LONGEST_QUOTE - 1]}…"'


def listed(names: Iterable[str], last: str = "or") -> str:
    """The names as a sentence says them: `a, b or c`."""
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else "none"


def nearest(name: str, known: Iterable[str], what: str = "known") -> str:
    """A hint that names the nearest known name, or all of them where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    candidates = sorted(set(known))
    folded = {candidate.casefold(): candidate for candidate in reversed(candidates)}
    if near := get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5):
        return f"did you mean {quoted(folded[near[0]])}?"
    if not candidates:
        return f"{what}: none"
    shown = ", ".join(candidates[:20]) + (", …" if len(candidates) > 20 else "")
    return f"{what}: {shown}"
