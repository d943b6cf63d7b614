"""user.disable: let an account sign in no more."""

from __future__ import annotations

from quell import Call, Effect, NoParams, Observation, Outcome, Target, User, action
from quell_defender.identities import IdentityAccountsClient
from quell_microsoft.directory import DirectoryClient
from quell_user.account import observe_account, switch_account

__all__ = ["PERMISSIONS", "disable"]

PERMISSIONS = (
    "User.EnableDisableAccount.All",
    "User.Read.All",
    "SecurityIdentitiesAccount.Read.All",
    "SecurityIdentitiesActions.ReadWrite.All",
)


@action(
    "user.disable",
    system="entra",
    target=User,
    effect=Effect.CONTAIN,
    permissions=PERMISSIONS,
    identity="user",
    reversal="user.enable",
    makes="user.disabled",
    is_idempotent=True,
    docs="https://learn.microsoft.com/graph/api/user-update",
)
async def disable(
    call: Call[NoParams], directory: DirectoryClient, identities: IdentityAccountsClient
) -> Outcome:
    """Disable an account: in Active Directory where that is its master, then in Entra."""
    return await switch_account(call, directory, identities, enabled=False)


@disable.observe
async def observe_disabled(
    target: Target, directory: DirectoryClient, identities: IdentityAccountsClient
) -> Observation:
    """Read whether the account is disabled, and would stay so."""
    return await observe_account(target, directory, identities, enabled=False)
