"""How a user of an incident becomes one account of the directory, or is not acted on."""

from __future__ import annotations

import re
from uuid import UUID

from msgspec.structs import replace

from quell import Resolution, Unresolved, User, resolver
from quell.errors import AnswerNotFound, PermissionMissing, RequestRefused
from quell_defender.hunting import HuntingClient
from quell_microsoft.directory import DirectoryClient, DirectoryUser
from quell_user.settings import UserSettings
from quell_user.traits import traits_of

__all__ = ["object_id_of_cloud_sid", "resolve_user"]

_CLOUD_SID = re.compile(r"S-1-12-1-(\d{1,10})-(\d{1,10})-(\d{1,10})-(\d{1,10})", re.ASCII)


@resolver(User, system="entra", permissions=("User.Read.All", "ThreatHunting.Read.All"))
async def resolve_user(
    user: User, directory: DirectoryClient, hunting: HuntingClient, settings: UserSettings
) -> Resolution | Unresolved:
    """Find the one directory account that a user names, by its strongest name, with its traits."""
    try:
        found = await _find(user, directory, hunting)
    except (AnswerNotFound, RequestRefused) as error:
        return Unresolved(reason=f"The directory knows no such account: {error.message}")
    if isinstance(found, Unresolved):
        return found
    return await _describe(user, found, directory, settings)


def object_id_of_cloud_sid(sid: str) -> str | None:
    """Compute the object id that a cloud account's security identifier is made of."""
    match = _CLOUD_SID.fullmatch(sid.upper())
    parts = [int(part) for part in match.groups()] if match else []
    if not parts or max(parts) > 0xFFFF_FFFF:
        return None
    return str(UUID(bytes_le=b"".join(part.to_bytes(4, "little") for part in parts)))


async def _find(
    user: User, directory: DirectoryClient, hunting: HuntingClient
) -> DirectoryUser | Unresolved:
    cloud_id = object_id_of_cloud_sid(user.sid or "")
    name = user.object_id or user.upn or cloud_id
    if name:
        return await directory.get(name)
    if user.sid and user.sid.upper().startswith("S-1-5-21-"):
        return await _find_by_sid(user.sid, directory, hunting)
    if user.sid:
        return Unresolved(reason="A built-in account of one machine: no account of the directory")
    return Unresolved(reason="The user has no name that identifies an account")


async def _find_by_sid(
    sid: str, directory: DirectoryClient, hunting: HuntingClient
) -> DirectoryUser | Unresolved:
    found = await directory.list_by_sid(sid)
    if len(found) == 1:
        return found[0]
    if found:
        return Unresolved(reason=f"{len(found)} accounts have this security identifier")
    try:
        ids = await hunting.find_object_ids(sid)
    except PermissionMissing:
        ids = ()
    if len(ids) == 1:
        return await directory.get(ids[0])
    many = f"{len(ids)} accounts have" if ids else "No account of the directory has"
    return Unresolved(reason=f"{many} this security identifier")


async def _describe(
    user: User, account: DirectoryUser, directory: DirectoryClient, settings: UserSettings
) -> Resolution:
    roles = await directory.list_roles(account.id)
    names = (account.id, account.upn, account.account_name, *_claimed(user))
    entity = replace(
        user,
        object_id=account.id,
        upn=account.upn or user.upn,
        sid=account.sid or user.sid,
        account_name=account.account_name or user.account_name,
        display_name=account.name or user.display_name,
    )
    return Resolution(
        entity=entity,
        aliases=tuple(dict.fromkeys((*entity.aliases(), *user.aliases()))),
        traits=traits_of(account, roles, settings, names),
        facts={"object_id": account.id, "enabled": account.is_enabled, "roles": list(roles)},
    )


def _claimed(user: User) -> tuple[str, ...]:
    # not the display name: whoever can change it would choose the account's protection
    names = (user.object_id, user.upn, user.account_name)
    return tuple(name for name in names if name)
