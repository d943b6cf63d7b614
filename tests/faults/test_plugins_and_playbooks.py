"""Plugins that raise, hang or do not fit, and playbooks with mistakes: told, and nothing else suffers."""

from __future__ import annotations

import re

import pytest
from tests.fault_ground import (
    CONTAIN,
    TENANT,
    Ground,
    activate,
    all_runs,
    device_evidence,
    drive_until,
    has_ended,
    wait_until,
)

from quell.cli.activation import activate_file
from quell.domain.run import RunState
from quell.errors import PlaybookError
from quell.testing import write_distribution
from quell_microsoft.simulator.wire import Api

ACTIONS = '''
import asyncio
from datetime import timedelta
from quell import Device, Effect, Succeeded, action, hookimpl

@action("device.raise", system="bad", target=Device, effect=Effect.READ)
async def raises(call):
    """Raise what nobody expects, with an incident's words in it."""
    raise KeyError("Zebra-Quartz-Title")

@action(
    "device.hang", system="bad", target=Device, effect=Effect.READ, timeout=timedelta(seconds=1)
)
async def hangs(call):
    """Never come back."""
    await asyncio.Event().wait()

@hookimpl
def quell_actions():
    return [raises, hangs]
'''

SOURCE = """
from quell import SourceSpec, hookimpl

class Broken:
    source_id, system, poll_every = "broken", "broken", 1.0
    can_create, writable = False, frozenset()

    def poll(self, cursor):
        raise RuntimeError("Zebra-Quartz-Title")

    async def fetch(self, native_id):
        raise RuntimeError("Zebra-Quartz-Title")

@hookimpl
def quell_sources():
    return [SourceSpec(system="broken", build=lambda context: [Broken()], part="detects")]
"""

USING = """\
quell: 1
playbook: use_bad
trigger: {{incident: created}}
when: incident.severity >= severity.low
steps:
  - {{id: bad, do: device.{verb}, to: incident.devices}}
  - {{id: note, do: incident.comment, after: bad.settled, with: {{text: "still told"}}}}
"""

MISTAKES = {
    "not YAML": "quell: 1\nplaybook: [",
    "another version": "quell: 99\nplaybook: x\n",
    "unknown key": CONTAIN + "surprise: 1\n",
    "unknown action": CONTAIN.replace("device.isolate", "device.explode"),
    "unknown enum": CONTAIN.replace("severity.low", "severity.lowest"),
    "not an expression": CONTAIN.replace("incident.devices", "incident.devices.filter(d,"),
    "wrong entity": CONTAIN.replace("incident.devices", "incident.users"),
    "not text": "\x00\x01\x02",
    "a bomb": "a: &a [x,x]\nb: &b [*a,*a]\nquell: [*b,*b]\n",
    "empty": "",
}


def test_a_playbook_with_a_mistake_is_refused_with_its_place_and_the_old_one_stays(
    ground: Ground,
) -> None:
    # given
    path = ground.folder / "contain.yml"
    place = re.compile(rf"{re.escape(str(path))}:\d+:\d+: .{{10}}")
    with ground.runtime() as runtime:
        activate(runtime, ground.folder, CONTAIN)
        before = ground.quell("playbook", "list", "--json").out
        for mistake, text in MISTAKES.items():
            path.write_text(text)
            # when
            with pytest.raises(PlaybookError) as refused:
                activate_file(runtime, TENANT, path, by="tests")
            # then
            assert refused.value.problems, mistake
            assert all(place.match(problem) for problem in refused.value.problems), mistake
    assert ground.quell("playbook", "list", "--json").out == before
    assert "contain" in before


@pytest.mark.parametrize("mistake", ["not YAML", "unknown action"])
def test_the_command_line_lists_the_mistakes_of_a_playbook_and_what_to_do(
    ground: Ground, mistake: str
) -> None:
    # given
    path = ground.folder / "wrong.yml"
    path.write_text(MISTAKES[mistake])
    # when
    shown = ground.quell("playbook", "activate", str(path))
    # then
    assert shown.err.startswith(f"{path}:"), shown.err
    shown.check_is_clear(3, "mistake", "quell playbook check")


@pytest.mark.parametrize("verb", ["raise", "hang"])
def test_an_action_that_raises_or_hangs_fails_its_step_and_not_the_run_beside_it(
    ground: Ground, verb: str
) -> None:
    # given
    _install(ground, "bad", ACTIONS)
    machine = "9" * 40
    ground.tenant.devices.add_machine({"id": machine, "computerDnsName": "ws-9"})
    path = ground.folder / "use_bad.yml"
    path.write_text(USING.format(verb=verb))
    assert ground.quell("sync").code == 0
    activated = ground.quell("playbook", "activate", str(path))
    assert activated.code == 0, activated
    # when
    with ground.up():
        original = ground.detect("one", evidence=[device_evidence(machine, "ws-9")])
        wait_until(lambda: original.body["comments"], "the step after it")
    # then
    (run,) = ground.quell("runs", "--json").json
    shown = ground.quell("runs", "show", run["id"])
    assert "failed" in shown.out
    assert "Zebra" not in ground.log().read_text()
    assert len(original.body["comments"]) == 1


def test_a_source_that_raises_stops_no_other_and_is_told(ground: Ground) -> None:
    # given
    _install(ground, "broken", SOURCE)
    ground.detect("one")
    # when
    shown = ground.quell("sync")
    # then
    shown.check_is_one_line(4, "broken: it broke (RuntimeError)", "quell plugins")
    assert [copy.properties["title"] for copy in ground.copies] == ["one"]
    assert "Zebra" not in shown.err.replace("\n", "")


HOOK = "from quell import hookimpl\n@hookimpl\ndef "
WRONG_PLUGINS = {
    "raises at import": "raise RuntimeError('Zebra')",
    "has a wrong signature": f"{HOOK}quell_actions(a, b):\n    return []\n",
    "raises in a hook": f"{HOOK}quell_actions():\n    raise KeyError('x')\n",
    "ends the process": "raise SystemExit(3)",
}


@pytest.mark.parametrize("kind", WRONG_PLUGINS)
def test_a_plugin_that_cannot_be_used_is_named_and_the_rest_works(
    ground: Ground, kind: str
) -> None:
    # given: it was fine when it was enabled
    site = ground.folder / "site"
    site.mkdir()
    good = "from quell import hookimpl\n@hookimpl\ndef quell_actions():\n    return []\n"
    write_distribution(site, {"odd.py": good}, name="odd", plugins={"odd": "odd"})
    assert ground.quell("plugins", "enable", "odd").code == 0
    (site / "odd.py").write_text(WRONG_PLUGINS[kind])
    ground.detect("one")
    # when
    listed = ground.quell("plugins", "--json")
    synced = ground.quell("sync")
    # then
    (row,) = [row for row in listed.json if row["name"] == "odd"]
    assert row["problem"], row
    assert "Traceback" not in listed.err + synced.err
    assert synced.code == 0, synced
    assert len(ground.copies) == 1


def test_a_run_whose_action_lacks_its_permission_fails_visibly_and_touches_nothing(
    ground: Ground,
) -> None:
    # given
    machine = "8" * 40
    ground.tenant.devices.add_machine({"id": machine, "computerDnsName": "ws-8"})
    ground.own["guard"] = {"auto": ["device.isolate"]}
    ground.write_settings()
    app = ground.tenant.registrations["device"]
    app.grants[Api.ENDPOINT] = tuple(
        one for one in app.grants[Api.ENDPOINT] if one != "Machine.Isolate"
    )
    with ground.runtime() as runtime:
        runtime.run(runtime.tenant().pass_once())
        activate(runtime, ground.folder, CONTAIN)
        # when
        ground.detect("one", evidence=[device_evidence(machine, "ws-8")])
        runtime.run(drive_until(runtime, has_ended(runtime, 1)))
        (run,) = runtime.run(all_runs(runtime))
        # then
        assert run.state is RunState.FAILED
    shown = ground.quell("runs", "show", run.id)
    assert "Machine.Isolate" in shown.out, shown.out
    assert ground.facts().effects == {}


def _install(ground: Ground, name: str, source: str) -> None:
    site = ground.folder / "site"
    site.mkdir(exist_ok=True)
    module = f"fault_{name}"
    write_distribution(site, {f"{module}.py": source}, name=f"quell-{name}", plugins={name: module})
    enabled = ground.quell("plugins", "enable", name)
    assert enabled.code == 0, enabled
