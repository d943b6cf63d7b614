"""How isolated actions use the client of delivered mail, which stays in the worker.

It counts the remediations that are open, and one answer of the product serves many questions:
both would be forgotten with a child process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from quell import Bridge, ConnectorContext
from quell.domain.ports import Clock
from quell.errors import RequestRefused
from quell_defender.mail import CopyName, MailClient, MailCopy, RemediationAction

__all__ = ["MAIL_BRIDGE", "FarMail"]

Ask = Callable[[Any], Awaitable[Any]]


class _Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question of a child process: the name of a method, and what it is given."""


class FindCopy(_Question, frozen=True, kw_only=True, tag="find_copy"):
    """Find one copy."""

    name: CopyName


class ListCopies(_Question, frozen=True, kw_only=True, tag="list_by_internet_id"):
    """List a recipient's copies with a Message-ID."""

    internet_message_id: str
    recipient: str


class Remediate(_Question, frozen=True, kw_only=True, tag="remediate"):
    """Do something to copies."""

    copies: tuple[CopyName, ...]
    action: RemediationAction
    key: str
    note: str


class Close(_Question, frozen=True, kw_only=True, tag="close"):
    """Count a remediation as through."""

    key: str


Asked = FindCopy | ListCopies | Remediate | Close
#: the type checkers take a union for a value, not for a type
ASKED: Any = Asked


async def serve(mail: MailClient, body: Any) -> Any:
    """Do in the worker what a child process asks for. Raises what the client raises."""
    match asked := _read(body):
        case FindCopy():
            return await mail.find_copy(asked.name)
        case ListCopies():
            return await mail.list_by_internet_id(asked.internet_message_id, asked.recipient)
        case Remediate():
            return await mail.remediate(asked.copies, asked.action, key=asked.key, note=asked.note)
        case Close():
            return await mail.close(asked.key)


def _read(body: Any) -> Asked:
    try:
        asked: Asked = msgspec.convert(body, ASKED)
    except msgspec.ValidationError as error:
        raise RequestRefused(
            endpoint="mail, asked by a child process",
            problem="not sent: it cannot be read",
            remedy="Nothing was sent. Report it to the authors of the action.",
        ) from error
    return asked


class FarMail:
    """Stands for a `MailClient` in a child process."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock

    def now(self) -> datetime:
        """Tell the time by which answers of this client are dated."""
        return self._clock.now()

    async def find_copy(self, name: CopyName) -> MailCopy | None:
        """Find one copy."""
        found = await self._ask(FindCopy(name=name))
        return None if found is None else msgspec.convert(found, MailCopy)

    async def list_by_internet_id(
        self, internet_message_id: str, recipient: str
    ) -> tuple[MailCopy, ...]:
        """List a recipient's copies with that Message-ID."""
        asked = ListCopies(internet_message_id=internet_message_id, recipient=recipient)
        return msgspec.convert(await self._ask(asked), tuple[MailCopy, ...])

    async def remediate(
        self,
        copies: Sequence[CopyName],
        action: RemediationAction,
        *,
        key: str,
        note: str,
    ) -> str:
        """Ask for something to be done to copies; gives the portal's id of the remediation."""
        asked = Remediate(copies=tuple(copies), action=action, key=key, note=note)
        return str(await self._ask(asked))

    async def close(self, key: str) -> None:
        """Note that the remediation with that key is through."""
        await self._ask(Close(key=key))


def _stand_in(context: ConnectorContext, ask: Ask) -> FarMail:
    return FarMail(ask, context.clock)


MAIL_BRIDGE = Bridge(serve=serve, stand_in=_stand_in)
