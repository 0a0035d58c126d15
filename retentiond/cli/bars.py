"""Progress on stderr: bars while a person watches, nothing otherwise."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retentiond.engine.run import Progress

Report = Callable[[Progress], None]


@contextmanager
def progress_bars() -> Iterator[Report]:
    """What to call with each step of progress while the block works."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("starting", total=None)

        def report(progress: Progress) -> None:
            words = f"{progress.job.policy}/{progress.job.rule} on {progress.job.source}: {progress.phase}"
            bars.update(task, description=words, completed=progress.done, total=progress.total)

        yield report


def _silent(progress: Progress) -> None:
    """Nobody watches."""
