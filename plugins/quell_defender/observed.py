"""Reads an incident, its alerts and its comments as Graph shows them into what sync compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from quell import ObservedIncident
from quell.domain.ids import SourceId
from quell.domain.incident import Alert, Comment, Severity
from quell_defender.evidence import read_all
from quell_defender.mapping import native_of, read_fields
from quell_microsoft.lenient import first, fold, items, mapping, member, text
from quell_microsoft.shapes import misshapen
from quell_microsoft.spelling import spelled
from quell_microsoft.stamps import parse_moment, parse_stamp
from quell_microsoft.tactics import read_tactics

__all__ = ["FOUND_ALERTS", "alert_proofs", "observe", "read_alert", "read_comments", "wrong_shape"]

#: where alerts of an incident stand that are surely its own, and perhaps not all of them
FOUND_ALERTS = "foundAlerts"
#: `serviceSource` members in quell's spelling; others are given as they are spelled
_PRODUCTS = {
    "microsoftdefenderforendpoint": "endpoint",
    "microsoftdefenderatp": "endpoint",
    "microsoftdefenderforidentity": "identity",
    "aatp": "identity",
    "microsoftdefenderforoffice365": "office",
    "officeatp": "office",
    "microsoftdefenderforcloudapps": "cloud_apps",
    "microsoftcloudappsecurity": "cloud_apps",
    "mcas": "cloud_apps",
    "microsoft365defender": "xdr",
    "azureadidentityprotection": "identity_protection",
    "microsoftappgovernance": "app_governance",
    "datalossprevention": "data_loss_prevention",
    "microsoftdefenderforcloud": "cloud",
    "microsoftsentinel": "sentinel",
    "microsoftinsiderriskmanagement": "insider_risk",
    "microsoftthreatintelligence": "threat_intelligence",
    "microsoftsecurityforai": "security_for_ai",
}
#: what is compared with other copies, by its documented type
_SHAPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("displayName", "description", "severity", "status", "assignedTo"), (str,)),
    **dict.fromkeys(("classification", "determination", "resolvingComment"), (str,)),
    **dict.fromkeys(("customTags", "comments"), (list,)),
}
_INSIDE: dict[str, tuple[type, ...]] = {"customTags": (str,), "comments": (dict,)}
_ALERT_STATUS = {
    "new": "new",
    "inprogress": "in_progress",
    "resolved": "resolved",
}


def read_alert(value: Any) -> Alert:
    """Read one alert with its evidence. Never fails; `raw` is the JSON as it came."""
    raw, whole = spelled(value), mapping(value)
    source = text(raw.get("serviceSource")) or ""
    return Alert(
        id=text(first(raw, "id", "alertId")) or "",
        title=text(raw.get("title")) or "",
        severity=member(Severity, raw.get("severity"), Severity.UNKNOWN),
        status=_ALERT_STATUS.get(fold(text(raw.get("status")) or ""), "unknown"),
        product=_PRODUCTS.get(fold(source), source),
        category=text(raw.get("category")) or next(_texts(raw.get("categories")), ""),
        created=text(first(raw, "createdDateTime", "creationTime")),
        updated=text(first(raw, "lastUpdateDateTime", "lastUpdatedTime")),
        first_activity=parse_moment(first(raw, "firstActivityDateTime", "firstActivity")),
        last_activity=parse_moment(first(raw, "lastActivityDateTime", "lastActivity")),
        tactics=_tactics(raw),
        evidence=read_all(first(raw, "evidence", "entities")),
        raw=dict(whole) if whole else {"value": value},
    )


def _tactics(raw: Mapping[str, Any]) -> frozenset[str]:
    words = [raw.get("category"), *items(raw.get("categories")), *items(raw.get("mitreTechniques"))]
    return read_tactics(_texts(words))


def _texts(value: Any) -> Any:
    return (found for found in map(text, items(value)) if found)


def read_comments(value: Any) -> tuple[Comment, ...]:
    """Read the comments; Graph gives them no id, so their key is a digest of what they say."""
    return tuple(_comment(spelled(item)) for item in items(value))


def _comment(raw: Mapping[str, Any]) -> Comment:
    created = text(first(raw, "createdDateTime", "createdTime")) or ""
    author = text(first(raw, "createdByDisplayName", "createdBy")) or ""
    words = text(raw.get("comment")) or ""
    moment = parse_stamp(created)
    # by the instant, since the same stamp is sent with more or fewer digits
    when = moment.isoformat() if moment else created
    parts = "".join(f"{len(part)}:{part}" for part in (when, author, words))
    # what no journal can hold is marked before it is stored: the key has to survive that
    digest = hashlib.sha256(parts.replace("\x00", "\ufffd").encode("utf-8", "replace")).hexdigest()
    return Comment(key=digest[:32], text=words, author=author, created=moment)


def observe(source_id: SourceId, value: Any, *, alerts: Any = None) -> ObservedIncident:
    """Read one incident. `alerts` is their JSON where it was fetched apart. Never fails."""
    raw = spelled(value)
    native, found = native_of(raw), _alerts(raw, alerts)
    stamp = text(first(raw, "lastUpdateDateTime", "lastUpdateTime")) or ""
    native_id = text(first(raw, "id", "incidentId")) or ""
    comments = raw.get("comments")
    return ObservedIncident(
        source_id=source_id,
        native_id=native_id,
        native=native,
        fields=read_fields(native),
        stamp=stamp,
        changed_at=parse_stamp(stamp),
        created_at=parse_stamp(first(raw, "createdDateTime", "createdTime")),
        changed_by=text(raw.get("lastModifiedBy")) or "",
        number=native_id,
        url=text(raw.get("incidentWebUrl")) or "",
        alerts=found,
        news=tuple(read_alert(alert) for alert in items(raw.get(FOUND_ALERTS))),
        comments=read_comments(comments) if isinstance(comments, list) else None,
        merged_into=merged_into(raw),
        proofs=_own_proofs(raw, native_id) | alert_proofs(found or ()),
        raw={name: part for name, part in raw.items() if name not in ("alerts", FOUND_ALERTS)},
    )


def wrong_shape(value: Any) -> str:
    """Say which property of an incident cannot be believed; empty where all can."""
    return misshapen(spelled(value), _SHAPES, _INSIDE)


def _alerts(raw: Mapping[str, Any], fetched: Any) -> tuple[Alert, ...] | None:
    found = raw.get("alerts") if fetched is None else fetched
    return tuple(read_alert(alert) for alert in items(found)) if isinstance(found, list) else None


def merged_into(raw: Mapping[str, Any]) -> str | None:
    """Give the id of the incident that this one was merged into, if it was."""
    return text(raw.get("redirectIncidentId"))


def _own_proofs(raw: Mapping[str, Any], native_id: str) -> frozenset[str]:
    """Name this incident as the other product's link to it does: tenant and number."""
    query = parse_qs(urlsplit(_url(raw)).query)
    tenants = {text(raw.get("tenantId")), *query.get("tid", [])}
    return frozenset(f"incident:{tenant}/{native_id}".lower() for tenant in tenants if tenant)


def _url(raw: Mapping[str, Any]) -> str:
    url = text(raw.get("incidentWebUrl")) or ""
    try:
        urlsplit(url)
    except ValueError:  # brackets that are no address
        return ""
    return url


def alert_proofs(alerts: tuple[Alert, ...]) -> frozenset[str]:
    """Name the alerts both by their id here and by the id that their own product gave them."""
    names = (
        name for alert in alerts for name in (alert.id, text(alert.raw.get("providerAlertId")))
    )
    return frozenset(f"alert:{name}".lower() for name in names if name)
