"""`completion`: the script that a shell sources."""

import click

from retentiond.cli.program import Command

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    r"""Print the script that completes commands in a shell.

    \b
    bash:  retentiond completion bash > ~/.local/share/bash-completion/completions/retentiond
    zsh:   retentiond completion zsh > ~/.zfunc/_retentiond      (and `fpath+=~/.zfunc` before compinit)
    fish:  retentiond completion fish > ~/.config/fish/completions/retentiond.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "retentiond", "_RETENTIOND_COMPLETE").source())
