"""Sentinel's properties and the canonical fields: lenient to read, strict to write, and stable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.incident import (
    Classification,
    Determination,
    IncidentFields,
    Owner,
    Severity,
    Status,
    Verdict,
)
from quell.domain.ports import NewIncident
from quell.errors import RequestRefused
from quell_sentinel import messages
from quell_sentinel.bodies import changed_body, new_body
from quell_sentinel.mapping import (
    DESCRIPTION_LIMIT,
    WRITABLE,
    clamp,
    native_of,
    project,
    read_fields,
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
LABEL = st.fixed_dictionaries(
    {"labelName": st.text() | st.just("quell:defender/7")},
    optional={"labelType": st.sampled_from(["User", "AutoAssigned", "Later"])},
)
#: raw values as the product may send them, and any other JSON in their place
NATIVE = st.fixed_dictionaries(
    {
        "title": st.text() | JSON,
        "description": st.none() | st.text() | JSON,
        "severity": st.sampled_from(["High", "Low", "Informational", "Critical"]) | JSON,
        "status": st.sampled_from(["New", "Active", "Closed", "Deleted"]) | JSON,
        "owner": st.fixed_dictionaries(
            {},
            optional={
                name: st.none() | st.text()
                for name in ("objectId", "email", "assignedTo", "userPrincipalName")
            },
        )
        | JSON,
        "verdict": st.fixed_dictionaries(
            {
                "classification": st.sampled_from(
                    ["Undetermined", "TruePositive", "BenignPositive", "FalsePositive", "New", None]
                ),
                "classificationReason": st.sampled_from(
                    ["SuspiciousActivity", "IncorrectAlertLogic", "inaccurateData", "New", None]
                ),
            },
            optional={
                "label": st.sampled_from(
                    ["true_positive:malware", "false_positive:not_malicious", "x:y", ":", None, 7]
                ),
                "providerName": st.sampled_from(["Microsoft XDR", None]),
            },
        )
        | JSON,
        "closing_comment": st.none() | st.text() | JSON,
        "tags": st.lists(LABEL, max_size=4) | JSON,
        "first_activity": st.sampled_from(["2026-01-01T00:00:00.1234567Z", "soon", None]) | JSON,
        "last_activity": st.sampled_from(["2026-01-02T00:00:00Z", "0001-01-01T00:00:00Z"]) | JSON,
        "tactics": st.lists(st.sampled_from(["InitialAccess", "Impact"]) | st.text()) | JSON,
        "products": st.lists(st.sampled_from(["Azure Sentinel", "Mine"]) | st.text()) | JSON,
    }
)
MOMENTS = st.integers(0, 10**15).map(
    lambda micros: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
WORDS = st.text(min_size=1).map(str.strip).filter(lambda text: bool(text) and "\r" not in text)
ADDRESS = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)
OWNERS = st.none() | st.builds(
    Owner, object_id=st.uuids().map(str), upn=ADDRESS, email=st.none() | ADDRESS, name=WORDS
)
#: what a pair of classification and reason can hold
VERDICTS = st.sampled_from(
    [
        Verdict(),
        Verdict(classification=Classification.TRUE_POSITIVE),
        Verdict(classification=Classification.BENIGN_POSITIVE),
        Verdict(
            classification=Classification.FALSE_POSITIVE, determination=Determination.NOT_MALICIOUS
        ),
        Verdict(
            classification=Classification.FALSE_POSITIVE,
            determination=Determination.NOT_ENOUGH_DATA,
        ),
    ]
)
#: canonical values that Sentinel can hold
FIELDS = st.builds(
    IncidentFields,
    title=WORDS,
    description=st.none() | WORDS,
    severity=st.sampled_from(Severity).filter(lambda severity: severity.rank > 0),
    status=st.sampled_from(Status),
    owner=OWNERS,
    verdict=VERDICTS,
    closing_comment=st.none() | WORDS,
    tags=st.frozensets(WORDS.filter(lambda tag: not tag.lower().startswith("quell:")), max_size=4),
    first_activity=MOMENTS,
    last_activity=MOMENTS,
)
ANY_FIELDS = st.builds(
    IncidentFields,
    title=st.none() | st.text(),
    description=st.none() | st.text(),
    severity=st.none() | st.sampled_from(Severity),
    status=st.none() | st.sampled_from(Status),
    owner=OWNERS,
    verdict=st.none()
    | st.builds(
        Verdict,
        classification=st.sampled_from(Classification),
        determination=st.sampled_from(Determination),
    ),
    tags=st.frozensets(st.text(), max_size=3),
)
MEMBERS: dict[str, set[str | None]] = {
    "severity": {"Informational", "Low", "Medium", "High"},
    "status": {"New", "Active", "Closed"},
    "classification": {"Undetermined", "TruePositive", "BenignPositive", "FalsePositive"},
    "classificationReason": {
        "SuspiciousActivity", "SuspiciousButExpected", "IncorrectAlertLogic", "InaccurateData", None,
    },
}  # fmt: skip


@given(NATIVE)
def test_what_was_read_is_projected_to_the_identical_raw_value(native: dict[str, Any]) -> None:
    fields = read_fields(native)
    for name in WRITABLE:
        assert project(name, fields, native) is native[name]


@given(FIELDS, NATIVE)
def test_what_is_written_is_read_as_the_same_value(
    fields: IncidentFields, native: dict[str, Any]
) -> None:
    for name in WRITABLE:
        written = project(name, fields, native)
        read = getattr(read_fields({**native, name: written}), name)
        if written is not native[name]:
            assert read == getattr(fields, name)


@given(ANY_FIELDS, NATIVE)
def test_projecting_over_what_was_written_changes_nothing_more(
    fields: IncidentFields, native: dict[str, Any]
) -> None:
    # also for values that Sentinel cannot hold: they are written once
    for name in WRITABLE:
        written = project(name, fields, native)
        assert project(name, fields, {**native, name: written}) == written


@given(FIELDS, FIELDS)
def test_no_other_value_is_taken_for_the_one_there(
    one: IncidentFields, two: IncidentFields
) -> None:
    native = {name: project(name, one, {}) for name in WRITABLE}
    for name in WRITABLE - {"owner"}:
        is_same = getattr(one, name) == getattr(two, name)
        assert (project(name, two, native) is native[name]) == is_same


@given(st.dictionaries(st.text(), JSON), JSON)
def test_reading_never_fails(properties: dict[str, Any], value: Any) -> None:
    read_fields(native_of(properties))
    read_fields(native_of({"labels": value, "owner": value}))


@given(ANY_FIELDS)
def test_nothing_that_may_not_be_written_can_come_out(fields: IncidentFields) -> None:
    body = new_body(NewIncident(native_id="n", created_for="defender/7", fields=fields))
    changes = {name: project(name, fields, {}) for name in WRITABLE}
    known = {name: value for name, value in changes.items() if value is not None}
    changed = changed_body("PUT", native_of(body["properties"]), "e", known)
    for properties in (body["properties"], changed["properties"]):
        assert properties["title"]
        for name, members in MEMBERS.items():
            assert properties.get(name) in members | {None}
        assert properties.get("severity")
        assert properties.get("status")
        assert {"labelName": "quell:defender/7", "labelType": "User"} in properties["labels"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "Deleted"), ("severity", "Critical"), ("verdict", {"classification": "Maybe"}),
     ("verdict", None), ("incidentNumber", 7)],
)  # fmt: skip
def test_a_value_that_sentinel_does_not_know_is_refused_without_being_quoted(
    name: str, value: Any
) -> None:
    with pytest.raises(RequestRefused) as refused:
        changed_body("PUT …", {"title": "t"}, "e", {name: value})
    assert not isinstance(value, str) or value not in refused.value.message


def every_verdict() -> list[Verdict]:
    return [
        Verdict(classification=one, determination=two)
        for one in Classification
        for two in Determination
    ]


@pytest.mark.parametrize("verdict", every_verdict(), ids=str)
def test_our_own_copy_says_every_verdict_whole(verdict: Verdict) -> None:
    # given
    fields = IncidentFields(title="t", verdict=verdict, tags=frozenset({"vip"}))
    # when
    body = new_body(NewIncident(native_id="n", created_for="defender/7", fields=fields))
    read = read_fields(native_of(body["properties"]))
    # then
    assert read.verdict == verdict
    assert read.tags == {"vip"}


def our_copy(verdict: Verdict) -> dict[str, Any]:
    """Give the properties of a copy that we made, with that verdict."""
    fields = IncidentFields(title="t", verdict=verdict)
    new = NewIncident(native_id="n", created_for="defender/7", fields=fields)
    properties: dict[str, Any] = new_body(new)["properties"]
    return properties


@pytest.mark.parametrize("verdict", every_verdict(), ids=str)
def test_who_changes_only_the_comment_or_the_status_loses_no_determination(
    verdict: Verdict,
) -> None:
    copies: list[dict[str, Any]] = [
        our_copy(verdict),
        our_copy(verdict) | {"labels": None},
        our_copy(verdict) | {"labels": None, "providerName": "Microsoft XDR"},
    ]
    for copy in copies:
        # when: an analyst reopens it with other words
        native = native_of(copy | {"status": "Active", "classificationComment": "again"})
        # then: the verdict that is on record still stands there
        fields = IncidentFields(verdict=verdict)
        assert project("verdict", fields, native) is native["verdict"]


def test_a_classification_that_a_person_chose_goes_over_our_label() -> None:
    # given
    malware = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.MALWARE
    )
    chosen = {"classification": "FalsePositive", "classificationReason": "IncorrectAlertLogic"}
    # when
    native = native_of(our_copy(malware) | chosen)
    # then
    assert read_fields(native).verdict == Verdict(
        classification=Classification.FALSE_POSITIVE, determination=Determination.NOT_MALICIOUS
    )
    assert project("verdict", IncidentFields(verdict=malware), native) is not native["verdict"]


def test_a_label_counts_only_below_the_classification_that_it_names() -> None:
    # given
    malware = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.MALWARE
    )
    # when
    native = native_of(our_copy(malware) | {"classification": "BenignPositive"})
    # then
    assert read_fields(native).verdict == Verdict(classification=Classification.BENIGN_POSITIVE)


def test_a_label_on_the_verdict_is_no_news_of_tags() -> None:
    # given
    malware = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.MALWARE
    )
    # when
    with_label, without = native_of(our_copy(malware)), native_of(our_copy(Verdict()))
    # then
    assert with_label["verdict"] != without["verdict"]
    assert with_label["tags"] == without["tags"]


def test_a_reason_that_a_person_chose_goes_over_our_label() -> None:
    # given
    clean = Verdict(classification=Classification.FALSE_POSITIVE, determination=Determination.OTHER)
    # when
    native = native_of(our_copy(clean) | {"classificationReason": "IncorrectAlertLogic"})
    # then
    found = read_fields(native).verdict
    assert found is not None
    assert found.determination is Determination.NOT_MALICIOUS


def test_the_reason_that_the_connector_writes_for_all_false_positives_loses_no_answer() -> None:
    # given
    clean = Verdict(
        classification=Classification.FALSE_POSITIVE, determination=Determination.NOT_MALICIOUS
    )
    pair = {"classification": "FalsePositive", "classificationReason": "InaccurateData"}
    # when
    connected = native_of({**pair, "providerName": "Microsoft XDR"})
    native = native_of({**pair, "providerName": "Azure Sentinel"})
    # then
    fields = IncidentFields(verdict=clean)
    assert project("verdict", fields, connected) is connected["verdict"]
    assert project("verdict", fields, native)["classificationReason"] == "IncorrectAlertLogic"


def test_a_new_verdict_takes_the_place_of_the_label_and_leaves_the_others() -> None:
    # given
    malware = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.MALWARE
    )
    phishing = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.PHISHING
    )
    native = native_of(our_copy(malware))
    # when
    changes = {
        "verdict": project("verdict", IncidentFields(verdict=phishing), native),
        "tags": project("tags", IncidentFields(tags=frozenset({"vip"})), native),
    }
    bodies = [
        changed_body("PUT", native, "e", changes),
        changed_body("PUT", native, "e", dict(reversed(changes.items()))),
    ]
    # then
    for body in bodies:
        names = {label["labelName"] for label in body["properties"]["labels"]}
        assert names == {"quell:defender/7", "quell:verdict=true_positive:phishing", "vip"}


def test_a_write_of_something_else_keeps_the_label_on_the_verdict() -> None:
    # given
    malware = Verdict(
        classification=Classification.TRUE_POSITIVE, determination=Determination.MALWARE
    )
    # when
    body = changed_body("PUT", native_of(our_copy(malware)), "e", {"title": "other"})
    # then
    assert read_fields(native_of(body["properties"])).verdict == malware


def test_a_label_on_the_verdict_counts_on_our_own_copies_alone() -> None:
    # given
    properties = {
        "classification": "TruePositive",
        "labels": [{"labelName": "quell:verdict=true_positive:malware", "labelType": "User"}],
    }
    # when
    native = native_of(properties)
    # then
    assert read_fields(native).verdict == Verdict(classification=Classification.TRUE_POSITIVE)
    assert native["tags"] is properties["labels"]


@pytest.mark.parametrize("determination", list(Determination))
@pytest.mark.parametrize("classification", list(Classification))
def test_every_verdict_is_written_once_and_its_pair_stands_for_it(
    classification: Classification, determination: Determination
) -> None:
    verdict = Verdict(classification=classification, determination=determination)
    fields = IncidentFields(verdict=verdict)
    written = project("verdict", fields, {"verdict": {"classification": "New"}})
    assert project("verdict", fields, {"verdict": written}) == written


def test_a_false_positive_keeps_its_finer_answer_in_the_reason() -> None:
    def reason(determination: Determination) -> Any:
        false = Verdict(classification=Classification.FALSE_POSITIVE, determination=determination)
        return project("verdict", IncidentFields(verdict=false), {})["classificationReason"]

    assert reason(Determination.NOT_MALICIOUS) == "IncorrectAlertLogic"
    assert reason(Determination.NOT_ENOUGH_DATA) == "InaccurateData"
    assert reason(Determination.OTHER) == "InaccurateData"


def test_a_description_is_cut_where_sentinel_stops_and_the_cut_one_stands_for_the_whole() -> None:
    # given: the limit falls into the middle of a surrogate pair
    whole = "x" * (DESCRIPTION_LIMIT - 1) + "🛡" * 10
    # when
    cut = project("description", IncidentFields(description=whole), {})
    # then
    assert cut == "x" * (DESCRIPTION_LIMIT - 1)
    native = {"description": cut}
    assert project("description", IncidentFields(description=whole), native) is cut


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
def test_no_cut_is_longer_than_sentinel_takes(part: str) -> None:
    text = part * (DESCRIPTION_LIMIT // len(part) + 1)
    assert len(clamp(text).encode("utf-16-le", "surrogatepass")) <= 2 * DESCRIPTION_LIMIT
    assert text.startswith(clamp(text))


def test_an_owner_is_known_by_object_id_or_else_by_any_address() -> None:
    native = {
        "owner": {"objectId": "AA", "email": "k@contoso.example", "assignedTo": "Kai",
                  "userPrincipalName": "kai@contoso.example"}
    }  # fmt: skip
    same = (
        Owner(object_id="aa", name="Somebody"),
        Owner(upn="KAI@contoso.example"),
        Owner(upn="k@contoso.example"),
        Owner(name="kai"),
    )
    other = (
        Owner(object_id="bb", upn="kai@contoso.example"),
        Owner(upn="eve@contoso.example", name="Kai"),
        Owner(name="Eve"),
        None,
    )
    for owner in same:
        assert project("owner", IncidentFields(owner=owner), native) is native["owner"]
    for one in other:
        assert project("owner", IncidentFields(owner=one), native) is not native["owner"]


def test_nobody_is_an_owner_without_any_name() -> None:
    nobody = {"objectId": None, "email": None, "assignedTo": None, "userPrincipalName": None}
    assert read_fields({"owner": {**nobody, "ownerType": "Unknown"}}).owner is None
    assert project("owner", IncidentFields(), {"owner": {"assignedTo": "Kai"}}) == nobody


def test_writing_tags_keeps_the_product_s_labels_and_our_mark() -> None:
    # given
    labels = [
        {"labelName": "old", "labelType": "User"},
        {"labelName": "auto", "labelType": "AutoAssigned"},
        {"labelName": "Quell:defender/7", "labelType": "User"},
    ]
    assert read_fields({"tags": labels}).tags == {"old"}
    # when
    written = project(
        "tags", IncidentFields(tags=frozenset({"new", "quell:defender/9"})), {"tags": labels}
    )
    # then: a tag cannot pretend to be a mark
    assert written == [*labels[1:], {"labelName": "new", "labelType": "User"}]


def test_a_changed_body_sends_all_that_can_be_written_and_labels_that_came_meanwhile() -> None:
    # given
    base = {
        "title": "t", "severity": "High", "status": "New", "description": "d", "incidentNumber": 7,
        "labels": [{"labelName": "auto", "labelType": "AutoAssigned"}],
        "firstActivityTimeUtc": "2026-01-01T00:00:00Z", "providerName": "Azure Sentinel",
    }  # fmt: skip
    # when
    changes = {"tags": [{"labelName": "vip"}], "status": "Closed"}
    body = changed_body("PUT", native_of(base), "e1", changes)
    # then
    assert body == {
        "etag": "e1",
        "properties": {
            "title": "t",
            "severity": "High",
            "status": "Closed",
            "description": "d",
            "classification": "Undetermined",
            "labels": [*base["labels"], {"labelName": "vip", "labelType": "User"}],  # type: ignore[misc]
            "firstActivityTimeUtc": "2026-01-01T00:00:00Z",
        },
    }


@given(st.text(max_size=200))
def test_a_comment_is_read_as_it_was_written_and_holds_no_tag(words: str) -> None:
    message = messages.write(words)
    assert messages.read(message) == words
    assert "<" not in message


def test_a_comment_of_signs_only_still_fits() -> None:
    message = messages.write("<" * messages.LIMIT)
    assert len(message) == messages.LIMIT
    assert "<" not in message
