"""The client of identity accounts: the documented shape and the schema's are read alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from quell_defender.identities import ACTIVE_DIRECTORY, IdentityAccountsClient
from quell_microsoft import GraphClient

if TYPE_CHECKING:
    from tests.plugins.conftest import SourceDesk

pytestmark = pytest.mark.anyio

SID = "S-1-5-21-1111111111-2222222222-3333333333-1104"


class Canned(GraphClient):
    """Gives one page, for lists that the simulated tenant does not have."""

    def __init__(self, page: dict[str, Any]) -> None:
        self._page = page

    async def pages(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        operation: str = "read",
        permission: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """Go through the only page."""
        yield self._page


@pytest.mark.parametrize(
    "account",
    [
        {"identityProvider": "activeDirectory", "identifier": "a-1", "actions": ["disable"]},
        {"provider": "ActiveDirectory", "identifier": "a-1", "actions": ["Disable"]},
    ],
)
async def test_what_is_offered_is_found_however_it_is_spelled(account: dict[str, Any]) -> None:
    # given
    row = {"id": "i-1", "onPremisesSecurityIdentifier": SID, "accounts": [account]}
    identities = IdentityAccountsClient(Canned({"value": [row]}))

    # when
    found = await identities.find_by_sid(SID)

    # then
    assert found is not None
    assert found.is_enabled is None
    offer = found.find_offer(ACTIVE_DIRECTORY, "disable")
    assert offer is not None
    assert offer.id == "a-1"
    assert found.find_offer(ACTIVE_DIRECTORY, "enable") is None
    assert found.find_offer("okta", "disable") is None


async def test_an_account_with_another_identifier_is_not_taken_for_it() -> None:
    # given a product that pays no heed to the filter
    row: dict[str, Any] = {"id": "i-1", "onPremisesSecurityIdentifier": SID + "0"}

    # then
    assert await IdentityAccountsClient(Canned({"value": [row]})).find_by_sid(SID) is None


@pytest.mark.parametrize(
    "row",
    [{}, {"accounts": None}, {"accounts": [None, 1, {"actions": "disable"}]}, {"isEnabled": "yes"}],
)
async def test_an_answer_of_another_shape_is_read_as_far_as_it_goes(row: dict[str, Any]) -> None:
    # given
    page = {"value": [{"id": "i-1", "onPremisesSecurityIdentifier": SID, **row}, None, 7]}

    # when
    found = await IdentityAccountsClient(Canned(page)).find_by_sid(SID)

    # then
    assert found is not None
    assert found.is_enabled is None
    assert found.find_offer(ACTIVE_DIRECTORY, "disable") is None


async def test_sensors_are_listed_with_their_kind() -> None:
    # given
    row = {"displayName": "DC1", "sensorType": "domainControllerIntegrated", "domainName": "c.x"}

    # when
    (sensor,) = await IdentityAccountsClient(Canned({"value": [row]})).list_sensors()

    # then
    assert (sensor.name, sensor.kind, sensor.domain) == ("DC1", "domainControllerIntegrated", "c.x")


async def test_an_account_is_disabled_and_enabled_on_the_premises(desk: SourceDesk) -> None:
    # given
    user = desk.tenant.users.add(
        {
            "userPrincipalName": "ana@corp.example",
            "onPremisesSyncEnabled": True,
            "onPremisesSecurityIdentifier": SID,
        }
    )
    identities = IdentityAccountsClient(desk.connector(GraphClient, "user"))
    identity = await identities.find_by_sid(SID)
    assert identity is not None
    account = identity.find_offer(ACTIVE_DIRECTORY, "disable")
    assert account is not None

    # when
    proof = await identities.invoke(identity, account, "disable")

    # then
    assert proof
    assert not user.ad_enabled
    await identities.invoke(identity, account, "enable")
    assert user.ad_enabled
