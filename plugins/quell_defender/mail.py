"""Delivered mail of Defender for Office 365 and its remediation: a typed client.

https://learn.microsoft.com/graph/api/resources/security-analyzedemail
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit
from weakref import WeakValueDictionary

from quell import ConnectorContext
from quell.domain.ports import Clock
from quell.errors import Throttled
from quell_defender.marks import clean, keys_in, sign
from quell_microsoft import GraphClient, odata_string
from quell_microsoft.lenient import items, mapping
from quell_microsoft.records import Record, rows, word
from quell_microsoft.stamps import write_stamp

__all__ = ["CopyName", "MailClient", "MailCopy", "RemediationAction", "TimelineEvent"]

_EMAILS = "/v1.0/security/collaboration/analyzedEmails"
_READ = "SecurityAnalyzedMessage.Read.All"
_WRITE = "SecurityAnalyzedMessage.ReadWrite.All"
#: how far back the product keeps what it analyzed
_LOOK_BACK = timedelta(days=30)
#: the polls of one message's copies come together: one answer serves them all
_FRESH = timedelta(seconds=2)
#: past this many in a tenant the product accepts a remediation but never starts it
MOST_OPEN = 50
#: a remediation that nobody asked about for so long no longer counts as open
_SLOT = timedelta(minutes=30)
#: Assumed: neither limit is documented; these lengths are known to pass
NAME_LIMIT = 250
DESCRIPTION_LIMIT = 1000


class RemediationAction(StrEnum):
    """What a remediation does, as the product spells it."""

    SOFT_DELETE = "softDelete"
    HARD_DELETE = "hardDelete"
    MOVE_TO_DELETED_ITEMS = "moveToDeletedItems"
    MOVE_TO_INBOX = "moveToInbox"


@dataclass(frozen=True, slots=True, order=True)
class CopyName:
    """What identifies one delivered copy: the message, and whose mailbox."""

    network_message_id: str
    recipient: str

    @property
    def folded(self) -> CopyName:
        """Give the name in the form in which two of them are compared."""
        return CopyName(self.network_message_id.lower(), self.recipient.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One thing that happened to a copy after its delivery."""

    at: str
    source: str
    result: str
    details: str

    @property
    def keys(self) -> tuple[str, ...]:
        """List the keys of ours in it."""
        return keys_in(self.details)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCopy:
    """One delivered copy of a message and where it lies, in the product's words."""

    name: CopyName
    internet_message_id: str
    sender: str
    subject: str
    direction: str
    location: str
    original_location: str
    events: tuple[TimelineEvent, ...]


class MailClient:
    """Reads delivered copies and remediates them, for one tenant and identity."""

    def __init__(self, api: GraphClient, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        #: one for each message that is being asked about, so that it is asked about once
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        #: remediations sent from here that are not known to be through, and since when
        self._open: dict[str, datetime] = {}
        self._recent: dict[str, tuple[datetime, tuple[MailCopy, ...]]] = {}

    @classmethod
    def connect(cls, context: ConnectorContext) -> MailClient:
        """Build the client for the identity that the context is for."""
        return cls(context.connector(GraphClient), context.clock)

    def now(self) -> datetime:
        """Tell the time by which answers of this client are dated."""
        return self._clock.now()

    async def find_copy(self, name: CopyName) -> MailCopy | None:
        """Find one copy. What is asked about one message within two seconds shares an answer."""
        folded = name.folded
        lock = self._locks.setdefault(folded.network_message_id, asyncio.Lock())
        async with lock:
            self._forget()
            _, recent = self._recent.get(folded.network_message_id, (None, ()))
            found = _among(recent, folded)
            if found is None:
                # a recent answer proves what is there, but not what has come since
                condition = f"networkMessageId eq {odata_string(name.network_message_id)}"
                asked_at, copies = self.now(), await self._list(condition)
                self._recent[folded.network_message_id] = (asked_at, copies)
                found = _among(copies, folded)
            return found

    async def list_by_internet_id(
        self, internet_message_id: str, recipient: str
    ) -> tuple[MailCopy, ...]:
        """List a recipient's copies with that Message-ID, which the sender chose."""
        found = await self._list(
            f"internetMessageId eq {odata_string(internet_message_id)}"
            f" and recipientEmailAddress eq {odata_string(recipient)}"
        )
        return tuple(copy for copy in found if copy.name.recipient.lower() == recipient.lower())

    async def remediate(
        self,
        copies: Sequence[CopyName],
        action: RemediationAction,
        *,
        key: str,
        note: str,
    ) -> str:
        """Ask for something to be done to copies; gives the portal's id of the remediation.

        The product accepts it, acts later, and offers nothing to poll: read the copies again,
        and say `close` when it is through. Raises Throttled when too many are open already:
        the product would accept one more and never start it.
        https://learn.microsoft.com/graph/api/security-analyzedemail-remediate
        """
        self._open_slot(key)
        answer = await self._api.post(
            f"{_EMAILS}/remediate",
            {
                "displayName": sign(note, key, limit=NAME_LIMIT),
                "description": sign(note, key, limit=DESCRIPTION_LIMIT),
                "severity": "medium",
                "action": action.value,
                "remediateSendersCopy": False,
                "analyzedEmails": [
                    {
                        "networkMessageId": copy.network_message_id,
                        "recipientEmailAddress": copy.recipient,
                    }
                    for copy in copies
                ],
            },
            permission=_WRITE,
            for_containment=action is not RemediationAction.MOVE_TO_INBOX,
        )
        self._recent.clear()
        return _bulk_id(answer.headers.get("location", ""))

    async def close(self, key: str) -> None:
        """Note that the remediation with that key is through; where that is kept may be far away."""
        self._open.pop(key, None)

    def _open_slot(self, key: str) -> None:
        oldest = self.now() - _SLOT
        self._open = {each: since for each, since in self._open.items() if since > oldest}
        if len(self._open) >= MOST_OPEN and key not in self._open:
            raise Throttled(
                endpoint=f"POST {_EMAILS}/remediate",
                problem=f"not sent: {MOST_OPEN} remediations are open",
                retry_after=60.0,
            )
        self._open[key] = self.now()

    def _forget(self) -> None:
        now = self.now()
        self._recent = {
            message: entry for message, entry in self._recent.items() if now - entry[0] < _FRESH
        }

    async def _list(self, condition: str) -> tuple[MailCopy, ...]:
        return tuple([_copy(row) async for row in self._rows(condition)])

    async def _rows(self, condition: str) -> AsyncIterator[Record]:
        now = self.now()
        query = {
            "startTime": write_stamp(now - _LOOK_BACK),
            # a little ahead: the product's clock need not be ours
            "endTime": write_stamp(now + timedelta(minutes=5)),
            "$filter": condition,
        }
        async for page in self._api.pages(_EMAILS, query, permission=_READ):
            for row in rows(page):
                yield row


def _among(copies: Sequence[MailCopy], name: CopyName) -> MailCopy | None:
    return next((copy for copy in copies if copy.name.folded == name), None)


def _bulk_id(location: str) -> str:
    """Take the remediation's id out of the portal link; empty when it is not in there."""
    try:
        filters = parse_qs(urlsplit(location).query).get("filters", [""])[0]
    except ValueError:
        return ""
    _, _, rest = filters.partition('["')
    return clean(rest.partition('"')[0], 100)


def _copy(row: Record) -> MailCopy:
    return MailCopy(
        name=CopyName(word(row, "networkMessageId"), word(row, "recipientEmailAddress")),
        internet_message_id=word(row, "internetMessageId"),
        sender=word(mapping(row.get("senderDetail")), "fromAddress"),
        subject=word(row, "subject"),
        direction=word(row, "directionality"),
        location=word(mapping(row.get("latestDelivery")), "location"),
        original_location=word(mapping(row.get("originalDelivery")), "location"),
        events=tuple(_event(mapping(item)) for item in items(row.get("timelineEvents"))),
    )


def _event(row: Record) -> TimelineEvent:
    return TimelineEvent(
        at=word(row, "eventDateTime"),
        source=word(row, "eventSource"),
        result=word(row, "eventResult"),
        details=word(row, "eventDetails"),
    )
