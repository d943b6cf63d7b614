"""Actions on users: get, disable, enable and revoke sessions, with how an account is found."""

from __future__ import annotations

from collections.abc import Sequence

from quell import Action, ConnectorSpec, Resolver, SettingsSection, hookimpl
from quell_user.disable import disable
from quell_user.enable import enable
from quell_user.get import UserFacts, get
from quell_user.resolve import resolve_user
from quell_user.revoke_sessions import revoke_sessions
from quell_user.settings import SECTION, UserSettings
from quell_user.traits import UserKind

__all__ = ["UserFacts", "UserKind", "UserSettings"]


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Declare which accounts an operator protects."""
    return (SECTION,)


@hookimpl
def quell_connectors() -> Sequence[ConnectorSpec]:
    """Let the resolver ask for the settings as it asks for a client."""
    return (ConnectorSpec(kind=UserSettings, build=UserSettings.connect, is_stateless=True),)


@hookimpl
def quell_actions() -> Sequence[Action]:
    """Offer the actions on users."""
    return (get, disable, enable, revoke_sessions)


@hookimpl
def quell_resolvers() -> Sequence[Resolver]:
    """Offer how users are found."""
    return (resolve_user,)
