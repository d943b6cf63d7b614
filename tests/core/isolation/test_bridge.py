"""What an isolated action is given, and what it is not."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.core.isolation.stage import TOKEN, Plugin, Stage, make_stage, summary

from quell.domain.action import Resolution, Trait
from quell.domain.entity import Device
from quell.domain.ids import IncidentId, RunId
from quell.domain.outcome import Failed, Observed, Operation, Succeeded, Unknown, not_so
from quell.domain.ports import OperationClass
from quell.domain.secret import Secret
from quell.isolation.isolation import ChildProcesses
from quell.isolation.wire import encode
from quell.settings import IsolationSettings
from quell.testing import make_target

#: what an isolated action has open besides its line: the three standard streams, and the loop's
OWN_DESCRIPTORS = 8


@contextmanager
def changed(path: Path) -> Generator[None]:
    """Change a file for a while."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n# changed\n", encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


async def told(stage: Stage) -> dict[str, Any]:
    """Have an isolated action tell how it is there."""
    outcome = await stage.act("device.tell")
    assert isinstance(outcome, Succeeded)
    return outcome.data


@pytest.mark.anyio
async def test_an_isolated_action_does_its_work_in_another_process(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.block_port")

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.proof == "key-1"
    assert outcome.data["here"] != os.getpid()
    assert outcome.data["url"] == "https://switch.example"


@pytest.mark.anyio
async def test_what_signs_in_stays_in_the_worker_and_does_the_call_there(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.block_port")

    # then
    switch = stage.connectors.get(stage.plugin.module.Switch, "device")
    assert isinstance(outcome, Succeeded)
    assert outcome.data["pid"] == os.getpid()
    assert switch.blocked == [("pc-1", os.getpid())]


@pytest.mark.anyio
async def test_there_is_one_quota_and_it_is_the_workers(stage: Stage) -> None:
    # when
    await stage.act("device.block_port")

    # then
    assert stage.quota.asked == [OperationClass("switch", "block")]


@pytest.mark.anyio
async def test_looking_polling_and_cancelling_run_isolated_too(stage: Stage) -> None:
    # given
    action = stage.plugin.action("device.block_port")
    target = make_target(Device(host_name="pc-1"), facts={"name": "a name"})

    # when
    observation = await stage.calls.observe(action, target)
    polled = await stage.calls.poll(action, Operation(id="7"))
    cancelled = await stage.calls.cancel(action, Operation(id="7"))
    refused = await stage.calls.cancel(action, Operation(id="gone"))

    # then
    assert observation is not None
    assert observation.state is Observed.SO
    assert observation.keys == ("key-1",)
    assert observation.facts["name"] == "a name"
    assert observation.facts["here"] != os.getpid()
    assert isinstance(polled, Succeeded)
    assert polled.proof == "7"
    assert polled.data["here"] != os.getpid()
    assert cancelled
    assert not refused


@pytest.mark.anyio
async def test_a_call_arrives_as_it_was_made(stage: Stage) -> None:
    # given
    target = make_target(Device(host_name="pc-1"), Trait.SERVER)
    action, call = stage.call("device.tell", target, kind="print", text="a\0ü", number=-3)
    call = replace(
        call,
        incident_id=IncidentId("incident-1"),
        run_id=RunId("run-1"),
        before={target.id: not_so()},
    )

    # when
    (outcome,) = await stage.calls.act(action, call, timedelta(seconds=10))

    # then
    assert isinstance(outcome, Succeeded)
    assert outcome.data["params"] == {"kind": "print", "text": "a\0ü", "number": -3}
    assert outcome.data["note"] == call.note
    assert (outcome.data["incident"], outcome.data["run"]) == ("incident-1", "run-1")
    assert outcome.data["before"] == "not_so"
    assert outcome.data["traits"] == ["server"]
    assert outcome.data["deadline"] == call.deadline
    assert outcome.data["host"] == "pc-1"


@pytest.mark.anyio
async def test_no_environment_and_no_open_file_of_the_worker_is_inherited(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("QUELL__REDIS_URL", "redis://:planted@127.0.0.1/0")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "planted")

    # when
    found = await told(stage)

    # then
    assert set(found["environment"]) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
    assert "planted" not in str(found["environment"])
    assert len(found["descriptors"]) <= OWN_DESCRIPTORS
    assert found["session"]


@pytest.mark.anyio
async def test_nothing_but_the_plugin_is_loaded(stage: Stage) -> None:
    # when
    found = await told(stage)

    # then
    assert stage.plugin.module.__name__ in found["modules"]
    for other in ("quell_microsoft", "quell_device", "sqlalchemy", "celery", "quell.journal"):
        assert other not in found["modules"]


@pytest.mark.anyio
async def test_each_call_has_a_process_of_its_own(stage: Stage) -> None:
    # when
    outcomes = [await stage.act("device.block_port") for _ in range(3)]

    # then
    processes = {one.data["here"] for one in outcomes if isinstance(one, Succeeded)}
    assert len(processes) == 3


@pytest.mark.anyio
async def test_a_secret_is_not_handed_over_and_the_refusal_says_what_to_do(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.ask_naively")

    # then
    assert isinstance(outcome, Failed)
    assert "is not handed to a child process" in outcome.reason
    assert "bridge" in outcome.remedy
    assert TOKEN not in str(outcome)


def test_settings_go_over_the_line_without_their_secrets(plugin: Plugin) -> None:
    # given
    settings = plugin.module.SwitchSettings(token=Secret(TOKEN))

    # when
    written = encode(settings)

    # then
    assert b"https://switch.example" in written
    assert TOKEN.encode() not in written


@pytest.mark.anyio
async def test_a_connector_that_nobody_offers_means_that_nothing_was_sent(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.ask_a_stranger")

    # then
    assert isinstance(outcome, Failed)
    assert "Stranger" in outcome.reason


@pytest.mark.anyio
async def test_an_action_is_made_as_its_own_identity_only(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.ask_as_another")

    # then
    assert isinstance(outcome, Failed)
    assert "not as another identity" in outcome.reason
    assert stage.connectors.get(stage.plugin.module.Switch, "sync").blocked == []


@pytest.mark.anyio
async def test_the_workers_part_decides_what_it_answers(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.ask_about", text="something else")

    # then
    assert isinstance(outcome, Failed)
    assert "cannot be read" in outcome.reason


@pytest.mark.anyio
async def test_errors_of_the_product_arrive_with_all_that_they_say(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.block_port", host="busy")

    # then
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.retry_after == 7.0


@pytest.mark.anyio
async def test_a_bug_in_the_workers_part_is_told_by_its_type_alone(stage: Stage) -> None:
    # when
    outcome = await stage.act("device.block_port", host="broken")

    # then
    assert isinstance(outcome, Unknown)
    assert "ValueError" in outcome.reason
    assert TOKEN not in str(outcome)


@pytest.mark.anyio
async def test_a_look_up_runs_isolated_where_everything_does(stage: Stage) -> None:
    # given
    resolver = stage.calls.registry.resolver(Device)
    assert resolver is not None

    # when
    here = await stage.calls.resolve(summary("pc-1"))
    there = await stage.calls.isolating_all().resolve(summary("pc-1"))

    # then
    assert not isinstance(here, Resolution)
    assert getattr(here, "facts", {}).get("here") == os.getpid()
    assert getattr(there, "facts", {}).get("here") not in {None, os.getpid()}
    assert getattr(there, "traits", None) == {Trait.WORKSTATION}


@pytest.mark.anyio
async def test_a_plugin_that_changed_since_it_was_enabled_is_not_loaded(
    plugin: Plugin,
) -> None:
    # given
    processes = ChildProcesses(IsolationSettings(), plugin.lock_path)
    stage = make_stage(plugin, processes)

    # when
    with changed(Path(str(plugin.module.__file__))):
        outcome = await stage.act("device.block_port")
    await processes.close()

    # then
    assert isinstance(outcome, Failed)
    assert "its files changed since it was enabled" in outcome.reason
    assert "quell plugins show switch" in outcome.remedy


@pytest.mark.anyio
async def test_what_cannot_be_handed_over_is_refused_before_anything_begins(stage: Stage) -> None:
    # given
    target = make_target(Device(host_name="pc-1"), facts={"it": object()})

    # when
    outcome = await stage.act("device.tell", target)
    observation = await stage.calls.observe(stage.plugin.action("device.block_port"), target)

    # then
    assert isinstance(outcome, Failed)
    assert "cannot be handed" in outcome.reason
    assert observation is not None
    assert observation.state is Observed.CANNOT_TELL
