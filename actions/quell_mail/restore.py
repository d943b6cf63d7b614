"""mail.restore: put purged copies of a message back into the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from quell import (
    Call,
    Effect,
    MailMessage,
    NoParams,
    Observation,
    Operation,
    Outcome,
    Target,
    action,
    cannot_tell,
)
from quell_defender.mail import MailClient, RemediationAction
from quell_mail.places import restored
from quell_mail.purge import PERMISSIONS
from quell_mail.remediation import BATCH, copy_name, poll_copy, remediate

__all__ = ["restore"]


@action(
    "mail.restore",
    system="defender",
    target=MailMessage,
    effect=Effect.RESTORE,
    permissions=PERMISSIONS,
    identity="mail",
    reversal="mail.purge",
    ends="mail.purged",
    batch=BATCH,
    settle=timedelta(seconds=30),
    docs="https://learn.microsoft.com/graph/api/security-analyzedemail-remediate",
)
async def restore(call: Call[NoParams], mail: MailClient) -> Sequence[Outcome]:
    """Move purged copies of a message back to the inbox; what was hard-deleted stays away."""
    return await remediate(call, RemediationAction.MOVE_TO_INBOX, mail)


@restore.observe
async def observe_restored(target: Target, mail: MailClient) -> Observation:
    """Read where the copy lies."""
    name = copy_name(target)
    copy = await mail.find_copy(name) if name else None
    if copy is None:
        return cannot_tell("The product has no such copy on record", as_of=mail.now())
    return restored(copy, mail.now())


@restore.poll
async def poll_restore(operation: Operation, mail: MailClient) -> Outcome:
    """Ask where the copy lies now."""
    return await poll_copy(operation, mail)
