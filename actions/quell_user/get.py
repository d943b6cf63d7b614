"""user.get: what the directory says about an account now."""

from __future__ import annotations

import msgspec

from quell import Call, Effect, Failed, NoParams, Outcome, Succeeded, Target, Trait, User, action
from quell.errors import ConnectorError
from quell_defender.outcomes import outcome_of_read
from quell_microsoft.directory import DirectoryClient, DirectoryUser
from quell_user.traits import UserKind, kind_of

__all__ = ["UserFacts", "get"]


class UserFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account as playbooks see it."""

    #: object id
    id: str
    #: sign-in name
    upn: str
    #: display name
    name: str
    #: main address; empty without a mailbox
    mail: str
    #: what stands behind the account
    kind: UserKind
    #: whether it may sign in
    enabled: bool
    #: whether Active Directory is its master
    synced: bool
    #: whether it holds a directory role
    admin: bool
    #: whether it was invited from another directory
    guest: bool
    #: directory roles it holds, by name; eligible ones that are not in force are missing
    roles: tuple[str, ...] = ()
    #: sessions begun before this are over
    sessions_valid_from: str = ""


@action(
    "user.get",
    system="entra",
    target=User,
    effect=Effect.READ,
    result=UserFacts,
    permissions=("User.Read.All",),
    identity="reader",
    docs="https://learn.microsoft.com/graph/api/user-get",
)
async def get(call: Call[NoParams], directory: DirectoryClient) -> Outcome:
    """Read an account: what stands behind it, whether it may sign in, which roles it holds."""
    object_id = call.target.alias("entra_user")
    if not object_id:
        return Failed(reason="The user has no directory object id")
    try:
        user = await directory.get(object_id)
    except ConnectorError as error:
        return outcome_of_read(error)
    return Succeeded(data=msgspec.to_builtins(_facts(user, call.target)))


def _facts(user: DirectoryUser, target: Target) -> UserFacts:
    roles = target.facts.get("roles", ())
    return UserFacts(
        id=user.id,
        upn=user.upn,
        name=user.name,
        mail=user.mail,
        kind=kind_of(target.traits),
        # an account of which the directory does not say otherwise may sign in
        enabled=user.is_enabled is not False,
        synced=user.is_synced,
        admin=Trait.ADMIN in target.traits,
        guest=user.is_guest,
        roles=tuple(str(role) for role in roles),
        sessions_valid_from=user.sessions_valid_from,
    )
