"""user.disable and user.enable: in the cloud, and where Active Directory is the master."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quell import Failed, Pending, Succeeded, Unknown
from quell.domain.outcome import Observed
from quell_user.disable import disable
from quell_user.enable import enable

if TYPE_CHECKING:
    from tests.actions.conftest import Lab
    from tests.actions.quell_user.conftest import People

pytestmark = pytest.mark.anyio


# -- user.disable and user.enable in the cloud ---------------------------------------------------


async def test_a_user_is_disabled_and_enabled_again(lab: Lab, people: People) -> None:
    # given
    user, ana = await people.target("ana")
    assert (await lab.observe(disable, ana)).state is Observed.NOT_SO
    assert (await lab.observe(disable, ana)).facts["enabled"] is True

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert outcome == Succeeded()
    assert user.body["accountEnabled"] is False
    assert (await lab.observe(disable, ana)).state is Observed.SO
    assert (await lab.observe(enable, ana)).state is Observed.NOT_SO

    # when taken back
    assert isinstance(await lab.only(enable, ana), Succeeded)

    # then
    assert user.body["accountEnabled"] is True
    assert (await lab.observe(enable, ana)).state is Observed.SO


async def test_disabling_a_disabled_user_sends_nothing(lab: Lab, people: People) -> None:
    # given
    user, ana = await people.target("ana")
    await lab.only(disable, ana)

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert user.effects["disable"] == 1


async def test_an_admin_out_of_reach_fails_with_what_to_do(lab: Lab, people: People) -> None:
    # given
    user, admin = await people.target("adm", "Global Administrator")

    # when
    outcome = await lab.only(disable, admin)

    # then
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert "role above it" in outcome.remedy
    assert user.body["accountEnabled"] is True


async def test_a_lost_answer_is_asked_for_again_because_disabling_twice_is_disabling_once(
    lab: Lab,
    people: People,
) -> None:
    # given
    user, ana = await people.target("ana")
    lab.fault("drop", "/users/[^/]+$", method="PATCH", after_effect=True)

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert user.body["accountEnabled"] is False


async def test_a_directory_that_keeps_failing_leaves_it_unknown(lab: Lab, people: People) -> None:
    # given
    _, ana = await people.target("ana")
    lab.fault("503", "/users/[^/]+$", method="PATCH", times=10)

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Unknown)
    assert "audit log" in outcome.look_at


async def test_an_account_that_is_not_shown_cannot_be_told(lab: Lab, people: People) -> None:
    # given
    _, ana = await people.target("ana")
    lab.tenant.users.users.clear()

    # then
    assert (await lab.observe(disable, ana)).state is Observed.CANNOT_TELL


async def test_a_disabled_shared_mailbox_is_said_to_be_no_containment(
    lab: Lab, people: People
) -> None:
    # given
    _, info = await people.target("info", accountEnabled=False)

    # when
    seen = await lab.observe(disable, info)

    # then
    assert seen.state is Observed.SO
    assert "delegates carry on" in seen.reason


# -- synchronised users ----------------------------------------------------------------------------


def order_of_writes(lab: Lab) -> list[str]:
    """Name the accepted writes in the order in which they came."""
    return [
        "active directory" if entry["path"].endswith("invokeAction") else "entra"
        for entry in lab.tenant.ledger.writes
    ]


async def test_a_synced_user_is_disabled_in_active_directory_first_then_in_entra(
    lab: Lab, people: People
) -> None:
    # given a tenant that lets Entra's half be written
    lab.configure(synced_users_writable=True)
    user, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.caveat == ""
    assert order_of_writes(lab) == ["active directory", "entra"]
    assert (user.ad_enabled, user.body["accountEnabled"]) == (False, False)


async def test_a_synced_user_is_verified_again_after_the_next_synchronisation(
    lab: Lab, people: People
) -> None:
    # given
    lab.configure(synced_users_writable=True)
    _, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.look_again is not None
    await lab.clock.sleep(outcome.look_again.total_seconds())
    assert (await lab.observe(disable, ana)).state is Observed.SO


async def test_a_synced_user_that_entra_will_not_write_is_disabled_where_its_master_is(
    lab: Lab,
    people: People,
) -> None:
    # given
    user, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana)

    # then it is done, with what is left said, and the next synchronisation brings it over
    assert isinstance(outcome, Succeeded)
    assert "next directory synchronisation" in outcome.caveat
    assert user.body["accountEnabled"] is True
    seen = await lab.observe(disable, ana)
    assert (seen.state, bool(seen.reason)) == (Observed.SO, True)
    await lab.clock.sleep(2000)
    seen = await lab.observe(disable, ana)
    assert (seen.state, seen.reason) == (Observed.SO, "")
    assert user.body["accountEnabled"] is False


async def test_without_the_half_in_active_directory_a_disable_is_temporary(
    lab: Lab, people: People
) -> None:
    # given a tenant without an action account on the premises
    lab.configure(synced_users_writable=True, identity_providers=[])
    user, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.caveat.startswith("temporary")
    assert outcome.data == {"on_premises": False}
    assert outcome.look_again is not None
    assert user.ad_enabled
    await lab.clock.sleep(outcome.look_again.total_seconds())
    assert (await lab.observe(disable, ana)).state is Observed.NOT_SO


async def test_a_synced_user_that_nobody_will_write_fails_with_what_to_do(
    lab: Lab, people: People
) -> None:
    # given
    lab.configure(identity_providers=[])
    _, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Failed)
    assert "by hand" in outcome.remedy
    assert lab.tenant.ledger.writes == []


async def test_a_synced_user_disabled_in_entra_only_is_not_yet_disabled(
    lab: Lab, people: People
) -> None:
    # given
    user, ana = await people.synced()
    lab.tenant.users.set_enabled(user, False)

    # when
    seen = await lab.observe(disable, ana)

    # then
    assert seen.state is Observed.NOT_SO
    assert seen.facts["on_premises_enabled"] is True


async def test_sensors_that_cannot_be_asked_do_not_stop_entra(lab: Lab, people: People) -> None:
    # given
    lab.configure(synced_users_writable=True)
    user, ana = await people.synced()
    lab.fault("500", "/identityAccounts", times=10)

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.caveat.startswith("temporary")
    assert user.body["accountEnabled"] is False


async def test_when_the_deadline_passes_between_the_halves_a_person_looks(
    lab: Lab, people: People
) -> None:
    # given
    _, ana = await people.synced()

    # when
    outcome = await lab.only(disable, ana, deadline=lab.clock.now())

    # then
    assert isinstance(outcome, Unknown)
    assert order_of_writes(lab) == ["active directory"]


async def test_enabling_a_synced_user_waits_for_the_synchronisation(
    lab: Lab, people: People
) -> None:
    # given
    user, ana = await people.synced()
    await lab.only(disable, ana)
    await lab.clock.sleep(2000)

    # when
    pending = await lab.only(enable, ana)

    # then
    assert isinstance(pending, Pending)
    assert isinstance(await lab.poll(enable, pending), Pending)
    assert isinstance(await lab.finish(enable, pending, within=2000), Succeeded)
    assert user.body["accountEnabled"] is True
