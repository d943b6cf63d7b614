"""mail.purge: take delivered copies of a message away from their recipients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

import msgspec

from quell import (
    Call,
    Effect,
    MailMessage,
    Observation,
    Operation,
    Outcome,
    Target,
    action,
    cannot_tell,
)
from quell_defender.mail import MailClient, RemediationAction
from quell_mail.places import purged
from quell_mail.remediation import BATCH, copy_name, poll_copy, remediate

__all__ = ["PERMISSIONS", "PurgeMode", "PurgeParams", "purge"]

PERMISSIONS = ("SecurityAnalyzedMessage.ReadWrite.All",)


class PurgeMode(StrEnum):
    """How far away the copies are put."""

    #: to the recoverable items, out of the recipient's sight; can be restored
    SOFT_DELETE = "softDelete"
    #: to the Deleted Items folder, where the recipient still finds them
    MOVE_TO_DELETED_ITEMS = "moveToDeletedItems"
    #: for good, unless a hold keeps them; cannot be restored from here
    HARD_DELETE = "hardDelete"


class PurgeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to purge."""

    action: PurgeMode = PurgeMode.SOFT_DELETE


@action(
    "mail.purge",
    system="defender",
    target=MailMessage,
    effect=Effect.REMEDIATE,
    params=PurgeParams,
    permissions=PERMISSIONS,
    identity="mail",
    reversal="mail.restore",
    makes="mail.purged",
    batch=BATCH,
    settle=timedelta(seconds=30),
    docs="https://learn.microsoft.com/graph/api/security-analyzedemail-remediate",
)
async def purge(call: Call[PurgeParams], mail: MailClient) -> Sequence[Outcome]:
    """Remove delivered copies of a message; each recipient's copy has an outcome of its own."""
    return await remediate(call, RemediationAction(call.params.action.value), mail)


@purge.observe
async def observe_purged(target: Target, mail: MailClient) -> Observation:
    """Read where the copy lies."""
    name = copy_name(target)
    copy = await mail.find_copy(name) if name else None
    if copy is None:
        return cannot_tell("The product has no such copy on record", as_of=mail.now())
    return purged(copy, mail.now())


@purge.poll
async def poll_purge(operation: Operation, mail: MailClient) -> Outcome:
    """Ask where the copy lies now."""
    return await poll_copy(operation, mail)
