"""A compiled playbook's answers: conditions, selections, targets, items, parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.entity import Device, EntityKind, File, MailMessage, Process, User
from quell.domain.incident import Owner, Severity
from quell.domain.playbook import Playbook, Step, Trigger
from quell.domain.ports import EntitySummary
from quell.domain.view import IncidentView
from quell.errors import ExpressionError, PlaybookError
from quell.playbooks import (
    Catalogue,
    PlaybookProgram,
    ResultItem,
    RunView,
    StepResults,
    TargetItem,
    load_playbook,
)

MakeIncident = Callable[..., IncidentView]
Compile = Callable[..., PlaybookProgram]


@pytest.fixture
def compiled(catalogue: Catalogue) -> Compile:
    """Load and compile a playbook of the steps given, with a condition and selections."""

    def compile_steps(
        steps: str = "  - {id: note, do: incident.comment, with: {text: x}}\n",
        when: str = "true",
        select: str = "{}",
    ) -> PlaybookProgram:
        text = f"quell: 1\nplaybook: p\nwhen: {when!s}\nselect: {select}\nsteps:\n{steps}"
        text = text.replace("when: true", 'when: "true"')
        return PlaybookProgram(load_playbook(text, name="p.yml", catalogue=catalogue), catalogue)

    return compile_steps


def step_of(program: PlaybookProgram, step_id: str) -> Step:
    """Find a step of the playbook's top list."""
    return next(step for step in program.playbook.steps if step.id == step_id)


def rendered(program: PlaybookProgram, view: RunView) -> str:
    """Fill the text of the last step."""
    return str(program.params(program.playbook.steps[-1], view)["text"])


def note(text: str) -> str:
    """Write a step that comments; the text must hold no single quotes."""
    return f"  - id: note\n    do: incident.comment\n    with:\n      text: '{text}'\n"


def item(summary: EntitySummary, **fields: Any) -> ResultItem:
    """Make a step's result for an entity of the incident."""
    return ResultItem(entity_id=summary.id, entity=summary.entity, **fields)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("incident.severity >= severity.medium", True),
        ("incident.severity < severity.medium", False),
        ("incident.severity > severity.low && severity.high >= incident.severity", True),
        ('incident.severity >= "medium"', True),
        ('incident.severity == "high"', True),
        ("incident.severity in [severity.low, severity.high]", True),
        ('incident.status != "closed"', True),
        ("incident.classification == classification.undetermined", True),
        ("incident.users.exists(u, role.compromised in u.roles && u.upn.startsWith('ann'))", True),
        ("incident.devices.all(d, d.verdict >= verdict.suspicious)", False),
        ("incident.devices.filter(d, has(d.os)).map(d, d.os) == ['Windows']", True),
        ("incident.devices.exists(d, d.os == '')", True),
        ("has(incident.owner.upn)", False),
        ("has(incident.first_activity)", False),
        ("incident.alerts.exists(a, 'impact' in a.tactics) || size(incident.tactics) > 0", False),
        ("incident.owner.upn == ''", True),
        ("incident.devices[0] in incident.devices", True),
        ("incident.devices[0] == incident.devices[1]", False),
        ("incident.devices[0] in incident.devices.filter(d, d.host_name == 'two')", False),
        ("incident.entities.filter(e, e.kind == kind.user).size() == 2", True),
        ("incident.updated - incident.created >= duration('24h')", True),
        ("incident.created < timestamp('2026-01-01T00:00:01Z')", True),
        ("size(incident.devices + incident.devices.filter(d, false)) == 2", True),
        ("(incident.revision > 0 ? incident.title : 'none').contains('Al')", True),
        ("'{}' != incident.title && {'a': 1}['a'] == 1", True),
        ("incident.title.matches('^[A-Z][a-z]+$')", True),
        ("!(incident.severity == severity.high)", False),
        ("incident.severity == severity.high || 1 / 0 == 1", True),
    ],
)
def test_a_condition_says_what_it_means(
    compiled: Compile, make_incident: MakeIncident, when: str, expected: bool
) -> None:
    # given
    program = compiled(when=f"|-\n  {when}")

    # when / then
    assert program.holds(RunView(incident=make_incident())) is expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("'lateral_movement' in incident.tactics && size(incident.tactics) == 2", True),
        ("incident.products == ['endpoint', 'identity']", True),
        ("incident.last_activity - incident.first_activity == duration('90m')", True),
        ("has(incident.first_activity) && incident.first_activity < incident.created", True),
    ],
)
def test_what_follows_from_the_alerts_can_be_asked_for(
    compiled: Compile, make_incident: MakeIncident, when: str, expected: bool
) -> None:
    # given
    program = compiled(when=f"|-\n  {when}")
    incident = make_incident(
        first_activity=datetime(2025, 12, 31, 12, tzinfo=UTC),
        last_activity=datetime(2025, 12, 31, 13, 30, tzinfo=UTC),
        tactics=frozenset({"lateral_movement", "initial_access"}),
        products=frozenset({"identity", "endpoint"}),
    )

    # when / then
    assert program.holds(RunView(incident=incident)) is expected


@pytest.mark.parametrize(
    ("order", "severity"), list(itertools.product(["<", "<=", ">", ">=", "==", "!="], Severity))
)
def test_severities_compare_by_rank_and_not_by_spelling(
    compiled: Compile, make_incident: MakeIncident, order: str, severity: Severity
) -> None:
    # given
    program = compiled(when=f"incident.severity {order} severity.medium")
    rank, medium = severity.rank, Severity.MEDIUM.rank
    expected = {
        "<": rank < medium,
        "<=": rank <= medium,
        ">": rank > medium,
        ">=": rank >= medium,
        "==": rank == medium,
        "!=": rank != medium,
    }

    # when / then
    view = RunView(incident=make_incident(severity=severity))
    assert program.holds(view) is expected[order]


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("1 / (incident.revision - 1) == 1", "it divides by zero"),
        ("incident.devices[9].name == 'x'", "a list is shorter than the index"),
        ("int(incident.title) == 1", "a value cannot be converted"),
        ("incident.title.matches(incident.title + '(')", "the pattern is not a regular"),
        ("timestamp(incident.title) < incident.created", "a value cannot be converted"),
        ("9223372036854775807 + incident.revision > 0", "a number does not fit 64 bits"),
        ("incident.files.exists(f, f.size > 1)", "a field that it looks at is absent"),
        ("incident.first_activity < incident.created", "a field that it looks at is absent"),
    ],
)
def test_an_expression_without_an_answer_goes_to_a_person_and_is_never_false(
    compiled: Compile, make_incident: MakeIncident, when: str, problem: str
) -> None:
    # given
    entities = (
        EntitySummary(id="d1", kind=EntityKind.DEVICE, entity=Device()),
        EntitySummary(id="f1", kind=EntityKind.FILE, entity=File(path="x")),
    )
    view = RunView(incident=make_incident(title="secret title", entities=entities))

    # when
    with pytest.raises(ExpressionError) as caught:
        compiled(when=f"|-\n  {when}").holds(view)

    # then
    assert str(caught.value).startswith(f"Playbook p, when: {problem}")
    assert "secret" not in f"{caught.value}{caught.value.fields}{caught.value.remedy}"


def test_loops_are_bounded(compiled: Compile, make_incident: MakeIncident) -> None:
    # given
    users = tuple(
        EntitySummary(id=f"u{n}", kind=EntityKind.USER, entity=User(upn=f"{n}@test"))
        for n in range(300)
    )
    program = compiled(when="incident.users.all(a, incident.users.all(b, a.upn != b.upn + 'x'))")

    # when / then
    with pytest.raises(ExpressionError):
        program.holds(RunView(incident=make_incident(entities=users)))


def test_more_entities_than_an_expression_takes_are_never_cut_in_silence(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    mails = tuple(
        EntitySummary(id=f"m{n}", kind=EntityKind.MAIL_MESSAGE, entity=MailMessage(subject="x"))
        for n in range(1001)
    )
    program = compiled("  - {id: purge, do: mail.purge, to: incident.mails}\n")
    step = step_of(program, "purge")

    # when
    all_but_one = program.targets(step, RunView(incident=make_incident(entities=mails[:1000])))

    # then
    assert len(all_but_one) == 1000
    with pytest.raises(ExpressionError, match="1001 items"):
        program.targets(step, RunView(incident=make_incident(entities=mails)))


def test_long_text_is_cut_and_a_whole_that_is_too_large_is_refused(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    long = "x" * 1_000_000
    users = tuple(
        EntitySummary(id=f"u{n}", kind=EntityKind.USER, entity=User(display_name=long))
        for n in range(100)
    )

    # when / then
    cut = compiled(when="size(incident.title) == 4096")
    assert cut.holds(RunView(incident=make_incident(title=long)))
    large = compiled(when="incident.users.exists(u, u.display_name == 'x')")
    with pytest.raises(ExpressionError, match="larger than 256 KiB"):
        large.holds(RunView(incident=make_incident(entities=users)))


def test_selections_are_made_in_order_and_may_use_those_above(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    select = (
        '{all_users: "incident.users", '
        'bad: "select.all_users.filter(u, role.compromised in u.roles)"}'
    )
    program = compiled(select=select)

    # when
    selected = program.select(RunView(incident=make_incident()))

    # then
    ann, bob = TargetItem(entity_id="u1", kind="user"), TargetItem(entity_id="u2", kind="user")
    assert selected == {"all_users": [ann, bob], "bad": [ann]}


def test_targets_keep_their_order_and_come_once(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - id: look\n    do: user.get\n"
        "    to: incident.users.filter(u, u.upn == 'bob@test') + incident.users\n"
        "  - {id: one, do: user.get, to: 'incident.users[0]'}\n"
        "  - {id: none, do: user.get, to: '[]'}\n"
    )
    view = RunView(incident=make_incident())

    # when / then
    assert program.targets(step_of(program, "look"), view) == ("u2", "u1")
    assert program.targets(step_of(program, "one"), view) == ("u1",)
    assert program.targets(step_of(program, "none"), view) == ()


def test_results_carry_what_was_found_and_keep_quells_own_fields(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - {id: look, do: user.get, to: incident.users}\n"
        "  - id: off\n    do: user.disable\n"
        "    to: look.ok.filter(u, u.kind == user_kind.person && role.compromised in u.roles)\n"
    )
    incident = make_incident()
    ann, bob = incident.entities[2:]
    data = {"kind": "person", "enabled": True, "id": "u2", "roles": ["compromised"]}
    results = StepResults(done=(item(ann, data=data),), already=(item(bob, data=data),))

    # when
    targets = program.targets(
        step_of(program, "off"), RunView(incident=incident, results={"look": results})
    )

    # then
    assert targets == ("u1",)


def test_a_result_that_was_not_found_is_not_taken_for_an_answer(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - {id: look, do: user.get, to: incident.users}\n"
        "  - {id: off, do: user.disable, to: 'look.failed.filter(u, !u.enabled)'}\n"
        "  - {id: ask, do: user.disable, to: 'look.failed.filter(u, has(u.enabled))'}\n"
        "  - {id: tell, do: user.disable, to: 'look.failed.filter(u, has(u.manager))'}\n"
    )
    incident = make_incident()
    results = StepResults(failed=(item(incident.entities[2], reason="not there"),))
    view = RunView(incident=incident, results={"look": results})

    # when / then
    with pytest.raises(ExpressionError, match="absent"):
        program.targets(step_of(program, "off"), view)
    assert program.targets(step_of(program, "ask"), view) == ()


def test_lists_of_a_skipped_step_are_empty(compiled: Compile, make_incident: MakeIncident) -> None:
    # given
    program = compiled(
        "  - {id: off, do: user.disable, to: incident.users}\n"
        + note("off: {{ names(off.done) }} of {{ size(off.ok + off.skipped) }}")
    )

    # when / then
    assert rendered(program, RunView(incident=make_incident())) == "off:  of 0"


def test_only_entities_of_the_incident_can_become_targets(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - id: each\n    for_each: incident.users\n    as: user\n    steps:\n"
        "      - {id: look, do: user.get, to: user}\n"
    )
    (each,) = program.playbook.steps
    assert each.for_each is not None
    (look,) = each.for_each.steps
    view = RunView(incident=make_incident(), bindings={"user": {"id": "u9", "upn": "x"}})

    # when / then
    with pytest.raises(ExpressionError, match="no entity of this incident"):
        program.targets(look, view)


def test_items_of_a_body_are_data_that_can_be_stored_and_bound_again(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - id: each\n    for_each: incident.users\n    as: user\n    steps:\n"
        "      - {id: look, do: user.get, to: user, when: role.compromised in user.roles}\n"
        '      - {id: say, do: incident.comment, with: {text: "{{ user.upn }} {{ names([user]) }}"}}\n'
    )
    incident = make_incident()
    (each,) = program.playbook.steps
    assert each.for_each is not None
    look, say = each.for_each.steps

    # when
    first, second = program.items(each, RunView(incident=incident))

    # then
    view = RunView(incident=incident, bindings={"user": first})
    assert program.targets(look, view) == ("u1",)
    assert program.condition(look, view) is True
    assert program.params(say, view) == {"text": "ann@test ann@test"}
    other = RunView(incident=incident, bindings={"user": second})
    assert program.condition(look, other) is False


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ incident.severity }}", "high"),
        ("{{ size(incident.users) }} users", "2 users"),
        ("{{ 1.5 }} {{ true }} {{ -2 }}", "1.5 true -2"),
        ('{{ "{{" }} and }} and { and }', "{{ and }} and { and }"),
        ('{{ {"a": {"b": "}}"}}["a"]["b"] }}', "}}"),
        ("{{names(incident.devices)}}", "one.test, two"),
        ('{{ incident.users.map(u, u.upn).join("/") }}', "ann@test/bob@test"),
        ("{{ incident.created }}", None),
        ("{{ string(incident.created) }}", "2026-01-01T00:00:00Z"),
        ('{{ has(incident.owner.upn) ? incident.owner.upn : "nobody" }}', "nobody"),
        ("no template", "no template"),
    ],
)
def test_a_template_is_filled(
    compiled: Compile, make_incident: MakeIncident, template: str, expected: str | None
) -> None:
    # given
    view = RunView(incident=make_incident())

    # when / then
    if expected is None:
        with pytest.raises(PlaybookError, match="cannot be put into text"):
            compiled(note(template))
    else:
        assert rendered(compiled(note(template)), view) == expected


def test_absent_parts_of_parts_are_empty_text(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    entities = (
        EntitySummary(id="p1", kind=EntityKind.PROCESS, entity=Process(image=File(path="a.exe"))),
        EntitySummary(id="p2", kind=EntityKind.PROCESS, entity=Process()),
    )
    program = compiled(
        note('{{ incident.processes.map(p, p.image.path + "|" + p.account.upn).join(",") }}')
    )

    # when / then
    assert rendered(program, RunView(incident=make_incident(entities=entities))) == "a.exe|,|"


def test_names_are_cleaned_and_short(compiled: Compile, make_incident: MakeIncident) -> None:
    # given
    hostile = Device(name="a\x1b[31m\u202eb\r\nc\u2028d " + "e" * 500)
    unnamed = Device()
    entities = (
        EntitySummary(id="d1", kind=EntityKind.DEVICE, entity=hostile),
        EntitySummary(id="d2", kind=EntityKind.DEVICE, entity=unnamed),
    )
    program = compiled(note("{{ names(incident.devices) }}"))

    # when
    text = rendered(program, RunView(incident=make_incident(entities=entities)))

    # then
    first, second = text.split(", ")
    assert first.startswith("a [31mb c d eee")
    assert len(first) == 120
    assert second == "d2"
    assert text.isprintable()


@given(
    title=st.text(max_size=200)
    | st.sampled_from(["{{ incident.id }}", "}}{{ 1 / 0 }}", '"}} {{ "', "${x}", "{% x %}"])
)
def test_inserted_text_is_never_read_again(
    catalogue: Catalogue, make_incident: MakeIncident, title: str
) -> None:
    # given
    text = (
        "quell: 1\nplaybook: p\nsteps:\n"
        "  - id: n\n    do: incident.comment\n"
        "    with: {text: '<{{ incident.title }}|{{ incident.owner.name }}>'}\n"
    )
    incident = make_incident(title=title, owner=Owner(name=title))
    program = PlaybookProgram(load_playbook(text, name="p", catalogue=catalogue), catalogue)

    # when
    filled = program.params(program.playbook.steps[0], RunView(incident=incident))

    # then
    shown = title.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert filled == {"text": f"<{shown}|{shown}>"}


@given(title=st.text(max_size=50) | st.sampled_from(["x", "x\0", "x\0y", "x\ud800", "x'"]))
def test_what_an_attacker_writes_does_not_change_what_is_compared(
    catalogue: Catalogue, make_incident: MakeIncident, title: str
) -> None:
    # given
    text = (
        "quell: 1\nplaybook: p\nwhen: incident.title == 'x' || incident.owner.name != incident.title\n"
        "steps:\n  - {id: n, do: incident.comment, with: {text: x}}\n"
    )
    incident = make_incident(title=title, owner=Owner(name=title))
    program = PlaybookProgram(load_playbook(text, name="p", catalogue=catalogue), catalogue)

    # when / then
    assert program.holds(RunView(incident=incident)) is (title == "x")


def test_parameters_that_do_not_fit_are_told_without_their_values(
    compiled: Compile, make_incident: MakeIncident
) -> None:
    # given
    program = compiled(
        "  - id: purge\n    do: mail.purge\n    to: incident.mails\n"
        "    with: {action: '{{ incident.title }}'}\n"
    )
    view = RunView(incident=make_incident(title="secret title"))

    # when
    with pytest.raises(ExpressionError) as caught:
        program.params(step_of(program, "purge"), view)

    # then
    assert "steps[0].with: does not fit mail.purge at action" in str(caught.value)
    assert "secret" not in f"{caught.value}{caught.value.fields}"


def test_a_playbook_that_fits_the_actions_no_longer_is_not_compiled(catalogue: Catalogue) -> None:
    # given
    playbook = Playbook(
        id="p",
        language=1,
        digest="",
        trigger=Trigger(incident=()),
        steps=(Step(id="a", do="user.get", to="incident.userz"),),
    )

    # when
    with pytest.raises(PlaybookError) as caught:
        PlaybookProgram(playbook, catalogue)

    # then
    assert caught.value.problems == (
        'p: steps[0].to: an incident has no field "userz"; did you mean "users"?',
    )
