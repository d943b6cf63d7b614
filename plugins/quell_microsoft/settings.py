"""The settings section `microsoft`: which tenant, in which cloud, as which identities."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from quell.domain.secret import Secret
from quell.errors import SettingsError
from quell_microsoft.clouds import Cloud

__all__ = ["Identity", "MicrosoftSettings", "is_simulated_tenant"]

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: a real tenant id is random: one whose first group repeats a single digit is made up
SIMULATED = re.compile(r"([0-9a-f])\1{7}-")
PROXY = re.compile(r"http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}/?")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_simulated_tenant(tenant_id: str) -> bool:
    """Tell whether a tenant id can only be made up, e.g. `00000000-…`."""
    return SIMULATED.match(tenant_id.lower()) is not None


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One app registration or managed identity, with exactly one way to prove itself."""

    #: application (client) id; empty only for a system-assigned managed identity
    client_id: str = ""
    #: client secret; write `env:NAME` or `file:/path` rather than the secret
    client_secret: Secret | None = None
    #: PEM file with the certificate, and with the private key unless `private_key_file` is set
    certificate_file: str | None = None
    #: PEM file with the certificate's private key
    private_key_file: str | None = None
    #: passphrase of the private key
    private_key_passphrase: Secret | None = None
    #: file with a workload identity token, read anew for each sign-in
    federated_token_file: str | None = None
    #: use the managed identity of the Azure host that quell runs on
    managed_identity: bool = False

    def __post_init__(self) -> None:
        ways = [
            self.client_secret is not None,
            self.certificate_file is not None,
            self.federated_token_file is not None,
            self.managed_identity,
        ]
        if sum(ways) != 1:
            raise ValueError(
                "set exactly one of client_secret, certificate_file, federated_token_file "
                "and managed_identity"
            )
        if not self.client_id and not self.managed_identity:
            raise ValueError("client_id is missing")
        if self.private_key_file and not self.certificate_file:
            raise ValueError("private_key_file needs certificate_file")


class MicrosoftSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quell reaches one Entra tenant."""

    #: Entra tenant id (GUID)
    tenant_id: str
    #: cloud that the tenant lives in
    cloud: Literal["global", "gcc", "gcc_high", "dod", "china"] = "global"
    #: identities by role: reader, sync, device, user, mail; each should have only its permissions
    identities: dict[str, Identity] = msgspec.field(default_factory=dict[str, Identity])
    #: simulator only: https address on this machine that stands for all of Microsoft's
    base_url: str | None = None
    #: PEM file with more certificate authorities to trust, e.g. of an inspecting proxy
    ca_file: str | None = None
    #: Logs Ingestion endpoint of the data collection endpoint or rule
    ingestion_url: str | None = None
    #: http address of the proxy on the way to Microsoft
    proxy: str | None = None
    #: seconds to wait for a connection
    connect_timeout: float = 5.0
    #: seconds to wait for the next part of an answer
    read_timeout: float = 60.0
    #: connections that may be open at a time
    connections: int = 256
    #: tries of a call that is safe to repeat
    attempts: int = 4

    def __post_init__(self) -> None:
        if not GUID.fullmatch(self.tenant_id.lower()):
            raise ValueError("tenant_id is not a GUID")
        if self.proxy is not None and not PROXY.fullmatch(self.proxy):
            raise ValueError("proxy must be http://HOST:PORT, without a password")
        if self.base_url is not None:
            self._check_simulator(self.base_url)
        elif is_simulated_tenant(self.tenant_id):
            raise ValueError("tenant_id is made up, as for a simulator, but base_url is not set")

    def _check_simulator(self, base_url: str) -> None:
        """Refuse whatever could bring a real tenant and a stand-in together.

        That a simulator answers there, and not a tunnel to Microsoft, is checked before the
        first secret is sent: see `login.py`.
        """
        parts = urlsplit(base_url)
        if parts.scheme != "https" or parts.hostname not in LOOPBACK or parts.path not in {"", "/"}:
            raise ValueError("base_url must be https://127.0.0.1:PORT, and is for a simulator only")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("base_url must hold a scheme, a host and a port only")
        if self.cloud != "global" or self.ingestion_url is not None or self.proxy is not None:
            raise ValueError("base_url stands for all hosts: cloud, ingestion_url, proxy unused")
        if any(
            one.managed_identity or one.federated_token_file for one in self.identities.values()
        ):
            raise ValueError("base_url: managed and federated identities are real ones; not sent")

    @property
    def is_simulated(self) -> bool:
        """Tell whether a simulator stands for Microsoft."""
        return self.base_url is not None

    @property
    def where(self) -> Cloud:
        """Give the cloud as an enum member."""
        return Cloud(self.cloud)

    def identity(self, role: str) -> Identity:
        """Give the identity of a role; never another role's in its place."""
        found = self.identities.get(role)
        if found is None:
            raise SettingsError(
                name=f"microsoft.identities.{role}",
                problem=f"the identity for the role {role!r} is missing",
                remedy=f"Register an application for {role!r} with only the permissions that "
                "`quell permissions` lists for it, and set its client_id and one credential. "
                "No other identity is used in its place.",
            )
        return found
