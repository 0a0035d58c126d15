"""The command `retentiond`: its sub-commands by name and summary, and the options that all of them share."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from retentiond import __version__

LEVELS = ("debug", "info", "warning", "error")


@dataclass(slots=True)
class Options:
    """What may stand before or behind the name of every command."""

    config: Path | None = None
    verbose: int = 0
    log_level: str | None = None

    @property
    def level(self) -> str:
        """The level of the logs: as named, else by the number of -v."""
        return self.log_level or ("warning", "info", "debug")[min(self.verbose, 2)]


# In the order in which a newcomer meets them. The summaries stand here so that `--help` imports no command.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Make sample databases and settings to try the rest on."),
    "validate": ("validate", "Check policy files against the grammar and the live schemas."),
    "test": ("cases", "Run the policies' own test cases."),
    "plan": ("jobs", "Show what would go, without writing anything anywhere."),
    "prepare": ("prepare", "Make what a source needs; print the least grants of every rule."),
    "doctor": ("doctor", "Check settings, rights, clocks and servers, and say what to do."),
    "run": ("jobs", "Delete and anonymise what is due, once."),
    "approve": ("approvals", "Release a new or changed rule, or a tripped guard."),
    "stop": ("approvals", "Stop rules before their next commit, until `resume`."),
    "resume": ("approvals", "Let go on what `stop` stopped."),
    "replay": ("replay", "Destroy again what a restored back-up brought back."),
    "hold": ("holds", "Place, list and release legal holds."),
    "explain": ("explain", "Say what will happen to one row, when, and why."),
    "ledger": ("ledger", "Verify, export and certify the record of what was destroyed."),
    "status": ("status", "Show the last run of every job, and what is stopped or held."),
    "settings": ("settings", "Show the settings in force and where each came from."),
    "schema": ("schema", "Print the JSON Schema of a policy file, for editors."),
    "completion": ("completion", "Print the script that completes commands in a shell."),
}


class Command(click.Command):
    """A sub-command: takes the shared options too, and starts the logs before it works."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params += shared_options()
        if self.name in COMMANDS:
            self.short_help = COMMANDS[self.name][1]  # whole, where click would cut it off

    def invoke(self, ctx: click.Context) -> Any:
        from retentiond.logs import configure_logs

        configure_logs(ctx.ensure_object(Options).level)
        return super().invoke(ctx)


class LazyCommands(MutableMapping[str, click.Command]):
    """The sub-commands by name; each is imported when it is asked for."""

    def __init__(self) -> None:
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name in self._added:
            return self._added[name]
        module = import_module(f"retentiond.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*COMMANDS, *self._added)))

    def __len__(self) -> int:
        return len({*COMMANDS, *self._added})


class LazyGroup(click.Group):
    """A group whose `--help` lists the commands without importing them."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.commands = LazyCommands()
        self.params += shared_options()

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


class CommandGroup(click.Group):
    """A sub-command that has sub-commands itself; they take the shared options too."""

    command_class = Command

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.params += shared_options()
        if self.name in COMMANDS:
            self.short_help = COMMANDS[self.name][1]


def shared_options() -> list[click.Parameter]:
    """Fresh copies of the options that every command takes."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            expose_value=False,
            callback=_remember,
            help="The settings; else RETENTIOND_CONFIG, ./retentiond.toml, /etc/retentiond/retentiond.toml.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_remember,
            help="Log more to stderr; -vv for everything.",
        ),
        click.Option(
            ["--log-level"],
            type=click.Choice(LEVELS, case_sensitive=False),
            expose_value=False,
            callback=_remember,
            help="Log from this level on (default: warning).",
        ),
    ]


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    options = ctx.ensure_object(Options)
    if value and parameter.name is not None:
        setattr(options, parameter.name, value)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="retentiond", message="%(prog)s %(version)s")
def program() -> None:
    """Make databases do what a privacy policy says.

    A policy file states each retention promise as a rule. `validate` checks the rules, `plan` shows what is due,
    `run` deletes or anonymises it, `explain` says why a row goes or stays. Try them on sample data: `retentiond demo`.

    Exit codes: 0 fine; 1 a rule failed; 2 the command, the settings or a policy is wrong; 3 stopped by a guard or a
    missing approval; 4 the record of what was destroyed does not hold; 10 rows are due (`plan --exit-code` only).
    """
