"""How a Sentinel incident holds each shared field; what may be written follows from it."""

from __future__ import annotations

from collections.abc import Mapping

from quell.domain.fields import FieldRule, writable

__all__ = ["CARRIED", "FIELDS", "WRITABLE"]

FIELDS: Mapping[str, FieldRule] = {
    "title": FieldRule(
        native="title",
        is_written=True,
        cannot_hold="An empty title; `(no title)` stands for it.",
    ),
    "description": FieldRule(
        native="description",
        is_written=True,
        cannot_hold="More than 5,000 characters; the rest is cut.",
    ),
    "severity": FieldRule(
        native="severity",
        is_written=True,
        mapping="`Informational` is written for unknown.",
        cannot_hold="Unknown.",
    ),
    "status": FieldRule(native="status", is_written=True),
    "owner": FieldRule(
        native="owner",
        is_written=True,
        mapping="Object id, sign-in name, address and name, each in its own place; the product "
        "adds what it finds in the directory.",
    ),
    "verdict": FieldRule(
        native="classification, classificationReason",
        is_written=True,
        mapping="True positive ↔ `SuspiciousActivity`, benign positive ↔ `SuspiciousButExpected`, "
        "false positive and not malicious ↔ `IncorrectAlertLogic`, any other false positive ↔ "
        "`InaccurateData`. Our own copies say the determination in the label "
        "`quell:verdict=…`. `InaccurateData` on a copy of the vendor's connector stands for "
        "every false positive, since it writes that for all of them.",
        cannot_hold="The determination, on copies that are not ours: it stays as it is while the "
        "pair of classification and reason allows it.",
    ),
    "closing_comment": FieldRule(native="classificationComment", is_written=True),
    "tags": FieldRule(
        native="labels",
        is_written=True,
        mapping="Labels of people. Those that the product assigned, and ours that begin with "
        "`quell:`, are no tags and stay.",
        cannot_hold="Spaces around a tag, and the order of tags.",
    ),
    "first_activity": FieldRule(
        native="firstActivityTimeUtc",
        is_written=True,
        mapping="Written to our own copies, together with other fields.",
    ),
    "last_activity": FieldRule(
        native="lastActivityTimeUtc",
        is_written=True,
        mapping="Written to our own copies, together with other fields, or by itself where it is "
        "more than an hour behind.",
    ),
    "tactics": FieldRule(
        native="additionalData.tactics",
        mapping="Our own copies are told in the comment on alerts.",
        cannot_hold="Tactics of a copy that an application made.",
    ),
    "products": FieldRule(
        native="additionalData.alertProductNames",
        mapping="Product names, of all generations, are read in quell's spelling. Our own copies "
        "are told in the comment on alerts.",
        cannot_hold="Products of a copy that an application made.",
    ),
    "alerts": FieldRule(
        native="alerts, entities",
        mapping="Our own copies are told in comments.",
        cannot_hold="Alerts that are not in the workspace; roles and verdicts of evidence; more "
        "than 150 alerts.",
    ),
    "comments": FieldRule(
        native="comments",
        is_written=True,
        mapping="Plain words are written as harmless HTML.",
        cannot_hold="More than 100; more than 30,000 characters; another author than the "
        "application, who is named in the text instead.",
    ),
    "tasks": FieldRule(
        native="tasks",
        is_written=True,
        mapping="done ↔ `Completed`, open ↔ `New`.",
        cannot_hold="More than 40, which our copies are told of in comments; more than 3,000 "
        "characters of a description.",
    ),
    "number": FieldRule(native="incidentNumber"),
    "url": FieldRule(native="incidentUrl"),
}
#: canonical field names that Sentinel accepts in a PUT
WRITABLE = writable(FIELDS)
#: what Microsoft's connector keeps equal in the copies that it made:
#: https://learn.microsoft.com/azure/sentinel/microsoft-365-defender-sentinel-integration
CARRIED = frozenset(
    ("title", "description", "severity", "status", "owner", "verdict", "tags", "comments")
)
