"""The settings section: one proof per identity, and no way to point real credentials elsewhere."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quell.domain.secret import decode_secret, encode_secret
from quell.errors import SettingsError
from quell_microsoft import GraphClient, MicrosoftSettings
from quell_microsoft.settings import is_simulated_tenant

REAL = "7d2c1b9e-3f4a-4c55-9d01-2b8f0a6e4c11"
SIMULATED = "00000000-0000-4000-8000-000000000001"
SECRET = {"client_id": "app", "client_secret": "planted-secret-7Qz"}


def read(**values: Any) -> MicrosoftSettings:
    return msgspec.convert(
        {"tenant_id": REAL} | values, MicrosoftSettings, strict=False, dec_hook=decode_secret
    )


def test_a_secret_is_not_shown() -> None:
    # given
    settings = read(identities={"reader": SECRET})

    # when
    shown = repr(settings) + str(msgspec.to_builtins(settings, enc_hook=encode_secret))

    # then
    assert "planted" not in shown
    assert settings.identity("reader").client_secret is not None


@pytest.mark.parametrize(
    "identity",
    [
        {"client_id": "app"},
        {**SECRET, "managed_identity": True},
        {**SECRET, "certificate_file": "x.pem"},
        {"client_secret": "x"},
        {**SECRET, "private_key_file": "x.pem"},
        {**SECRET, "password": "x"},
    ],
)
def test_an_identity_has_exactly_one_proof(identity: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(identities={"reader": identity})


def test_a_mistake_is_reported_without_the_secret() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read(identities={"reader": {**SECRET, "managed_identity": True}})
    assert "planted" not in str(caught.value)


class Everything:
    """A quota that lets everything pass."""

    async def acquire(
        self, operation: Any, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        pass

    async def pause(self, operation: Any, seconds: float) -> None:
        pass


def test_a_role_without_identity_never_borrows_another_ones() -> None:
    # given
    settings = read(identities={"everything": SECRET, "sync": SECRET})

    # when / then
    with pytest.raises(SettingsError, match="'device'") as caught:
        GraphClient(settings, "device", Everything())
    assert "No other identity" in caught.value.remedy


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8443",
        "https://graph.microsoft.com",
        "https://127.0.0.1.evil.example",
        "https://127.0.0.1:8443/graph",
        "https://user@127.0.0.1:8443",
        "https://10.0.0.1",
    ],
)
def test_another_base_url_must_be_https_on_this_machine(base_url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="base_url"):
        read(tenant_id=SIMULATED, base_url=base_url)


def test_a_simulator_and_a_real_tenant_do_not_go_together() -> None:
    # given
    url = "https://127.0.0.1:8443"

    # when / then
    with pytest.raises(msgspec.ValidationError, match="made up"):
        read(tenant_id=SIMULATED)
    with pytest.raises(msgspec.ValidationError, match="stands for all hosts"):
        read(base_url=url, cloud="china")
    for identity in ({"managed_identity": True}, {"client_id": "a", "federated_token_file": "f"}):
        with pytest.raises(msgspec.ValidationError, match="real ones"):
            read(tenant_id=SIMULATED, base_url=url, identities={"reader": identity})
    assert read(tenant_id=SIMULATED, base_url=url, identities={"reader": SECRET}).is_simulated


@pytest.mark.parametrize(
    ("tenant_id", "is_one"),
    [(SIMULATED, True), ("AAAAAAAA-0000-4000-8000-000000000001", True), (REAL, False)],
)
def test_simulated_tenants_are_known_by_their_id(tenant_id: str, is_one: bool) -> None:
    assert is_simulated_tenant(tenant_id) is is_one


def test_a_proxy_is_named_without_a_password() -> None:
    with pytest.raises(msgspec.ValidationError, match="without a password") as caught:
        read(proxy="http://me:planted-secret-7Qz@proxy.example:8080")
    assert "planted" not in str(caught.value)
    assert read(proxy="http://proxy.example:8080").proxy


@pytest.mark.parametrize("tenant_id", ["contoso.example", "", f"{REAL}/..", f"{REAL} "])
def test_a_tenant_is_named_by_its_guid(tenant_id: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="GUID"):
        read(tenant_id=tenant_id)
