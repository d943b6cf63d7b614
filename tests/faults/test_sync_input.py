"""Bad input between two queues: nothing is lost or written blindly, and one line says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fault_ground import TENANT, Ground

from quell.journal import incident_writes
from quell.runtime import Runtime
from quell_microsoft.simulator.connector import Connector

HOSTILE = {
    "html": "<script>alert(1)</script> <b>bold</b> &lt;i&gt; &amp;amp; <!-- quell:1 -->",
    "control": "one\x00two\x1b[31mred\x07 \x9b2J\r\nline\ttab\u202eexe.fdp\u2028end",
    "blank": "   \n\t ",
    "lone half": "half \ud83d of a sign",
    "markup": "[x](javascript:alert(1)) **a** | b | {{ incident.id }} ${jndi:ldap://x.example}",
}


def edit(ground: Ground, copy: Any, **properties: Any) -> None:
    """Let an analyst change a copy."""
    copy.properties.update(properties)
    ground.tenant.workspaces[0].touch(copy, by="analyst")


def say(ground: Ground, copy: Any, text: str) -> None:
    """Let an analyst comment on a copy, over the control API as in the product."""
    import httpx

    ready = ground.simulator.ready()
    with httpx.Client(
        base_url=f"{ready['base_url']}/_simulator",
        verify=ground.simulator.ssl_context,
        headers={"X-Simulator-Token": ready["control_token"]},
    ) as client:
        client.post(
            f"/sentinel/incidents/{copy.name}/comments", json={"message": text}
        ).raise_for_status()


def said_in(copy: Any) -> str:
    """Give all that is said in a copy."""
    return "\n".join(str(one.properties["message"]) for one in copy.comments.values())


def said_of(original: Any) -> list[str]:
    """List what is said of a Defender incident."""
    return [str(one["comment"]) for one in original.body["comments"]]


def check_nothing_more_is_written(ground: Ground, runtime: Runtime) -> None:
    """Say that further passes write nothing."""
    before = len(ground.tenant.ledger.writes)
    for _ in range(3):
        ground.pass_once(runtime)
    assert ground.tenant.ledger.writes[before:] == []


# -- shapes ----------------------------------------------------------------------------------------

STRANGE: list[dict[str, Any]] = [
    {"title": 5, "description": ["a"], "severity": {"b": 1}, "status": 7},
    {"labels": "none", "owner": "nobody"},
    {"labels": [None, "x", 7, {"labelName": None}, {"labelType": "User"}], "owner": ["x"]},
    {"severity": "Catastrophic", "classification": "Haunted", "classificationReason": 3},
    {"firstActivityTimeUtc": "soon", "lastActivityTimeUtc": 12, "createdTimeUtc": None},
    {"providerName": None, "providerIncidentId": {"x": 1}, "incidentNumber": "many"},
    {"incidentUrl": 9, "relatedAnalyticRuleIds": "rule"},
]


@pytest.mark.parametrize("wrong", STRANGE, ids=lambda wrong: "-".join(wrong)[:40])
def test_a_copy_of_wrong_types_harms_neither_its_original_nor_others(
    ground: Ground, wrong: dict[str, Any]
) -> None:
    # given
    plain, strange = ground.detect("plain"), ground.detect("strange", customTags=["kept"])
    with ground.runtime() as runtime:
        ground.settle(runtime)
        copy = ground.copy_of("strange")
        right = {name: copy.properties.get(name) for name in wrong}
        before = dict(strange.body)
        # when
        edit(ground, copy, **wrong)
        ground.tenant.queue.change_incident(plain, {"severity": "low"}, "analyst")
        for _ in range(4):
            ground.pass_once(runtime)
        # then: the other goes on, and what makes no sense is not written to the product
        assert ground.copy_of("plain").properties["severity"] == "Low"
        for name in ("displayName", "severity", "status", "classification", "customTags"):
            assert strange.body[name] == before[name], name
        # and when the product comes to its senses
        edit(ground, copy, **right)
        ground.check_nothing_is_lost(runtime)
        check_nothing_more_is_written(ground, runtime)
    assert ground.quell("sync", "status").code == 0


def test_a_copy_without_a_name_stops_no_other(ground: Ground) -> None:
    # given
    ground.detect("plain")
    bad = ground.tenant.workspaces[0].create("named-for-now", {"title": "odd"}, by="analyst")
    bad.name = ""
    with ground.runtime() as runtime:
        # when
        for _ in range(3):
            ground.pass_once(runtime)
        # then
        assert ground.copy_of("plain").properties["severity"] == "High"
        status = ground.quell("sync", "status", "--json")
        assert status.code == 1
        assert any(row["parked"] for row in status.json if row["source"] == "sentinel")
        # and when
        bad.name = "named-for-now"
        for _ in range(3):
            ground.pass_once(runtime)
        assert ground.quell("sync", "status").code == 0


def test_redirects_in_a_circle_are_told_once_and_followed_no_further(ground: Ground) -> None:
    # given
    queue = ground.tenant.queue
    first, second, other = (ground.detect(title) for title in ("first", "second", "other"))
    queue.comment(first, "said of the first", "kai@contoso.example")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        kept = dict(ground.copy_of("second").properties)
        # when: each says that it went into the other
        for one, into in ((first, second), (second, first)):
            redirect = {"status": "redirected", "redirectIncidentId": into.body["id"]}
            queue.change_incident(one, redirect, "alertcorrelation")
        queue.change_incident(other, {"severity": "low"}, "analyst")
        for _ in range(4):
            ground.pass_once(runtime)
        # then: what was said first is believed, and nothing after it
        assert ground.copy_of("other").properties["severity"] == "Low"
        assert ground.copy_of("first").properties["status"] == "Closed"
        assert "This incident was merged into" in said_in(ground.copy_of("first"))
        copy = ground.copy_of("second")
        changed = {name for name in kept if copy.properties[name] != kept[name]}
        assert changed <= {"lastModifiedTimeUtc"}
        assert "said of the first" in said_in(copy)
        told = ground.quell("conflicts", "--json")
        assert told.code == 1
        assert [row["kind"] for row in told.json] == ["merge_circle"]
        means = ground.quell("conflicts", "show", told.json[0]["id"])
        assert "merged in a circle" in means.out
        check_nothing_more_is_written(ground, runtime)
    assert said_of(first) == ["said of the first"]
    assert said_of(second) == []


# -- copies ----------------------------------------------------------------------------------------


def test_a_copy_that_was_deleted_by_hand_is_not_made_again_and_nothing_is_sent_to_it(
    ground: Ground,
) -> None:
    # given
    kept, orphan = ground.detect("kept"), ground.detect("orphan")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        copy = ground.copy_of("orphan")
        # when
        ground.tenant.workspaces[0].delete(copy, by="analyst")
        for one in (kept, orphan):
            ground.tenant.queue.change_incident(one, {"severity": "low"}, "analyst")
            ground.tenant.queue.comment(one, "look", "kai@contoso.example")
        ground.settle(runtime)
        # then
        assert [one.properties["title"] for one in ground.copies] == ["kept"]
        assert ground.copy_of("kept").properties["severity"] == "Low"
        assert orphan.body["severity"] == "low"
        assert said_of(orphan) == ["look"]
        assert ground.quell("sync", "parked").code == 0
        check_nothing_more_is_written(ground, runtime)
        compared = ground.quell("sync", "compare", "--json")
        assert compared.code == 0, compared.out


def test_two_copies_where_one_should_be_are_told_and_one_is_left_alone(ground: Ground) -> None:
    # given: Microsoft's connector made a copy twice
    ground.own["sync"] = {"mode": "overlay"}
    ground.write_settings()
    original = ground.detect("doubled")
    Connector(ground.tenant).run()
    workspace = ground.tenant.workspaces[0]
    (first,) = ground.copies
    second = workspace.create("a-second-copy", dict(first.properties), by="connector")
    second.alerts.update(first.alerts)
    ground.turn(connector=False)
    with ground.runtime() as runtime:
        ground.settle(runtime)
        runtime.run(runtime.tenant(TENANT).sync.accept(None, "ada"))
        left = dict(second.properties)
        # when
        ground.tenant.queue.change_incident(original, {"resolvingComment": "a test"}, "analyst")
        ground.tenant.queue.comment(original, "look", "kai@contoso.example")
        ground.settle(runtime)
        # then
        assert first.properties["classificationComment"] == "a test"
        assert second.properties == left
        assert said_in(second) == ""
        told = ground.quell("conflicts", "--json")
        assert told.code == 1
        (row,) = told.json
        assert row["kind"] == "unpaired"
        assert row["body"]["native_id"] == "a-second-copy"
        shown = ground.quell("conflicts", "show", row["id"])
        assert "two copies in one place" in shown.out
        check_nothing_more_is_written(ground, runtime)
        # and when a person deletes the one that quell chose, the other takes its place
        workspace.delete(first, by="analyst")
        ground.tenant.queue.change_incident(original, {"resolvingComment": "again"}, "analyst")
        ground.settle(runtime)
        ground.tenant.queue.change_incident(original, {"resolvingComment": "at last"}, "analyst")
        ground.settle(runtime)
        runtime.run(runtime.tenant(TENANT).sync.accept(None, "ada"))
        ground.settle(runtime)
        assert second.properties["classificationComment"] == "at last"
    assert len(ground.copies) == 1


def test_an_incident_of_sentinels_own_is_not_taken_for_the_copy_of_an_equal_number(
    ground: Ground,
) -> None:
    # given
    original = ground.detect("Defender's")
    workspace = ground.tenant.workspaces[0]
    workspace.last_number = int(original.body["id"]) - 1
    native = workspace.create("native", {"title": "Own", "severity": "Low"}, by="analyst")
    assert native.properties["providerIncidentId"] == original.body["id"]
    with ground.runtime() as runtime:
        # when
        ground.settle(runtime)
        edit(ground, native, severity="Informational", status="Closed")
        ground.tenant.queue.comment(original, "look", "kai@contoso.example")
        ground.settle(runtime)
        # then
        assert (original.body["severity"], original.body["status"]) == ("high", "active")
        assert said_in(native) == ""
        assert "look" in said_in(ground.copy_of("Defender's"))
        check_nothing_more_is_written(ground, runtime)
    shown = ground.quell("incidents", "--json")
    assert sorted(row["title"] for row in shown.json) == ["Defender's", "Own"]
    assert ground.quell("sync", "compare").code == 0


# -- contents --------------------------------------------------------------------------------------


def test_a_thousand_labels_are_tags_of_the_original_and_back(ground: Ground) -> None:
    # given
    first, second = ground.detect("one"), ground.detect("two")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        copy = ground.copy_of("one")
        names = {f"label {number:04}" for number in range(1_000)}
        labels = [{"labelName": name, "labelType": "User"} for name in sorted(names)]
        # when
        edit(ground, copy, labels=[*copy.properties["labels"], *labels])
        ground.tenant.queue.change_incident(second, {"customTags": sorted(names)}, "analyst")
        # then
        ground.check_nothing_is_lost(runtime)
        check_nothing_more_is_written(ground, runtime)
    assert set(first.body["customTags"]) == names
    found = [label["labelName"] for label in ground.copy_of("two").properties["labels"]]
    assert names <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_comment_is_told_once_on_the_other_side_and_never_shown_raw(
    ground: Ground, kind: str
) -> None:
    # given
    original = ground.detect("one")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        copy = ground.copy_of("one")
        ours = len(copy.comments)
        # when
        ground.tenant.queue.comment(original, f"first {HOSTILE[kind]} end", "kai@contoso.example")
        ground.settle(runtime)
        edit(ground, copy, severity="Low")
        # then
        ground.check_nothing_is_lost(runtime)
        check_nothing_more_is_written(ground, runtime)
    told = [str(one.properties["message"]) for one in copy.comments.values()]
    assert len(told) == ours + 1
    (found,) = [text for text in told if "first" in text]
    assert "<script>" not in found
    assert "end" in found
    assert len(said_of(original)) == 1
    shown = ground.quell("incidents", "show", original.body["id"])
    assert "\x1b" not in shown.out + shown.err
    assert "\x07" not in shown.out + shown.err


# -- versions --------------------------------------------------------------------------------------


def test_an_etag_that_never_settles_is_given_up_parked_and_done_when_it_does(
    ground: Ground,
) -> None:
    # given
    restless, calm = ground.detect("restless"), ground.detect("calm")
    with ground.runtime() as runtime:
        ground.settle(runtime)
        copy = ground.copy_of("restless")
        ground.turn(restless_incidents=[copy.name])
        # when
        for one in (restless, calm):
            ground.tenant.queue.change_incident(one, {"severity": "low"}, "analyst")
        for _ in range(12):
            ground.pass_once(runtime)
        # then: the other went on, and one line says what to do
        assert ground.copy_of("calm").properties["severity"] == "Low"
        assert copy.properties["severity"] == "High"
        parked = ground.quell("sync", "parked", "--json")
        assert parked.code == 1
        (row,) = parked.json
        assert "severity" in row["what"]
        assert "quell sync retry" in row["reason"]
        assert "\n" not in row["reason"]
        waiting = {one["source"]: one for one in ground.quell("sync", "status", "--json").json}
        assert waiting["sentinel"]["parked_writes"] == 1
        check_nothing_more_is_written(ground, runtime)
        # and when
        ground.turn(restless_incidents=[])
        assert ground.quell("sync", "retry", "--all").code == 0
        ground.check_nothing_is_lost(runtime)
        assert runtime.journal.ask_now(incident_writes.parked(runtime.tenant().id)) == []
    assert copy.properties["severity"] == "Low"
    assert ground.quell("sync", "parked").code == 0


# -- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_a_skewed_clock_moves_no_edit_that_a_later_one_should_win(
    ground: Ground, skew: float
) -> None:
    # given: what the products stamp is an hour off what quell's clock says
    ground.turn(clock_skew_seconds=skew)
    with ground.runtime() as runtime:
        original = ground.detect("one")
        ground.settle(runtime)
        copy = ground.copy_of("one")
        # when: one edit after another, each on the other side
        for severity, label in (("low", "Low"), ("medium", "Medium")):
            edit(ground, copy, severity=label)
            ground.settle(runtime)
            assert original.body["severity"] == severity
        ground.tenant.queue.change_incident(original, {"severity": "high"}, "analyst")
        ground.tenant.queue.comment(original, "look", "kai@contoso.example")
        # then
        ground.check_nothing_is_lost(runtime)
        check_nothing_more_is_written(ground, runtime)
    assert copy.properties["severity"] == "High"
    assert said_in(copy).count("look") == 1
    assert ground.quell("conflicts").code == 0
