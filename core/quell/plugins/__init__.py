"""Plugins: listed without being imported, imported only when enabled, each fenced from the others.

`load_plugins` gives the `Registry`: everything that the enabled plugins offer, immutable, and
a report on each plugin, also on the ones that are not enabled or cannot be loaded.
"""

from quell.plugins.bundled import bundled_commands
from quell.plugins.found import FoundPlugin, digest_of, list_plugins
from quell.plugins.load import enable, load_one, load_plugins
from quell.plugins.lock import Lock, LockEntry
from quell.plugins.registry import PlaybookFile, PluginReport, PluginState, Registry

__all__ = [
    "FoundPlugin",
    "Lock",
    "LockEntry",
    "PlaybookFile",
    "PluginReport",
    "PluginState",
    "Registry",
    "bundled_commands",
    "digest_of",
    "enable",
    "list_plugins",
    "load_one",
    "load_plugins",
]
