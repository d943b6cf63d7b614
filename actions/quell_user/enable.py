"""user.enable: let a disabled account sign in again."""

from __future__ import annotations

from quell import Call, Effect, NoParams, Observation, Operation, Outcome, Target, User, action
from quell_defender.identities import IdentityAccountsClient
from quell_microsoft.directory import DirectoryClient
from quell_user.account import observe_account, poll_sync, switch_account
from quell_user.disable import PERMISSIONS

__all__ = ["enable"]


@action(
    "user.enable",
    system="entra",
    target=User,
    effect=Effect.RESTORE,
    permissions=PERMISSIONS,
    identity="user",
    reversal="user.disable",
    ends="user.disabled",
    is_idempotent=True,
    docs="https://learn.microsoft.com/graph/api/user-update",
)
async def enable(
    call: Call[NoParams], directory: DirectoryClient, identities: IdentityAccountsClient
) -> Outcome:
    """Enable an account: in Active Directory where that is its master, then in Entra."""
    return await switch_account(call, directory, identities, enabled=True)


@enable.observe
async def observe_enabled(
    target: Target, directory: DirectoryClient, identities: IdentityAccountsClient
) -> Observation:
    """Read whether the account is enabled, and would stay so."""
    return await observe_account(target, directory, identities, enabled=True)


@enable.poll
async def poll_enabled(operation: Operation, directory: DirectoryClient) -> Outcome:
    """Ask whether directory synchronisation has enabled it in Entra too."""
    return await poll_sync(operation, directory)
