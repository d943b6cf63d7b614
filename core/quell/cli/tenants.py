"""The option `--tenant`, the same for every command that needs one."""

from __future__ import annotations

import click

__all__ = ["tenant_option"]

tenant_option = click.option(
    "--tenant", metavar="NAME", help="Which tenant; needed only where several are configured."
)
