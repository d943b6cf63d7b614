"""Switching an account off and on: Active Directory first where it is the master, then Entra."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from quell import (
    Call,
    Failed,
    NoParams,
    Observation,
    Operation,
    Outcome,
    Pending,
    Succeeded,
    Target,
    Trait,
    Unknown,
    cannot_tell,
    not_so,
    so,
)
from quell.errors import AnswerNotFound, ConnectorError, PermissionMissing, RequestRefused
from quell_defender.identities import ACTIVE_DIRECTORY, IdentityAccountsClient
from quell_defender.outcomes import outcome_of_poll, outcome_of_read, outcome_of_write
from quell_microsoft.directory import DirectoryClient, DirectoryUser
from quell_user.premises import Half, find_half, switch_half

__all__ = ["LOOK_AT", "ROLES_REMEDY", "observe_account", "poll_sync", "switch_account"]

LOOK_AT = (
    "The account's page in the Entra portal: may it sign in? The audit log names who changed it."
)

#: a directory synchronisation cycle is half an hour; two of them must have brought it over
_SYNC_WAIT = timedelta(hours=1, minutes=15)
_SYNC_POLL = timedelta(seconds=30)
#: by then a cycle has shown whether the two halves agree
_LOOK_AGAIN = timedelta(minutes=45)
_FOLLOWS = (
    "done in Active Directory; Entra lets it sign in until the next directory synchronisation, "
    "within about half an hour"
)
_TEMPORARY = "temporary: the next directory synchronisation takes it back, because "
ROLES_REMEDY = (
    "The account holds a directory role: the identity needs a role above it, or a person does it."
)


async def switch_account(
    call: Call[NoParams],
    directory: DirectoryClient,
    identities: IdentityAccountsClient,
    *,
    enabled: bool,
) -> Outcome:
    """Let an account sign in or not, in every half of it that can be reached."""
    object_id = call.target.alias("entra_user")
    if not object_id:
        return Failed(reason="The user has no directory object id")
    try:
        user = await directory.get(object_id)
    except ConnectorError as error:
        return outcome_of_read(error)
    half = None
    if user.is_synced:
        half = await switch_half(user.sid, identities, enabled=enabled)
        if directory.now() >= call.deadline:
            return _late(half)
    return await _switch_entra(call.target, user, half, directory, enabled=enabled)


def _late(half: Half) -> Outcome:
    if half.is_switched:
        reason = "Active Directory did it, but the deadline passed before Entra was asked"
        return Unknown(reason=reason, look_at=LOOK_AT)
    return Failed(reason="The deadline passed before Entra was asked", retryable=True)


async def _switch_entra(
    target: Target,
    user: DirectoryUser,
    half: Half | None,
    directory: DirectoryClient,
    *,
    enabled: bool,
) -> Outcome:
    if user.is_enabled is not enabled:
        try:
            await directory.set_enabled(user.id, enabled)
        except RequestRefused as error:
            return _refused(user, half, error, enabled=enabled)
        except ConnectorError as error:
            return _not_answered(target, half, error)
    return _switched(half)


def _switched(half: Half | None) -> Succeeded:
    if half is None:
        return Succeeded()
    caveat = "" if half.is_switched else _TEMPORARY + half.remark
    data = {"on_premises": half.is_switched}
    return Succeeded(proof=half.proof, data=data, caveat=caveat, look_again=_LOOK_AGAIN)


def _refused(
    user: DirectoryUser, half: Half | None, error: RequestRefused, *, enabled: bool
) -> Outcome:
    """Say what Entra's refusal means: it takes no orders for what Active Directory masters."""
    if half is not None and half.is_switched:
        return _follows(user.id, half, enabled=enabled)
    if half is not None:
        return Failed(
            reason=f"Entra refuses for a synchronised account, and {half.remark}",
            remedy="Do it in Active Directory by hand, or give Defender for Identity an action "
            "account there.",
        )
    return Failed(reason=error.message, remedy=error.remedy)


def _follows(object_id: str, half: Half, *, enabled: bool) -> Outcome:
    """Say what is left when Active Directory did it and Entra will only follow.

    Nothing waits for a disabled account: what comes next, such as ending its sessions, must not.
    """
    if enabled:
        return Pending(operation=_sync_operation(object_id))
    data = {"on_premises": True}
    return Succeeded(proof=half.proof, data=data, caveat=_FOLLOWS, look_again=_LOOK_AGAIN)


def _not_answered(target: Target, half: Half | None, error: ConnectorError) -> Outcome:
    if isinstance(error, PermissionMissing) and Trait.ADMIN in target.traits:
        return Failed(reason=error.message, remedy=ROLES_REMEDY)
    if half is not None and half.is_switched:
        reason = f"Active Directory did it, Entra did not: {error.message}"
        return Unknown(reason=reason, look_at=LOOK_AT)
    return outcome_of_write(error, look_at=LOOK_AT)


# -- the way through directory synchronisation ---------------------------------------------------


def _sync_operation(object_id: str) -> Operation:
    return Operation(id=object_id, expires_after=_SYNC_WAIT, poll_every=_SYNC_POLL)


async def poll_sync(operation: Operation, directory: DirectoryClient) -> Outcome:
    """Ask whether directory synchronisation has enabled the account in Entra too."""
    try:
        user = await directory.get(operation.id)
    except ConnectorError as error:
        return outcome_of_poll(error, operation, look_at=LOOK_AT)
    if user.is_enabled:
        return Succeeded(data={"on_premises": True}, look_again=_LOOK_AGAIN)
    return Pending(operation=operation)


# -- the present state -----------------------------------------------------------------------------


async def observe_account(
    target: Target,
    directory: DirectoryClient,
    identities: IdentityAccountsClient,
    *,
    enabled: bool,
) -> Observation:
    """Say whether an account is switched so, in both halves where there are two."""
    now = directory.now()
    try:
        user = await directory.get(target.alias("entra_user") or "")
    except (AnswerNotFound, RequestRefused) as error:
        return cannot_tell(f"The directory does not show the account: {error.message}", as_of=now)
    facts = _facts(user)
    if user.is_enabled is None:
        return cannot_tell("The directory does not say whether it may sign in", facts=facts)
    if user.is_synced and (user.is_enabled is enabled or not enabled):
        return await _observe_half(user, identities, facts, now, enabled=enabled)
    if user.is_enabled is not enabled:
        return not_so(as_of=now, facts=facts)
    return so(as_of=now, facts=facts, reason=_remark(target))


async def _observe_half(
    user: DirectoryUser,
    identities: IdentityAccountsClient,
    facts: dict[str, Any],
    now: datetime,
    *,
    enabled: bool,
) -> Observation:
    """Look at the master too: what it says will hold, what only Entra says will not."""
    is_in_entra = user.is_enabled is enabled
    identity = await find_half(user.sid, identities)
    if isinstance(identity, str) or identity.is_enabled is None:
        remark = identity if isinstance(identity, str) else "the sensor does not say"
        reason = f"Active Directory was not looked at: {remark}"
        return _said(is_in_entra, as_of=now, facts=facts, reason=reason)
    facts |= {"on_premises_enabled": identity.is_enabled}
    if identity.is_enabled is enabled:
        return so(as_of=now, facts=facts, reason="" if is_in_entra else _FOLLOWS)
    verb = "enable" if enabled else "disable"
    if is_in_entra and identity.find_offer(ACTIVE_DIRECTORY, verb) is None:
        return so(as_of=now, facts=facts, reason=_TEMPORARY + f"{verb} is not offered there")
    return not_so(as_of=now, facts=facts, reason="Active Directory says otherwise")


def _said(is_so: bool, **fields: Any) -> Observation:
    return so(**fields) if is_so else not_so(**fields)


def _facts(user: DirectoryUser) -> dict[str, Any]:
    return {"enabled": user.is_enabled, "synced": user.is_synced}


def _remark(target: Target) -> str:
    if Trait.SHARED_MAILBOX in target.traits:
        return "A shared mailbox never signs in itself: its delegates carry on"
    return ""
