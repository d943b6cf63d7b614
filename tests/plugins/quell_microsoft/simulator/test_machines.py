"""Machines and machine actions: validation, states over time, repeats, devices that are away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

ID = "a" * 40
URL = f"/api/machines/{ID}"
ISOLATE = {"Comment": "quell k1", "IsolationType": "Full"}


@pytest.fixture
def device(simulator: RunningSimulator, as_app: Callable[[str, str], httpx.Client]) -> httpx.Client:
    simulator.tenant.devices.add_machine({"id": ID, "computerDnsName": "ws-1.corp.example"})
    return as_app("everything", "endpoint")


def fact(control: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = control.get("/facts").json()["machines"][0]
    return found


def test_an_isolation_runs_its_course_on_tenant_time(
    device: httpx.Client, control: httpx.Client
) -> None:
    # when
    started = device.post(f"{URL}/isolate", json=ISOLATE)
    action = f"/api/machineactions/{started.json()['id']}"
    states = [device.get(action).json()["status"]]
    for seconds in (6, 10):
        control.post("/clock/advance", json={"seconds": seconds})
        states.append(device.get(action).json()["status"])

    # then
    assert started.status_code == 201
    assert started.json()["requestorComment"] == "quell k1"
    assert len(started.json()) == 21
    assert states == ["Pending", "InProgress", "Succeeded"]
    assert fact(control)["isolated"] is True
    assert fact(control)["accepted"] == {"Isolate": 1}
    assert fact(control)["completed"] == {"Isolate": 1}


def test_a_device_that_is_away_stays_pending_until_it_is_back(
    device: httpx.Client, control: httpx.Client
) -> None:
    # given
    control.patch(f"/machines/{ID}", json={"online": False})

    # when
    action = f"/api/machineactions/{device.post(f'{URL}/isolate', json=ISOLATE).json()['id']}"
    control.post("/clock/advance", json={"seconds": 3600})
    away = device.get(action).json()["status"]
    control.patch(f"/machines/{ID}", json={"online": True})
    control.post("/clock/advance", json={"seconds": 60})
    back = device.get(action).json()["status"]

    # then
    assert (away, back) == ("Pending", "Succeeded")


def test_a_device_that_never_comes_back_times_out(
    device: httpx.Client, control: httpx.Client
) -> None:
    # given
    control.patch(f"/machines/{ID}", json={"online": False})

    # when
    action = f"/api/machineactions/{device.post(f'{URL}/isolate', json=ISOLATE).json()['id']}"
    control.post("/clock/advance", json={"seconds": 4 * 24 * 3600})

    # then
    assert device.get(action).json()["status"] == "TimeOut"
    assert fact(control)["isolated"] is False


@pytest.mark.parametrize(
    ("policy", "status", "accepted"), [("refuse", 400, 1), ("echo", 201, 1), ("accept", 201, 2)]
)
def test_a_second_request_of_the_same_kind_is_treated_as_the_knob_says(
    device: httpx.Client, control: httpx.Client, policy: str, status: int, accepted: int
) -> None:
    # given
    control.patch("/config", json={"duplicate_action": policy})
    first = device.post(f"{URL}/isolate", json=ISOLATE).json()

    # when
    second = device.post(f"{URL}/isolate", json=ISOLATE)

    # then
    assert second.status_code == status
    assert fact(control)["accepted"] == {"Isolate": accepted}
    if policy == "refuse":
        assert second.json() == {
            "error": {
                "code": "ActiveRequestAlreadyExists",
                "message": "Action is already in progress",
            }
        }
    else:
        assert (second.json()["id"] == first["id"]) == (policy == "echo")


def test_an_action_can_be_cancelled_only_before_it_ends(
    device: httpx.Client, control: httpx.Client
) -> None:
    # given
    first = device.post(f"{URL}/isolate", json=ISOLATE).json()["id"]

    # when
    cancelled = device.post(f"/api/machineactions/{first}/cancel", json={"Comment": "no"})
    control.post("/clock/advance", json={"seconds": 60})
    again = device.post(f"/api/machineactions/{first}/cancel", json={"Comment": "no"})

    # then
    assert cancelled.json()["status"] == "Cancelled"
    assert cancelled.json()["cancellationComment"] == "no"
    assert again.status_code == 400
    assert fact(control)["isolated"] is False


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("isolate", {"comment": "lower case", "IsolationType": "Full"}, "MissingRequiredParameter"),
        ("isolate", {"Comment": "x"}, "MissingRequiredParameter"),
        ("isolate", {"Comment": "x", "IsolationType": "full"}, "InvalidInput"),
        ("isolate", {"Comment": "", "IsolationType": "Full"}, "InvalidInput"),
        ("isolate", [], "InvalidRequestBody"),
        ("runAntiVirusScan", {"Comment": "x", "ScanType": "Slow"}, "InvalidInput"),
        ("StopAndQuarantineFile", {"Comment": "x", "Sha1": "zz"}, "InvalidHashValue"),
        ("tags", {"Value": "x"}, "MissingRequiredParameter"),
    ],
)
def test_a_wrong_body_is_refused_with_a_target_to_quote(
    device: httpx.Client, control: httpx.Client, path: str, body: Any, code: str
) -> None:
    # when
    answer = device.post(f"{URL}/{path}", json=body)

    # then
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert len(answer.json()["error"]["target"]) == 36
    assert fact(control)["accepted"] == {}


@pytest.mark.parametrize(
    ("platform", "scope", "status"),
    [
        ("Windows11", "Selective", 201),
        ("WindowsServer2022", "Full", 201),
        ("Linux", "Full", 201),
        ("Linux", "Selective", 400),
        ("Windows8", "Full", 400),
        ("Windows8", "UnManagedDevice", 201),
    ],
)
def test_isolation_depends_on_the_platform(
    device: httpx.Client, control: httpx.Client, platform: str, scope: str, status: int
) -> None:
    # given
    control.patch(f"/machines/{ID}", json={"osPlatform": platform})

    # when
    answer = device.post(f"{URL}/isolate", json={"Comment": "x", "IsolationType": scope})

    # then
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["code"] == "OsPlatformNotSupported"


def test_a_failing_isolation_isolates_nothing(device: httpx.Client, control: httpx.Client) -> None:
    # given
    control.patch("/config", json={"action_results": {"Isolate": "Failed"}})

    # when
    action = f"/api/machineactions/{device.post(f'{URL}/isolate', json=ISOLATE).json()['id']}"
    control.post("/clock/advance", json={"seconds": 60})

    # then
    assert device.get(action).json()["status"] == "Failed"
    assert device.get(action).json()["errorHResult"] != 0
    assert fact(control)["isolated"] is False


def test_an_isolation_that_was_away_can_end_after_a_later_release(
    device: httpx.Client, control: httpx.Client
) -> None:
    # given: the device goes away while the isolation is pending
    control.patch(f"/machines/{ID}", json={"online": False})
    device.post(f"{URL}/isolate", json=ISOLATE)
    control.post("/clock/advance", json={"seconds": 60})

    # when
    released = device.post(f"{URL}/unisolate", json={"Comment": "let go"})
    control.patch(f"/machines/{ID}", json={"online": True})
    control.post("/clock/advance", json={"seconds": 600})

    # then: both ran, and which was last decides
    assert released.status_code == 201
    assert fact(control)["completed"] == {"Isolate": 1, "Unisolate": 1}


def test_lists_are_filtered_and_have_no_link(
    simulator: RunningSimulator, device: httpx.Client
) -> None:
    # given
    for number in range(4):
        simulator.tenant.devices.add_machine(
            {"id": str(number), "computerDnsName": "twin.corp.example", "machineTags": ["lab"]}
        )
    device.post(f"{URL}/isolate", json=ISOLATE)

    # when
    twins = device.get(
        "/api/machines", params={"$filter": "computerDnsName eq 'twin.corp.example'"}
    ).json()
    page = device.get("/api/machines?$top=2&$skip=1").json()
    tagged = device.get("/api/machines?$filter=machineTags/any(tag: tag eq 'lab')").json()
    actions = device.get(
        "/api/machineactions",
        params={"$filter": f"machineId eq '{ID}' and type eq 'Isolate'", "$top": "2"},
    ).json()

    # then
    assert len(twins["value"]) == len(tagged["value"]) == 4
    assert len(page["value"]) == 2
    assert "@odata.nextLink" not in page
    assert [action["status"] for action in actions["value"]] == ["Pending"]


def test_what_is_not_there_answers_404_in_the_recorded_words(device: httpx.Client) -> None:
    # when
    machine = device.get("/api/machines/123123123")
    action = device.get("/api/machineactions/nothing")

    # then
    assert machine.status_code == action.status_code == 404
    error = machine.json()["error"]
    assert (error["code"], error["message"]) == (
        "ResourceNotFound",
        "Machine 123123123 was not found",
    )


def test_tags_come_and_go_and_packages_are_there_when_done(
    device: httpx.Client, control: httpx.Client
) -> None:
    # when
    added = device.post(f"{URL}/tags", json={"Value": "vip", "Action": "Add"}).json()
    removed = device.post(f"{URL}/tags", json={"Value": "vip", "Action": "Remove"}).json()
    package = device.post(f"{URL}/collectInvestigationPackage", json={"Comment": "x"}).json()
    early = device.get(f"/api/machineactions/{package['id']}/getPackageUri")
    control.post("/clock/advance", json={"seconds": 60})
    late = device.get(f"/api/machineactions/{package['id']}/getPackageUri")

    # then
    assert (added["machineTags"], removed["machineTags"]) == (["vip"], [])
    assert (early.status_code, late.status_code) == (404, 200)
    assert late.json()["value"].startswith("https://")


def test_the_device_app_isolates_and_does_nothing_else(
    device: httpx.Client, as_app: Callable[[str, str], httpx.Client]
) -> None:
    # given
    app = as_app("device", "endpoint")

    # when
    isolated = app.post(f"/api/v1.0/machines/{ID}/isolate", json=ISOLATE)
    scanned = app.post(f"{URL}/runAntiVirusScan", json={"Comment": "x", "ScanType": "Quick"})

    # then
    assert (isolated.status_code, scanned.status_code) == (201, 403)
    assert device.get(f"/api/machineactions/{isolated.json()['id']}").json()["requestor"] == (
        "quell-device"
    )
