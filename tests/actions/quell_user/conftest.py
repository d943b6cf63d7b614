"""People of the simulated tenant: in the cloud, synchronised, from elsewhere, with roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quell import Target, User
from quell_user.resolve import resolve_user

if TYPE_CHECKING:
    from tests.actions.conftest import Lab

    from quell_microsoft.simulator.state.users import User as Account

SID = "S-1-5-21-1111111111-2222222222-3333333333-1104"


class People:
    """Puts accounts into the tenant and looks them up."""

    sid = SID

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def add(self, name: str, *roles: str, **fields: Any) -> Account:
        """Put an account in."""
        body = {"userPrincipalName": f"{name}@corp.example", **fields}
        return self._lab.tenant.users.add(body, admin_roles=roles)

    async def target(self, name: str, *roles: str, **fields: Any) -> tuple[Account, Target]:
        """Put an account in and look it up."""
        account = self.add(name, *roles, **fields)
        user = User(object_id=account.body["id"])
        return account, await self._lab.target(resolve_user, user)

    async def synced(self) -> tuple[Account, Target]:
        """Put an account in whose master is Active Directory, and look it up."""
        return await self.target(
            "ana", onPremisesSyncEnabled=True, onPremisesSecurityIdentifier=SID
        )


@pytest.fixture
def people(lab: Lab) -> People:
    """Give the people of the tenant."""
    return People(lab)
