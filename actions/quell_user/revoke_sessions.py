"""user.revoke_sessions: end an account's sessions, so that it must sign in anew."""

from __future__ import annotations

from quell import Call, Effect, Failed, NoParams, Outcome, Succeeded, Target, Trait, User, action
from quell.errors import ConnectorError, PermissionMissing
from quell_defender.outcomes import outcome_of_write
from quell_microsoft.directory import DirectoryClient
from quell_user.account import LOOK_AT, ROLES_REMEDY

__all__ = ["revoke_sessions"]

_GUEST = "a guest's sessions are its home tenant's: there it stays signed in"


@action(
    "user.revoke_sessions",
    system="entra",
    target=User,
    effect=Effect.CONTAIN,
    permissions=("User.RevokeSessions.All",),
    identity="user",
    is_idempotent=True,
    docs="https://learn.microsoft.com/graph/api/user-revokesigninsessions",
)
async def revoke_sessions(call: Call[NoParams], directory: DirectoryClient) -> Outcome:
    """End all sessions of an account; access tokens already given out live on for up to an hour."""
    object_id = call.target.alias("entra_user")
    if not object_id:
        return Failed(reason="The user has no directory object id")
    try:
        is_done = await directory.revoke_sessions(object_id)
    except PermissionMissing as error:
        return _forbidden(call.target, error)
    except ConnectorError as error:
        return outcome_of_write(error, look_at=LOOK_AT)
    if not is_done:
        return Failed(reason="The directory says that it revoked nothing", retryable=True)
    return Succeeded(caveat=_GUEST if Trait.GUEST in call.target.traits else "")


def _forbidden(target: Target, error: PermissionMissing) -> Failed:
    is_admin = Trait.ADMIN in target.traits
    return Failed(reason=error.message, remedy=ROLES_REMEDY if is_admin else error.remedy)
