"""Delivered mail as Defender for Office 365 sees it, and remediations that take effect later."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.wire import Json, new_guid

from .clock import SimulatedClock, stamp

#: where a message lies after an action (Assumed for the two deletes: the enum has no better name)
LOCATIONS = {
    "moveToJunk": "junkFolder",
    "moveToInbox": "inbox_folder",
    "moveToDeletedItems": "deletedFolder",
    "softDelete": "deletedFolder",
    "hardDelete": "others",
}
EXTERNAL = "onprem_external"


@dataclass(slots=True, kw_only=True)
class Message:
    """One copy of a mail: what lies, or lay, in one recipient's mailbox."""

    body: Json
    is_purged: bool = False
    effects: Counter[str] = field(default_factory=Counter[str])

    @property
    def location(self) -> str:
        """Where the copy is now."""
        return str(self.body["latestDelivery"]["location"])


@dataclass(slots=True, kw_only=True)
class Remediation:
    """One accepted call to remediate: what it does to which copies, and how that went."""

    id: str = field(default_factory=new_guid)
    name: str
    action: str
    targets: list[tuple[str, str]]
    state: str = "active"
    results: dict[str, str] = field(default_factory=dict[str, str])


class Mailboxes:
    """All mail of the tenant, by network message id and recipient."""

    def __init__(self, clock: SimulatedClock, config: SimulatorConfig) -> None:
        self.clock = clock
        self.config = config
        self.messages: dict[tuple[str, str], Message] = {}
        self.remediations: list[Remediation] = []

    def add(self, fields: Json) -> Message:
        """Put one copy in; network message id and recipient are needed."""
        network_id = str(fields["networkMessageId"])
        recipient = str(fields["recipientEmailAddress"])
        location = str(fields.pop("location", "inbox_folder"))
        delivery = {
            "action": "delivered",
            "location": location,
            "originalThreats": "phish",
            "latestThreats": "phish",
        }
        body: Json = {
            "id": _message_id(network_id, recipient),
            "networkMessageId": network_id,
            "internetMessageId": f"<{network_id}@mail.example>",
            "recipientEmailAddress": recipient,
            "senderDetail": None,
            "subject": "",
            "loggedDateTime": stamp(self.clock.shown()),
            "directionality": "inbound",
            "originalDelivery": dict(delivery),
            "latestDelivery": dict(delivery),
            "attachments": [],
            "urls": [],
            "threatTypes": ["phish"],
            "detectionMethods": ["URL malicious reputation"],
            "alertIds": [],
            "timelineEvents": [],
        }
        message = Message(body={**body, **fields})
        self.messages[_key(network_id, recipient)] = message
        return message

    def find(self, network_id: str, recipient: str) -> Message | None:
        """Find one copy."""
        return self.messages.get(_key(network_id, recipient))

    def active(self) -> int:
        """Count the remediations that are not through yet."""
        return sum(1 for remediation in self.remediations if remediation.state == "active")

    def remediate(self, name: str, action: str, targets: Iterable[tuple[str, str]]) -> Remediation:
        """Accept a remediation; past the tenant's cap it is accepted but never starts."""
        is_over = self.active() >= self.config.mail_active_limit
        remediation = Remediation(name=name, action=action, targets=list(targets))
        self.remediations.append(remediation)
        if is_over:
            remediation.state = "not started"
        else:
            self.clock.after(self.config.mail_delay_seconds, lambda: self._finish(remediation))
        return remediation

    def _finish(self, remediation: Remediation) -> None:
        for network_id, recipient in remediation.targets:
            message = self.find(network_id, recipient)
            result = "notFound" if message is None else self._apply(message, remediation)
            remediation.results[f"{network_id}|{recipient}"] = result
        failed = [result for result in remediation.results.values() if result != "succeeded"]
        remediation.state = "failed" if len(failed) == len(remediation.results) else "finished"

    def _apply(self, message: Message, remediation: Remediation) -> str:
        if message.location == EXTERNAL:
            return self._note(message, remediation, "notReached")
        if message.is_purged and remediation.action != "hardDelete":
            return self._note(message, remediation, "failed")
        message.effects[remediation.action] += 1
        message.is_purged = message.is_purged or remediation.action == "hardDelete"
        delivery = {**message.body["latestDelivery"], "location": LOCATIONS[remediation.action]}
        message.body["latestDelivery"] = delivery
        return self._note(message, remediation, "succeeded")

    def _note(self, message: Message, remediation: Remediation, result: str) -> str:
        """Leave a trace on the message (Assumed: the remediation's name is in the details)."""
        event = {
            "eventDateTime": stamp(self.clock.shown()),
            "eventSource": "admin",
            "eventResult": result,
            "eventThreats": ["phish"],
            "eventDetails": f"{remediation.action}: {remediation.name}",
        }
        message.body["timelineEvents"] = [*message.body["timelineEvents"], event]
        return result


def _key(network_id: str, recipient: str) -> tuple[str, str]:
    return network_id.casefold(), recipient.casefold()


def _message_id(network_id: str, recipient: str) -> str:
    digest = hashlib.sha256(f"{network_id}|{recipient}".casefold().encode()).hexdigest()
    return digest[:32]
