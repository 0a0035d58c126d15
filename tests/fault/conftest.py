"""Fixtures of the fault suite: the nursery, and arenas on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault.arena import Arena
from tests.fault.victims import Nursery

NewDatabase = Callable[[str], str]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the long tests measured, in one line each."""
    told = [text for report in terminalreporter.getreports("passed") for name, text in report.user_properties]
    for text in told:
        terminalreporter.write_line(str(text))


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says something in the summary of the whole run."""
    return lambda text: record_property("fault suite", text)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The process that forks victims, one for all tests of a worker."""
    with Nursery() as found:
        yield found


@pytest.fixture
def arenas(nursery: Nursery, new_database: NewDatabase, tmp_path: Path) -> Iterator[Callable[..., Arena]]:
    """Makes arenas, prepared, by the engine of `crm` and, where the documents lie elsewhere, that of `far`."""
    made: list[Arena] = []

    def make(engine: str, far: str = "", chunk_rows: int = 4) -> Arena:
        folder = tmp_path / f"arena-{len(made)}"
        folder.mkdir(mode=0o700)
        urls = {"crm": new_database(engine)} | ({"far": new_database(far)} if far else {})
        arena = Arena(folder, urls, chunk_rows=chunk_rows)
        made.append(arena)
        arena.prepare(nursery)
        return arena

    yield make
    for arena in made:
        arena.close()
