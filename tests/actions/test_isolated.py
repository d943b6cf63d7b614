"""Bundled actions in a child process: the tenant sees the same, and the child never sees a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.actions.isolated_lab import IsolatedLab

from quell import Device, Failed, Succeeded, Target, Unknown, User
from quell.domain.outcome import Observed
from quell.errors import RequestRefused
from quell_device.isolate import isolate
from quell_device.resolve import resolve_device
from quell_microsoft import EndpointClient
from quell_microsoft.bridge import relay
from quell_microsoft.simulator.server import SimulatorOptions, start
from quell_user.disable import disable
from quell_user.resolve import resolve_user

pytestmark = pytest.mark.anyio

MACHINE = "aa" * 20


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run the tests on one event loop: the child processes of a worker live on it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[IsolatedLab]:
    """Start a tenant with one laptop."""
    with start(SimulatorOptions(config={"throttle_scale": 0})) as simulator:
        made = IsolatedLab(simulator)
        made.tenant.devices.add_machine({"id": MACHINE, "computerDnsName": "lap1.corp.example"})
        yield made
        await made.close()


@pytest.fixture
async def laptop(lab: IsolatedLab) -> Target:
    """Look the laptop up, in a child process as well."""
    return await lab.target(resolve_device, Device(mde_id=MACHINE))


async def test_a_device_is_isolated_from_a_child_process_and_seen_to_be(
    lab: IsolatedLab, laptop: Target
) -> None:
    # given
    assert (await lab.observe(isolate, laptop)).state is Observed.NOT_SO

    # when
    outcome = await lab.finish(isolate, await lab.only(isolate, laptop))

    # then
    assert isinstance(outcome, Succeeded)
    assert len(lab.writes("/isolate")) == 1
    seen = await lab.observe(isolate, laptop)
    assert seen.state is Observed.SO
    assert seen.keys == ("key-00001",)
    assert seen.made_by == "quell-device"


async def test_an_answer_that_never_came_is_unknown_there_as_here(
    lab: IsolatedLab, laptop: Target
) -> None:
    # given
    lab.fault("drop", f"/api/machines/{MACHINE}/isolate")

    # when
    outcome = await lab.only(isolate, laptop, key="key-00002")

    # then
    assert isinstance(outcome, Unknown)
    assert "the connection was cut" in outcome.reason


async def test_a_product_that_asks_to_wait_is_heard_there_as_here(
    lab: IsolatedLab, laptop: Target
) -> None:
    # given
    lab.fault("429", f"/api/machines/{MACHINE}/isolate", retry_after=11)

    # when
    outcome = await lab.only(isolate, laptop, key="key-00003")

    # then
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.retry_after == 11.0


async def test_an_account_is_disabled_from_a_child_process_and_seen_to_be(
    lab: IsolatedLab,
) -> None:
    # given
    account = lab.tenant.users.add({"userPrincipalName": "ana@corp.example"})
    ana = await lab.target(resolve_user, User(object_id=account.body["id"]))

    # when
    outcome = await lab.only(disable, ana)

    # then
    assert outcome == Succeeded()
    assert account.body["accountEnabled"] is False
    assert (await lab.observe(disable, ana)).state is Observed.SO


def test_every_bundled_action_and_look_up_can_be_isolated_unasked(lab: IsolatedLab) -> None:
    # given
    found = lab.registry
    offers = {one.name: one for one in found.actions} | {
        one.target.__name__: one for one in found.resolvers
    }

    # then
    assert {"device.isolate", "user.disable", "mail.purge", "MailMessage"} <= set(offers)
    assert [name for name, one in offers.items() if not lab.isolation.can(one)] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"url": "https://elsewhere.example/api/machines"}, "not the API's own"),
        ({"url": "http://127.0.0.1/api/machines"}, "not the API's own"),
        ({"headers": {"authorization": "Bearer mine"}}, "only the worker sets"),
        ({"headers": {"Host": "elsewhere.example"}}, "only the worker sets"),
        ({"method": "TRACE"}, "none that is used"),
        ({"method": 7}, "cannot be read"),
        ({"extra": True, "cost": "many"}, "cannot be read"),
    ],
    ids=["host", "scheme", "token", "host header", "method", "type", "shape"],
)
async def test_the_worker_sends_nothing_that_it_would_not_send_itself(
    lab: IsolatedLab, change: dict[str, Any], problem: str
) -> None:
    # given
    client = lab.connector(EndpointClient, "device")
    request = {
        "method": "GET",
        "url": client.checked(f"{lab.simulator.ready()['base_url']}/api/machines"),
        "operation": "read",
    }

    # when
    with pytest.raises(RequestRefused) as refused:
        await relay(client, request | change)

    # then
    assert problem in str(refused.value)
