"""What an operator says about accounts that must be left alone."""

from __future__ import annotations

import msgspec

from quell import ConnectorContext, SettingsSection

__all__ = ["SECTION", "UserSettings"]


#: what such accounts are often called; better name your own
_BREAK_GLASS = (
    "breakglass*",
    "break-glass*",
    "break_glass*",
    "emergencyaccess*",
    "emergency-access*",
    "emergency_access*",
)


class UserSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts that get a protected trait whatever the directory says about them."""

    #: principal names, object ids or patterns of break-glass accounts; never disabled
    break_glass: tuple[str, ...] = _BREAK_GLASS
    #: principal names, object ids or patterns (`svc-*`) of accounts that software uses
    service_accounts: tuple[str, ...] = ("svc-*", "svc_*", "svc.*", "service-*", "service_*")
    #: principal names or patterns of directory synchronisation accounts, besides the built-in ones
    sync_accounts: tuple[str, ...] = ()
    #: principal names or object ids of shared and resource mailboxes
    shared_mailboxes: tuple[str, ...] = ()

    @classmethod
    def connect(cls, context: ConnectorContext) -> UserSettings:
        """Give this tenant's values."""
        return context.settings(cls)


SECTION = SettingsSection(name="user", model=UserSettings)
