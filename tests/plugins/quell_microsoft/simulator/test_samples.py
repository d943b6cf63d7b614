"""Every recorded payload is loaded and comes back as it was, or is named with why it was not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from quell_microsoft.simulator.call import Call
from quell_microsoft.simulator.dispatch import Dispatcher
from quell_microsoft.simulator.load import load_directory
from quell_microsoft.simulator.odata import as_list
from quell_microsoft.simulator.routes import all_operations
from quell_microsoft.simulator.state.tenant import Tenant

SAMPLES = Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[5] / "shared" / "samples")
FILES = sorted(SAMPLES.rglob("*.json"))
PROVIDER = "/providers/microsoft.securityinsights/"
#: parts that a playbook's trigger shows inside an incident, and the API beside it
INSIDE = ("alerts", "bookmarks", "relatedEntities", "comments")
pytestmark = pytest.mark.skipif(not FILES, reason="recorded samples are not here")
ROUTES = {
    "incident": ("https://graph.microsoft.com", "/v1.0/security/incidents/{id}"),
    "alert": ("https://graph.microsoft.com", "/v1.0/security/alerts_v2/{id}"),
    "user": ("https://graph.microsoft.com", "/v1.0/users/{id}"),
    "machine": ("https://api.securitycenter.microsoft.com", "/api/machines/{id}"),
    "action": ("https://api.securitycenter.microsoft.com", "/api/machineactions/{id}"),
}


class Reader:
    """Reads one tenant through its own routes, without a network."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._dispatcher = Dispatcher(tenant, all_operations())
        self._tokens: dict[str, str] = {}

    def get(self, resource: str, path: str, **query: str) -> tuple[int, Any]:
        """Give the status and the body of a GET."""
        headers = {
            "authorization": f"Bearer {self._token(resource)}",
            "prefer": "include-unknown-enum-members",
        }
        return self._answer(method="GET", path=path, query=query, headers=headers)

    def sentinel(self, path: str) -> tuple[int, Any]:
        """Read something that Sentinel keeps in the first workspace."""
        whole = self.tenant.workspaces[0].arm_id(path)
        query = {"api-version": "2025-09-01"}
        return self.get("https://management.azure.com", whole, **query)

    def _token(self, resource: str) -> str:
        if resource not in self._tokens:
            app = self.tenant.registrations["everything"]
            form = {
                "grant_type": "client_credentials",
                "client_id": app.client_id,
                "client_secret": app.client_secret,
                "scope": f"{resource}/.default",
            }
            path = f"/{self.tenant.tenant_id}/oauth2/v2.0/token"
            kind = {"content-type": "application/x-www-form-urlencoded"}
            content = urlencode(form).encode()
            _, body = self._answer(method="POST", path=path, headers=kind, content=content)
            self._tokens[resource] = body["access_token"]
        return self._tokens[resource]

    def _answer(
        self,
        *,
        method: str,
        path: str,
        headers: dict[str, str],
        query: dict[str, str] | None = None,
        content: bytes = b"",
    ) -> tuple[int, Any]:
        call = Call(
            tenant=self.tenant,
            method=method,
            path=path,
            headers=headers,
            query=query or {},
            content=content,
            base="https://localhost:1",
        )
        answer = self._dispatcher.answer(call)
        return answer.status, answer.body


def loaded(tmp_path: Path, *files: Path) -> Tenant:
    for file in files:
        (tmp_path / f"{file.parent.name}-{file.name}").symlink_to(file)
    tenant = Tenant()
    load_directory(tenant, tmp_path)
    return tenant


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Walk over all objects of a document."""
    items: list[Any] = []
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        yield found
        items = list(found.values())
    elif isinstance(value, list):
        items = as_list(value)
    for item in items:
        yield from objects(item)


def present(value: Any) -> Any:
    """Leave out nulls: over ARM they mean the same as nothing."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {name: present(item) for name, item in pairs if item is not None}
    if isinstance(value, list):
        return [present(item) for item in as_list(value)]
    return value


def sentinel_resources(document: Any) -> dict[str, list[dict[str, Any]]]:
    """Give what a document says of each resource: examples have one for each status."""
    resources: dict[str, list[dict[str, Any]]] = {}
    for one in objects(document):
        _, found, path = str(one.get("id", "")).casefold().partition(PROVIDER)
        if found and isinstance(one.get("properties"), dict):
            resources.setdefault(str(one["id"])[-len(path) :], []).append(one)
    return resources


def kind_of(one: dict[str, Any]) -> str | None:
    """Tell which of the kept things a recorded object is."""
    if not isinstance(one.get("id"), str):
        return None
    if "computerDnsName" in one and "osPlatform" in one:
        return "machine"
    if "machineId" in one and "requestor" in one:
        return "action"
    if "providerAlertId" in one or ("serviceSource" in one and "title" in one):
        return "alert"
    if "redirectIncidentId" in one or "incidentWebUrl" in one:
        return "incident"
    return "user" if "userPrincipalName" in one and "accountEnabled" in one else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_a_payload_is_loaded_or_named_with_the_reason(file: Path, tmp_path: Path) -> None:
    # when
    tenant = loaded(tmp_path, file)

    # then
    workspace = tenant.workspaces[0]
    kept = [
        tenant.queue.incidents, tenant.queue.alerts, tenant.users.users, tenant.devices.machines,
        tenant.devices.actions, workspace.incidents, workspace.entities, workspace.tables,
        workspace.automation_rules, workspace.bookmarks,
    ]  # fmt: skip
    assert any(kept) or len(tenant.skipped) >= 1
    assert [
        line for line in tenant.skipped if line.endswith("no Graph incident or alert in it")
    ] == []
    assert all(line.startswith(f"{file.parent.name}-{file.name}: ") for line in tenant.skipped)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_loaded_comes_back_as_it_was_recorded(file: Path, tmp_path: Path) -> None:
    # given
    document = json.loads(file.read_text(encoding="utf-8-sig"))
    reader = Reader(loaded(tmp_path, file))
    lost: list[str] = []

    # when
    for path, versions in sentinel_resources(document).items():
        if not path.startswith("dataConnectors"):
            status, body = reader.sentinel(path)
            if status != 200 or not any(is_version(one, body) for one in versions):
                lost.append(f"{path}: {status} {body}")
    for one in objects(document):
        kind = kind_of(one)
        if kind is None or "Stats" in document:
            continue
        resource, route = ROUTES[kind]
        recorded = {k: v for k, v in one.items() if k not in ("alerts", "@odata.context")}
        # a user has more properties than are shown unasked
        query = {"$select": ",".join(recorded)} if kind == "user" else {}
        status, body = reader.get(resource, route.format(id=one["id"]), **query)
        if status != 200 or {name: body.get(name) for name in recorded} != recorded:
            lost.append(f"{kind} {one['id']}: {status} {body}")

    # then
    assert lost == []


def is_version(recorded: dict[str, Any], body: dict[str, Any]) -> bool:
    """Tell whether an answer has all that a recorded resource has; it may say more."""
    here, there = dict(recorded["properties"]), dict(body["properties"])
    counts = here.pop("additionalData", {}), there.pop("additionalData", {})
    wanted = present({name: value for name, value in here.items() if name not in INSIDE})
    return (
        {name: present(there.get(name)) for name in wanted} == wanted
        and {**counts[1], **counts[0]} == counts[1]
        and recorded.get("etag") in (None, body.get("etag"))
    )


def test_all_payloads_at_once_are_loaded_too(tmp_path: Path) -> None:
    # when
    tenant = loaded(tmp_path, *FILES)

    # then
    assert len(tenant.queue.incidents) >= 9
    assert set(tenant.workspaces[0].tables) == {"SecurityIncident", "SecurityAlert"}
    (incident,) = [
        one for one in tenant.workspaces[0].incidents.values() if one.comments and one.tasks
    ]
    status, body = Reader(tenant).sentinel(f"incidents/{incident.name}/comments")
    assert (status, len(body["value"])) == (200, len(incident.comments))
