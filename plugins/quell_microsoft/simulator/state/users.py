"""Entra users and their on-premises halves: who may sign in, and what directory sync does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.wire import Json, new_guid

from .clock import SimulatedClock, stamp

#: how Graph describes the built-in role that most admins hold
ADMIN_ROLES = {
    "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
    "Privileged Role Administrator": "e8611ab8-c189-46e8-94e1-60213ab1f814",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Security Administrator": "194ae4cb-b126-40b2-bd5b-6091b380977d",
}


@dataclass(slots=True, kw_only=True)
class User:
    """A user: the Entra object, and for a synced one the account in Active Directory."""

    body: Json
    admin_roles: list[str] = field(default_factory=list[str])
    ad_enabled: bool = True
    identity_account_id: str = field(default_factory=new_guid)
    #: accepted effects by name: disable, enable, revoke, ad_disable, ad_enable, …
    effects: Counter[str] = field(default_factory=Counter[str])

    @property
    def is_synced(self) -> bool:
        """Whether Active Directory masters this user."""
        return self.body.get("onPremisesSyncEnabled") is True


class Users:
    """All users of the tenant."""

    def __init__(self, clock: SimulatedClock, config: SimulatorConfig, domain: str) -> None:
        self.clock = clock
        self.config = config
        self.domain = domain
        self.users: dict[str, User] = {}
        self._syncs = False

    def add(self, fields: Json, *, admin_roles: tuple[str, ...] = ()) -> User:
        """Put a user in; `userPrincipalName` is needed, the rest has defaults."""
        body: Json = {
            "id": new_guid(),
            "accountEnabled": True,
            "displayName": fields.get("userPrincipalName"),
            "userPrincipalName": "",
            "mail": fields.get("userPrincipalName"),
            "mailNickname": str(fields.get("userPrincipalName", "")).split("@")[0],
            "userType": "Member",
            "jobTitle": None,
            "department": None,
            "createdDateTime": "2024-03-04T09:00:00Z",
            "onPremisesSyncEnabled": None,
            "onPremisesSecurityIdentifier": None,
            "onPremisesSamAccountName": None,
            "onPremisesDomainName": None,
            "onPremisesDistinguishedName": None,
            "onPremisesImmutableId": None,
            "securityIdentifier": None,
            "signInSessionsValidFromDateTime": "2024-03-04T09:00:00Z",
            "lastPasswordChangeDateTime": "2026-02-01T08:00:00Z",
            "assignedLicenses": [],
            "identities": [],
        }
        user = User(body={**body, **fields}, admin_roles=list(admin_roles))
        self.users[user.body["id"]] = user
        if user.is_synced and not self._syncs:
            self._syncs = True
            self.clock.after(self.config.directory_sync_seconds, self._sync)
        return user

    def find(self, key: str) -> User | None:
        """Find a user by object id or user principal name."""
        found = self.users.get(key)
        if found is not None:
            return found
        wanted = key.casefold()
        return next((u for u in self.users.values() if _named(u, wanted)), None)

    def find_by_sid(self, sid: str) -> User | None:
        """Find a user by on-premises SID."""
        return next(
            (u for u in self.users.values() if u.body.get("onPremisesSecurityIdentifier") == sid),
            None,
        )

    def find_account(self, account_id: str) -> User | None:
        """Find the user behind an identity account id of Defender for Identity."""
        return next((u for u in self.users.values() if u.identity_account_id == account_id), None)

    def set_enabled(self, user: User, enabled: bool) -> None:
        """Write accountEnabled in Entra."""
        user.body["accountEnabled"] = enabled
        user.effects["enable" if enabled else "disable"] += 1

    def set_ad_enabled(self, user: User, enabled: bool) -> None:
        """Write the account in Active Directory; Entra follows at the next sync."""
        user.ad_enabled = enabled
        user.effects["ad_enable" if enabled else "ad_disable"] += 1

    def revoke(self, user: User) -> None:
        """End the user's sessions."""
        user.body["signInSessionsValidFromDateTime"] = stamp(self.clock.shown())
        user.effects["revoke"] += 1

    def _sync(self) -> None:
        """Copy the Active Directory half over the Entra half, as each sync cycle does."""
        for user in self.users.values():
            if user.is_synced:
                user.body["accountEnabled"] = user.ad_enabled
        self.clock.after(self.config.directory_sync_seconds, self._sync)


def _named(user: User, wanted: str) -> bool:
    names = (user.body.get("id"), user.body.get("userPrincipalName"))
    return any(isinstance(name, str) and name.casefold() == wanted for name in names)
