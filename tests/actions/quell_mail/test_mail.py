"""Purging and restoring mail against a simulated tenant, copy by copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quell import (
    Failed,
    MailMessage,
    Outcome,
    Pending,
    Resolution,
    Succeeded,
    Target,
    Trait,
    Unknown,
    Unresolved,
)
from quell.domain.outcome import Observed
from quell_defender.mail import MOST_OPEN
from quell_mail.purge import PurgeMode, PurgeParams, purge
from quell_mail.resolve import resolve_mail
from quell_mail.restore import restore

if TYPE_CHECKING:
    from tests.actions.conftest import Lab

pytestmark = pytest.mark.anyio

PHISH = "73ca4154-58d8-43d0-a890-08dc18c52e6d"


def deliver(lab: Lab, recipient: str, message: str = PHISH, **fields: Any) -> Any:
    """Deliver a copy."""
    address = {"networkMessageId": message, "recipientEmailAddress": recipient}
    return lab.tenant.mail.add({**address, **fields})


async def copy(lab: Lab, recipient: str, message: str = PHISH, **fields: Any) -> Target:
    """Deliver a copy and look it up."""
    deliver(lab, recipient, message, **fields)
    name = MailMessage(network_message_id=message, recipient=recipient)
    return await lab.target(resolve_mail, name)


def place(lab: Lab, recipient: str) -> str:
    """Tell where a recipient's copy lies."""
    found = lab.tenant.mail.find(PHISH, recipient)
    assert found is not None
    return found.location


async def finished(lab: Lab, action: Any, outcomes: list[Outcome]) -> list[Outcome]:
    """Let the tenant work on it, then ask about each copy once."""
    await lab.clock.sleep(60)
    return [
        await lab.poll(action, outcome) if isinstance(outcome, Pending) else outcome
        for outcome in outcomes
    ]


# -- purge -----------------------------------------------------------------------------------------


async def test_copies_are_purged_by_one_call_and_reported_one_by_one(lab: Lab) -> None:
    # given
    names = [f"user{number}@corp.example" for number in range(5)]
    copies = [await copy(lab, name) for name in names]

    # when
    outcomes = await lab.call(purge, *copies)

    # then
    assert all(isinstance(outcome, Pending) for outcome in outcomes)
    (sent,) = lab.writes("/remediate")
    assert sent["body"]["action"] == "softDelete"
    assert "[quell key-00001]" in sent["body"]["displayName"]
    done = await finished(lab, purge, outcomes)
    assert all(isinstance(outcome, Succeeded) for outcome in done)
    assert {place(lab, name) for name in names} == {"deletedFolder"}
    (remediation,) = lab.tenant.mail.remediations
    assert {outcome.proof for outcome in done if isinstance(outcome, Succeeded)} == {remediation.id}


async def test_what_was_not_reached_is_said_in_the_order_of_the_copies(lab: Lab) -> None:
    # given one copy that left the tenant, and one that is gone when the purge comes
    inside = await copy(lab, "ana@corp.example")
    outside = await copy(lab, "cy@partner.example", location="onprem_external")
    gone = await copy(lab, "bo@corp.example")
    unnamed = Target(id="e-x", kind="mail", entity=MailMessage(network_message_id=PHISH))
    lab.tenant.mail.messages.pop((PHISH, "bo@corp.example"))

    # when
    outcomes = await lab.call(purge, outside, inside, unnamed, gone)
    done = await finished(lab, purge, outcomes)

    # then
    assert Trait.EXTERNAL in outside.traits
    assert [type(outcome) for outcome in done] == [Failed, Succeeded, Failed, Failed]
    lost = [outcome for outcome in done if isinstance(outcome, Failed)]
    assert all(outcome.reason.startswith("not reached") for outcome in lost)
    (sent,) = lab.writes("/remediate")
    asked_for = [each["recipientEmailAddress"] for each in sent["body"]["analyzedEmails"]]
    assert asked_for == ["ana@corp.example", "bo@corp.example"]


async def test_nothing_is_sent_when_no_copy_can_be_reached(lab: Lab) -> None:
    # given
    outside = await copy(lab, "cy@partner.example", location="onprem_external")

    # when
    (outcome,) = await lab.call(purge, outside)

    # then
    assert isinstance(outcome, Failed)
    assert lab.writes("/remediate") == []


@pytest.mark.parametrize(
    ("mode", "folder"),
    [
        (PurgeMode.SOFT_DELETE, "deletedFolder"),
        (PurgeMode.MOVE_TO_DELETED_ITEMS, "deletedFolder"),
        (PurgeMode.HARD_DELETE, "others"),
    ],
)
async def test_copies_go_as_far_as_was_asked(lab: Lab, mode: PurgeMode, folder: str) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")

    # when
    outcomes = await lab.call(purge, ana, params=PurgeParams(action=mode))
    (done,) = await finished(lab, purge, outcomes)

    # then
    assert isinstance(done, Succeeded)
    assert place(lab, "ana@corp.example") == folder
    assert ("hold" in done.caveat) is (mode is PurgeMode.HARD_DELETE)


async def test_a_copy_is_open_until_the_tenant_has_moved_it(lab: Lab) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")

    # when
    (pending,) = await lab.call(purge, ana)

    # then
    assert await lab.poll(purge, pending) == pending
    await lab.clock.sleep(60)
    assert isinstance(await lab.poll(purge, pending), Succeeded)


async def test_the_copies_of_one_message_are_asked_about_together(lab: Lab) -> None:
    # given
    copies = [await copy(lab, f"user{number}@corp.example") for number in range(20)]
    outcomes = await lab.call(purge, *copies)
    route = ("GET", "/v1.0/security/collaboration/analyzedEmails", 200)
    before = lab.tenant.ledger.calls[route]

    # when
    await finished(lab, purge, outcomes)

    # then
    assert lab.tenant.ledger.calls[route] <= before + 3


@pytest.mark.parametrize("kind", ["500", "drop"])
async def test_a_purge_whose_answer_is_lost_is_unknown_and_found_by_its_key(
    lab: Lab, kind: str
) -> None:
    # given
    copies = [await copy(lab, name) for name in ("ana@corp.example", "bo@corp.example")]
    lab.fault(kind, "/remediate$", after_effect=True)

    # when
    outcomes = await lab.call(purge, *copies)

    # then
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]
    assert len(lab.writes("/remediate")) == 1
    await lab.clock.sleep(60)
    seen = await lab.observe(purge, copies[0])
    assert (seen.state, seen.keys) == (Observed.SO, ("key-00001",))


async def test_a_purge_that_never_arrived_is_unknown_and_not_found(lab: Lab) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")
    lab.fault("drop", "/remediate$")

    # when
    (outcome,) = await lab.call(purge, ana)

    # then
    assert isinstance(outcome, Unknown)
    await lab.clock.sleep(60)
    seen = await lab.observe(purge, ana)
    assert (seen.state, seen.keys) == (Observed.NOT_SO, ())


async def test_a_refused_purge_failed_for_every_copy(lab: Lab) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")
    lab.fault("429", "/remediate$", retry_after=12)

    # when
    (outcome,) = await lab.call(purge, ana)

    # then
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.retry_after) == (True, 12)


async def test_no_more_remediations_are_opened_than_the_tenant_would_start(lab: Lab) -> None:
    # given as many as can be open
    pending: list[Outcome] = []
    for number in range(MOST_OPEN):
        name = await copy(lab, f"user{number}@corp.example")
        pending += await lab.call(purge, name, key=f"key-{number:05}")
    last = await copy(lab, "last@corp.example")

    # when
    (refused,) = await lab.call(purge, last, key="key-last")

    # then it can be sent later, when one is through
    assert isinstance(refused, Failed)
    assert refused.retryable
    assert len(lab.writes("/remediate")) == MOST_OPEN
    await lab.clock.sleep(60)
    assert isinstance(await lab.poll(purge, pending[0]), Succeeded)
    (outcome,) = await lab.call(purge, last, key="key-last")
    assert isinstance(outcome, Pending)


async def test_a_purged_copy_is_so_and_nobody_is_blamed_for_what_a_filter_did(lab: Lab) -> None:
    # given a copy that the product itself took away
    ana = await copy(lab, "ana@corp.example", location="quarantine")

    # when
    seen = await lab.observe(purge, ana)

    # then
    assert (seen.state, seen.keys) == (Observed.SO, ())


# -- restore -----------------------------------------------------------------------------------------


async def test_a_purged_copy_is_restored_to_the_inbox(lab: Lab) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")
    await finished(lab, purge, await lab.call(purge, ana))
    assert (await lab.observe(restore, ana)).state is Observed.NOT_SO

    # when
    (done,) = await finished(lab, restore, await lab.call(restore, ana, key="key-00002"))

    # then
    assert isinstance(done, Succeeded)
    assert place(lab, "ana@corp.example") == "inbox_folder"
    assert (await lab.observe(restore, ana)).state is Observed.SO
    # the purge happened and was taken back: its key is still to be seen
    seen = await lab.observe(purge, ana)
    assert seen.state is Observed.NOT_SO
    assert "key-00001" in seen.keys


async def test_a_hard_deleted_copy_cannot_be_restored(lab: Lab) -> None:
    # given
    ana = await copy(lab, "ana@corp.example")
    params = PurgeParams(action=PurgeMode.HARD_DELETE)
    await finished(lab, purge, await lab.call(purge, ana, params=params))

    # when
    (done,) = await finished(lab, restore, await lab.call(restore, ana, key="key-00002"))

    # then
    assert isinstance(done, Failed)


# -- which copy is meant -----------------------------------------------------------------------------


async def test_a_copy_is_found_by_message_and_recipient_in_any_case(lab: Lab) -> None:
    # given
    deliver(lab, "Ana@Corp.example", senderDetail={"fromAddress": "eve@evil.example"})

    # when
    name = MailMessage(network_message_id=PHISH.upper(), recipient="ANA@corp.example")
    found = await lab.resolve(resolve_mail, name)

    # then
    assert isinstance(found, Resolution)
    assert isinstance(found.entity, MailMessage)
    assert found.entity.sender == "eve@evil.example"
    assert ("mail_copy", f"{PHISH}|ana@corp.example") in {
        (alias.kind, alias.value) for alias in found.aliases
    }


async def test_a_copy_is_found_by_message_id_only_where_one_has_it(lab: Lab) -> None:
    # given two messages whose sender chose one Message-ID for both
    shared = "<same@evil.example>"
    deliver(lab, "ana@corp.example", internetMessageId=shared)
    by_id = MailMessage(internet_message_id=shared, recipient="ana@corp.example")
    assert isinstance(await lab.resolve(resolve_mail, by_id), Resolution)

    # when
    deliver(lab, "ana@corp.example", "another-message", internetMessageId=shared)

    # then
    found = await lab.resolve(resolve_mail, by_id)
    assert isinstance(found, Unresolved)
    assert found.reason.startswith("2 copies")


@pytest.mark.parametrize(
    "message",
    [
        MailMessage(network_message_id="' or subject ne '", recipient="ana@corp.example"),
        MailMessage(network_message_id=PHISH, recipient="' or 1 eq 1"),
        MailMessage(internet_message_id="<' or subject ne '>", recipient="ana@corp.example"),
        MailMessage(network_message_id=PHISH),
        MailMessage(recipient="ana@corp.example"),
        MailMessage(),
    ],
)
async def test_a_hostile_or_incomplete_name_finds_no_copy(lab: Lab, message: MailMessage) -> None:
    # given
    deliver(lab, "ana@corp.example")

    # then
    assert isinstance(await lab.resolve(resolve_mail, message), Unresolved)


async def test_the_mail_identity_needs_nothing_but_its_one_permission(lab: Lab) -> None:
    # given
    granted = {
        permission
        for permissions in lab.tenant.registrations["mail"].grants.values()
        for permission in permissions
    }

    # then
    assert set(purge.permissions) == set(restore.permissions) == granted
