"""What each hook may answer with: its kind, its type, its name, and what can be wrong with it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from quell.domain.action import Action, Resolver, connector_types
from quell.domain.events import EventSinkSpec, EventSourceSpec
from quell.domain.offers import Check, ConnectorSpec, SettingsSection, SourceSpec
from quell.domain.simulator import SimulatorSpec

__all__ = ["HOOKS", "Hook", "OfferProblem", "name_of_kind"]

ACTION_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
SECTION_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: tables of the core that a section may not hide
TAKEN_SECTIONS = frozenset({"simulated", "guard", "sync", "events"})


class OfferProblem(Exception):
    """What is wrong with a plugin or an offer of it, as the end of a sentence about the plugin."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook's answers."""

    kind: str
    #: what each item must be, in words
    wanted: str
    fits: Callable[[Any], bool]
    name: Callable[[Any], str]
    #: raises OfferProblem
    examine: Callable[[Any], None] = lambda item: None


def name_of_kind(kind: type) -> str:
    """Name a class as its author would import it."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _examine_action(action: Action) -> None:
    if not ACTION_NAME.fullmatch(action.name):
        raise OfferProblem(f"names an action {action.name!r}; names are `entity.verb`")
    if action.is_guarded and action.observe_function is None and not action.is_idempotent:
        raise OfferProblem(
            f"offers {action.name} without `observe`: after a crash nobody could tell whether it "
            "happened; add a function under `@….observe`"
        )
    if action.batch < 1:
        raise OfferProblem(f"declares a batch of {action.batch} for {action.name}")
    functions = (
        action.call,
        action.observe_function,
        action.poll_function,
        action.cancel_function,
    )
    for function in functions:
        if function is not None:
            _examine_function(function, action.name)


def _examine_function(function: Callable[..., Any], owner: str) -> None:
    name = getattr(function, "__name__", "?")
    if not inspect.iscoroutinefunction(function):
        raise OfferProblem(f"has a function {name} of {owner} that is not `async def`")
    if not inspect.signature(function).parameters:
        raise OfferProblem(f"has a function {name} of {owner} that takes nothing")
    try:
        connector_types(function)
    except (NameError, KeyError, TypeError, AttributeError) as error:
        raise OfferProblem(
            f"has a function {name} of {owner} whose parameters need connector types as "
            f"annotations ({error})"
        ) from error


def _examine_resolver(resolver: Resolver) -> None:
    _examine_function(resolver.resolve, f"the resolver of {resolver.target.__name__}")


def _examine_section(section: SettingsSection) -> None:
    if not SECTION_NAME.fullmatch(section.name) or section.name in TAKEN_SECTIONS:
        raise OfferProblem(f"cannot call a settings section {section.name!r}")
    if not (isinstance(section.model, type) and issubclass(section.model, msgspec.Struct)):
        raise OfferProblem(f"declares the section {section.name} without a msgspec.Struct")


def _examine_playbook(path: Path) -> None:
    if not path.is_file():
        raise OfferProblem(f"ships a playbook that is not there: {path.name}")


def _is_a(kind: type) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, kind)


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda item: all(hasattr(item, name) for name in names)


#: by hook, in the order in which they are asked
HOOKS: Mapping[str, Hook] = {
    "quell_settings": Hook(
        "sections",
        "SettingsSection",
        _is_a(SettingsSection),
        lambda one: one.name,
        _examine_section,
    ),
    "quell_connectors": Hook(
        "connectors", "ConnectorSpec", _is_a(ConnectorSpec), lambda one: name_of_kind(one.kind)
    ),
    "quell_sources": Hook("sources", "SourceSpec", _is_a(SourceSpec), lambda one: one.system),
    "quell_actions": Hook(
        "actions",
        "Action (made by @action)",
        _is_a(Action),
        lambda one: f"{one.name} ({one.system})",
        _examine_action,
    ),
    "quell_resolvers": Hook(
        "resolvers",
        "Resolver (made by @resolver)",
        _is_a(Resolver),
        lambda one: f"{one.target.__name__} ({one.system})",
        _examine_resolver,
    ),
    "quell_playbooks": Hook(
        "playbooks", "Path", _is_a(Path), lambda one: one.stem, _examine_playbook
    ),
    "quell_checks": Hook("checks", "Check", _is_a(Check), lambda one: one.name),
    "quell_notifiers": Hook("notifiers", "Notifier", _has("name", "notify"), lambda one: one.name),
    "quell_webhooks": Hook(
        "webhooks", "WebhookVerifier", _has("source", "verify"), lambda one: one.source
    ),
    "quell_commands": Hook(
        "commands", "click.Command", _is_a(click.Command), lambda one: one.name or ""
    ),
    "quell_event_sources": Hook(
        "event_sources", "EventSourceSpec", _is_a(EventSourceSpec), lambda one: one.system
    ),
    "quell_event_sinks": Hook(
        "event_sinks", "EventSinkSpec", _is_a(EventSinkSpec), lambda one: one.system
    ),
    "quell_simulators": Hook(
        "simulators", "SimulatorSpec", _is_a(SimulatorSpec), lambda one: one.name
    ),
}
