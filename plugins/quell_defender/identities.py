"""Accounts as Defender for Identity sees them: a typed client of the identity accounts API.

https://learn.microsoft.com/graph/api/resources/security-identityaccounts
"""

from __future__ import annotations

from dataclasses import dataclass

from quell import ConnectorContext
from quell_microsoft import GraphClient, odata_string, quote
from quell_microsoft.lenient import mapping, texts
from quell_microsoft.records import Record, flag, rows, word

__all__ = [
    "ACTIVE_DIRECTORY",
    "IdentityAccount",
    "IdentityAccountsClient",
    "ProviderAccount",
    "Sensor",
]

_ACCOUNTS = "/v1.0/security/identities/identityAccounts"
_SENSORS = "/v1.0/security/identities/sensors"
#: how the request spells the directory on the premises
ACTIVE_DIRECTORY = "activeDirectory"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccount:
    """One account of an identity in one directory, with what can be done to it from here."""

    provider: str
    id: str
    actions: frozenset[str]

    def offers(self, provider: str, action: str) -> bool:
        """Tell whether it is of that directory and the action is possible right now."""
        return self.provider.lower() == provider.lower() and action.lower() in self.actions


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAccount:
    """An identity with its accounts. `is_enabled` speaks of Active Directory; None is unknown."""

    id: str
    sid: str
    is_enabled: bool | None
    accounts: tuple[ProviderAccount, ...]

    def find_offer(self, provider: str, action: str) -> ProviderAccount | None:
        """Find the account of that directory to which the action can be done."""
        return next((each for each in self.accounts if each.offers(provider, action)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A sensor of Defender for Identity: it sits on domain controllers and their like."""

    name: str
    kind: str
    domain: str


class IdentityAccountsClient:
    """Reads identity accounts and sensors, disables and enables accounts on the premises."""

    def __init__(self, api: GraphClient) -> None:
        self._api = api

    @classmethod
    def connect(cls, context: ConnectorContext) -> IdentityAccountsClient:
        """Build the client for the identity that the context is for."""
        return cls(context.connector(GraphClient))

    async def find_by_sid(self, sid: str) -> IdentityAccount | None:
        """Find the identity with that security identifier of Active Directory."""
        query = {"$filter": f"onPremisesSecurityIdentifier eq {odata_string(sid)}"}
        permission = "SecurityIdentitiesAccount.Read.All"
        async for page in self._api.pages(_ACCOUNTS, query, permission=permission):
            for row in rows(page):
                found = _account(row)
                if found.sid.lower() == sid.lower():
                    return found
        return None

    async def list_sensors(self) -> tuple[Sensor, ...]:
        """List the sensors, to know the machines that must not be cut off.

        https://learn.microsoft.com/graph/api/security-identitycontainer-list-sensors
        """
        permission = "SecurityIdentitiesSensors.Read.All"
        return tuple(
            [
                Sensor(
                    name=word(row, "displayName"),
                    kind=word(row, "sensorType"),
                    domain=word(row, "domainName"),
                )
                async for page in self._api.pages(_SENSORS, permission=permission)
                for row in rows(page)
            ]
        )

    async def invoke(self, identity: IdentityAccount, account: ProviderAccount, action: str) -> str:
        """Have `disable` or `enable` done in Active Directory; gives the correlation id.

        Both set a state, so the request is safe to repeat.
        https://learn.microsoft.com/graph/api/security-identityaccounts-invokeaction
        """
        answer = await self._api.post(
            f"{_ACCOUNTS}/{quote(identity.id)}/invokeAction",
            {"accountId": account.id, "action": action, "identityProvider": ACTIVE_DIRECTORY},
            permission="SecurityIdentitiesActions.ReadWrite.All",
            is_repeatable=True,
            for_containment=action == "disable",
        )
        body = mapping(answer.body)
        return word(mapping(body.get("value")) or body, "correlationId")


def _account(row: Record) -> IdentityAccount:
    return IdentityAccount(
        id=word(row, "id"),
        sid=word(row, "onPremisesSecurityIdentifier"),
        is_enabled=flag(row, "isEnabled"),
        accounts=tuple(
            ProviderAccount(
                # the schema and the documentation's example name the field differently
                provider=word(each, "identityProvider", "provider"),
                id=word(each, "identifier"),
                actions=frozenset(action.lower() for action in texts(each.get("actions"))),
            )
            for each in rows(row, "accounts")
        ),
    )
