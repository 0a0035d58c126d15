"""How commands write: one JSON document, or tables that are aligned text unless a terminal reads them."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import click

NOTHING = "–"  # a count that was not made, a date that is not known


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand on the right."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table for people: every cell is text already."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def write_document(document: Mapping[str, object]) -> None:
    """Writes one JSON document to stdout, readable and valid in whatever encoding stdout has."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(json.dumps(document, indent=2, ensure_ascii=ascii_only, default=str))


def write_sheet(sheet: Sheet, *, err: bool = False) -> None:
    """Writes a table: with a line under its head on a terminal, as aligned text elsewhere."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        _write_rich(sheet, stream)
    else:
        for line in plain_lines(sheet):
            click.echo(line, err=err)


def plain_lines(sheet: Sheet) -> list[str]:
    """The table as lines of text, two spaces between columns, none at the end of a line."""
    lines = [tuple(column.title for column in sheet.columns), *sheet.rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(sheet.columns))]
    return ["  ".join(_aligned(line, sheet.columns, widths)).rstrip() for line in lines]


def _aligned(line: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column.number else cell.ljust(width)
        for cell, column, width in zip(line, columns, widths, strict=True)
    ]


def _write_rich(sheet: Sheet, stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in sheet.columns:
        if column.number:
            table.add_column(column.title, justify="right", no_wrap=True)
        else:
            table.add_column(column.title, overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=stream, highlight=False).print(table)


def counted(number: int | None, word: str = "") -> str:
    """`1,234 rows`; a dash where nothing was counted. `word` is the singular."""
    if number is None:
        return f"{NOTHING} {word}s".rstrip() if word else NOTHING
    if not word:
        return f"{number:,}"
    return f"{number:,} {plural(word) if number != 1 else word}"


def plural(word: str) -> str:
    """The plural of one of our own words."""
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def warn(text: str) -> None:
    """Writes a warning to stderr."""
    word = click.style("warning", fg="yellow") if colourful(sys.stderr) else "warning"
    click.echo(f"{word}: {text}", err=True)


def colourful(stream: TextIO) -> bool:
    """True on a terminal whose owner has not asked for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
