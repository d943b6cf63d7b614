"""Users of the Entra directory: a typed client of the users API.

https://learn.microsoft.com/graph/api/resources/user
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from quell import ConnectorContext
from quell.domain.ports import Clock
from quell.errors import BadAnswer
from quell_microsoft.addresses import odata_string, quote
from quell_microsoft.graph import GraphClient
from quell_microsoft.lenient import mapping
from quell_microsoft.records import Record, flag, rows, word

__all__ = ["DirectoryClient", "DirectoryUser"]

_READ = "User.Read.All"
_FIELDS = (
    "id,userPrincipalName,displayName,mail,userType,accountEnabled,onPremisesSyncEnabled,"
    "onPremisesSecurityIdentifier,onPremisesSamAccountName,assignedLicenses,"
    "signInSessionsValidFromDateTime"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryUser:
    """An account as Entra has it now. None for `is_enabled` means that it did not say."""

    id: str
    upn: str
    name: str
    mail: str
    kind: str
    is_enabled: bool | None
    is_synced: bool
    sid: str
    account_name: str
    is_licensed: bool
    sessions_valid_from: str

    @property
    def is_guest(self) -> bool:
        """Tell whether the account's home is another tenant."""
        return self.kind.lower() == "guest" or "#ext#" in self.upn.lower()


class DirectoryClient:
    """Reads users, disables and enables them, revokes their sessions, for one tenant and identity."""

    def __init__(self, api: GraphClient, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    @classmethod
    def connect(cls, context: ConnectorContext) -> DirectoryClient:
        """Build the client for the identity that the context is for."""
        return cls(context.connector(GraphClient), context.clock)

    def now(self) -> datetime:
        """Tell the time by which answers of this client are dated."""
        return self._clock.now()

    async def get(self, name: str) -> DirectoryUser:
        """Read one user by object id or user principal name. Raises AnswerNotFound."""
        path = f"/v1.0/users/{quote(name)}"
        body = await self._api.get(path, {"$select": _FIELDS}, operation="users", permission=_READ)
        user = _user(mapping(body))
        if not user.id:
            raise BadAnswer(endpoint=path, problem="has no object id")
        return user

    async def list_by_sid(self, sid: str) -> tuple[DirectoryUser, ...]:
        """List the users that were synchronised from the account with that identifier."""
        query = {
            "$filter": f"onPremisesSecurityIdentifier eq {odata_string(sid)}",
            "$select": _FIELDS,
        }
        found = [_user(row) async for row in self._rows("/v1.0/users", query)]
        return tuple(user for user in found if user.sid.lower() == sid.lower())

    async def list_roles(self, object_id: str) -> tuple[str, ...]:
        """List the directory roles that a user holds, also through groups. Not the eligible ones.

        https://learn.microsoft.com/graph/api/user-list-transitivememberof
        """
        path = f"/v1.0/users/{quote(object_id)}/transitiveMemberOf/microsoft.graph.directoryRole"
        rows = [row async for row in self._rows(path, {"$select": "id,displayName"})]
        return tuple(word(row, "displayName", "id") for row in rows)

    async def set_enabled(self, object_id: str, is_enabled: bool) -> None:
        """Let an account sign in, or not; setting it twice is setting it once.

        https://learn.microsoft.com/graph/api/user-update
        """
        await self._api.patch(
            f"/v1.0/users/{quote(object_id)}",
            {"accountEnabled": is_enabled},
            operation="user_writes",
            permission="User.EnableDisableAccount.All",
            is_repeatable=True,
            for_containment=not is_enabled,
        )

    async def revoke_sessions(self, object_id: str) -> bool:
        """End an account's sign-in sessions; safe to repeat. False when the product says so.

        https://learn.microsoft.com/graph/api/user-revokesigninsessions
        """
        answer = await self._api.post(
            f"/v1.0/users/{quote(object_id)}/revokeSignInSessions",
            None,
            operation="user_writes",
            permission="User.RevokeSessions.All",
            is_repeatable=True,
            for_containment=True,
        )
        # older behaviour is 204 without a body
        return mapping(answer.body).get("value") is not False

    async def _rows(self, path: str, query: dict[str, str]) -> AsyncIterator[Record]:
        async for page in self._api.pages(path, query, operation="users", permission=_READ):
            for row in rows(page):
                yield row


def _user(row: Record) -> DirectoryUser:
    return DirectoryUser(
        id=word(row, "id"),
        upn=word(row, "userPrincipalName"),
        name=word(row, "displayName"),
        mail=word(row, "mail"),
        kind=word(row, "userType"),
        is_enabled=flag(row, "accountEnabled"),
        # false means formerly synchronised, null means never
        is_synced=flag(row, "onPremisesSyncEnabled") is True,
        sid=word(row, "onPremisesSecurityIdentifier"),
        account_name=word(row, "onPremisesSamAccountName"),
        is_licensed=bool(row.get("assignedLicenses")),
        sessions_valid_from=word(row, "signInSessionsValidFromDateTime"),
    )
