"""One remediation of many copies: sent once, then followed copy by copy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from quell import Call, Failed, MailMessage, Operation, Outcome, Pending, Target, Trait, Unknown
from quell.errors import ConnectorError
from quell_defender.mail import CopyName, MailClient, RemediationAction
from quell_defender.outcomes import outcome_of_poll, outcome_of_write
from quell_mail.places import NOT_REACHED, judge

__all__ = ["BATCH", "LOOK_AT", "copy_name", "poll_copy", "remediate"]

#: Assumed: the most copies in one call are not documented
BATCH = 100
LOOK_AT = "Action center of the Defender portal, History: is there a remediation with our key?"

_POLL = timedelta(seconds=30)
_EXPIRES = timedelta(hours=6)


class _Remediated(msgspec.Struct, frozen=True, kw_only=True, rename="lower"):
    """All that a later poll of one copy needs; travels as the operation's id."""

    message: str
    recipient: str
    action: RemediationAction
    key: str
    bulk: str = ""


def copy_name(target: Target) -> CopyName | None:
    """Give the copy that a target stands for; None when half of its name is missing."""
    mail = target.entity
    if not isinstance(mail, MailMessage) or not mail.network_message_id or not mail.recipient:
        return None
    return CopyName(mail.network_message_id, mail.recipient)


async def remediate(call: Call[Any], action: RemediationAction, mail: MailClient) -> list[Outcome]:
    """Remediate all targets that can be reached in one call; one outcome each, in their order."""
    copies = [_reachable(target) for target in call.targets]
    wanted = [copy for copy in copies if isinstance(copy, CopyName)]
    sent = await _send(call, action, wanted, mail) if wanted else ""
    return [
        _outcome(copy, action, call.key, sent) if isinstance(copy, CopyName) else copy
        for copy in copies
    ]


def _reachable(target: Target) -> CopyName | Failed:
    if Trait.EXTERNAL in target.traits:
        return Failed(reason=f"{NOT_REACHED}the mailbox is outside the tenant")
    return copy_name(target) or Failed(
        reason=f"{NOT_REACHED}the message has no network message id or no recipient"
    )


async def _send(
    call: Call[Any], action: RemediationAction, wanted: Sequence[CopyName], mail: MailClient
) -> str | Failed | Unknown:
    try:
        return await mail.remediate(
            list(dict.fromkeys(wanted)),
            action,
            key=call.key,
            note=call.note,
        )
    except ConnectorError as error:
        return outcome_of_write(error, look_at=LOOK_AT)


def _outcome(
    copy: CopyName, action: RemediationAction, key: str, sent: str | Failed | Unknown
) -> Outcome:
    if not isinstance(sent, str):
        return sent
    asked = _Remediated(
        message=copy.network_message_id, recipient=copy.recipient, action=action, key=key, bulk=sent
    )
    name = msgspec.json.encode(asked).decode()
    return Pending(operation=Operation(id=name, expires_after=_EXPIRES, poll_every=_POLL))


async def poll_copy(operation: Operation, mail: MailClient) -> Outcome:
    """Ask where the copy lies now, and whether the product names our remediation for it."""
    asked = msgspec.json.decode(operation.id, type=_Remediated)
    try:
        copy = await mail.find_copy(CopyName(asked.message, asked.recipient))
    except ConnectorError as error:
        return outcome_of_poll(error, operation, look_at=LOOK_AT)
    if copy is None:
        return Failed(reason=f"{NOT_REACHED}the product has no such copy on record")
    outcome = judge(copy, asked.action, asked.key, asked.bulk)
    if outcome is not None:
        await mail.close(asked.key)
    return outcome or Pending(operation=operation)
