"""The plugin as quell sees it: what it offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import msgspec

import quell_microsoft
from quell.domain.ports import OperationClass, Rate
from quell.domain.secret import decode_secret
from quell_microsoft import ApiClient, GraphClient, MicrosoftSettings
from quell_microsoft.clouds import Api

HEAVY = ("httpx", "aiohttp", "httpx_aiohttp", "msal", "stamina", "cryptography", "starlette")


def test_importing_the_plugin_and_asking_its_hooks_loads_nothing_heavy() -> None:
    # given
    code = (
        "import sys, quell_microsoft as plugin\n"
        "for hook in ('settings', 'connectors', 'checks', 'simulators'):\n"
        "    assert getattr(plugin, f'quell_{hook}')()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    # when
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    # then
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_there() -> None:
    assert sorted(quell_microsoft.__all__) == quell_microsoft.__all__
    assert all(hasattr(quell_microsoft, name) for name in quell_microsoft.__all__)


def test_connectors_can_be_named_in_an_actions_annotations() -> None:
    # given
    async def act(call: object, graph: GraphClient) -> None: ...

    # when / then
    assert get_type_hints(act)["graph"] in {
        spec.kind for spec in quell_microsoft.quell_connectors()
    }


def test_every_client_is_offered_once_and_can_be_closed() -> None:
    specs = {spec.kind: spec for spec in quell_microsoft.quell_connectors()}
    clients = {kind for kind in specs if issubclass(kind, ApiClient)}
    assert {kind.api for kind in clients} == set(Api)
    assert all(specs[kind].close is not None for kind in clients)


def test_a_ready_file_becomes_settings_with_quells_own_identities_only() -> None:
    # given
    roles = ("reader", "sync", "device", "user", "mail", "nothing", "everything")
    ready = {
        "base_url": "https://localhost:8443",
        "ca_file": "/run/ca.pem",
        "tenant_id": "7d2c1b9e-3f4a-4c55-9d01-2b8f0a6e4c11",
        "identities": {role: {"client_id": role, "client_secret": "s"} for role in roles},
        "subscription_id": "1d2c1b9e-3f4a-4c55-9d01-2b8f0a6e4c12",
        "resource_group": "rg",
        "workspace": "ws",
        "control_token": "t",
    }
    (spec,) = quell_microsoft.quell_simulators()

    # when
    sections = spec.settings_from(ready)

    # then
    read = msgspec.convert(sections["microsoft"], MicrosoftSettings, dec_hook=decode_secret)
    assert read.is_simulated
    assert set(read.identities) == {"reader", "sync", "device", "user", "mail"}
    assert sections["sentinel"]["workspaces"][0]["workspace"] == "ws"
    assert set(sections) == {"microsoft", "defender", "sentinel"}


def test_the_documented_rates_come_with_the_clients() -> None:
    # given
    rates = {
        operation: rate
        for spec in quell_microsoft.quell_connectors()
        for operation, rate in spec.rates.items()
    }

    # when / then
    assert rates[OperationClass("graph", "hunting")] == Rate(45, 60)
    assert rates[OperationClass("endpoint", "machine_actions")] == Rate(1500, 3600)
    assert rates[OperationClass("arm", "comments.read")] == Rate(100, 300, reserve=0.0)
    assert rates[OperationClass("arm", "comments.write")] == Rate(75, 300, reserve=0.0)
    assert {operation.api for operation in rates} == set(Api)
