"""Mail actions in a child process: what the worker's client counts and remembers stays counted."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.actions.isolated_lab import IsolatedLab

import quell_defender.mail
from quell import (
    Action,
    Failed,
    MailMessage,
    Outcome,
    Pending,
    Succeeded,
    Target,
    Unknown,
    Unresolved,
)
from quell.domain.entity import EntityKind
from quell.domain.ids import TenantId
from quell.domain.outcome import Observed
from quell.domain.ports import EntitySummary
from quell.engine.calls import Calls
from quell.errors import RequestRefused
from quell.isolation.isolation import ChildProcesses
from quell.isolation.wire import frame
from quell.playbooks import Catalogue
from quell.settings import IsolationSettings
from quell.testing import make_call
from quell_defender.mail import CopyName, MailClient
from quell_defender.mail_bridge import FarMail, serve
from quell_mail.purge import purge
from quell_mail.resolve import resolve_mail
from quell_mail.restore import restore
from quell_microsoft.simulator.server import SimulatorOptions, start

pytestmark = pytest.mark.anyio

ROUTE = ("GET", "/v1.0/security/collaboration/analyzedEmails", 200)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run the tests on one event loop: the child processes of a worker live on it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[IsolatedLab]:
    """Start a tenant with mail."""
    with start(SimulatorOptions(config={"throttle_scale": 0})) as simulator:
        made = IsolatedLab(simulator)
        yield made
        await made.close()


def deliver(lab: IsolatedLab, message: str, recipient: str, **fields: Any) -> MailMessage:
    """Deliver a copy, and give it as an incident names it."""
    address = {"networkMessageId": message, "recipientEmailAddress": recipient}
    lab.tenant.mail.add({**address, **fields})
    return MailMessage(network_message_id=message, recipient=recipient)


async def copies(lab: IsolatedLab, message: str, *names: str) -> list[Target]:
    """Deliver copies of a message and look them up, in a child process as well."""
    delivered = [deliver(lab, message, f"{name}@corp.example") for name in names]
    return [await lab.target(resolve_mail, one) for one in delivered]


async def finished(lab: IsolatedLab, action: Action, outcomes: list[Outcome]) -> list[Outcome]:
    """Follow each copy to its end."""
    return [await lab.finish(action, outcome) for outcome in outcomes]


def sent(lab: IsolatedLab, key: str) -> int:
    """Count the remediations with that key that the tenant accepted."""
    mark = f"[quell {key}]"
    return sum(mark in write["body"]["displayName"] for write in lab.writes("/remediate"))


async def test_copies_are_purged_and_restored_from_child_processes_and_seen_to_be(
    lab: IsolatedLab,
) -> None:
    # given
    targets = await copies(lab, "message-1", "ana", "bo")
    assert (await lab.observe(purge, targets[0])).state is Observed.NOT_SO

    # when
    purged = await finished(lab, purge, await lab.call(purge, *targets, key="key-purge"))

    # then
    assert [type(one) for one in purged] == [Succeeded, Succeeded]
    assert sent(lab, "key-purge") == 1
    seen = await lab.observe(purge, targets[1])
    assert (seen.state, seen.keys) == (Observed.SO, ("key-purge",))

    # when
    restored = await finished(lab, restore, await lab.call(restore, *targets, key="key-restore"))

    # then
    assert [type(one) for one in restored] == [Succeeded, Succeeded]
    assert (await lab.observe(restore, targets[0])).state is Observed.SO


async def test_a_copy_is_found_by_the_id_that_its_sender_chose(lab: IsolatedLab) -> None:
    # given
    shared = "<one@evil.example>"
    deliver(lab, "message-2", "ana@corp.example", internetMessageId=shared)
    by_id = MailMessage(internet_message_id=shared, recipient="ana@corp.example")

    # when
    found = await lab.target(resolve_mail, by_id)

    # then
    assert isinstance(found.entity, MailMessage)
    assert found.entity.network_message_id == "message-2"


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
async def test_an_answer_that_never_came_is_unknown_there_as_here(
    lab: IsolatedLab, is_done: bool
) -> None:
    # given
    key = f"key-lost-{is_done}"
    targets = await copies(lab, f"message-lost-{is_done}", "ana", "bo")
    lab.fault("drop", "/remediate$", after_effect=is_done)

    # when
    outcomes = await lab.call(purge, *targets, key=key)

    # then
    assert [type(one) for one in outcomes] == [Unknown, Unknown]
    assert all("the connection was cut" in str(outcome) for outcome in outcomes)
    assert sent(lab, key) == is_done
    await lab.clock.sleep(60)
    seen = await lab.observe(purge, targets[0])
    wanted = (Observed.SO, (key,)) if is_done else (Observed.NOT_SO, ())
    assert (seen.state, seen.keys) == wanted


async def test_a_process_that_was_ended_while_the_worker_waited_leaves_it_unknown(
    lab: IsolatedLab,
) -> None:
    # given an answer that comes after the deadline
    (ana,) = await copies(lab, "message-slow", "ana")
    lab.fault("slow", "/remediate$", delay=3.0)
    deadline = lab.clock.now() + timedelta(seconds=1)

    # when
    outcome = await lab.only(purge, ana, key="key-slow", deadline=deadline)

    # then
    assert isinstance(outcome, Unknown)
    assert "its process was ended" in outcome.reason


async def test_a_product_that_asks_to_wait_is_heard_there_as_here(lab: IsolatedLab) -> None:
    # given
    (ana,) = await copies(lab, "message-3", "ana")
    lab.fault("429", "/remediate$", retry_after=12)

    # when
    outcome = await lab.only(purge, ana, key="key-wait")

    # then
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.retry_after) == (True, 12)


async def test_open_remediations_are_counted_over_all_child_processes(
    lab: IsolatedLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given as many as can be open, after all earlier ones no longer count
    monkeypatch.setattr(quell_defender.mail, "MOST_OPEN", 1)
    await lab.clock.sleep(3600)
    first, second = await copies(lab, "message-4", "ana", "bo")
    pending = await lab.only(purge, first, key="key-first")
    assert isinstance(pending, Pending)

    # when
    refused = await lab.only(purge, second, key="key-second")

    # then
    assert isinstance(refused, Failed)
    assert refused.retryable
    assert sent(lab, "key-second") == 0

    # when the first is through
    assert isinstance(await lab.finish(purge, pending), Succeeded)

    # then
    assert isinstance(await lab.only(purge, second, key="key-second"), Pending)


async def test_one_answer_serves_the_polls_of_many_child_processes(lab: IsolatedLab) -> None:
    # given
    targets = await copies(lab, "message-5", "ana", "bo", "cy")
    pending = await lab.call(purge, *targets, key="key-polled")
    await lab.clock.sleep(60)
    before = lab.tenant.ledger.calls[ROUTE]

    # when
    outcomes = [await lab.poll(purge, one) for one in pending]

    # then
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
    assert lab.tenant.ledger.calls[ROUTE] == before + 1


async def test_nothing_that_signs_in_is_said_to_a_child_process(
    lab: IsolatedLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given everything that the worker says to a child process
    said: list[bytes] = []

    def overheard(message: Any) -> bytes:
        said.append(frame(message))
        return said[-1]

    monkeypatch.setattr("quell.isolation.exchange.frame", overheard)
    (ana,) = await copies(lab, "message-6", "ana")

    # when
    outcomes = await lab.call(purge, ana, key="key-heard")
    await finished(lab, purge, outcomes)
    await lab.observe(purge, ana)

    # then
    heard = b"".join(said)
    secret = lab.sections["microsoft"]["identities"]["mail"]["client_secret"]
    assert b"key-heard" in heard
    assert b"deletedFolder" in heard
    assert secret
    for mark in (secret.encode(), b"Bearer", b"eyJ", b"client_secret"):
        assert mark not in heard


# -- for runs that took workers down ---------------------------------------------------------------


class NothingHere:
    """A worker's own connectors, none of which may be asked for."""

    catalogue = Catalogue(())

    def actions(self, name: str, system: str | None = None) -> tuple[Action, ...]:
        """List nothing."""
        return ()

    def resolver(self, target: type) -> Any:
        """Give the look-up of mail."""
        return resolve_mail

    def connectors(self, function: Callable[..., Any], identity: str) -> Mapping[str, Any]:
        """Give what would be used in the worker."""
        raise AssertionError(f"{function.__name__} is called in the worker")


async def test_for_a_suspect_run_mail_is_looked_up_purged_and_polled_in_child_processes(
    lab: IsolatedLab,
) -> None:
    # given
    mail = deliver(lab, "message-7", "ana@corp.example")
    summary = EntitySummary(id="mail-1", kind=EntityKind.MAIL_MESSAGE, entity=mail)
    usual = Calls(NothingHere(), TenantId("t"), lab.isolation)
    assert isinstance(await usual.resolve(summary), Unresolved)  # it would be called here
    calls = usual.isolating_all()

    # when
    target = await calls.resolve(summary)
    assert isinstance(target, Target)
    until = lab.clock.now() + timedelta(seconds=60)
    call = replace(make_call(purge, target), deadline=until)
    (pending,) = await calls.act(purge, call, purge.timeout)
    await lab.clock.sleep(60)

    # then
    assert isinstance(pending, Pending)
    assert isinstance(await calls.poll(purge, pending.operation), Succeeded)
    seen = await calls.observe(purge, target)
    assert seen is not None
    assert seen.state is Observed.SO


async def test_an_operator_can_have_mail_actions_isolated(lab: IsolatedLab) -> None:
    # given
    (ana,) = await copies(lab, "message-9", "ana")
    processes = ChildProcesses(IsolationSettings(plugins=("mail",)), Path("/nonexistent"))
    calls = Calls(NothingHere(), TenantId("t"), lab.isolated_by(processes))
    call = replace(make_call(purge, ana), deadline=lab.clock.now() + timedelta(seconds=60))

    # when
    (outcome,) = await calls.act(purge, call, purge.timeout)
    await processes.close()

    # then
    assert isinstance(outcome, Pending)


# -- what the worker takes from a child process ----------------------------------------------------

REMEDIATE: dict[str, Any] = {
    "type": "remediate",
    "copies": [{"network_message_id": "message-8", "recipient": "ana@corp.example"}],
    "action": "softDelete",
    "key": "key-asked",
    "note": "why",
}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "now"},
        {"type": "_list"},
        {"action": "shred"},
        {"copies": ["message-8"]},
        {"copies": [{"network_message_id": "message-8"}]},
        {"key": 7},
        {"sender": "ana@corp.example"},
    ],
    ids=["method", "private", "action", "no copies", "half a name", "type", "more"],
)
async def test_the_worker_does_not_act_on_what_it_cannot_read(
    lab: IsolatedLab, change: dict[str, Any]
) -> None:
    # given
    deliver(lab, "message-8", "ana@corp.example")
    mail = lab.connector(MailClient, "mail")

    # when
    with pytest.raises(RequestRefused) as refused:
        await serve(mail, REMEDIATE | change)

    # then
    assert "cannot be read" in str(refused.value)
    assert sent(lab, "key-asked") == 0


async def test_a_copy_that_is_not_there_is_none_over_the_bridge_too(lab: IsolatedLab) -> None:
    # given
    mail = lab.connector(MailClient, "mail")

    async def ask(asked: Any) -> Any:
        return await serve(mail, asked)

    # then
    far = FarMail(ask, lab.clock)
    assert await far.find_copy(CopyName("message-none", "ana@corp.example")) is None


def test_what_stands_in_offers_all_that_the_client_does() -> None:
    # given
    def offered(kind: type) -> dict[str, str]:
        functions = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: str(inspect.signature(function))
            for name, function in functions
            if not name.startswith("_")
        }

    # then
    assert offered(FarMail) == offered(MailClient)
