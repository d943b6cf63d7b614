"""What expressions can name: the incident, its entities, the enums, and results of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, reduce

import msgspec

from quell.domain.action import Action, Trait
from quell.domain.entity import Entity, EntityKind, EvidenceRole, EvidenceVerdict
from quell.domain.incident import Classification, Determination, Owner, Severity, Status
from quell.domain.ports import EntitySummary
from quell.domain.view import AlertView, CopyView
from quell.playbooks.catalogue import INCIDENT, Catalogue, target_kind
from quell.playbooks.celtypes import (
    INT,
    TEXT,
    TIME,
    EnumGroup,
    EnumType,
    ListType,
    StructType,
    Type,
    enum_of,
    enums_in,
    struct_fields,
)
from quell.playbooks.join import join

__all__ = [
    "OWN_FIELDS",
    "PLURALS",
    "RESULT_LISTS",
    "base_scope",
    "reserved_names",
    "result_lists",
]

#: the lists of an incident's entities, by kind
PLURALS: Mapping[EntityKind, str] = {
    EntityKind.DEVICE: "devices",
    EntityKind.USER: "users",
    EntityKind.MAILBOX: "mailboxes",
    EntityKind.MAIL_MESSAGE: "mails",
    EntityKind.MAIL_CLUSTER: "mail_clusters",
    EntityKind.FILE: "files",
    EntityKind.PROCESS: "processes",
    EntityKind.IP: "ips",
    EntityKind.URL: "urls",
    EntityKind.CLOUD_APPLICATION: "cloud_applications",
    EntityKind.OAUTH_APPLICATION: "oauth_applications",
    EntityKind.REGISTRY_KEY: "registry_keys",
    EntityKind.REGISTRY_VALUE: "registry_values",
    EntityKind.SECURITY_GROUP: "security_groups",
    EntityKind.OTHER: "others",
}
#: the lists that the targets of a step end up in; `ok` is done and already
RESULT_LISTS = ("done", "already", "denied", "failed", "unknown", "skipped", "ok")
#: fields that are quell's own: no result of an action takes their place
OWN_FIELDS = frozenset({"id", "roles", "verdict", "alerts", "reason"})
#: names that steps, selections and items cannot have
RESERVED = frozenset({"incident", "select", "all"})

ROLE = enum_of(EvidenceRole, "role")
VERDICT = enum_of(EvidenceVerdict, "verdict")
KIND = enum_of(EntityKind, "kind")
ENUMS: tuple[EnumType, ...] = (
    enum_of(Severity),
    enum_of(Status),
    enum_of(Classification),
    enum_of(Determination),
    enum_of(Trait),
    ROLE,
    VERDICT,
    KIND,
)


@cache
def entity_types() -> Mapping[EntityKind, StructType]:
    """Give the type of each kind of entity, from the domain's structs."""
    found: dict[EntityKind, StructType] = {}
    for member in Entity.__args__:
        info = msgspec.inspect.type_info(member)
        if isinstance(info, msgspec.inspect.StructType):
            kind = EntityKind(str(info.tag))
            found[kind] = StructType(f"a {kind}", _entity_fields(member), str(kind))
    return found


def _entity_fields(member: type[msgspec.Struct]) -> dict[str, Type]:
    summary = struct_fields(EntitySummary)
    return {
        **struct_fields(member),
        "id": TEXT,
        "kind": KIND,
        "name": TEXT,
        "roles": ListType(ROLE),
        "verdict": VERDICT,
        "alerts": summary["alerts"],
    }


@cache
def _any_entity() -> StructType:
    fields: dict[str, Type] = {
        "id": TEXT,
        "kind": KIND,
        "name": TEXT,
        "roles": ListType(ROLE),
        "verdict": VERDICT,
        "alerts": ListType(TEXT),
    }
    return StructType("an entity", fields, "any")


@cache
def incident_type() -> StructType:
    """Give the type of `incident`."""
    lists = {PLURALS[kind]: ListType(entity) for kind, entity in entity_types().items()}
    fields: dict[str, Type] = {
        "id": TEXT,
        "revision": INT,
        "title": TEXT,
        "description": TEXT,
        "severity": enum_of(Severity),
        "status": enum_of(Status),
        "classification": enum_of(Classification),
        "determination": enum_of(Determination),
        "closing_comment": TEXT,
        "owner": StructType("an owner", {**struct_fields(Owner), "label": TEXT}),
        "tags": ListType(TEXT),
        "first_activity": TIME,
        "last_activity": TIME,
        "tactics": ListType(TEXT),
        "products": ListType(TEXT),
        "created": TIME,
        "updated": TIME,
        "alerts": ListType(StructType("an alert", struct_fields(AlertView))),
        "copies": ListType(StructType("a copy", struct_fields(CopyView))),
        "entities": ListType(_any_entity()),
        **lists,
    }
    return StructType("an incident", fields)


def base_scope(catalogue: Catalogue) -> dict[str, Type]:
    """Give what every expression of a playbook can name: the incident and the constants."""
    results = [
        kind
        for action in catalogue.actions()
        if action.result is not None
        for kind in struct_fields(action.result).values()
    ]
    enums = {**enums_in(results), **{enum.name: enum for enum in ENUMS}}
    return {"incident": incident_type(), **{name: EnumGroup(enums[name]) for name in enums}}


def reserved_names(scope: Mapping[str, Type]) -> frozenset[str]:
    """List the names that a step, a selection or an item may not have."""
    return RESERVED | scope.keys()


def result_lists(actions: Iterable[Action]) -> StructType:
    """Give the type of a step's results: lists of its targets with what the action found."""
    items = [_result_item(action) for action in actions]
    item = reduce(_both, items)
    return StructType("a step's results", {name: ListType(item) for name in RESULT_LISTS})


def _both(left: StructType, right: StructType) -> StructType:
    """Keep what is true of both implementations' results."""
    found = join(left, right)
    if isinstance(found, StructType):
        return found
    fields = {
        name: kind
        for name, kind in left.fields.items()
        if name in right.fields and join(kind, right.fields[name]) == kind
    }
    return StructType(left.name, fields, left.kind)


def _result_item(action: Action) -> StructType:
    found = struct_fields(action.result) if action.result is not None else {}
    more = {name: kind for name, kind in found.items() if name not in OWN_FIELDS}
    if action.target is None:
        return StructType(f"the {INCIDENT}", {**more, "id": TEXT, "reason": TEXT})
    entity = entity_types()[EntityKind(target_kind(action))]
    fields = {**entity.fields, **more, "reason": TEXT}
    return StructType(entity.name, fields, entity.kind)
