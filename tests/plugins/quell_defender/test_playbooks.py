"""The playbooks that are shipped: they fit the actions that are shipped, line by line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import quell_defender
import quell_device
import quell_mail
import quell_user
from quell.domain.entity import Device, Entity, EntityKind, MailMessage, User
from quell.domain.ids import IncidentId, TenantId
from quell.domain.incident import IncidentFields, Severity, Status
from quell.domain.ports import EntitySummary
from quell.domain.view import IncidentView
from quell.errors import PlaybookError
from quell.playbooks import (
    Catalogue,
    PlaybookProgram,
    ResultItem,
    RunView,
    StepResults,
    load_playbook,
    playbook_schema,
)
from quell.sync.actions import ACTIONS

FILES = {path.stem: path for path in quell_defender.quell_playbooks()}


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    """Collect the actions that are shipped."""
    return Catalogue(
        [
            *ACTIONS,
            *quell_device.quell_actions(),
            *quell_user.quell_actions(),
            *quell_mail.quell_actions(),
        ]
    )


def program_of(name: str, catalogue: Catalogue) -> PlaybookProgram:
    """Load and compile a shipped playbook."""
    path = FILES[name]
    return PlaybookProgram(
        load_playbook(path.read_text("utf-8"), name=path.name, catalogue=catalogue), catalogue
    )


def incident(*entities: tuple[str, Entity, str, str], **fields: Any) -> IncidentView:
    """Make an incident of (id, entity, role, verdict)."""
    values: dict[str, Any] = {"severity": Severity.HIGH, "status": Status.NEW, **fields}
    return IncidentView(
        tenant_id=TenantId("t"),
        id=IncidentId("i"),
        revision=1,
        fields=IncidentFields(**values),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        entities=tuple(
            EntitySummary(
                id=entity_id,
                kind=EntityKind(str(entity.__struct_config__.tag)),
                entity=entity,
                roles=(role,),
                verdict=verdict,
            )
            for entity_id, entity, role, verdict in entities
        ),
    )


def items(view: IncidentView, *ids: str, **data: Any) -> tuple[ResultItem, ...]:
    """Make results for entities of an incident."""
    by_id = {summary.id: summary.entity for summary in view.entities}
    return tuple(ResultItem(entity_id=found, entity=by_id[found], data=data) for found in ids)


def test_three_playbooks_are_shipped() -> None:
    assert sorted(FILES) == ["contain_device", "contain_user", "purge_phish"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_shipped_playbook_asks_before_every_effect_and_starts_on_fresh_events_only(
    shipped: Catalogue, name: str
) -> None:
    # when
    playbook = program_of(name, shipped).playbook

    # then
    assert playbook.id == name
    assert playbook.trigger is not None
    assert playbook.trigger.max_age is not None
    for step in playbook.steps:
        (found,) = shipped.find(step.do or "")
        assert (step.ask is not None) == found.is_guarded, step.id
        assert (step.hold is not None) == (found.makes is not None), step.id


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_shipped_playbook_names_the_schema_for_editors(name: str) -> None:
    # when
    first = FILES[name].read_text("utf-8").splitlines()[0]

    # then
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found
    target = (FILES[name].parent / found[1]).resolve()
    assert target.name == "playbook.schema.json"
    assert playbook_schema()["title"] in target.read_text("utf-8")


def test_devices_are_isolated_by_role_or_verdict(shipped: Catalogue) -> None:
    # given
    program = program_of("contain_device", shipped)
    view = incident(
        ("d1", Device(host_name="one"), "compromised", "unknown"),
        ("d2", Device(host_name="two"), "contextual", "malicious"),
        ("d3", Device(host_name="three"), "contextual", "suspicious"),
        ("u1", User(upn="x@test"), "compromised", "malicious"),
    )
    isolate, note = program.playbook.steps

    # when
    targets = program.targets(isolate, RunView(incident=view))
    results = {"isolate": StepResults(done=items(view, "d1"), unknown=items(view, "d2"))}
    text = program.params(note, RunView(incident=view, results=results))["text"]

    # then
    assert targets == ("d1", "d2")
    assert "Isolated: one\n" in text
    assert "please look: two" in text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"severity": Severity.LOW}, False),
        ({"severity": None}, False),
        ({"status": Status.CLOSED}, False),
    ],
)
def test_a_device_is_contained_in_open_incidents_of_weight(
    shipped: Catalogue, fields: dict[str, Any], expected: bool
) -> None:
    view = RunView(incident=incident(**fields))
    assert program_of("contain_device", shipped).holds(view) is expected


def test_only_people_are_disabled_and_only_disabled_ones_lose_their_sessions(
    shipped: Catalogue,
) -> None:
    # given
    program = program_of("contain_user", shipped)
    view = incident(
        ("u1", User(upn="ann@test"), "compromised", "unknown"),
        ("u2", User(upn="svc@test"), "compromised", "unknown"),
        ("u3", User(upn="bob@test"), "contextual", "unknown"),
        ("u4", User(upn="gone@test"), "compromised", "unknown"),
    )
    facts, disable, revoke, note = program.playbook.steps
    found = StepResults(
        done=(*items(view, "u1", kind="person"), *items(view, "u2", kind="service")),
        failed=items(view, "u4"),
    )
    results = {"facts": found, "disable": StepResults(done=items(view, "u1"))}
    run = RunView(incident=view, results=results)

    # when / then
    assert program.targets(facts, run) == ("u1", "u2", "u4")
    assert program.targets(disable, run) == ("u1",)
    assert program.targets(revoke, run) == ("u1",)
    text = program.params(note, run)["text"]
    assert "not a person's account: svc@test" in text
    assert "not found in the directory: gone@test" in text


def test_malicious_mail_with_a_recipient_is_purged(shipped: Catalogue) -> None:
    # given
    program = program_of("purge_phish", shipped)
    view = incident(
        ("m1", MailMessage(recipient="a@test", subject="{{ 1 }}"), "source", "malicious"),
        ("m2", MailMessage(recipient="b@test"), "source", "suspicious"),
        ("m3", MailMessage(subject="no recipient"), "source", "malicious"),
    )

    # when / then
    purge, _ = program.playbook.steps
    assert program.targets(purge, RunView(incident=view)) == ("m1",)
    assert program.params(purge, RunView(incident=view)) == {"action": "softDelete"}


def broken(line: str) -> list[str]:
    """Break a line in the ways that people do: drop, misspell, and unbalance."""
    body = line.strip()
    ways: list[str] = []
    key = re.match(r"(\s*(?:- )?)([a-z_]+):", line)
    if key:
        ways.append(f"{key[1]}{key[2]}x{line[key.end() - 1 :]}")
    groups = ("incident.", "severity.", "role.", "verdict.", "status.", "user_kind.", "select.")
    ways += [line.replace(word, f"{word}zz_", 1) for word in groups if word in body]
    slips = (("}}", "}"), ("filter(", "filtr("), ("names(", "nmes("), ("settled", "over"))
    ways += [line.replace(old, new, 1) for old, new in slips if old in body]
    ways.append(line + " }" if line.rstrip().endswith("}") else f"{line}\n\t: [")
    return ways


def problems_of(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Load a text and give its problems."""
    try:
        load_playbook(text, name="p.yml", catalogue=catalogue)
    except PlaybookError as error:
        return error.problems
    return ()


def mutations(path: Path) -> list[tuple[int, str]]:
    """Give the broken texts of a file with the number of the line that is broken."""
    lines = path.read_text("utf-8").splitlines()
    return [
        (index + 1, "\n".join([*lines[:index], way, *lines[index + 1 :]]) + "\n")
        for index, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("#")
        for way in broken(line)
    ]


@pytest.mark.parametrize("name", sorted(FILES))
def test_breaking_any_line_of_a_shipped_playbook_is_told_with_a_place(
    shipped: Catalogue, name: str
) -> None:
    # when
    told = {(number, text): problems_of(text, shipped) for number, text in mutations(FILES[name])}

    # then
    for (_, text), problems in told.items():
        for problem in problems:
            found = re.match(r"p\.yml:(\d+):(\d+): ", problem)
            assert found, problem
            assert int(found[1]) <= text.count("\n") + 1
    loaded = [number for (number, _), problems in told.items() if not problems]
    # prose in a block of text stands for itself, whatever is added to it
    lines = FILES[name].read_text("utf-8").splitlines()
    prose = next(index for index, line in enumerate(lines, 1) if line.strip() == "text: |-")
    assert [number for number in loaded if number <= prose] == []
