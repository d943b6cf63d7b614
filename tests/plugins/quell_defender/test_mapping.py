"""Defender's fields and the canonical ones: lenient to read, strict to write, and stable."""

from __future__ import annotations

from typing import Any

import msgspec
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
from quell.errors import RequestRefused
from quell_defender.mapping import COHERENT, WRITABLE, native_of, project, read_fields
from quell_defender.patch import patch_body

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
RAW_VERDICT = st.fixed_dictionaries(
    {
        "classification": st.sampled_from(
            ["unknown", "truePositive", "TruePositive", "falsePositive", "benignPositive",
             "informationalExpectedActivity", "unknownFutureValue", "newIn2031", None]
        ),
        "determination": st.sampled_from(
            ["unknown", "apt", "malware", "securityPersonnel", "clean", "insufficientData",
             "confirmedUserActivity", "phishing", "other", "unknownFutureValue", None]
        ),
    }
)  # fmt: skip
#: raw values as the product may send them, and any other JSON in their place
NATIVE = st.fixed_dictionaries(
    {
        "title": st.text() | JSON,
        "description": st.none() | st.text() | JSON,
        "severity": st.sampled_from(["high", "Low", "unknown", "unknownFutureValue"]) | JSON,
        "status": st.sampled_from(
            ["active", "inProgress", "resolved", "redirected", "awaitingAction", "shelved"]
        )
        | JSON,
        "owner": st.none() | st.text() | st.just("a@contoso.example") | JSON,
        "verdict": RAW_VERDICT | JSON,
        "closing_comment": st.none() | st.text() | JSON,
        "tags": st.lists(st.text(), max_size=4) | JSON,
    }
)
WORDS = st.text(min_size=1).map(str.strip).filter(lambda text: bool(text) and "\r" not in text)
LABEL = WORDS.filter(lambda text: "@" not in text and len(text) < 30)
ADDRESS = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)
OWNERS = (
    st.none()
    | LABEL.map(lambda name: Owner(name=name))
    | ADDRESS.map(lambda upn: Owner(upn=upn))
    | st.uuids().map(lambda guid: Owner(object_id=str(guid)))
)
#: the two retired determinations are read but never written
VERDICTS = st.sampled_from(
    [Verdict(classification=one, determination=two) for one in COHERENT for two in COHERENT[one]]
)
#: canonical values that Defender can hold
FIELDS = st.builds(
    IncidentFields,
    title=WORDS,
    description=st.none() | WORDS,
    severity=st.sampled_from(Severity).filter(lambda severity: severity.rank > 0),
    status=st.sampled_from(Status),
    owner=OWNERS,
    verdict=VERDICTS,
    closing_comment=st.none() | WORDS,
    tags=st.frozensets(WORDS, max_size=4),
)
MEMBERS = {
    "severity": {"informational", "low", "medium", "high"},
    "status": {"active", "inProgress", "resolved"},
}


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


@given(FIELDS, NATIVE)
def test_projecting_over_what_was_written_changes_nothing_more(
    fields: IncidentFields, native: dict[str, Any]
) -> None:
    for name in WRITABLE:
        written = project(name, fields, native)
        assert project(name, fields, {**native, name: written}) is written


@given(FIELDS, FIELDS)
def test_no_other_value_is_taken_for_the_one_there(
    one: IncidentFields, two: IncidentFields
) -> None:
    native = {name: project(name, one, {}) for name in WRITABLE}
    for name in WRITABLE:
        is_same = _norm(getattr(one, name)) == _norm(getattr(two, name))
        assert (project(name, two, native) is native[name]) == is_same


def _norm(value: Any) -> Any:
    # an owner's one text is compared without its case
    return value.label.casefold() if isinstance(value, Owner) and value.label else value


@given(st.dictionaries(st.text(), JSON), JSON)
def test_reading_never_fails(incident: dict[str, Any], value: Any) -> None:
    read_fields(native_of(incident))
    read_fields(native_of({"displayName": value, "customTags": value}))


@given(
    st.builds(
        IncidentFields,
        title=st.none() | st.text(),
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
)
def test_nothing_that_may_not_be_written_can_come_out(fields: IncidentFields) -> None:
    changes = {name: project(name, fields, {}) for name in WRITABLE}
    known = {name: value for name, value in changes.items() if value is not None}
    body = patch_body("PATCH", known)
    for name, members in MEMBERS.items():
        assert body.get(name) is None or body[name] in members
    msgspec.json.encode(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "redirected"),
        ("status", "awaitingAction"),
        ("severity", "unknown"),
        ("verdict", {"classification": "benignPositive", "determination": "other"}),
        ("verdict", {"classification": "truePositive", "determination": "apt"}),
        ("verdict", None),
        ("comments", []),
    ],
)
def test_a_value_of_the_product_s_own_is_refused_without_being_quoted(
    name: str, value: Any
) -> None:
    with pytest.raises(RequestRefused) as refused:
        patch_body("PATCH /v1.0/security/incidents/7", {name: value})
    assert not isinstance(value, str) or value not in refused.value.message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (("benignPositive", "securityPersonnel"), ("benign_positive", "security_personnel")),
        (("TruePositive", "compromisedUser"), ("true_positive", "compromised_account")),
        (("falsePositive", "clean"), ("false_positive", "not_malicious")),
        (("falsePositive", "insufficientData"), ("false_positive", "not_enough_data_to_validate")),
        (("informationalExpectedActivity", "confirmedUserActivity"),
         ("benign_positive", "confirmed_activity")),
        ((None, None), ("undetermined", "unknown")),
    ],
)  # fmt: skip
def test_old_names_of_verdicts_are_understood(
    raw: tuple[str | None, str | None], expected: tuple[str, str]
) -> None:
    native = {"verdict": {"classification": raw[0], "determination": raw[1]}}
    verdict = read_fields(native).verdict
    assert verdict is not None
    assert (verdict.classification.value, verdict.determination.value) == expected


def test_an_incident_that_awaits_action_is_active_and_stays_as_it_is() -> None:
    native = {"status": "awaitingAction"}
    assert read_fields(native).status is Status.ACTIVE
    assert project("status", IncidentFields(status=Status.ACTIVE), native) == "awaitingAction"
    assert project("status", IncidentFields(status=Status.CLOSED), native) == "resolved"


def test_a_text_that_names_the_owner_in_any_way_is_left_alone() -> None:
    owner = Owner(object_id="0a", upn="kai@contoso.example", email="k@contoso.example", name="Kai")
    for present in ("KAI@contoso.example", "k@contoso.example", "Kai"):
        assert project("owner", IncidentFields(owner=owner), {"owner": present}) is present
    assert project("owner", IncidentFields(owner=owner), {"owner": "Eve"}) == "kai@contoso.example"
    assert project("owner", IncidentFields(), {"owner": "Eve"}) is None


def test_a_retired_determination_is_written_as_other_once() -> None:
    apt = Verdict(classification=Classification.TRUE_POSITIVE, determination=Determination.APT)
    fields = IncidentFields(verdict=apt)
    written = project("verdict", fields, {"verdict": {"classification": "unknown"}})
    assert written == {"classification": "truePositive", "determination": "other"}
    assert project("verdict", fields, {"verdict": written}) == written
