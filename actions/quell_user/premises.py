"""The half of a synchronised account that is in Active Directory: read, and switched first."""

from __future__ import annotations

from dataclasses import dataclass

from quell.errors import ConnectorError
from quell_defender.identities import ACTIVE_DIRECTORY, IdentityAccount, IdentityAccountsClient

__all__ = ["Half", "find_half", "switch_half"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """What became of the half on the premises. `remark` says why it was not switched."""

    is_switched: bool
    proof: str = ""
    remark: str = ""


async def find_half(sid: str, identities: IdentityAccountsClient) -> IdentityAccount | str:
    """Find the account in Active Directory, or say why it is out of reach.

    Not every tenant has sensors there, and not every cloud has the API: no reason to fail.
    """
    if not sid:
        return "the account has no security identifier of Active Directory"
    try:
        found = await identities.find_by_sid(sid)
    except ConnectorError as error:
        return f"accounts on the premises cannot be read: {error.message}"
    return found or "no sensor knows the account"


async def switch_half(sid: str, identities: IdentityAccountsClient, *, enabled: bool) -> Half:
    """Disable or enable the account in Active Directory, if that is offered right now."""
    identity = await find_half(sid, identities)
    if isinstance(identity, str):
        return Half(is_switched=False, remark=identity)
    if identity.is_enabled is enabled:
        return Half(is_switched=True)
    verb = "enable" if enabled else "disable"
    account = identity.find_offer(ACTIVE_DIRECTORY, verb)
    if account is None:
        return Half(is_switched=False, remark=f"{verb} is not offered for Active Directory")
    try:
        proof = await identities.invoke(identity, account, verb)
    except ConnectorError as error:
        doubt = "whether Active Directory did it is unclear: " if error.may_have_happened else ""
        return Half(is_switched=False, remark=f"{doubt}{error.message}")
    return Half(is_switched=True, proof=proof)
