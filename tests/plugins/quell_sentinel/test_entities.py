"""Sentinel's entities and alerts: every named kind, the rest kept whole, recorded ones too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.entity import Device, File, OtherEntity, Process, RegistryValue, User
from quell.domain.ids import SourceId
from quell_sentinel.entities import read_entities, read_entity
from quell_sentinel.observed import observe, read_alert, read_comment

#: recorded payloads, beside the checkout or where the variable says
SAMPLES = (
    Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[4] / "shared" / "samples")
    / "sentinel"
)
SOURCE = SourceId("sentinel")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="recorded samples are not here")


def entity(kind: str, name: str = "n", **properties: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "properties": properties}


def test_an_account_is_a_user_whose_name_and_suffix_make_the_principal_name() -> None:
    raw = entity(
        "Account", accountName="kai", upnSuffix="contoso.example", aadUserId="o1", sid="S-1-5-18"
    )
    assert read_entity(raw).entity == User(
        name="kai@contoso.example", object_id="o1", upn="kai@contoso.example", sid="S-1-5-18",
        account_name="kai",
    )  # fmt: skip


def test_a_host_is_a_device_by_its_azure_id_and_by_what_the_sensor_added() -> None:
    raw = entity(
        "Host", hostName="pc", dnsDomain="contoso.example", azureID="/subscriptions/x", osFamily="Windows",
        additionalData={"MdatpDeviceId": "aa11", "AadDeviceId": "bb"},
    )  # fmt: skip
    assert read_entity(raw).entity == Device(
        name="pc.contoso.example", mde_id="aa11", entra_id="bb", azure_resource_id="/subscriptions/x",
        dns_name="pc.contoso.example", host_name="pc", os="Windows",
    )  # fmt: skip


def test_entities_that_point_to_others_are_read_with_them() -> None:
    # given
    raw = [
        entity("FileHash", "H1", algorithm="SHA256", hashValue="s2"),
        entity("File", "F1", fileName="x.exe", directory="C:\\", fileHashEntityIds=["h1"]),
        entity("Account", "A1", accountName="kai"),
        entity("Process", "P1", processId="0x1", friendlyName="parent"),
        entity("Process", "P2", processId="0x2aa48", imageFileEntityId="F1", accountEntityId="a1",
               parentProcessEntityId="P1"),
        entity("RegistryKey", "K1", hive="HKEY_LOCAL_MACHINE", key="Run"),
        entity("RegistryValue", "V1", keyEntityId="K1", valueName="n", valueData="v"),
    ]  # fmt: skip
    # when
    found = [one.entity for one in read_entities(raw)]
    # then
    file = File(name="x.exe", sha256="s2", path="C:\\")
    assert found[1] == file
    assert found[4] == Process(
        name="x.exe", process_id=0x2AA48, image=file, parent_process_id=1,
        account=User(name="kai", account_name="kai"),
    )  # fmt: skip
    assert found[6] == RegistryValue(
        name="n", hive="HKEY_LOCAL_MACHINE", key="Run", value_name="n", value="v"
    )


def test_entities_that_point_to_each_other_do_not_go_round_for_ever() -> None:
    one = entity("Process", "P1", parentProcessEntityId="P1", imageFileEntityId="F1")
    two = entity("File", "F1", fileHashEntityIds=["F1", "P1"])
    assert len(read_entities([one, two])) == 2


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Account", "User"), ("Host", "Device"), ("File", "File"), ("FileHash", "File"),
        ("Process", "Process"), ("Ip", "Ip"), ("Url", "Url"), ("CloudApplication", "CloudApplication"),
        ("Mailbox", "Mailbox"), ("MailMessage", "MailMessage"), ("MailCluster", "MailCluster"),
        ("RegistryKey", "RegistryKey"), ("RegistryValue", "RegistryValue"),
        ("SecurityGroup", "SecurityGroup"), ("Malware", "OtherEntity"), ("IoTDevice", "OtherEntity"),
        ("AzureResource", "OtherEntity"), ("registry-key", "RegistryKey"),
    ],
)  # fmt: skip
def test_each_kind_has_its_entity(kind: str, name: str) -> None:
    raw = entity(kind, friendlyName="f")
    evidence = read_entity(raw)
    assert type(evidence.entity).__name__ == name
    assert evidence.entity.name == "f"
    assert evidence.raw == raw


@given(JSON)
def test_reading_never_fails(value: Any) -> None:
    read_entities([value, {"kind": "Account", "properties": value}])
    read_entities(value)
    read_alert(value)
    read_alert({"properties": value})
    read_comment(value)
    observe(SOURCE, value, alerts=[value], entities=[value], comments=[value])
    observe(SOURCE, {"name": value, "properties": value})


KINDS = (
    "Account",
    "Host",
    "File",
    "FileHash",
    "Process",
    "Ip",
    "MailMessage",
    "MailCluster",
    "RegistryValue",
)
FIELDS = ("accountName", "upnSuffix", "hostName", "dnsDomain", "additionalData", "fileHashEntityIds",
          "algorithm", "processId", "imageFileEntityId", "location", "urls", "mailCount", "keyEntityId",
          "friendlyName")  # fmt: skip


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_known_fields_of_any_shape_never_fail(kind: str, properties: dict[str, Any]) -> None:
    read_entities([entity(kind, **properties)])[0].entity.aliases()


PROVIDERS = [
    ("Microsoft 365 Defender", "defender", "7"),
    ("Microsoft XDR", "defender", "7"),
    ("Azure Sentinel", None, None),
    ("Somebody else", None, None),
    (None, None, None),
]


@pytest.mark.parametrize(("provider", "system", "number"), PROVIDERS)
def test_only_microsoft_s_own_copies_name_a_defender_incident(
    provider: str | None, system: str | None, number: str | None
) -> None:
    found = observe(
        SOURCE,
        {
            "name": "n",
            "properties": {
                "providerName": provider,
                "providerIncidentId": "7",
                "incidentNumber": 7,
                "additionalData": {
                    "providerIncidentUrl": "https://security.microsoft.com/incidents/7?tid=T1"
                },
            },
        },
    )
    assert (found.counterpart_system, found.counterpart_id) == (system, number)
    assert found.proofs == ({"incident:t1/7"} if system else frozenset())


def test_a_shared_alert_proves_a_counterpart_by_the_product_s_id_and_by_its_link() -> None:
    alert = {
        "name": "a1",
        "properties": {
            "providerAlertId": "XY",
            "alertLink": "https://security.microsoft.com/alerts/daXY?tid=T1",
        },
    }
    copy = {"name": "n", "properties": {"providerName": "Microsoft XDR", "providerIncidentId": "7"}}
    assert observe(SOURCE, copy, alerts=[alert]).proofs == {"alert:xy", "alert:daxy"}


REFERENCES = st.recursive(
    st.fixed_dictionaries({"$ref": st.sampled_from(["1", "2", "3"])}) | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["$id", "Type", "Name", "ParentProcess", "Account", "FileHashes", "Key"]
            ),
            inner | st.sampled_from(["1", "2", "process", "account", "file", "registry-value"]),
        )
    ),
    max_leaves=12,
)


@given(st.lists(REFERENCES, max_size=4))
def test_references_of_any_shape_and_in_circles_never_fail(found: list[Any]) -> None:
    assert len(read_entities(found)) == len(found)


def test_a_merged_copy_names_the_one_it_went_into() -> None:
    name = "73e01a99-5cd7-4139-a149-9f2736ff2ab5"
    properties = {
        "additionalData": {"mergedIncidentUrl": f"https://portal.azure.com/x/Incidents/{name}"}
    }
    assert observe(SOURCE, {"name": "n", "properties": properties}).merged_into == name


def _entities() -> list[Path]:
    # one of them is a request that only bears the name
    return [
        path for path in sorted(SAMPLES.glob("entity_*.json")) if "run_playbook" not in path.stem
    ]


def _body(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text("utf-8"))["responses"]["200"]["body"]


@needs_samples
@pytest.mark.parametrize("path", _entities(), ids=lambda path: path.stem)
def test_a_recorded_entity_is_read_without_loss(path: Path) -> None:
    sample = json.loads(path.read_text("utf-8"))
    raw = sample["responses"]["200"]["body"]
    evidence = read_entity(raw)
    assert evidence.raw == raw
    assert evidence.entity.name
    assert isinstance(evidence.entity, OtherEntity) == (raw["kind"] in {"Malware", "SecurityAlert"})


@needs_samples
def test_recorded_incidents_alerts_and_comments_are_read_without_loss() -> None:
    for name in ("incident_get.json", "incident_get_preview.json"):
        raw = _body(name)
        found = observe(SOURCE, raw)
        assert found.raw == raw
        assert found.fields.title == "My incident"
        assert found.etag == raw["etag"]
        assert found.counterpart_system is None
        assert found.fields.owner is not None
    (listed,) = _body("incidents_list.json")["value"]
    assert observe(SOURCE, listed).comment_count == 3
    (alert,) = _body("incident_alerts_list.json")["value"]
    assert read_alert(alert).product == "cloud"
    (user,) = read_entities(_body("incident_entities_list.json")["entities"])
    assert user.entity == User(
        name="administrator", account_name="administrator", nt_domain="domain"
    )
    comment = read_comment(_body("incident_comment_put.json"))
    assert (comment.text, comment.author) == ("Some message", "john@contoso.com")
