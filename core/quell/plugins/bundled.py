"""The commands of plugins that come with quell, by name; nothing of the plugins is imported.

`plugins.lock` records the commands of plugins that somebody enabled. Bundled ones need nobody's
leave, so each that has commands lists them in a file `commands.toml` beside its code.
"""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

from quell.plugins.found import FoundPlugin, list_plugins
from quell.plugins.lock import Lock

__all__ = ["bundled_commands"]

COMMANDS_FILE = "commands.toml"


def bundled_commands(lock: Lock) -> dict[str, str]:
    """List the commands of bundled plugins that nobody disabled, each with its summary."""
    return {
        name: summary
        for plugin in list_plugins()
        if plugin.is_bundled and _is_enabled(plugin, lock)
        for name, summary in _listed(plugin).items()
    }


def _is_enabled(plugin: FoundPlugin, lock: Lock) -> bool:
    entry = lock.entries.get(plugin.name)
    return entry is None or entry.enabled


def _listed(plugin: FoundPlugin) -> dict[str, str]:
    spec = importlib.util.find_spec(plugin.entry_point.module.partition(".")[0])
    if spec is None or spec.origin is None:
        return {}
    path = Path(spec.origin).parent / COMMANDS_FILE
    if not path.is_file():
        return {}
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: str(summary) for name, summary in listed.items()}
