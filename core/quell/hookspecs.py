"""The hooks: everything that a plugin can offer to quell, on one page.

A plugin is a module (or an object) named by an entry point of the group `quell`. It answers
any of these hooks with a function of the same name, marked by `@hookimpl`. Hooks are asked once,
when plugins are loaded; they must not call a product, read files or start threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from quell.domain.action import Action, Resolver
from quell.domain.events import EventSinkSpec, EventSourceSpec
from quell.domain.offers import (
    Check,
    ConnectorSpec,
    Notifier,
    SettingsSection,
    SourceSpec,
    WebhookVerifier,
)
from quell.domain.simulator import SimulatorSpec

if TYPE_CHECKING:
    from pathlib import Path

    import click

__all__ = ["PROJECT", "Hooks", "hookimpl"]

PROJECT = "quell"

hookspec = pluggy.HookspecMarker(PROJECT)
#: marks a plugin's answer to a hook
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The contract between quell and its plugins. Each hook answers with a list."""

    @hookspec
    def quell_settings(self) -> Sequence[SettingsSection]:
        """Declare settings sections, so that they are checked, documented and shown."""
        raise NotImplementedError

    @hookspec
    def quell_connectors(self) -> Sequence[ConnectorSpec]:
        """Offer connectors: authenticated clients of a product, which actions ask for by type."""
        raise NotImplementedError

    @hookspec
    def quell_sources(self) -> Sequence[SourceSpec]:
        """Offer systems that hold incidents, to be polled and kept in step."""
        raise NotImplementedError

    @hookspec
    def quell_actions(self) -> Sequence[Action]:
        """Offer actions for playbooks and for `quell act`."""
        raise NotImplementedError

    @hookspec
    def quell_resolvers(self) -> Sequence[Resolver]:
        """Offer look-ups that turn an entity's names into one target with traits."""
        raise NotImplementedError

    @hookspec
    def quell_playbooks(self) -> Sequence[Path]:
        """Ship playbooks: YAML files that operators can list, check and activate."""
        raise NotImplementedError

    @hookspec
    def quell_checks(self) -> Sequence[Check]:
        """Offer checks for `quell doctor`."""
        raise NotImplementedError

    @hookspec
    def quell_notifiers(self) -> Sequence[Notifier]:
        """Offer ways to tell people about approvals, pages and parked runs."""
        raise NotImplementedError

    @hookspec
    def quell_webhooks(self) -> Sequence[WebhookVerifier]:
        """Offer verifiers for `POST /webhooks/{source}`."""
        raise NotImplementedError

    @hookspec
    def quell_commands(self) -> Sequence[click.Command]:
        """Offer commands or command groups for the `quell` command line."""
        raise NotImplementedError

    @hookspec
    def quell_event_sources(self) -> Sequence[EventSourceSpec]:
        """Offer tables of events beside incidents, to be streamed to where they are wanted."""
        raise NotImplementedError

    @hookspec
    def quell_event_sinks(self) -> Sequence[EventSinkSpec]:
        """Offer places that take events."""
        raise NotImplementedError

    @hookspec
    def quell_simulators(self) -> Sequence[SimulatorSpec]:
        """Offer simulated tenants for `quell simulate` and for tests of playbooks."""
        raise NotImplementedError
