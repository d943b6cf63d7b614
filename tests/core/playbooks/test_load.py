"""Loading: what a good file becomes, and every mistake at its line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from quell.domain.approval import Otherwise
from quell.domain.playbook import After, AfterCondition, IncidentEvent
from quell.errors import PlaybookError
from quell.playbooks import Catalogue, decode_playbook, load_playbook

Problems = Callable[[str], list[str]]

ACCOUNT = """\
quell: 1
playbook: compromised_account
trigger: {incident: [created, alerts_added], max_age: 2h, once_per: user}
when: incident.severity >= severity.medium
select: {suspects: "incident.users.filter(u, role.compromised in u.roles)"}
steps:
  - {id: facts, do: user.get, to: select.suspects}
  - id: disable
    do: user.disable
    to: facts.ok.filter(u, u.kind == user_kind.person)
    ask: {who: soc_l2, within: 15m, otherwise: page}
    hold: {review: 72h}
  - {id: revoke, do: user.revoke_sessions, to: select.suspects, after: disable.settled}
  - id: note
    do: incident.comment
    after: all.settled
    with: {text: "off {{ names(disable.done) }}, held back {{ names(disable.denied) }}"}
"""

#: a whole playbook around one step, or one condition
STEP = "quell: 1\nplaybook: p\nsteps:\n"
NOTE = "  - {id: note, do: incident.comment, with: {text: x}}\n"


def unmark(text: str) -> tuple[str, str]:
    """Take the mark `¦` out of a text, and give its line and column."""
    before, _, after = text.partition("¦")
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    return before + after, f"{line}:{column}"


def test_a_playbook_becomes_the_domain_value_that_its_text_says(catalogue: Catalogue) -> None:
    # when
    playbook = load_playbook(ACCOUNT, name="p.yml", catalogue=catalogue)

    # then
    assert playbook.digest == hashlib.sha256(ACCOUNT.encode()).hexdigest()
    assert playbook.trigger is not None
    assert playbook.trigger.incident == (IncidentEvent.CREATED, IncidentEvent.ALERTS_ADDED)
    assert playbook.trigger.max_age == timedelta(hours=2)
    assert playbook.trigger.once_per == "user"
    facts, disable, revoke, note = playbook.steps
    assert facts.after == ()
    assert disable.after == (After(step="facts", condition=AfterCondition.SETTLED),)
    assert revoke.after == (After(step="disable", condition=AfterCondition.SETTLED),)
    assert note.after == (After(step="all", condition=AfterCondition.SETTLED),)
    assert disable.ask is not None
    assert disable.ask.within == timedelta(minutes=15)
    assert disable.ask.otherwise is Otherwise.PAGE
    assert disable.hold is not None
    assert disable.hold.review == timedelta(hours=72)


def test_a_body_is_read_with_its_own_order(catalogue: Catalogue) -> None:
    # given
    text = STEP + (
        "  - id: each\n    for_each: incident.users\n    as: user\n    steps:\n"
        '      - {id: look, do: user.get, to: "[user]"}\n'
        "      - {id: pause, wait: 10m}\n"
        "      - {id: off, do: user.disable, to: look.ok}\n"
        '      - {id: say, do: incident.comment, with: {text: "{{ user.upn }}"}}\n'
    )

    # when
    (each,) = load_playbook(text, name="p.yml", catalogue=catalogue).steps

    # then
    assert each.for_each is not None
    assert each.for_each.name == "user"
    look, pause, off, _ = each.for_each.steps
    assert look.after == ()
    assert pause.wait == timedelta(minutes=10)
    assert off.after == (After(step="pause", condition=AfterCondition.SETTLED),)


def test_after_nothing_starts_at_once(catalogue: Catalogue) -> None:
    # given
    text = STEP + NOTE + "  - {id: b, do: incident.comment, after: [], with: {text: x}}\n"

    # when
    playbook = load_playbook(text, name="p.yml", catalogue=catalogue)

    # then
    assert playbook.steps[1].after == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("quell: 1", "quell: ¦2", "the language version is 1"),
        ("quell: 1\n", "¦", "missing `quell`"),
        ("compromised_account", "¦Compromised", '"Compromised": an id is'),
        ("created, ", "¦creatd, ", '"creatd" is not one of'),
        ("max_age: 2h", "max_age: ¦2 hours", '"2 hours": write a duration'),
        ("max_age: 2h", "max_age: ¦999d", "a duration is at most 366d"),
        ("max_age: 2h", "max_age: ¦0h", '"0h": write a duration'),
        ("once_per: user", "once_per: ¦person", '"person" is not one of'),
        ("severity.medium", "severity.¦medum", '"medum" is not a severity; did you mean "medium"'),
        ("incident.severity", "incident.¦sevrity", 'an incident has no field "sevrity"'),
        ("incident.severity", "¦incidnt.severity", 'unknown name "incidnt"; did you mean'),
        (">= severity.medium", '== ¦"hihg"', '"hihg" is not a severity; did you mean "high"'),
        (">= severity.medium", "in ['high', ¦'hihg']", '"hihg" is not a severity'),
        (">= severity.medium", ">= ¦3", "a severity cannot be compared with a whole number"),
        (
            "incident.severity >= severity.medium",
            "incident.status ¦>= status.new",
            "a status has no",
        ),
        ("incident.severity >= severity.medium", "¦size(incident.users)", "a condition is true or"),
        ("incident.severity >= severity.medium", "size('x' ¦+ severity.low) > 0", "write string("),
        ("u.roles)", "u.¦rols)", 'a user has no field "rols"; did you mean "roles"?'),
        ("role.compromised in", "role.¦comprimised in", '"comprimised" is not a role'),
        ("role.compromised in", "¦role in", "write one of its constants"),
        ("incident.users.filter", "incident.users.¦fliter", "a list of a user has no function"),
        ("filter(u, ", "filter(¦role, ", '"role" already has a meaning here'),
        ("role.compromised in u.roles", "¦u.name", "expected true or false, found text"),
        ("role.compromised in u.roles", "u.name == ¦null", "nothing is null here"),
        ("role.compromised in u.roles", "¦has(u.roles)", "has() asks about one value"),
        ("do: user.get", "do: ¦user.gte", 'unknown action "user.gte"; did you mean "user.get"'),
        ("select.suspects}", "select.¦suspect}", 'a selection has no field "suspect"; did you'),
        (
            "select.suspects}",
            "¦incident.devices}",
            "user.get acts on user entities; these are device",
        ),
        (
            "select.suspects}",
            "¦incident.entities}",
            "user.get acts on user entities; these are enti",
        ),
        ("select.suspects}", "¦incident.title}", "targets are a list of entities"),
        ("user.get, to: select.suspects}", "¦user.get}", "user.get needs `to`"),
        ("do: user.disable", "¦done: user.disable", 'unknown key "done"; did you mean "do"?'),
        ("facts.ok", "¦fact.ok", 'unknown name "fact"; did you mean "facts"?'),
        ("facts.ok", "facts.¦okay", 'a step\'s results has no field "okay"'),
        ("facts.ok", "¦revoke.ok", "`revoke` need not have ended before `disable`"),
        ("user_kind.person", "user_kind.¦human", '"human" is not a user_kind'),
        ("user_kind.person", "¦'human'", '"human" is not a user_kind'),
        ("u.kind == user_kind.person", "u.more.a ¦>= severity.low", "`>=` needs constants on both"),
        ("u.kind ==", "u.¦kid ==", 'a user has no field "kid"'),
        ("otherwise: page", "otherwise: ¦shrug", '"shrug" is not one of deny, page'),
        ("who: soc_l2", "who: ¦7", "expected text, found a number"),
        ("hold: {review: 72h}", "hold: {¦revue: 72h}", 'unknown key "revue"'),
        ("hold: {review: 72h}", "with: {¦x: 1}", 'user.disable has no parameter "x"'),
        ("id: note", "id: ¦revoke", '"revoke" is the name of another step'),
        ("id: revoke", "id: ¦severity", '"severity" has a meaning of its own'),
        ("select: {suspects:", "select: {¦Suspects:", '"Suspects": an id is'),
        ("disable.settled", "¦disable", '"disable": write STEP.succeeded'),
        ("disable.settled", "¦dsable.settled", 'there is no step "dsable" above'),
        ("disable.settled", "[facts.failed, ¦dsable.settled]", 'there is no step "dsable" above'),
        ("disable.settled", "¦note.settled", "`note` stands below"),
        ("disable.settled", "¦revoke.settled", "a step cannot come after itself"),
        (
            "do: incident.comment",
            "do: incident.comment\n    ¦to: incident.users",
            "incident.comment a",
        ),
        ("text:", "¦txt:", 'incident.comment has no parameter "txt"; did you mean "text"?'),
        ("names(disable.done)", "¦disable.done", "a list of a user cannot be put into text"),
        ("names(disable.done)", "names(¦incident.title)", "names() takes a list of entities"),
        ("names(disable.done)", "¦name(disable.done)", 'unknown function "name"; did you'),
        ("names(disable.done)", "names(¦note.done)", "a step's own results"),
        ("{{ names(disable.denied) }}", "¦{{ names(disable.denied)", "the {{ begun here has no"),
        ("- {id: facts, do: user.get", "- ¦{do: user.get", "missing `id`"),
        ("- {id: facts, ", "- ¦{id: facts, wait: 5m, ", "a step has exactly one of do"),
        ("do: user.get, ", "do: user.get, ¦as: x, ", "`as` needs `for_each` beside it"),
        ("do: user.get, ", "do: user.get, ¦ask: {}, ", "user.get only reads"),
        ("do: user.get, ", "do: user.get, ¦hold: {}, ", "user.get makes no lasting state"),
        (
            "do: user.get, ",
            "do: user.get, system: ¦entra, ",
            '"entra" does not offer user.get; test',
        ),
        ("do: user.get, ", "do: user.get, retry: {attempts: ¦0}, ", "must be at least 1"),
        ("do: user.get, ", "do: user.get, timeout: ¦5, ", "expected text, found a number"),
        ("steps:", "¦quell: 1\nsteps:", 'the key "quell" is written twice'),
        ("steps:", "¦stepz:", 'unknown key "stepz"; did you mean "steps"?'),
    ],
)
def test_a_mistake_is_told_at_its_line_and_column(
    problems: Problems, old: str, new: str, expected: str
) -> None:
    # given
    assert old in ACCOUNT
    text, place = unmark(ACCOUNT.replace(old, new, 1))

    # when
    found = problems(text)

    # then
    assert any(line.startswith(f"{place}: {expected}") for line in found), found


def test_all_mistakes_are_told_at_once_in_the_files_order(problems: Problems) -> None:
    # given
    text = (
        ACCOUNT.replace("severity.medium", "severity.medum")
        .replace("max_age: 2h", "max_age: 2y")
        .replace("u.kind", "u.kid")
        .replace("disable.settled", "dsable.settled")
    )

    # when
    found = problems(text)

    # then
    assert [line.split(":")[0] for line in found] == ["3", "4", "10", "13"]


def test_a_mistake_in_a_selection_is_not_told_again_where_it_is_used(problems: Problems) -> None:
    assert len(problems(ACCOUNT.replace("u.roles)", "u.rols)"))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("just text", "1:1: expected a mapping, found text"),
        ("- a\n- b\n", "1:1: expected a mapping, found a list"),
        ("a: [1, 2\n", "2:1: YAML:"),
        ("a: b: c\n", "1:5: YAML:"),
        ("\tquell: 1\n", "1:1: YAML:"),
        ("quell: 1\n---\nquell: 1\n", "2:1: a file holds one playbook"),
        ("quell: &a 1\nplaybook: *a\n", "1:8: anchors and aliases"),
        ("quell: !!int 1\n", "1:8: tags are not part"),
        ("quell: !!python/object/apply:os.system [ls]\n", "1:8: tags are not part"),
        ("? [a]\n: 1\n", "1:3: a key must be a word"),
        ("quell: 1\nplaybook: a\x00b\n", "2:12: the character U+0000"),
        ("quell: 1\nplaybook: a\u2028b\n", "2:12: the character U+2028"),
        ("quell: 1\nplaybook: \ud800\n", "2:11: the character U+D800"),
        ("quell: 99999999999999999999\n", '1:8: "99999999999999999999": the number does not'),
        ("quell: .inf\n", '1:8: ".inf": infinity'),
        ("quell: 1e999\n", '1:8: "1e999": the number is too large'),
        ("<<: {quell: 1}\n", '1:1: unknown key "<<"'),
        ("x: " + "[" * 100 + "]" * 100, "1:35: nested deeper than 32"),
        ("x: [" + "1," * 30_000 + "]", "1:40001: more than 20000 values"),
        ("#" * (256 * 1024 + 1), "1:1: the file is larger than 262144 bytes"),
    ],
)
def test_what_is_no_playbook_is_refused_with_a_place(
    problems: Problems, text: str, expected: str
) -> None:
    found = problems(text)
    assert any(line.startswith(expected) for line in found), found


def test_a_bomb_of_aliases_is_refused_before_it_is_walked(problems: Problems) -> None:
    # given
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    # when
    found = problems("\n".join(lines))

    # then
    assert found == ["1:5: anchors and aliases are not part of the playbook language"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_do_not_move_places(
    problems: Problems, line_end: str, mark: str
) -> None:
    # given
    text = mark + ACCOUNT.replace("u.kind", "u.kid").replace("\n", line_end)

    # when
    (found,) = problems(text)

    # then
    assert found.startswith("10:30: ")


@pytest.mark.parametrize(
    "written",
    [
        "when: incident.¦titel == 'x'",
        "when: \"incident.¦titel == 'x'\"",
        "when: 'incident.¦titel == ''x'''",
        "when: 'size(''a'') == 1 && incident.¦titel == ''x'''",
        'when: "size(\\"a\\") == 1 && incident.¦titel == \'x\'"',
        "when: \"size('\\u00e9\\x41') == 1 && incident.¦titel == 'x'\"",
        "when: |\n  incident.¦titel == 'x'",
        "when: |-\n    size('é') == 1 &&\n    incident.¦titel == 'x'",
        "when: |-\n    size('a') == 1 &&\n      incident.¦titel == 'x'",
        "when: >-\n    size('a') == 1 &&\n    incident.¦titel == 'x'",
        "when: size('a') == 1 &&\n   incident.¦titel == 'x'",
        "when: size('a') == 1 &&\n\n   incident.¦titel == 'x'",
        "when: \"size('a') == 1 \\\n   && incident.¦titel == 'x'\"",
        "when:    incident.¦titel == 'x'   # why",
        "when: '''Ünïcödé'' == incident.¦titel'",
    ],
)
def test_a_place_inside_an_expression_follows_the_way_it_is_written(
    problems: Problems, written: str
) -> None:
    # given
    text, place = unmark(f"quell: 1\nplaybook: p\n{written}\nsteps:\n{NOTE}")

    # when
    (found,) = problems(text)

    # then
    assert found.startswith(f"{place}: an incident has no field")


def test_plain_words_are_read_as_yaml_1_2_reads_them(catalogue: Catalogue) -> None:
    # given
    text = STEP + (
        "  - id: note\n    do: incident.comment\n    with: {text: no}\n"
        "  - id: again\n    do: incident.comment\n    with: {text: 12:30}\n"
        "  - {id: gone, do: mail.purge, to: incident.mails, with: {days: 012}}\n"
    )

    # when
    playbook = load_playbook(text, name="p.yml", catalogue=catalogue)

    # then
    assert [step.params for step in playbook.steps] == [
        {"text": "no"},
        {"text": "12:30"},
        {"days": 12},
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{days: ¦31}", "Expected int <= 30"),
        ("{days: ¦many}", "Expected int, got str"),
        ('{days: ¦"{{ 5 }}"}', "a template gives text"),
        ("{action: ¦sof}", "Invalid enum value 'sof'"),
        ("{labels: [a, ¦2]}", "Expected str, got int"),
        ("{¦lables: [a]}", 'mail.purge has no parameter "lables"; did you mean "labels"?'),
        ('{labels: ["{{ incident.¦titel }}"]}', "an incident has no field"),
    ],
)
def test_parameters_are_checked_against_the_actions_own(
    problems: Problems, params: str, expected: str
) -> None:
    # given
    step = f"  - {{id: gone, do: mail.purge, to: incident.mails, with: {params}}}\n"
    text, place = unmark(STEP + step)

    # when
    (found,) = problems(text)

    # then
    assert found.startswith(f"{place}: {expected}")


@pytest.mark.parametrize("params", ["{action: '{{ incident.title }}'}", "{labels: ['{{ 1 }}']}"])
def test_a_template_may_stand_where_text_may(problems: Problems, params: str) -> None:
    text = f"{STEP}  - {{id: gone, do: mail.purge, to: incident.mails, with: {params}}}\n"
    assert problems(text) == []


def test_results_are_seen_only_where_their_step_has_surely_ended(problems: Problems) -> None:
    # given
    text = STEP + (
        "  - {id: a, do: user.get, to: incident.users}\n"
        "  - {id: b, do: user.get, to: incident.users, after: []}\n"
        "  - {id: c, do: user.disable, to: a.ok, after: b.settled}\n"
    )

    # when / then
    assert problems(text) == ["6:35: `a` need not have ended before `c`: name it in `after`"]
    assert problems(text.replace("b.settled", "[a.settled, b.failed]")) == []
    assert problems(text.replace("after: b.settled", "after: all.settled")) == []


def test_a_body_keeps_its_results_and_its_item_to_itself(problems: Problems) -> None:
    # given
    text = STEP + (
        "  - id: each\n    for_each: incident.users\n    as: user\n    steps:\n"
        "      - {id: look, do: user.get, to: user}\n"
        "  - {id: x, do: user.get, to: look.ok}\n"
        "  - {id: y, do: user.get, to: each.ok}\n"
        "  - {id: z, do: user.get, to: user}\n"
    )

    # when
    found = problems(text)

    # then
    assert [line.split(": ")[0] for line in found] == ["9:31", "10:31", "11:31"]
    assert "results of a for_each" in found[1]


def test_ids_are_unique_in_bodies_too_and_bodies_do_not_nest(problems: Problems) -> None:
    # given
    text = (
        STEP
        + NOTE
        + (
            "  - id: each\n    for_each: incident.users\n    as: user\n    steps:\n"
            "      - {id: note, do: user.get, to: user}\n"
            "      - id: inner\n        for_each: incident.users\n        as: other\n        steps:\n"
            "          - {id: look, do: user.get, to: other}\n"
        )
    )

    # when
    found = problems(text)

    # then
    assert [line.split(": ", 1)[0] for line in found] == ["9:7", "9:14"]
    assert "a for_each inside a for_each" in found[0]
    assert '"note" is the name of another step already' in found[1]


def test_bytes_that_are_not_utf8_are_told_at_their_place() -> None:
    with pytest.raises(PlaybookError) as caught:
        decode_playbook("quell: 1\nplaybook: é".encode() + b"\xff", name="p.yml")
    assert caught.value.problems == ("p.yml:2:12: this byte is not UTF-8; save the file as UTF-8",)


def test_a_file_that_is_too_large_is_not_decoded() -> None:
    with pytest.raises(PlaybookError, match="at most 262144"):
        decode_playbook(b"\xff" * (256 * 1024 + 1), name="p.yml")
