"""Actions on mail: purge and restore delivered copies, with how a copy is found."""

from __future__ import annotations

from collections.abc import Sequence

from quell import Action, Resolver, hookimpl
from quell_mail.purge import PurgeMode, PurgeParams, purge
from quell_mail.resolve import resolve_mail
from quell_mail.restore import restore

__all__ = ["PurgeMode", "PurgeParams"]


@hookimpl
def quell_actions() -> Sequence[Action]:
    """Offer the actions on mail."""
    return (purge, restore)


@hookimpl
def quell_resolvers() -> Sequence[Resolver]:
    """Offer how copies of mail are found."""
    return (resolve_mail,)
