"""What the guard is told about an account."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell import Trait
from quell_microsoft.directory import DirectoryUser
from quell_user.resolve import object_id_of_cloud_sid
from quell_user.settings import UserSettings
from quell_user.traits import UserKind, kind_of, traits_of

SETTINGS = UserSettings(break_glass=("emergency@corp.example",))


def account(upn: str = "ana@corp.example", **changes: object) -> DirectoryUser:
    """Make an account of a person, changed where a test says so."""
    fields: dict[str, object] = {
        "id": "0b6f0c4e-0000-4000-8000-000000000001",
        "upn": upn,
        "name": "Ana",
        "mail": upn,
        "kind": "Member",
        "is_enabled": True,
        "is_synced": False,
        "sid": "",
        "account_name": "",
        "is_licensed": True,
        "sessions_valid_from": "",
    }
    return DirectoryUser(**{**fields, **changes})  # type: ignore[arg-type] # fields by name


def traits(user: DirectoryUser, *roles: str) -> frozenset[Trait]:
    """Give the traits of an account that goes by its own names only."""
    return traits_of(user, roles, SETTINGS, (user.id, user.upn, user.account_name))


def test_an_account_that_is_nothing_special_is_a_person() -> None:
    assert traits(account()) == {Trait.PERSON}


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        (account("emergency@corp.example"), UserKind.BREAK_GLASS),
        (account("EMERGENCY@CORP.EXAMPLE"), UserKind.BREAK_GLASS),
        (account("Sync_SRV01_1f2e3d@corp.example"), UserKind.SYNC),
        (account("ADToAADSyncServiceAccount@corp.example"), UserKind.SYNC),
        (account(account_name="MSOL_1f2e3d4c"), UserKind.SYNC),
        (account("svc-backup@corp.example"), UserKind.SERVICE),
        (account(is_enabled=False, is_licensed=False), UserKind.SHARED),
    ],
)
def test_an_account_that_no_person_uses_is_not_a_person(
    user: DirectoryUser, kind: UserKind
) -> None:
    assert kind_of(traits(user)) is kind
    assert Trait.PERSON not in traits(user)


def test_a_break_glass_account_that_nobody_listed_is_known_by_its_usual_name() -> None:
    # given settings that an operator has not touched
    names = ("breakglass1@corp.example",)

    # then
    assert Trait.BREAK_GLASS in traits_of(account(names[0]), (), UserSettings(), names)


def test_an_account_with_the_synchronisation_role_is_a_sync_account_whatever_its_name() -> None:
    assert Trait.SYNC_ACCOUNT in traits(account(), "Directory Synchronization Accounts")


def test_an_account_with_a_role_is_an_admin() -> None:
    assert traits(account(), "User Administrator") == {Trait.PERSON, Trait.ADMIN}


@pytest.mark.parametrize(
    "user", [account(kind="Guest"), account("bo_partner.example#EXT#@corp.example")]
)
def test_an_account_of_another_tenant_is_a_guest(user: DirectoryUser) -> None:
    assert Trait.GUEST in traits(user)


def test_a_display_name_gives_no_protection() -> None:
    assert traits(account(name="svc-harmless")) == {Trait.PERSON}


def test_a_disabled_person_with_a_licence_is_no_shared_mailbox() -> None:
    assert traits(account(is_enabled=False)) == {Trait.PERSON}


@given(identifier=st.uuids())
def test_a_cloud_security_identifier_holds_the_object_id(identifier: UUID) -> None:
    # given
    parts = [int.from_bytes(identifier.bytes_le[at : at + 4], "little") for at in range(0, 16, 4)]

    # when
    found = object_id_of_cloud_sid("S-1-12-1-" + "-".join(str(part) for part in parts))

    # then
    assert found == str(identifier)


@pytest.mark.parametrize("sid", ["", "S-1-5-18", "S-1-12-1-1-2-3", "S-1-12-1-9999999999-0-0-0"])
def test_what_is_no_cloud_security_identifier_gives_no_object_id(sid: str) -> None:
    assert object_id_of_cloud_sid(sid) is None
