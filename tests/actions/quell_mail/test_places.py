"""Where a copy of a message lies, and what that means for purging and restoring."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from quell import Failed, Succeeded
from quell.domain.outcome import Observed
from quell_defender.mail import CopyName, MailCopy, RemediationAction, TimelineEvent
from quell_mail.places import judge, purged, restored

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = "key-00001"


def event(result: str, *, key: str = KEY) -> TimelineEvent:
    """Make an event that names a remediation of ours."""
    return TimelineEvent(at="", source="admin", result=result, details=f"x: [quell {key}] why")


def copy(location: str, *events: TimelineEvent) -> MailCopy:
    """Make a copy that lies somewhere."""
    return MailCopy(
        name=CopyName("n-1", "ana@corp.example"),
        internet_message_id="",
        sender="",
        subject="",
        direction="inbound",
        location=location,
        original_location="inbox_folder",
        events=events,
    )


@pytest.mark.parametrize("location", ["inbox_folder", "inboxFolder", "junkFolder"])
def test_a_copy_that_can_be_read_is_not_purged(location: str) -> None:
    assert purged(copy(location), NOW).state is Observed.NOT_SO
    assert restored(copy(location), NOW).state is Observed.SO


@pytest.mark.parametrize("location", ["deletedFolder", "quarantine", "others", "failed"])
def test_a_copy_that_was_taken_away_is_purged(location: str) -> None:
    assert purged(copy(location), NOW).state is Observed.SO
    assert restored(copy(location), NOW).state is Observed.NOT_SO


def test_a_purge_of_ours_is_known_by_its_key() -> None:
    # when
    seen = purged(copy("deletedFolder", event("succeeded")), NOW)

    # then
    assert seen.keys == (KEY,)
    assert seen.made_by == "admin"


def test_an_attempt_that_did_nothing_proves_nothing() -> None:
    assert purged(copy("deletedFolder", event("notReached")), NOW).keys == ()


def test_nothing_is_judged_while_nothing_is_to_be_seen() -> None:
    assert judge(copy("inbox_folder"), RemediationAction.SOFT_DELETE, KEY, "") is None


@pytest.mark.parametrize("location", ["onprem_external", "dropped"])
def test_a_copy_outside_the_tenants_mailboxes_is_not_reached(location: str) -> None:
    # when
    outcome = judge(copy(location), RemediationAction.SOFT_DELETE, KEY, "")

    # then
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("not reached")
    assert not outcome.retryable


def test_what_the_product_says_of_our_remediation_wins_over_the_place() -> None:
    # given a copy that somebody else moved while ours failed
    seen = copy("deletedFolder", event("succeeded", key="another-1"), event("failed"))

    # when
    outcome = judge(seen, RemediationAction.SOFT_DELETE, KEY, "")

    # then
    assert isinstance(outcome, Failed)


def test_a_hard_delete_is_never_called_destroyed() -> None:
    # when
    outcome = judge(copy("others"), RemediationAction.HARD_DELETE, KEY, "bulk-1")

    # then
    assert isinstance(outcome, Succeeded)
    assert "hold keeps the message" in outcome.caveat


def test_a_move_to_the_inbox_is_through_when_the_copy_is_there() -> None:
    assert judge(copy("deletedFolder"), RemediationAction.MOVE_TO_INBOX, KEY, "") is None
    assert isinstance(
        judge(copy("inbox_folder"), RemediationAction.MOVE_TO_INBOX, KEY, ""), Succeeded
    )
