"""Alerts and their evidence: every kind that is named, the rest kept whole, recorded ones too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.entity import (
    CloudApplication,
    Device,
    Entity,
    EntityKind,
    EvidenceRole,
    EvidenceVerdict,
    File,
    Ip,
    Mailbox,
    MailCluster,
    MailMessage,
    OAuthApplication,
    OtherEntity,
    Process,
    RegistryKey,
    RegistryValue,
    SecurityGroup,
    Url,
    User,
)
from quell.domain.ids import SourceId
from quell_defender.evidence import read_all, read_evidence
from quell_defender.observed import observe, read_alert, read_comments
from quell_microsoft.lenient import items, mapping

#: recorded payloads, beside the checkout or where the variable says
SAMPLES = (
    Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[4] / "shared" / "samples")
    / "defender"
)
SOURCE = SourceId("defender")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ACCOUNT = {
    "accountName": "kai",
    "domainName": "CONTOSO",
    "userSid": "S-1-5-21-1-2-3-1001",
    "azureAdUserId": "2b1c",
    "userPrincipalName": "kai@contoso.example",
    "displayName": "Kai",
    "activeDirectoryObjectGuid": "77aa",
}
USER = User(
    name="Kai", object_id="2b1c", upn="kai@contoso.example", sid="S-1-5-21-1-2-3-1001",
    ad_object_guid="77aa", account_name="kai", nt_domain="CONTOSO", display_name="Kai",
)  # fmt: skip
HASHES = {
    "fileName": "x.exe",
    "filePath": "C:\\",
    "fileSize": 5,
    "sha1": "s1",
    "sha256": "s2",
    "md5": "m",
}
KINDS: list[tuple[str, dict[str, Any], Entity]] = [
    (
        "deviceEvidence",
        {"mdeDeviceId": "aa11", "azureAdDeviceId": "bb", "deviceDnsName": "pc.contoso.example",
         "ntDomain": "CONTOSO", "osPlatform": "Windows11", "version": "23H2", "healthStatus": "active",
         "riskScore": "high", "onboardingStatus": "onboarded", "lastIpAddress": "10.0.0.1",
         "lastExternalIpAddress": "203.0.113.1", "vmMetadata": {"resourceId": "/subscriptions/x"}},
        Device(name="pc.contoso.example", mde_id="aa11", entra_id="bb", azure_resource_id="/subscriptions/x",
               dns_name="pc.contoso.example", host_name="pc", nt_domain="CONTOSO", os="Windows11",
               os_version="23H2", ip="10.0.0.1", public_ip="203.0.113.1", health="active", risk="high",
               onboarding="onboarded"),
    ),
    ("userEvidence", {"userAccount": ACCOUNT}, USER),
    (
        "mailboxEvidence",
        {"primaryAddress": "kai@contoso.example", "displayName": "Kai", "userAccount": ACCOUNT},
        Mailbox(name="kai@contoso.example", address="kai@contoso.example", upn="kai@contoso.example",
                display_name="Kai", directory_object_id="2b1c"),
    ),
    (
        "analyzedMessageEvidence",
        {"networkMessageId": "n1", "internetMessageId": "<i@x>",
         "recipientEmailAddress": "kai@contoso.example",
         "subject": "\ufeff", "p1Sender": {"emailAddress": "bounce@x"}, "p2Sender": {"emailAddress": "e@x"},
         "senderIp": "203.0.113.9", "receivedDateTime": "2026-01-01T00:00:00Z", "deliveryAction": "delivered",
         "deliveryLocation": "inbox", "threats": ["Phish"], "urls": ["https://x.example"]},
        MailMessage(name="\ufeff", network_message_id="n1", internet_message_id="<i@x>",
                    recipient="kai@contoso.example", subject="\ufeff", sender="e@x", return_path="bounce@x",
                    sender_ip="203.0.113.9", received="2026-01-01T00:00:00Z", delivery_action="delivered",
                    delivery_location="inbox", threats=("Phish",), urls=("https://x.example",)),
    ),
    (
        "mailClusterEvidence",
        {"clusterBy": "Subject", "clusterByValue": "hi", "emailCount": "3", "networkMessageIds": ["n1"],
         "query": "q", "urn": "urn:x"},
        MailCluster(name="Subject", query="q", urn="urn:x", network_message_ids=("n1",), email_count=3,
                    cluster_by="Subject", cluster_by_value="hi"),
    ),
    (
        "fileEvidence",
        {"fileDetails": HASHES, "mdeDeviceId": "aa11", "detectionStatus": "detected"},
        File(name="x.exe", sha256="s2", sha1="s1", md5="m", path="C:\\", size=5, device_mde_id="aa11",
             detection_status="detected"),
    ),
    (
        "processEvidence",
        {"processId": 7, "parentProcessId": "0x8", "processCommandLine": "x", "imageFile": HASHES,
         "processCreationDateTime": "2026-01-01T00:00:00Z", "userAccount": ACCOUNT, "mdeDeviceId": "aa11",
         "parentProcessImageFile": None},
        Process(name="x.exe", process_id=7, parent_process_id=8, command_line="x",
                created="2026-01-01T00:00:00Z", account=USER, device_mde_id="aa11",
                image=File(name="x.exe", sha256="s2", sha1="s1", md5="m", path="C:\\", size=5)),
    ),
    ("ipEvidence", {"ipAddress": "203.0.113.1", "countryLetterCode": "CL"},
     Ip(name="203.0.113.1", address="203.0.113.1", country="CL")),
    ("urlEvidence", {"url": "https://x.example/A"}, Url(name="https://x.example/A", url="https://x.example/A")),
    (
        "cloudApplicationEvidence",
        {"appId": 11161, "displayName": "Drive", "instanceId": 0, "instanceName": "main", "saasAppId": 5},
        CloudApplication(name="Drive", app_id=11161, instance_id=0, instance_name="main", saas_app_id=5),
    ),
    ("oauthApplicationEvidence", {"appId": "a", "objectId": "o", "displayName": "App", "publisher": "P"},
     OAuthApplication(name="App", app_id="a", object_id="o", publisher="P")),
    ("registryKeyEvidence", {"registryHive": "HKLM", "registryKey": "Run"},
     RegistryKey(name="Run", hive="HKLM", key="Run")),
    (
        "registryValueEvidence",
        {"registryHive": "HKLM", "registryKey": "Run", "registryValueName": "n", "registryValue": "v",
         "registryValueType": "String", "mdeDeviceId": "aa11"},
        RegistryValue(name="n", hive="HKLM", key="Run", value_name="n", value="v", value_type="String",
                      device_mde_id="aa11"),
    ),
    (
        "securityGroupEvidence",
        {"securityGroupId": "g", "displayName": "Admins", "sid": "S-1-5-21-1-2-3-512",
         "distinguishedName": "CN=A", "activeDirectoryObjectGuid": "d"},
        SecurityGroup(name="Admins", object_id="g", sid="S-1-5-21-1-2-3-512", distinguished_name="CN=A",
                      ad_object_guid="d"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw", "expected"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_each_named_kind_is_read_into_its_entity(
    kind: str, raw: dict[str, Any], expected: Entity
) -> None:
    # given
    whole = {"@odata.type": f"#microsoft.graph.security.{kind}", "newField": [1], **raw}
    # when
    evidence = read_evidence(whole)
    # then
    assert evidence.entity == expected
    assert evidence.raw == whole


def test_every_kind_of_entity_but_the_rest_has_its_evidence() -> None:
    kinds = {read_evidence({"@odata.type": kind, **raw}).kind for kind, raw, _ in KINDS}
    assert kinds == set(EntityKind) - {EntityKind.OTHER}


def test_a_kind_of_the_future_is_kept_whole_under_its_own_name() -> None:
    raw = {
        "@odata.type": "#microsoft.graph.security.aiAgentEvidence",
        "displayName": "bot",
        "x": {"y": 1},
    }
    evidence = read_evidence(raw)
    assert evidence.entity == OtherEntity(kind="aiAgentEvidence", name="bot")
    assert evidence.raw == raw


FOREIGN: list[tuple[str, dict[str, Any], Entity]] = [
    ("fileHashEvidence", {"algorithm": "sha256", "value": "ab12"}, File(name="ab12", sha256="ab12")),
    (
        "mailboxConfigurationEvidence",
        {"mailboxPrimaryAddress": "kai@contoso.example", "upn": "kai@contoso.example",
         "externalDirectoryObjectId": "2b1c", "configurationType": "userInboxRule"},
        Mailbox(name="kai@contoso.example", address="kai@contoso.example", upn="kai@contoso.example",
                directory_object_id="2b1c"),
    ),
    (
        "submissionMailEvidence",
        {"networkMessageId": "n1", "recipient": "kai@contoso.example", "subject": "hi",
         "sender": "e@x", "senderIp": "203.0.113.9", "submitter": "kai"},
        MailMessage(name="hi", network_message_id="n1", recipient="kai@contoso.example", subject="hi",
                    sender="e@x", sender_ip="203.0.113.9"),
    ),
    (
        "servicePrincipalEvidence",
        {"servicePrincipalObjectId": "o", "servicePrincipalName": "backup", "appId": "a"},
        OAuthApplication(name="backup", app_id="a", object_id="o"),
    ),
    ("azureResourceEvidence", {"resourceId": "/subscriptions/x/y", "resourceName": "y"},
     OtherEntity(kind="azureResourceEvidence", name="y")),
    ("amazonResourceEvidence", {"amazonAccountId": "1", "amazonResourceId": "arn:aws:s3:::b"},
     OtherEntity(kind="amazonResourceEvidence", name="arn:aws:s3:::b")),
    ("googleCloudResourceEvidence", {"projectId": "p", "fullResourceName": "//x/y"},
     OtherEntity(kind="googleCloudResourceEvidence", name="//x/y")),
    ("malwareEvidence", {"name": "Win32/X", "category": "Trojan"},
     OtherEntity(kind="malwareEvidence", name="Win32/X")),
    ("dnsEvidence", {"domainName": "x.example"}, OtherEntity(kind="dnsEvidence", name="x.example")),
    ("ioTDeviceEvidence", {"deviceId": "d", "deviceName": "pump"},
     OtherEntity(kind="ioTDeviceEvidence", name="pump")),
    ("nicEvidence", {"macAddress": "00-11"}, OtherEntity(kind="nicEvidence", name="00-11")),
    ("sasTokenEvidence", {"signatureHash": "h"}, OtherEntity(kind="sasTokenEvidence", name="h")),
    ("cloudLogonRequestEvidence", {"requestId": "r"}, OtherEntity(kind="cloudLogonRequestEvidence")),
    *[
        (kind, {"name": "n"}, OtherEntity(kind=kind, name="n"))
        for kind in (
            "containerEvidence", "containerImageEvidence", "containerRegistryEvidence",
            "kubernetesClusterEvidence", "kubernetesControllerEvidence",
            "kubernetesNamespaceEvidence", "kubernetesPodEvidence", "kubernetesSecretEvidence",
            "kubernetesServiceEvidence", "kubernetesServiceAccountEvidence", "blobEvidence",
            "blobContainerEvidence", "gitHubUserEvidence", "gitHubRepoEvidence",
            "gitHubOrganizationEvidence", "teamsMessageEvidence", "aiAgentEvidence",
            "activeDirectoryDomainEvidence", "hostLogonSessionEvidence",
            "cloudLogonSessionEvidence", "networkConnectionEvidence", "laterEvidence",
        )
    ],
    # as the older API names them
    ("User", {"accountName": "kai", "aadUserId": "2b1c"},
     User(name="kai", account_name="kai", object_id="2b1c")),
    ("MailBox", {"mailboxAddress": "kai@contoso.example", "mailboxDisplayName": "Kai"},
     Mailbox(name="kai@contoso.example", address="kai@contoso.example", display_name="Kai")),
    ("File", {"fileName": "x.exe", "sha256": "s2"}, File(name="x.exe", sha256="s2")),
    ("Ip", {"ipAddress": "203.0.113.1"}, Ip(name="203.0.113.1", address="203.0.113.1")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw", "expected"), FOREIGN, ids=[kind for kind, _, _ in FOREIGN])
def test_each_other_kind_has_the_nearest_entity_or_keeps_its_json_under_its_own_name(
    kind: str, raw: dict[str, Any], expected: Entity
) -> None:
    # given
    whole = {"@odata.type": f"#microsoft.graph.security.{kind}", "newField": {"x": [1]}, **raw}
    # when
    evidence = read_evidence(whole)
    # then
    assert evidence.entity == expected
    assert evidence.raw == whole


INSIDE: list[tuple[str, dict[str, Any], list[Entity]]] = [
    (
        "networkConnectionEvidence",
        {"sourceAddress": {"ipAddress": "10.0.0.1"}, "destinationAddress": {"ipAddress": "203.0.113.1"}},
        [Ip(name="10.0.0.1", address="10.0.0.1"), Ip(name="203.0.113.1", address="203.0.113.1")],
    ),
    (
        "blobEvidence",
        {"url": "https://x.example/b", "storageResource": {"resourceId": "/subscriptions/x"},
         "fileHashes": [{"algorithm": "md5", "value": "m"}]},
        [OtherEntity(kind="azureResourceEvidence", name="/subscriptions/x"), File(name="m", md5="m"),
         Url(name="https://x.example/b", url="https://x.example/b")],
    ),
    (
        "teamsMessageEvidence",
        {"senderFromAddress": "eve@x.example", "senderIP": "203.0.113.1", "urls": ["https://x.example"]},
        [Ip(name="203.0.113.1", address="203.0.113.1"),
         Url(name="https://x.example", url="https://x.example"),
         Mailbox(name="eve@x.example", address="eve@x.example")],
    ),
    ("hostLogonSessionEvidence", {"account": {"userAccount": ACCOUNT}, "host": {"deviceDnsName": "pc"}},
     [USER, Device(name="pc", dns_name="pc", host_name="pc")]),
    ("malwareEvidence", {"files": [{"fileDetails": {"sha256": "s2"}}]}, [File(sha256="s2")]),
    ("dnsEvidence", {"ipAddresses": [{"ipAddress": "203.0.113.1"}], "hostIpAddress": None},
     [Ip(name="203.0.113.1", address="203.0.113.1")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "raw", "expected"), INSIDE, ids=[kind for kind, _, _ in INSIDE])
def test_what_stands_inside_of_another_kind_is_read_too_without_its_verdict(
    kind: str, raw: dict[str, Any], expected: list[Entity]
) -> None:
    # given
    whole = {"@odata.type": kind, "verdict": "malicious", "roles": ["attacker"], **raw}
    # when
    outer, *inner = read_all([whole])
    # then
    assert outer.raw == whole
    assert [one.entity for one in inner] == expected
    assert {(one.verdict, one.roles) for one in inner} == {(EvidenceVerdict.UNKNOWN, ())}


def test_nothing_is_taken_out_of_a_kind_that_has_its_entity() -> None:
    raw = {"@odata.type": "urlEvidence", "url": "https://x.example", "ipAddress": "203.0.113.1"}
    assert len(read_all([raw])) == 1


def test_no_evidence_is_made_of_what_stands_inside_without_end() -> None:
    urls = [f"https://x.example/{number}" for number in range(1000)]
    assert len(read_all([{"@odata.type": "teamsMessageEvidence", "urls": urls}])) == 51


@given(
    st.dictionaries(
        st.sampled_from(["urls", "url", "account", "files", "senderIP", "ipAddresses", "Host"]),
        JSON | st.dictionaries(st.sampled_from(["ipAddress", "userAccount", "@odata.type"]), JSON),
    )
)
def test_what_stands_inside_may_have_any_shape(inner: dict[str, Any]) -> None:
    outer, *found = read_all([{"@odata.type": "laterEvidence", **inner}])
    assert outer.raw == {"@odata.type": "laterEvidence", **inner}
    assert all(one.raw for one in found)


def test_keys_in_another_spelling_are_understood() -> None:
    raw = {
        "@odata.type": "#microsoft.graph.security.processEvidence",
        "ProcessId": 7,
        "process_command_line": "x",
        "ImageFile": {"FileName": "x.exe", "SHA256": "s2"},
    }
    evidence = read_evidence(raw)
    assert evidence.raw == raw
    assert evidence.entity == Process(
        name="x.exe", process_id=7, command_line="x", image=File(name="x.exe", sha256="s2")
    )


def test_roles_verdict_and_remediation_are_read_and_unknown_roles_left_out() -> None:
    raw = {
        "@odata.type": "#microsoft.graph.security.ipEvidence",
        "roles": [
            "compromised",
            "commandAndControl",
            "unknown",
            "unknownFutureValue",
            "compromised",
        ],
        "verdict": "noThreatsFound",
        "remediationStatus": "prevented",
    }
    evidence = read_evidence(raw)
    assert evidence.roles == (EvidenceRole.COMPROMISED, EvidenceRole.COMMAND_AND_CONTROL)
    assert evidence.verdict is EvidenceVerdict.NO_THREATS_FOUND
    assert evidence.remediation == "prevented"


@given(JSON)
def test_reading_never_fails_and_keeps_what_it_was_given(value: Any) -> None:
    evidence = read_evidence(value)
    assert evidence.raw == value or evidence.raw == {"value": value}
    read_alert({"evidence": [value], "comments": value, "serviceSource": value})
    observe(SOURCE, value)
    observe(SOURCE, {"id": value, "alerts": [value], "comments": [value], "incidentWebUrl": value})


@given(st.dictionaries(st.sampled_from(sorted({key for _, raw, _ in KINDS for key in raw})), JSON))
def test_known_fields_of_any_shape_never_fail(fields: dict[str, Any]) -> None:
    for kind, _, _ in KINDS:
        read_evidence({"@odata.type": kind, **fields}).entity.aliases()


def test_a_comment_s_key_is_the_same_whatever_digits_its_stamp_is_sent_with() -> None:
    one, two, other = read_comments(
        [
            {
                "comment": "a",
                "createdByDisplayName": "k",
                "createdDateTime": "2026-01-01T00:00:00.5Z",
            },
            {"comment": "a", "createdBy": "k", "createdTime": "2026-01-01T00:00:00.500Z"},
            {"comment": "b", "createdBy": "k", "createdTime": "2026-01-01T00:00:00.500Z"},
        ]
    )
    assert one == two
    assert one.key != other.key


def test_a_merged_incident_names_the_one_it_went_into() -> None:
    found = observe(SOURCE, {"id": "7", "status": "redirected", "redirectIncidentId": "5"})
    assert found.merged_into == "5"


def test_an_incident_and_its_alerts_are_named_as_the_other_product_names_them() -> None:
    found = observe(
        SOURCE,
        {
            "id": "7",
            "tenantId": "T1",
            "incidentWebUrl": "https://security.microsoft.com/incident2/7/overview?tid=T2",
            "alerts": [{"id": "daXY", "providerAlertId": "XY"}],
        },
    )
    assert found.proofs == {"incident:t1/7", "incident:t2/7", "alert:daxy", "alert:xy"}


# -- recorded payloads -------------------------------------------------------------------------


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value  # pyright: ignore[reportUnknownVariableType] - JSON of any shape
    inner: list[Any] = [*mapping(value).values(), *items(value)]
    for one in inner:
        yield from _objects(one)


def _recorded(key: str) -> list[Any]:
    if not SAMPLES.is_dir():
        return []
    return [
        pytest.param(found, id=f"{path.name}-{number}")
        for path in sorted(SAMPLES.glob("*.json"))
        for number, found in enumerate(_objects(json.loads(path.read_text("utf-8"))))
        if key in found
    ]


needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="recorded samples are not here")


@needs_samples
@pytest.mark.parametrize("raw", _recorded("evidence"))
def test_a_recorded_alert_is_read_without_loss(raw: dict[str, Any]) -> None:
    alert = read_alert(raw)
    assert alert.id == raw["id"]
    assert alert.raw == raw
    assert [one.raw for one in alert.evidence] == raw["evidence"]
    assert OtherEntity not in {type(one.entity) for one in alert.evidence}
    assert alert.product in {"endpoint", "identity", "office", "cloud_apps"}


@needs_samples
@pytest.mark.parametrize("raw", _recorded("redirectIncidentId"))
def test_a_recorded_incident_is_read_without_loss(raw: dict[str, Any]) -> None:
    found = observe(SOURCE, raw)
    assert found.native_id == str(raw.get("id") or raw.get("incidentId"))
    assert found.fields.title == (raw.get("displayName") or raw.get("incidentName"))
    assert found.changed_at is not None
    assert len(found.comments or ()) == len(raw["comments"])
    assert len(found.alerts or ()) == len(raw.get("alerts", []))
    assert {**found.raw, "alerts": raw.get("alerts")} == {**raw, "alerts": raw.get("alerts")}
    assert all(
        comment.text and comment.author and comment.created for comment in found.comments or ()
    )


@needs_samples
def test_the_recorded_samples_hold_what_these_tests_are_for() -> None:
    assert len(_recorded("evidence")) >= 6
    assert len(_recorded("redirectIncidentId")) >= 5
