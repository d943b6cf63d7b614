"""Advanced hunting: a typed client for the few questions that no other API answers.

https://learn.microsoft.com/graph/api/security-security-runhuntingquery
"""

from __future__ import annotations

from collections.abc import Iterable

from quell import ConnectorContext
from quell_microsoft import GraphClient
from quell_microsoft.records import Record, rows, word

__all__ = ["HuntingClient", "kql_string"]

#: the permission to hunt
HUNT = "ThreatHunting.Read.All"

_ESCAPES = {"\\": "\\\\", '"': '\\"'}


def kql_string(value: str) -> str:
    """Write text as a KQL string literal; nothing inside can end it."""
    return '"' + "".join(_escape(char) for char in value) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class HuntingClient:
    """Runs hunting queries of ours; text from incidents enters them as literals only."""

    def __init__(self, api: GraphClient) -> None:
        self._api = api

    @classmethod
    def connect(cls, context: ConnectorContext) -> HuntingClient:
        """Build the client for the identity that the context is for."""
        return cls(context.connector(GraphClient))

    async def run(
        self,
        query: str,
        *,
        timespan: str = "P30D",
        read_timeout: float | None = None,
        for_containment: bool = False,
    ) -> tuple[Record, ...]:
        """Run a query over at most 30 days and give its rows; reads only, so safe to repeat."""
        answer = await self._api.post(
            "/v1.0/security/runHuntingQuery",
            {"Query": query, "Timespan": timespan},
            operation="hunting",
            permission=HUNT,
            is_repeatable=True,
            read_timeout=read_timeout,
            for_containment=for_containment,
        )
        return rows(answer.body, "results")

    async def find_object_ids(self, sid: str) -> tuple[str, ...]:
        """List the directory object ids of the account with that security identifier."""
        wanted = kql_string(sid)
        found = await self.run(
            f"IdentityInfo | where OnPremSid == {wanted} or CloudSid == {wanted}"
            " | project AccountObjectId",
            # whoever looks for an account is about to act on it: streams of events can wait
            for_containment=True,
        )
        return _distinct(word(row, "AccountObjectId") for row in found)


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
