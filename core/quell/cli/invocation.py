"""What the commands of one invocation share: where settings come from, and how to answer."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from quell.domain.events import EventTable
    from quell.plugins import Lock, Registry
    from quell.runtime import Runtime
    from quell.settings import Settings

__all__ = ["Invocation", "pass_invocation"]


@dataclass(slots=True)
class Invocation:
    """One call of `quell`."""

    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    chosen_config: Path | None = None
    debug: bool = False
    as_json: bool = False

    @property
    def config_path(self) -> Path | None:
        """Find the configuration file; None where there is none, and defaults apply."""
        from quell.settings import find_config

        return find_config(self.chosen_config, self.environ)

    def lock(self) -> Lock:
        """Read which plugins are enabled."""
        from quell.plugins import Lock
        from quell.settings import lock_path

        return Lock.read(lock_path(self.config_path))

    def registry(self) -> Registry:
        """Load the enabled plugins."""
        from quell.plugins import load_plugins

        return load_plugins(self.lock())

    def event_tables(self) -> Sequence[EventTable]:
        """List every table of events that enabled plugins can read; plugins' commands ask here."""
        return self.registry().event_tables()

    def full_registry(self) -> Registry:
        """Load the enabled plugins and add the core's own actions."""
        from quell.sync.actions import ACTIONS

        return self.registry().with_actions(ACTIONS)

    def settings(self, registry: Registry) -> Settings:
        """Read and check the settings, with the sections that plugins declared."""
        from quell.settings import load_settings

        return load_settings(
            self.config_path,
            self.environ,
            registry.sections,
            is_lenient=registry.has_quarantined,
        )

    def runtime(self) -> AbstractContextManager[Runtime]:
        """Open everything: settings, plugins, journal and tenants."""
        from quell.runtime import open_runtime

        return open_runtime(self.chosen_config)

    @property
    def person(self) -> str:
        """Give the name of who is asking, for the record."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # no name for this user id, as in some containers
            return f"uid {os.getuid()}"


pass_invocation = click.make_pass_decorator(Invocation)
