"""A small catalogue of actions, and views of incidents, for tests of the playbook language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest

from quell.domain.action import Action, Effect, NoParams
from quell.domain.entity import Device, Entity, EntityKind, MailMessage, User
from quell.domain.ids import IncidentId, TenantId
from quell.domain.incident import IncidentFields, Severity, Status
from quell.domain.outcome import Outcome, Succeeded
from quell.domain.ports import EntitySummary
from quell.domain.view import IncidentView
from quell.errors import PlaybookError
from quell.playbooks import Catalogue, load_playbook


class UserKind(StrEnum):
    """What stands behind an account."""

    PERSON = "person"
    SERVICE = "service"


class UserFacts(msgspec.Struct, kw_only=True):
    """What `user.get` finds."""

    kind: UserKind
    enabled: bool
    manager: str | None = None
    devices: int | None = None
    more: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class CommentParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A comment."""

    text: str


class PurgeMode(StrEnum):
    """How mail is purged."""

    SOFT = "soft"
    HARD = "hard"


class PurgeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to purge."""

    action: PurgeMode = PurgeMode.SOFT
    days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 7
    labels: list[str] = msgspec.field(default_factory=list[str])


async def nothing(call: Any) -> Outcome:
    """Do nothing."""
    return Succeeded()


def declare(
    name: str,
    effect: Effect,
    target: type | None,
    params: type[msgspec.Struct] = NoParams,
    **declaration: Any,
) -> Action:
    """Declare an action that does nothing."""
    return Action(
        name=name,
        system=declaration.pop("system", "test"),
        effect=effect,
        target=target,
        params=params,
        call=nothing,
        summary="",
        **declaration,
    )


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Offer a few actions of each sort."""
    return Catalogue(
        [
            declare("incident.comment", Effect.ANNOTATE, None, CommentParams),
            declare("user.get", Effect.READ, User, result=UserFacts),
            declare("user.disable", Effect.CONTAIN, User, makes="user.disabled"),
            declare("user.revoke_sessions", Effect.CONTAIN, User),
            declare("device.isolate", Effect.CONTAIN, Device, makes="device.isolated"),
            declare(
                "device.isolate",
                Effect.CONTAIN,
                Device,
                makes="device.isolated",
                system="other",
            ),
            declare("mail.purge", Effect.REMEDIATE, MailMessage, PurgeParams, makes="mail.purged"),
        ]
    )


Problems = Callable[[str], list[str]]


@pytest.fixture
def problems(catalogue: Catalogue) -> Problems:
    """Load a text and give its problems, without the file's name."""

    def find(text: str) -> list[str]:
        try:
            load_playbook(text, name="p.yml", catalogue=catalogue)
        except PlaybookError as error:
            return [line.removeprefix("p.yml:") for line in error.problems]
        return []

    return find


def entity(entity_id: str, value: Entity, *roles: str, verdict: str = "unknown") -> EntitySummary:
    """Make an entity of an incident."""
    kind = EntityKind(str(value.__struct_config__.tag))
    return EntitySummary(id=entity_id, kind=kind, entity=value, roles=roles, verdict=verdict)


@pytest.fixture(scope="session")
def make_incident() -> Callable[..., IncidentView]:
    """Make incidents: two devices and two users, unless told otherwise."""

    def make(**changes: Any) -> IncidentView:
        entities = changes.pop(
            "entities",
            (
                entity("d1", Device(dns_name="one.test", os="Windows"), "compromised"),
                entity("d2", Device(host_name="two"), verdict="suspicious"),
                entity("u1", User(upn="ann@test"), "compromised", verdict="malicious"),
                entity("u2", User(upn="bob@test")),
            ),
        )
        fields: dict[str, Any] = {
            "severity": Severity.HIGH,
            "status": Status.NEW,
            "title": "Alert",
            **changes,
        }
        return IncidentView(
            tenant_id=TenantId("t"),
            id=IncidentId("i1"),
            revision=1,
            fields=IncidentFields(**fields),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            updated_at=datetime(2026, 1, 2, tzinfo=UTC),
            entities=entities,
        )

    return make
