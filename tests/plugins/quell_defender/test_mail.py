"""The client of delivered mail against a simulated tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from quell_defender.mail import CopyName, MailClient, RemediationAction
from quell_microsoft import GraphClient

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio

PHISH = "73ca4154-58d8-43d0-a890-08dc18c52e6d"
ROUTE = ("GET", "/v1.0/security/collaboration/analyzedEmails", 200)


def client(desk: SourceDesk, *recipients: str) -> MailClient:
    """Deliver copies and make a client."""
    for recipient in recipients:
        desk.tenant.mail.add({"networkMessageId": PHISH, "recipientEmailAddress": recipient})
    return MailClient(desk.connector(GraphClient, "mail"), desk.clock)


async def test_questions_about_one_message_at_one_time_are_asked_once(desk: SourceDesk) -> None:
    # given
    names = [f"user{number}@corp.example" for number in range(10)]
    mail = client(desk, *names)

    # when
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(mail.find_copy, CopyName(PHISH, name))

    # then
    assert desk.tenant.ledger.calls[ROUTE] == 1


async def test_a_copy_that_came_later_is_found_at_once(desk: SourceDesk) -> None:
    # given an answer that does not have it
    mail = client(desk, "ana@corp.example")
    late = CopyName(PHISH, "bo@corp.example")
    assert await mail.find_copy(late) is None

    # when
    desk.tenant.mail.add({"networkMessageId": PHISH, "recipientEmailAddress": late.recipient})

    # then
    assert await mail.find_copy(late) is not None


async def test_what_was_remediated_is_read_afresh(desk: SourceDesk) -> None:
    # given
    mail = client(desk, "ana@corp.example")
    name = CopyName(PHISH, "ana@corp.example")
    await mail.find_copy(name)

    # when
    bulk = await mail.remediate([name], RemediationAction.SOFT_DELETE, key="key-00001", note="why")
    await desk.clock.sleep(60)

    # then
    (remediation,) = desk.tenant.mail.remediations
    assert bulk == remediation.id
    found = await mail.find_copy(name)
    assert found is not None
    assert found.location == "deletedFolder"
    assert [event.keys for event in found.events] == [("key-00001",)]
