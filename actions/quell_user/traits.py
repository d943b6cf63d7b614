"""What the guard must know about an account: pure rules from its record, roles and our lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from fnmatch import fnmatchcase

from quell import Trait
from quell_microsoft.directory import DirectoryUser
from quell_user.settings import UserSettings

__all__ = ["UserKind", "kind_of", "traits_of"]

#: accounts that Entra Connect makes for itself, in Entra and in Active Directory
_SYNC_PATTERNS = ("sync_*@*", "adtoaadsyncserviceaccount*", "aad_*", "msol_*", "provagentgmsa*")
_SYNC_ROLES = frozenset(
    {
        "directory synchronization accounts",
        "on premises directory sync account",
        "d29b2b05-8046-44ba-8758-1e26182fcf32",
    }
)


class UserKind(StrEnum):
    """What stands behind an account."""

    PERSON = "person"
    SERVICE = "service"
    SYNC = "sync"
    SHARED = "shared"
    BREAK_GLASS = "break_glass"


_KINDS: tuple[tuple[Trait, UserKind], ...] = (
    (Trait.BREAK_GLASS, UserKind.BREAK_GLASS),
    (Trait.SYNC_ACCOUNT, UserKind.SYNC),
    (Trait.SERVICE_ACCOUNT, UserKind.SERVICE),
    (Trait.SHARED_MAILBOX, UserKind.SHARED),
)


def kind_of(traits: Collection[Trait]) -> UserKind:
    """Tell what stands behind an account; whatever is nothing special is a person."""
    return next((kind for trait, kind in _KINDS if trait in traits), UserKind.PERSON)


def traits_of(
    user: DirectoryUser, roles: Iterable[str], settings: UserSettings, names: Collection[str]
) -> frozenset[Trait]:
    """Give an account's traits. `names` are all it goes by, those of the incident included."""
    held = {role.lower() for role in roles}
    rules = (
        (Trait.BREAK_GLASS, _matches(names, settings.break_glass)),
        (Trait.SYNC_ACCOUNT, _is_sync_account(names, held, settings)),
        (Trait.SERVICE_ACCOUNT, _matches(names, settings.service_accounts)),
        (Trait.SHARED_MAILBOX, _is_shared(user) or _matches(names, settings.shared_mailboxes)),
        (Trait.ADMIN, bool(held)),
        (Trait.GUEST, user.is_guest),
        (Trait.SYNCED, user.is_synced),
    )
    found = {trait for trait, holds in rules if holds}
    if kind_of(found) is UserKind.PERSON:
        found.add(Trait.PERSON)
    return frozenset(found)


def _is_sync_account(names: Collection[str], roles: set[str], settings: UserSettings) -> bool:
    return bool(roles & _SYNC_ROLES) or _matches(names, (*_SYNC_PATTERNS, *settings.sync_accounts))


def _is_shared(user: DirectoryUser) -> bool:
    """Recognise a shared or resource mailbox: it has mail, but neither sign-in nor licence."""
    is_plain = not user.is_synced and not user.is_guest and not user.is_licensed
    return user.is_enabled is False and bool(user.mail) and is_plain


def _matches(names: Collection[str], patterns: Iterable[str]) -> bool:
    folded = [name.lower() for name in names if name]
    wanted = [pattern.strip().lower() for pattern in patterns if pattern.strip()]
    return any(fnmatchcase(name, pattern) for name in folded for pattern in wanted)
