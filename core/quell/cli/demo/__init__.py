"""`quell demo`: a stage with real processes, a story, and a verdict read back from the tenant."""

from quell.cli.demo.command import demo

__all__ = ["demo"]
