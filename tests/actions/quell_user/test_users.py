"""Actions on users against a simulated tenant: one in the cloud, one synchronised, a guest, an admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from quell import (
    Failed,
    Resolution,
    Succeeded,
    Target,
    Trait,
    Unresolved,
    User,
)
from quell_microsoft.simulator.state.tenant import CannedHunt
from quell_user.disable import disable
from quell_user.enable import enable
from quell_user.get import UserFacts, get
from quell_user.resolve import resolve_user
from quell_user.revoke_sessions import revoke_sessions
from quell_user.traits import UserKind

if TYPE_CHECKING:
    from tests.actions.conftest import Lab
    from tests.actions.quell_user.conftest import People

pytestmark = pytest.mark.anyio

SID = "S-1-5-21-1111111111-2222222222-3333333333-1104"


async def facts(lab: Lab, user: Target) -> UserFacts:
    """Run user.get."""
    outcome = await lab.only(get, user)
    assert isinstance(outcome, Succeeded)
    return msgspec.convert(outcome.data, UserFacts)


# -- user.get ------------------------------------------------------------------------------------


async def test_what_is_known_of_a_person_can_be_used_in_playbooks(lab: Lab, people: People) -> None:
    # given
    user, ana = await people.target("ana", "User Administrator", displayName="Ana A.")

    # when
    found = await facts(lab, ana)

    # then
    assert found.id == user.body["id"]
    assert (found.upn, found.name, found.kind) == ("ana@corp.example", "Ana A.", UserKind.PERSON)
    assert (found.enabled, found.synced, found.admin, found.guest) == (True, False, True, False)
    assert found.roles == ("User Administrator",)


async def test_a_service_account_is_no_person(lab: Lab, people: People) -> None:
    # given
    _, backup = await people.target("svc-backup")

    # then
    assert (await facts(lab, backup)).kind is UserKind.SERVICE


async def test_an_account_that_is_gone_cannot_be_read(lab: Lab, people: People) -> None:
    # given
    _, ana = await people.target("ana")
    lab.tenant.users.users.clear()

    # when
    outcome = await lab.only(get, ana)

    # then
    assert isinstance(outcome, Failed)
    assert not outcome.retryable


async def test_a_read_that_fails_for_now_can_be_tried_again(lab: Lab, people: People) -> None:
    # given
    _, ana = await people.target("ana")
    lab.fault("503", "/users/", times=10)

    # when
    outcome = await lab.only(get, ana)

    # then
    assert isinstance(outcome, Failed)
    assert outcome.retryable


# -- who is meant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [User(upn="ANA@corp.example"), User(sid=SID)])
async def test_a_user_is_found_by_any_name_that_identifies_it(
    lab: Lab, people: People, user: User
) -> None:
    # given
    account, _ = await people.synced()

    # when
    found = await lab.resolve(resolve_user, user)

    # then
    assert isinstance(found, Resolution)
    assert isinstance(found.entity, User)
    assert found.entity.object_id == account.body["id"]
    assert {Trait.PERSON, Trait.SYNCED} == found.traits


async def test_an_identifier_that_only_hunting_knows_is_found_there(
    lab: Lab, people: People
) -> None:
    # given an account that was synchronised once and has kept no identifier of it
    account = people.add("ana")
    row = {"AccountObjectId": account.body["id"]}
    lab.tenant.hunts.append(CannedHunt("IdentityInfo", [], [row]))

    # when
    found = await lab.resolve(resolve_user, User(sid=SID))

    # then
    assert isinstance(found, Resolution)
    assert isinstance(found.entity, User)
    assert found.entity.object_id == account.body["id"]


async def test_an_account_name_alone_identifies_nobody(lab: Lab, people: People) -> None:
    # given
    people.add("ana", onPremisesSamAccountName="ana")

    # then
    found = await lab.resolve(resolve_user, User(account_name="ana", nt_domain="CORP"))
    assert isinstance(found, Unresolved)


@pytest.mark.parametrize(
    "user",
    [
        User(upn="' or accountEnabled eq true or id eq '"),
        User(upn="../applications"),
        User(upn=".."),
        User(object_id="x/revokeSignInSessions"),
        User(sid="S-1-5-21-' or id ne '"),
        User(sid='S-1-5-21-" or 1 == 1 //'),
        User(sid="S-1-5-18"),
        User(),
    ],
)
async def test_a_hostile_or_empty_name_finds_nobody(lab: Lab, people: People, user: User) -> None:
    # given
    people.add("ana")

    # then
    assert isinstance(await lab.resolve(resolve_user, user), Unresolved)
    assert lab.tenant.ledger.writes == []


@pytest.mark.parametrize(
    ("name", "fields", "trait"),
    [
        ("emergency", {}, Trait.BREAK_GLASS),
        ("Sync_DC01_0a1b2c3d", {}, Trait.SYNC_ACCOUNT),
        ("ana", {"userType": "Guest"}, Trait.GUEST),
        ("info", {"accountEnabled": False}, Trait.SHARED_MAILBOX),
    ],
)
async def test_an_account_that_needs_care_is_marked(
    lab: Lab, people: People, name: str, fields: dict[str, Any], trait: Trait
) -> None:
    # given
    lab.sections["user"] = {"break_glass": ["emergency@corp.example"]}

    # when
    _, found = await people.target(name, **fields)

    # then
    assert trait in found.traits


# -- user.revoke_sessions --------------------------------------------------------------------------


async def test_sessions_are_revoked(lab: Lab, people: People) -> None:
    # given
    user, ana = await people.target("ana")
    before = user.body["signInSessionsValidFromDateTime"]

    # when
    outcome = await lab.only(revoke_sessions, ana)

    # then
    assert outcome == Succeeded()
    assert user.body["signInSessionsValidFromDateTime"] != before
    assert revoke_sessions.reversal is None


async def test_revoking_a_guests_sessions_says_that_it_does_nothing_at_home(
    lab: Lab, people: People
) -> None:
    # given
    _, guest = await people.target("bo", userType="Guest")

    # when
    outcome = await lab.only(revoke_sessions, guest)

    # then
    assert isinstance(outcome, Succeeded)
    assert "home tenant" in outcome.caveat


async def test_each_identity_can_do_only_its_own(lab: Lab) -> None:
    # given the tenant's own registrations, each with the least that its family needs
    granted = {
        permission
        for permissions in lab.tenant.registrations["user"].grants.values()
        for permission in permissions
    }

    # then
    for action in (disable, enable, revoke_sessions):
        assert set(action.permissions) <= granted
