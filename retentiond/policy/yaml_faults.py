"""
What the YAML parser complains about: in plain words, and at the place where a person has to mend it.

The parser stops where it cannot go on. A quote or a bracket that was never closed lies further up, and that is the
line to look at.
"""

from typing import Any

from ruamel.yaml.error import MarkedYAMLError

from retentiond.errors import Position, Problem

_OUR_WORDS = {
    "found character '\\t'": "a tab stands where only spaces may",
    "mapping values are not allowed": "a second `: ` in one line, or a key at the wrong indentation",
    "found unexpected end of stream": "a quote is never closed",
    "expected ',' or ']'": "a `[` is never closed, or a comma is missing",
    "expected ',' or '}'": "a `{` is never closed, or a comma is missing",
    "expected <block end>": "the indentation does not fit the lines above",
    "could not find expected ':'": "a key without `:`",
    "expected the node content": "a value is missing",
    "that cannot start any token": "text may not begin with this character",
    "expected alphabetic or numeric character": "text may not begin with `*` or `&`",
}
_HINTS = {
    "found character '\\t'": "indent with spaces",
    "mapping values are not allowed": "put text that contains `: ` in quotes",
    "that cannot start any token": "put it in quotes",
    "expected alphabetic or numeric character": "put it in quotes",
}


def yaml_problem(error: MarkedYAMLError, text: str, file: str, last: Any, opened: Position | None) -> Problem:
    """
    The problem that the parser's error is.

    `last` is the event of the last scalar before it, `opened` the place of the collection that was open then.
    """
    stopped = error.problem_mark or error.context_mark
    if stopped is None:
        return Problem(Position(file, 1, 1), "bad-yaml", f"not YAML: {_said(error)}")
    if last is not None and last.style in ("'", '"') and last.end_mark.line == stopped.line:
        if last.start_mark.line < stopped.line:
            return _never_closed("quote", _position(last.start_mark, file))
        if "expected <block end>, but found '<scalar>'" in (error.problem or ""):
            message = "not YAML: something follows the closing quote"
            return Problem(
                _position(stopped, file), "bad-yaml", message, "put the whole text in quotes, or in a block: >-"
            )
    if error.context_mark and "end of stream" in (error.problem or ""):
        return _never_closed("quote", _position(error.context_mark, file))
    if error.context_mark and "flow" in (error.context or ""):
        lines = text.splitlines()
        begun = error.context_mark
        if "stream end" in (error.problem or "") and opened is not None:
            return _never_closed("bracket", opened)
        # What stands in brackets is indented deeper than the line that opens them; here somebody forgot to close them.
        if stopped.line > begun.line and _indentation(lines, stopped.line) <= _indentation(lines, begun.line):
            return _never_closed("bracket", _position(begun, file))
    message = next((ours for theirs, ours in _OUR_WORDS.items() if theirs in (error.problem or "")), _said(error))
    hint = next((ours for theirs, ours in _HINTS.items() if theirs in (error.problem or "")), "")
    return Problem(_position(stopped, file), "bad-yaml", f"not YAML: {message}", hint)


def _never_closed(what: str, position: Position) -> Problem:
    return Problem(position, "bad-yaml", f"not YAML: a {what} is opened here and never closed")


def _said(error: MarkedYAMLError) -> str:
    """The parser's own words, in one line."""
    return (error.problem or error.context or "unreadable").strip().splitlines()[0].strip()


def _position(mark: Any, file: str) -> Position:
    return Position(file, mark.line + 1, mark.column + 1)


def _indentation(lines: list[str], number: int) -> int:
    line = lines[number] if number < len(lines) else ""
    return len(line) - len(line.lstrip(" "))
