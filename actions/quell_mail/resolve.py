"""How a message of an incident becomes one delivered copy, or is not acted on."""

from __future__ import annotations

from msgspec.structs import replace

from quell import MailMessage, Resolution, Trait, Unresolved, resolver
from quell.errors import AnswerNotFound, RequestRefused
from quell_defender.mail import CopyName, MailClient, MailCopy
from quell_mail.places import NOT_REACHED, is_external

__all__ = ["resolve_mail"]


@resolver(MailMessage, system="defender", permissions=("SecurityAnalyzedMessage.Read.All",))
async def resolve_mail(message: MailMessage, mail: MailClient) -> Resolution | Unresolved:
    """Find the one delivered copy that a message and its recipient name."""
    if not message.recipient:
        return Unresolved(reason="The message names no recipient: each copy is acted on by itself")
    try:
        found = await _find(message, message.recipient, mail)
    except (AnswerNotFound, RequestRefused) as error:
        return Unresolved(reason=f"The product knows no such message: {error.message}")
    return found if isinstance(found, Unresolved) else _describe(message, found)


async def _find(message: MailMessage, recipient: str, mail: MailClient) -> MailCopy | Unresolved:
    if message.network_message_id:
        copy = await mail.find_copy(CopyName(message.network_message_id, recipient))
        return copy or Unresolved(reason=f"{NOT_REACHED}the product has no such copy on record")
    if not message.internet_message_id:
        return Unresolved(reason="The message has no id that the product knows")
    found = await mail.list_by_internet_id(message.internet_message_id, recipient)
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} copies have" if found else "No copy has"
    # a sender chooses the Message-ID: two messages may share one on purpose
    return Unresolved(reason=f"{many} this Message-ID and recipient")


def _describe(message: MailMessage, copy: MailCopy) -> Resolution:
    entity = replace(
        message,
        network_message_id=copy.name.network_message_id,
        recipient=copy.name.recipient,
        internet_message_id=copy.internet_message_id or message.internet_message_id,
        subject=message.subject or copy.subject or None,
        sender=message.sender or copy.sender or None,
        delivery_location=copy.location or message.delivery_location,
    )
    return Resolution(
        entity=entity,
        aliases=tuple(dict.fromkeys((*entity.aliases(), *message.aliases()))),
        traits=frozenset({Trait.EXTERNAL} if is_external(copy) else ()),
        facts={"location": copy.location, "direction": copy.direction},
    )
