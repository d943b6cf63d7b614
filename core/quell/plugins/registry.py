"""The registry: everything that the enabled plugins offered, and a report on each plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quell.domain.action import Action, Resolver
from quell.domain.events import EventSinkSpec, EventSourceSpec, EventTable
from quell.domain.offers import (
    Check,
    ConnectorSpec,
    Notifier,
    SettingsSection,
    SourceSpec,
    WebhookVerifier,
)
from quell.domain.simulator import SimulatorSpec
from quell.errors import NotFoundError

if TYPE_CHECKING:
    import click

__all__ = ["PlaybookFile", "PluginReport", "PluginState", "Registry"]


class PluginState(StrEnum):
    """What became of a plugin."""

    ENABLED = "enabled"
    #: installed, and nobody enabled it: it was not imported
    AVAILABLE = "available"
    #: nothing of it is used; the report says why
    QUARANTINED = "quarantined"


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `quell plugins`."""

    name: str
    distribution: str
    version: str
    state: PluginState
    #: names of what it offers, by kind
    offers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    #: what is wrong with it or with something it offers, in one line; empty when nothing
    problem: str = ""
    remedy: str = ""


class PlaybookFile(msgspec.Struct, frozen=True, kw_only=True):
    """A playbook that a plugin ships."""

    plugin: str
    path: Path

    @property
    def name(self) -> str:
        """Give the name that people use for it: the file's, without its ending."""
        return self.path.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All that plugins offered; never changes while a process runs."""

    plugins: tuple[PluginReport, ...] = ()
    sections: tuple[SettingsSection, ...] = ()
    connectors: Mapping[type, ConnectorSpec] = field(default_factory=dict[type, ConnectorSpec])
    sources: tuple[SourceSpec, ...] = ()
    actions: tuple[Action, ...] = ()
    resolvers: tuple[Resolver, ...] = ()
    playbooks: tuple[PlaybookFile, ...] = ()
    checks: tuple[Check, ...] = ()
    notifiers: tuple[Notifier, ...] = ()
    webhooks: Mapping[str, WebhookVerifier] = field(default_factory=dict[str, WebhookVerifier])
    commands: Mapping[str, click.Command] = field(default_factory=dict[str, "click.Command"])
    event_sources: tuple[EventSourceSpec, ...] = ()
    event_sinks: tuple[EventSinkSpec, ...] = ()
    simulators: Mapping[str, SimulatorSpec] = field(default_factory=dict[str, SimulatorSpec])

    @property
    def has_quarantined(self) -> bool:
        """Tell whether something that may be needed could not be loaded."""
        return any(report.state is PluginState.QUARANTINED for report in self.plugins)

    def with_actions(self, actions: Iterable[Action]) -> Registry:
        """Return a registry with actions more: those of the core itself."""
        return replace(self, actions=(*self.actions, *actions))

    def find_actions(self, name: str, system: str | None = None) -> tuple[Action, ...]:
        """List the implementations of an action, or the one of a system."""
        return tuple(
            one
            for one in self.actions
            if one.name == name and (system is None or one.system == system)
        )

    def event_tables(self) -> tuple[EventTable, ...]:
        """List every table of events that can be read."""
        return tuple(table for spec in self.event_sources for table in spec.tables())

    def find_resolvers(self, target: type) -> tuple[Resolver, ...]:
        """List the look-ups for entities of a class."""
        return tuple(one for one in self.resolvers if one.target is target)

    def playbook(self, name: str) -> PlaybookFile:
        """Give a shipped playbook by its name. Raises NotFoundError."""
        found = next((one for one in self.playbooks if one.name == name), None)
        if found is None:
            raise NotFoundError(
                what="playbook",
                name=name,
                remedy=f"Shipped are: {_listed(one.name for one in self.playbooks)}. "
                "A path to a file works too.",
            )
        return found

    def simulator(self, name: str | None) -> SimulatorSpec:
        """Give a simulator by name; without a name, the only one there is."""
        if name is None and len(self.simulators) == 1:
            return next(iter(self.simulators.values()))
        if name is None or name not in self.simulators:
            raise NotFoundError(
                what="simulator",
                name=name or "",
                remedy=f"Enabled plugins offer: {_listed(self.simulators)}. See `quell plugins`.",
            )
        return self.simulators[name]


def _listed(names: Iterable[str]) -> str:
    ordered: Sequence[str] = sorted(names)
    return ", ".join(ordered) or "none"
