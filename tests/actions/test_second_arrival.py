"""What a second arrival of the same request does at the product: docs/explanation/once.md says it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.actions.second_arrival import arrive_again

from quell import Action, Device, MailMessage, Pending, Succeeded, Target, Unknown, User
from quell.domain.outcome import Observed
from quell_device.isolate import isolate
from quell_device.release import release
from quell_device.resolve import resolve_device
from quell_mail.purge import purge
from quell_mail.resolve import resolve_mail
from quell_mail.restore import restore
from quell_user.disable import disable
from quell_user.enable import enable
from quell_user.resolve import resolve_user
from quell_user.revoke_sessions import revoke_sessions

if TYPE_CHECKING:
    from tests.actions.conftest import Lab

pytestmark = pytest.mark.anyio

MACHINE = "aa" * 20
PHISH = {
    "networkMessageId": "73ca4154-58d8-43d0-a890-08dc18c52e6d",
    "recipientEmailAddress": "ana@corp.example",
}
SID = "S-1-5-21-1111111111-2222222222-3333333333-1104"


async def laptop(lab: Lab) -> Target:
    """Put one laptop into the tenant and look it up."""
    lab.tenant.devices.add_machine({"id": MACHINE, "computerDnsName": "lap1.corp.example"})
    return await lab.target(resolve_device, Device(mde_id=MACHINE))


async def ana(lab: Lab, **fields: Any) -> Target:
    """Put one account into the tenant and look it up."""
    user = lab.tenant.users.add({"userPrincipalName": "ana@corp.example", **fields})
    return await lab.target(resolve_user, User(object_id=user.body["id"]))


async def phish(lab: Lab) -> Target:
    """Deliver one copy of a message and look it up."""
    lab.tenant.mail.add(dict(PHISH))
    message = MailMessage(
        network_message_id=PHISH["networkMessageId"], recipient=PHISH["recipientEmailAddress"]
    )
    return await lab.target(resolve_mail, message)


def machine_orders(lab: Lab, action: Action) -> int:
    """Count the orders that the machine carried out."""
    kind = "Isolate" if action is isolate else "Unisolate"
    return lab.tenant.devices.machines[MACHINE].completed[kind]


def account_changes(lab: Lab, action: Action) -> int:
    """Count the accepted changes of the account."""
    (user,) = lab.tenant.users.users.values()
    return user.effects[action.name.partition(".")[2]]


def remediations(lab: Lab, action: Action) -> int:
    """Count what took effect on the copy."""
    (message,) = lab.tenant.mail.messages.values()
    return message.effects["softDelete" if action is purge else "moveToInbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One action, what takes it back, and how the tenant counts it."""

    action: Action
    back: Action
    arrange: Callable[[Lab], Awaitable[Target]]
    count: Callable[[Lab, Action], int]
    #: how the path of its request ends; an account's own path where it is empty
    path: str = ""

    @property
    def is_taking_back(self) -> bool:
        """Tell whether the state has to be made before it can be ended."""
        return self.action.ends is not None

    async def begin(self, lab: Lab) -> Target:
        """Bring the target into the state that the action is for."""
        target = await self.arrange(lab)
        if self.is_taking_back:
            await self.carry_out(lab, self.back, target, "key-first")
        return target

    async def carry_out(self, lab: Lab, action: Action, target: Target, key: str) -> None:
        """Have an action done, to its end."""
        outcome = await lab.finish(action, await lab.only(action, target, key=key))
        assert isinstance(outcome, Succeeded), outcome

    def sent(self, lab: Lab, target: Target) -> dict[str, Any]:
        """Give the action's last request as the tenant recorded it."""
        return lab.writes(self.path or str(target.alias("entra_user")))[-1]


def scenes() -> dict[str, Scene]:
    """List one scene for each action that makes or ends a lasting state."""
    pairs = (
        (isolate, release, laptop, machine_orders, ("/isolate", "/unisolate")),
        (disable, enable, ana, account_changes, ("", "")),
        (purge, restore, phish, remediations, ("/remediate", "/remediate")),
    )
    found: dict[str, Scene] = {}
    for make, end, arrange, count, (made_at, ended_at) in pairs:
        common: dict[str, Any] = {"arrange": arrange, "count": count}
        found[make.name] = Scene(action=make, back=end, path=made_at, **common)
        found[end.name] = Scene(action=end, back=make, path=ended_at, **common)
    return found


SCENES = scenes()
every_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


@every_scene
async def test_a_request_that_was_held_back_and_comes_after_its_repeat_makes_the_same_state_again(
    lab: Lab, scene: Scene
) -> None:
    # given a first request that does not arrive, and a look that finds nothing
    target = await scene.begin(lab)
    lab.fault("drop", f"{scene.path or '/users/[^/]+'}$", method=_method(scene), times=2)
    assert isinstance(await lab.only(scene.action, target), Unknown)
    lab.tenant.faults.replace([])
    assert (await lab.observe(scene.action, target)).state is Observed.NOT_SO
    # and its repeat with the same key, which does
    await scene.carry_out(lab, scene.action, target, "key-00001")

    # when the first one arrives after all
    status = await arrive_again(lab, scene.sent(lab, target), scene.action.identity)
    await lab.clock.sleep(60)

    # then it is accepted and changes nothing that anybody would see
    assert status in {201, 202, 204}
    assert (await lab.observe(scene.action, target)).state is Observed.SO
    assert scene.count(lab, scene.action) == 2


def _method(scene: Scene) -> str:
    return "POST" if scene.path else "PATCH"


@every_scene
async def test_a_request_that_comes_after_its_effect_was_taken_back_makes_it_again(
    lab: Lab, scene: Scene
) -> None:
    # given
    target = await scene.begin(lab)
    await scene.carry_out(lab, scene.action, target, "key-00001")
    held_back = scene.sent(lab, target)
    await scene.carry_out(lab, scene.back, target, "key-00002")
    assert (await lab.observe(scene.action, target)).state is Observed.NOT_SO

    # when
    await arrive_again(lab, held_back, scene.action.identity)
    await lab.clock.sleep(60)

    # then nothing at the product keeps it out; a look finds it
    seen = await lab.observe(scene.action, target)
    assert seen.state is Observed.SO
    if scene.action.entity != "user":
        assert "key-00001" in seen.keys


@pytest.mark.parametrize("name", ["device.isolate", "device.release"])
async def test_a_second_order_is_refused_while_the_first_is_open(lab: Lab, name: str) -> None:
    # given
    scene = SCENES[name]
    target = await scene.begin(lab)
    pending = await lab.only(scene.action, target)
    assert isinstance(pending, Pending)

    # when
    refusal = await arrive_again(lab, scene.sent(lab, target), "device")

    # then
    assert refusal == "ActiveRequestAlreadyExists"
    assert isinstance(await lab.finish(scene.action, pending), Succeeded)
    assert machine_orders(lab, scene.action) == 1


@pytest.mark.parametrize("action", [disable, enable], ids=lambda action: action.name)
async def test_the_half_of_an_account_in_active_directory_is_switched_to_the_same_state_again(
    lab: Lab, action: Action
) -> None:
    # given
    synced = {"onPremisesSyncEnabled": True, "onPremisesSecurityIdentifier": SID}
    target = await ana(lab, **synced)
    if action is enable:
        await lab.only(disable, target, key="key-first")
    await lab.only(action, target)

    # when
    status = await arrive_again(lab, lab.writes("/invokeAction")[-1], "user")

    # then
    (user,) = lab.tenant.users.users.values()
    assert status == 200
    assert user.ad_enabled is (action is enable)
    assert user.effects[f"ad_{action.name.partition('.')[2]}"] == 2


async def test_a_second_revocation_ends_the_sessions_that_were_begun_since(lab: Lab) -> None:
    # given
    target = await ana(lab)
    assert isinstance(await lab.only(revoke_sessions, target), Succeeded)
    (user,) = lab.tenant.users.users.values()
    first = user.body["signInSessionsValidFromDateTime"]
    await lab.clock.sleep(3600)

    # when
    status = await arrive_again(lab, lab.writes("/revokeSignInSessions")[-1], "user")

    # then
    assert status == 200
    assert user.effects["revoke"] == 2
    assert user.body["signInSessionsValidFromDateTime"] > first
