"""Reads an incident, its alerts and its comments as Sentinel shows them into what sync compares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from quell import ObservedIncident
from quell.domain.entity import Evidence
from quell.domain.ids import SourceId
from quell.domain.incident import Alert, Comment, Severity, Task
from quell_microsoft.lenient import first, fold, mapping, member, number, text, texts
from quell_microsoft.shapes import misshapen
from quell_microsoft.spelling import spelled
from quell_microsoft.stamps import parse_moment, parse_stamp
from quell_microsoft.tactics import read_tactics
from quell_sentinel import labels, messages
from quell_sentinel.copies import is_from_defender
from quell_sentinel.entities import read_entities
from quell_sentinel.mapping import native_of, read_fields
from quell_sentinel.products import read_product
from quell_sentinel.references import properties_of

__all__ = ["is_from_defender", "observe", "read_alert", "read_comment", "read_task", "wrong_shape"]

_ALERT_STATUS = {
    "new": "new",
    "inprogress": "in_progress",
    "resolved": "resolved",
    "dismissed": "resolved",
}
#: both forms that the portal has had: /incidents/ID?tid=… and /incident2/ID/overview?tid=…
_PORTAL = re.compile(r"/incidents?2?/([^/]+)(?:/|$)", re.IGNORECASE)
#: what is compared with other copies, by its documented type; labels also come as plain names
_SHAPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("title", "description", "severity", "status", "classification"), (str,)),
    **dict.fromkeys(("classificationReason", "classificationComment"), (str,)),
    "owner": (dict,),
    "labels": (list,),
}
_INSIDE: dict[str, tuple[type, ...]] = {"labels": (dict, str)}
_ALERT_PAGE = re.compile(r"/alerts/([^/]+)(?:/|$)", re.IGNORECASE)


def observe(
    source_id: SourceId,
    value: Any,
    *,
    alerts: list[Any] | None = None,
    entities: list[Any] | None = None,
    comments: list[Any] | None = None,
    tasks: list[Any] | None = None,
) -> ObservedIncident:
    """Read one incident, with what was fetched of it besides. Never fails."""
    raw = spelled(value)
    properties = properties_of(raw)
    more = mapping(properties.get("additionalData"))
    native = native_of(properties)
    stamp = text(properties.get("lastModifiedTimeUtc")) or ""
    found = None if alerts is None else _with_entities(alerts, read_entities(entities))
    return ObservedIncident(
        source_id=source_id,
        native_id=text(raw.get("name")) or "",
        native=native,
        fields=read_fields(native),
        etag=text(raw.get("etag")) or "",
        stamp=stamp,
        changed_at=parse_stamp(stamp),
        created_at=parse_stamp(properties.get("createdTimeUtc")),
        number=text(properties.get("incidentNumber")) or "",
        url=text(properties.get("incidentUrl")) or "",
        alerts=found,
        comments=None if comments is None else tuple(read_comment(one) for one in comments),
        tasks=None if tasks is None else tuple(read_task(one) for one in tasks),
        alert_count=number(more.get("alertsCount")),
        comment_count=number(more.get("commentsCount")),
        merged_into=_merged_into(more),
        counterpart_system="defender" if is_from_defender(properties) else None,
        counterpart_id=_counterpart(properties),
        proofs=_proofs(properties, found or ()),
        created_for=labels.created_for(properties.get("labels")),
        raw=dict(mapping(value)) | ({"entities": entities} if entities is not None else {}),
    )


def wrong_shape(value: Any) -> str:
    """Say which property of an incident cannot be believed; empty where all can."""
    return misshapen(properties_of(spelled(value)), _SHAPES, _INSIDE)


def _counterpart(properties: Mapping[str, Any]) -> str | None:
    return text(properties.get("providerIncidentId")) if is_from_defender(properties) else None


def _merged_into(more: Mapping[str, Any]) -> str | None:
    """Give the name of the incident that this one was merged into: the end of its link."""
    end = (text(more.get("mergedIncidentUrl")) or "").rstrip("/").rpartition("/")[2]
    return end.lower() if re.fullmatch(r"[0-9a-fA-F-]{36}", end) else None


def _proofs(properties: Mapping[str, Any], alerts: tuple[Alert, ...]) -> frozenset[str]:
    if not is_from_defender(properties):
        return frozenset()
    link = text(mapping(properties.get("additionalData")).get("providerIncidentUrl")) or ""
    found = {mark for alert in alerts for mark in _alert_marks(alert)}
    return frozenset(found | _link_marks(link))


def _link_marks(link: str) -> set[str]:
    """Name the incident that a portal link points to by tenant and number."""
    try:
        parts = urlsplit(link)
    except ValueError:  # brackets that are no address
        return set()
    match = _PORTAL.search(parts.path)
    tenants = parse_qs(parts.query).get("tid", [])
    return {f"incident:{tenant}/{match.group(1)}".lower() for tenant in tenants if match}


def _alert_marks(alert: Alert) -> set[str]:
    """Name a Defender alert as Defender does: by its own id, and by the one in its link."""
    properties = mapping(alert.raw.get("properties"))
    link = text(properties.get("alertLink")) or ""
    match = _ALERT_PAGE.search(link.partition("?")[0])
    names = {text(properties.get("providerAlertId")), match.group(1) if match else None}
    return {f"alert:{name}".lower() for name in names if name}


# -- alerts and comments -----------------------------------------------------------------------


def read_alert(value: Any, evidence: tuple[Evidence, ...] = ()) -> Alert:
    """Read one alert. Never fails; `raw` is the JSON as it came."""
    raw, whole = spelled(value), mapping(value)
    properties = properties_of(raw)
    product = text(properties.get("productName")) or ""
    return Alert(
        id=text(first(properties, "systemAlertId")) or text(raw.get("name")) or "",
        title=text(first(properties, "alertDisplayName", "friendlyName")) or "",
        severity=member(Severity, properties.get("severity"), Severity.UNKNOWN),
        status=_ALERT_STATUS.get(fold(text(properties.get("status")) or ""), "unknown"),
        product=read_product(product),
        category=next(iter(texts(properties.get("tactics"))), ""),
        created=text(first(properties, "timeGenerated", "startTimeUtc")),
        updated=text(first(properties, "processingEndTime", "endTimeUtc")),
        first_activity=parse_moment(properties.get("startTimeUtc")),
        last_activity=parse_moment(properties.get("endTimeUtc")),
        tactics=read_tactics(texts(properties.get("tactics"))),
        evidence=evidence,
        raw=dict(whole) if whole else {"value": value},
    )


def _with_entities(alerts: list[Any], evidence: tuple[Evidence, ...]) -> tuple[Alert, ...]:
    """Read the alerts, the oldest with the entities.

    Sentinel names entities for the incident as a whole. They are kept once, with the alert that
    began it, and say neither role nor verdict.
    """
    plain = [read_alert(alert) for alert in alerts]
    if not plain:
        return ()
    oldest = min(range(len(plain)), key=lambda index: (plain[index].created or "~", index))
    return tuple(
        read_alert(alert, evidence) if index == oldest else plain[index]
        for index, alert in enumerate(alerts)
    )


def read_comment(value: Any) -> Comment:
    """Read one comment. Never fails."""
    raw = spelled(value)
    properties = properties_of(raw)
    author = mapping(properties.get("author"))
    return Comment(
        key=text(raw.get("name")) or "",
        text=messages.read(text(properties.get("message")) or ""),
        author=text(first(author, "userPrincipalName", "email", "name")) or "",
        created=parse_stamp(properties.get("createdTimeUtc")),
    )


def read_task(value: Any) -> Task:
    """Read one task. Never fails."""
    raw = spelled(value)
    properties = properties_of(raw)
    author = mapping(properties.get("createdBy"))
    return Task(
        key=text(raw.get("name")) or "",
        title=text(properties.get("title")) or "",
        description=text(properties.get("description")) or "",
        is_done=fold(text(properties.get("status")) or "") == "completed",
        created_by=text(first(author, "userPrincipalName", "email", "name")) or "",
    )
