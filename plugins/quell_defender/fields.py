"""How a Defender incident holds each shared field; what may be written follows from it."""

from __future__ import annotations

from collections.abc import Mapping

from quell.domain.fields import FieldRule, writable

__all__ = ["CARRIED", "FIELDS", "WRITABLE"]

FIELDS: Mapping[str, FieldRule] = {
    "title": FieldRule(
        native="displayName",
        is_written=True,
        cannot_hold="An empty title; `(no title)` stands for it.",
    ),
    "description": FieldRule(native="description", is_written=True),
    "severity": FieldRule(
        native="severity",
        is_written=True,
        mapping="`unknown` is read; `informational` is written for it.",
        cannot_hold="`unknown` as something that was written.",
    ),
    "status": FieldRule(
        native="status",
        is_written=True,
        mapping="new ↔ `active`, active ↔ `inProgress`, closed ↔ `resolved`; `awaitingAction` is "
        "read as active, `redirected` as closed. Neither is ever written.",
    ),
    "owner": FieldRule(
        native="assignedTo",
        is_written=True,
        mapping="One text: a sign-in name where it has an @, an object id where it is a GUID, else "
        "a name. Written: sign-in name, else address, else name, else object id.",
        cannot_hold="More than one name of the owner.",
    ),
    "verdict": FieldRule(
        native="classification, determination",
        is_written=True,
        mapping="`informationalExpectedActivity` is benign positive, `unknown` undetermined. "
        "Older names (`clean`, `compromisedUser`, …) are read. A determination that the portal "
        "does not offer below a classification is written as `other`, or as `unknown` while "
        "there is no classification.",
        cannot_hold="`apt` and `securityPersonnel`, which are read but no longer written.",
    ),
    "closing_comment": FieldRule(native="resolvingComment", is_written=True),
    "tags": FieldRule(
        native="customTags",
        is_written=True,
        mapping="The whole list is written. `systemTags` are the product's own, and no tags.",
        cannot_hold="Spaces around a tag, and the order of tags.",
    ),
    "first_activity": FieldRule(native="alerts: firstActivityDateTime"),
    "last_activity": FieldRule(native="alerts: lastActivityDateTime"),
    "tactics": FieldRule(
        native="alerts: categories, category, mitreTechniques",
        mapping="Names of tactics, and the tactic of a technique that has only one.",
    ),
    "products": FieldRule(
        native="alerts: serviceSource",
        mapping="`microsoftDefenderForEndpoint` is `endpoint`, and so on.",
    ),
    "alerts": FieldRule(
        native="alerts", mapping="With every kind of evidence; unknown kinds keep their JSON."
    ),
    "comments": FieldRule(
        native="comments",
        is_written=True,
        mapping="Comments have no id: what they say, who and when stands for one.",
        cannot_hold="Edits and deletions; more than 100; more than 30,000 characters; another "
        "author than the application, who is named in the text instead.",
    ),
    "number": FieldRule(native="id"),
    "url": FieldRule(native="incidentWebUrl"),
}
#: canonical field names that Defender accepts in a PATCH
WRITABLE = writable(FIELDS)
#: what Microsoft's connector brings back from the copies that it made in Sentinel; the rest of
#: what it copies goes one way:
#: https://learn.microsoft.com/azure/sentinel/microsoft-365-defender-sentinel-integration
CARRIED = frozenset(("status", "owner", "verdict", "comments"))
