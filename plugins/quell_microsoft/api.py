"""Calls Microsoft's APIs: one client per API, tenant and identity, with the rules that all share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Protocol, Self, TypedDict, Unpack

from quell.domain.offers import ConnectorContext
from quell.domain.ports import Quota
from quell_microsoft.addresses import Address
from quell_microsoft.answers import Answer
from quell_microsoft.clouds import Api
from quell_microsoft.sending import Request, Sender
from quell_microsoft.settings import MicrosoftSettings

__all__ = ["ApiClient", "ArmClient", "EndpointClient", "IngestionClient", "WriteOptions"]


class WriteOptions(TypedDict, total=False):
    """What can be said about a write; see `ApiClient.write`."""

    operation: str
    permission: str
    params: Mapping[str, str] | None
    is_repeatable: bool
    for_containment: bool
    headers: Mapping[str, str] | None
    read_timeout: float | None


class AnySender(Protocol):
    """Sends requests: a `Sender`, or what stands for one in a child process."""

    async def send(self, request: Request) -> Answer:
        """Send a request."""
        ...

    async def aclose(self) -> None:
        """Give the connections back."""
        ...


class ApiClient:
    """An authenticated client of one API. Tokens go to that API's host only.

    Reads, and writes that are declared repeatable, are tried again after 429, 5xx and cut
    connections. All other writes are sent once: the error's `may_have_happened` tells whether
    to look before sending again. Paths begin at the API's root; put names into them with
    `quote`, and everything else into `params`.
    """

    api: ClassVar[Api]
    #: sent with every call
    fixed_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: MicrosoftSettings, role: str, quota: Quota) -> None:
        settings.identity(role)
        self.tenant_id = settings.tenant_id
        self.role = role
        self._settings = settings
        self._quota = quota
        self._address = Address(settings, self.api)
        self._sender: AnySender = Sender(settings, role, quota, self._address, self.fixed_headers)

    @classmethod
    def build(cls, context: ConnectorContext) -> Self:
        """Make the client of a tenant and identity; signs in when first used."""
        return cls(context.settings(MicrosoftSettings), context.identity, context.quota)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(tenant={self.tenant_id}, role={self.role})"

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        operation: str = "read",
        permission: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Read, and give the parsed JSON. A partial answer (206) is a BadAnswer."""
        request = Request(
            method="GET",
            url=self._address.url(path, params),
            operation=operation,
            permission=permission,
            headers=headers or {},
        )
        return (await self.send(request)).body

    async def post(self, path: str, body: Any = None, **options: Unpack[WriteOptions]) -> Answer:
        """Write with POST; for the options see `write`."""
        return await self.write("POST", path, body, **options)

    async def patch(self, path: str, body: Any = None, **options: Unpack[WriteOptions]) -> Answer:
        """Write with PATCH; for the options see `write`."""
        return await self.write("PATCH", path, body, **options)

    async def put(self, path: str, body: Any = None, **options: Unpack[WriteOptions]) -> Answer:
        """Write with PUT; for the options see `write`."""
        return await self.write("PUT", path, body, **options)

    async def delete(self, path: str, body: Any = None, **options: Unpack[WriteOptions]) -> Answer:
        """Write with DELETE; for the options see `write`."""
        return await self.write("DELETE", path, body, **options)

    async def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        operation: str = "write",
        permission: str = "",
        params: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
        for_containment: bool = False,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> Answer:
        """Send a body: bytes as they are, anything else as JSON.

        `is_repeatable` says that sending it twice is the same as sending it once.
        """
        request = Request(
            method=method,
            url=self._address.url(path, params),
            operation=operation,
            permission=permission,
            body=body,
            headers=headers or {},
            is_repeatable=is_repeatable,
            for_containment=for_containment,
            read_timeout=read_timeout,
        )
        return await self.send(request)

    async def pages(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        operation: str = "read",
        permission: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Go through the pages of a list, as whole bodies, to the last or to a repeated link."""
        from quell_microsoft.paging import links

        request = Request(
            method="GET",
            url=self._address.url(path, params),
            operation=operation,
            permission=permission,
        )
        async for page in links(self.send, request, self._address.checked):
            yield page

    async def send(self, request: Request) -> Answer:
        """Send a request that was built outside, by the same rules."""
        return await self._sender.send(request)

    def checked(self, url: str) -> str:
        """Give the URL back if this API's token may be sent there. Raises RequestRefused."""
        return self._address.checked(url)

    def sending_through(self, sender: AnySender) -> Self:
        """Have something else send what this client builds; for use in a child process."""
        self._sender = sender
        return self

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._sender.aclose()


class EndpointClient(ApiClient):
    """Defender for Endpoint's API: paths begin with `/api/`."""

    api = Api.ENDPOINT


class ArmClient(ApiClient):
    """Azure Resource Manager, where Sentinel is: paths begin with `/subscriptions/`."""

    api = Api.ARM


class IngestionClient(ApiClient):
    """Logs Ingestion: paths begin with `/dataCollectionRules/`, at `microsoft.ingestion_url`."""

    api = Api.INGESTION
