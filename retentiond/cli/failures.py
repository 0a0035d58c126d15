"""From what went wrong to an exit code and to words on stderr; the only place that does this."""

import os
import sys
import traceback
from collections.abc import Callable, Iterable

import click

from retentiond.errors import EvidenceError, PolicyError, RefusedError, RetentiondError, UsageError

FINE = 0
FAILED = 1
WRONG = 2
REFUSED = 3
EVIDENCE = 4
DUE = 10
INTERRUPTED = 130
BROKEN_PIPE = 141

_FIRST_COUNTS = (EVIDENCE, WRONG, FAILED, REFUSED, DUE)


def worst(codes: Iterable[int]) -> int:
    """The exit code that counts where several hold."""
    found = set(codes)
    return next((code for code in _FIRST_COUNTS if code in found), FINE)


def exit_code(error: RetentiondError) -> int:
    """The exit code of an error."""
    if isinstance(error, EvidenceError):
        return EVIDENCE
    if isinstance(error, PolicyError | UsageError):
        return WRONG
    return REFUSED if isinstance(error, RefusedError) else FAILED


def tell(error: RetentiondError) -> None:
    """Says on stderr what went wrong: a policy's problems line by line, everything else in one sentence."""
    if isinstance(error, PolicyError):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    elif "\n" in error.message:  # the settings, each line with its own place
        click.echo(str(error), err=True)
    else:
        click.echo(f"retentiond: {error}", err=True)
    if os.environ.get("RETENTIOND_DEBUG"):
        _tell_places(error)


def carry(command: Callable[[], object]) -> int:
    """The exit code of a command, whatever it comes to. No traceback leaves, and no text that a row could be in."""
    _write_anything()
    try:
        result = command()
        sys.stdout.flush()
    except RetentiondError as error:
        tell(error)
        return exit_code(error)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG
    except click.ClickException as error:
        error.show()
        return WRONG
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has enough; without this the interpreter complains about the same pipe once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last place there is; the text may hold values and is not shown
        return _unexpected(error)
    return result if isinstance(result, int) else FINE


def _unexpected(error: Exception) -> int:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    click.echo(
        f"retentiond: unexpected {name}; this is a mistake in retentiond, please report it "
        "(its text is not shown, since it could hold data; RETENTIOND_DEBUG=1 shows where it happened)",
        err=True,
    )
    if os.environ.get("RETENTIOND_DEBUG"):
        _tell_places(error)
    return FAILED


def _tell_places(error: BaseException) -> None:
    """Writes where an error came from, without what it says or what any variable held."""
    link: BaseException | None = error
    while link is not None:
        click.echo(f"{type(link).__name__}, raised at", err=True)
        click.echo("".join(traceback.format_list(traceback.extract_tb(link.__traceback__))), err=True, nl=False)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _write_anything() -> None:
    """Lets no character be the reason for a failure: what the terminal's encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
