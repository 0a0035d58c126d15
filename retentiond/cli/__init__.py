"""
The command line: arguments, output and exit codes; whatever is worth knowing is done elsewhere.

One module per command family. A module is imported when its command is called, and what is heavy in it – databases,
validation – inside the command: `--help` and completion answer at once.
"""

import os
import sys
from collections.abc import Sequence

from retentiond.cli.failures import carry
from retentiond.cli.program import program

__all__ = ["main", "program"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Never returns: the process ends with the exit code that the contract gives to what happened."""
    # Foreign code that other packages bring for pydantic has no business here, and looking for it takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.exit(carry(lambda: program.main(arguments, prog_name="retentiond", standalone_mode=False)))
