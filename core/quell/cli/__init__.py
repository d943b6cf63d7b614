"""The command line: `quell COMMAND`. Loads nothing heavy before a command is chosen."""

from quell.cli.program import main

__all__ = ["main"]
