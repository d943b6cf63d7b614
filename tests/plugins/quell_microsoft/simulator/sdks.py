"""Microsoft's own SDKs, set up for a simulator as their documentation says, and closed again."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import RunningSimulator

ARM_SCOPE = "https://management.azure.com/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


class Sdks:
    """The clients of one simulator; a test that needs what is not installed is skipped."""

    def __init__(self, running: RunningSimulator) -> None:
        self.running = running
        self.tenant = running.tenant
        self._closers: list[Callable[[], Any]] = []

    def sentinel(self) -> Any:
        """Give the Sentinel client over ARM."""
        insight = pytest.importorskip("azure.mgmt.securityinsight")
        client = insight.SecurityInsights(
            self._credential("everything"),
            self.tenant.subscription_id,
            base_url=self.running.base_url,
            credential_scopes=[ARM_SCOPE],
            connection_verify=str(self.running.ca_file),
            # how often a refusal is tried again is not what is tested here
            retry_total=0,
        )
        return self._opened(client)

    def ingestion(self, role: str = "everything") -> Any:
        """Give the Logs Ingestion client as one of the apps."""
        ingestion = pytest.importorskip("azure.monitor.ingestion")
        client = ingestion.LogsIngestionClient(
            self.running.base_url,
            self._credential(role),
            connection_verify=str(self.running.ca_file),
            retry_total=0,
        )
        return self._opened(client)

    def graph(self) -> tuple[Any, Callable[[], Any]]:
        """Give the Graph client, and what closes it on its own event loop."""
        sdk = pytest.importorskip("msgraph")
        core = pytest.importorskip("msgraph_core")
        adapters = pytest.importorskip("msgraph.graph_request_adapter")
        azure = pytest.importorskip(
            "kiota_authentication_azure.azure_identity_authentication_provider"
        )
        signed_in = self._async_credential()
        provider = azure.AzureIdentityAuthenticationProvider(
            signed_in,
            scopes=[GRAPH_SCOPE],
            allowed_hosts=["localhost", f"localhost:{self.running.port}"],
        )
        context: ssl.SSLContext = self.running.ssl_context
        http = core.GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(verify=context)
        )
        adapter = adapters.GraphRequestAdapter(provider, client=http)
        adapter.base_url = f"{self.running.base_url}/v1.0"

        async def close() -> None:
            await http.aclose()
            await signed_in.close()

        return sdk.GraphServiceClient(request_adapter=adapter), close

    def close(self) -> None:
        """Close what was opened, and let go of it now: the SDKs leave sockets to the collector."""
        for close in reversed(self._closers):
            close()
        self._closers.clear()
        gc.collect()

    def _opened(self, client: Any) -> Any:
        self._closers.append(client.close)
        return client

    def _credential(self, role: str) -> Any:
        identity = pytest.importorskip("azure.identity")
        return self._opened(identity.ClientSecretCredential(*self._secret(role), **self._options()))

    def _async_credential(self) -> Any:
        identity = pytest.importorskip("azure.identity.aio")
        transport = pytest.importorskip("azure.core.pipeline.transport")
        verify = transport.AsyncioRequestsTransport(connection_verify=str(self.running.ca_file))
        options = self._options() | {"transport": verify}
        return identity.ClientSecretCredential(*self._secret("everything"), **options)

    def _secret(self, role: str) -> tuple[str, str, str]:
        app = self.tenant.registrations[role]
        return self.tenant.tenant_id, app.client_id, app.client_secret

    def _options(self) -> dict[str, Any]:
        return {
            "authority": self.running.base_url,
            "disable_instance_discovery": True,
            "connection_verify": str(self.running.ca_file),
        }
