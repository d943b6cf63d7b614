"""Lets a request arrive a second time, as after a network that held the first one back for long."""

from __future__ import annotations

from typing import Any, Protocol

from quell.errors import ConnectorError
from quell_microsoft import ArmClient, EndpointClient, GraphClient

__all__ = ["arrive_again"]

#: which client speaks to the host that a path belongs to
CLIENTS = {"/api/": EndpointClient, "/subscriptions/": ArmClient, "/v1.0/": GraphClient}


class _Lab(Protocol):
    def connector(self, kind: type[Any], identity: str) -> Any: ...


async def arrive_again(
    lab: _Lab, write: dict[str, Any], identity: str, **options: Any
) -> int | str:
    """Send a recorded write's method, path and body once more over HTTPS, past all that quell knows.

    Gives the status, or the product's word for its refusal.
    """
    client = next(kind for start, kind in CLIENTS.items() if write["path"].startswith(start))
    api = lab.connector(client, identity)
    try:
        answer = await api.write(write["method"], write["path"], write["body"], **options)
    except ConnectorError as error:
        return str(error.fields["vendor_code"] or error.fields["status"])
    return int(answer.status)
