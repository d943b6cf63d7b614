"""Reads Graph security evidence into entities; what quell has no class for is kept whole.

https://learn.microsoft.com/graph/api/resources/security-alertevidence
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.domain.entity import Evidence, EvidenceRole, EvidenceVerdict, OtherEntity
from quell_defender.entities import READERS
from quell_microsoft.lenient import first, items, mapping, member, text, texts
from quell_microsoft.spelling import spelled

__all__ = ["read_all", "read_evidence", "read_inside"]

Raw = Mapping[str, Any]


def read_evidence(value: Any) -> Evidence:
    """Read one evidence of an alert. Never fails; `raw` is the JSON as it came."""
    raw = spelled(value)
    kind = subtype(raw)
    read = READERS.get(kind.lower())
    whole = mapping(value)
    return Evidence(
        entity=read(raw) if read else _other(kind, raw),
        roles=_roles(raw),
        verdict=member(EvidenceVerdict, raw.get("verdict"), EvidenceVerdict.UNKNOWN),
        remediation=text(raw.get("remediationStatus")),
        created=text(first(raw, "createdDateTime", "evidenceCreationTime")),
        raw=dict(whole) if whole else {"value": value},
    )


def subtype(raw: Raw) -> str:
    """Give the evidence's own name of its kind, without its namespace."""
    return (
        (text(first(raw, "@odata.type", "entityType")) or "unknown").rpartition(".")[2].lstrip("#")
    )


def _roles(raw: Raw) -> tuple[EvidenceRole, ...]:
    found = (member(EvidenceRole, role, EvidenceRole.UNKNOWN) for role in texts(raw.get("roles")))
    return tuple(dict.fromkeys(role for role in found if role is not EvidenceRole.UNKNOWN))


#: where the kinds that quell has no class for keep what people call them by, the best first
_NAMES = (
    "displayName",
    "name",
    "resourceName",
    "amazonResourceName",
    "agentName",
    "domainName",
    "hostName",
    "deviceName",
    "imageId",
    "registry",
    "login",
    "orgName",
    "resourceId",
    "amazonResourceId",
    "fullResourceName",
    "macAddress",
    "sessionId",
    "signatureHash",
    "containerId",
    "deviceId",
    "subject",
)


def _other(kind: str, raw: Raw) -> OtherEntity:
    return OtherEntity(kind=kind, name=text(first(raw, *_NAMES)) or "")


# -- what stands inside of what quell has no class for -------------------------------------------

#: the kind of what these properties hold, which says its kind itself only where it may be several
_INSIDE = {
    "sourceAddress": "ipEvidence",
    "destinationAddress": "ipEvidence",
    "dnsServerIp": "ipEvidence",
    "hostIpAddress": "ipEvidence",
    "ipAddress": "ipEvidence",
    "ipAddresses": "ipEvidence",
    "podIp": "ipEvidence",
    "clusterIP": "ipEvidence",
    "externalIPs": "ipEvidence",
    "senderIP": "ipEvidence",
    "account": "userEvidence",
    "host": "deviceEvidence",
    "storageResource": "azureResourceEvidence",
    "cloudResource": "azureResourceEvidence",
    "file": "fileEvidence",
    "files": "fileEvidence",
    "fileHashes": "fileHashEvidence",
    "processes": "processEvidence",
    "url": "urlEvidence",
    "urls": "urlEvidence",
    "senderFromAddress": "mailboxEvidence",
}
#: where a text alone stands for the whole
_TEXT_IN = {
    "ipEvidence": "ipAddress",
    "urlEvidence": "url",
    "mailboxEvidence": "primaryAddress",
}
#: most entities that are taken out of one evidence
INSIDE_AT_MOST = 50


def read_inside(outer: Evidence) -> tuple[Evidence, ...]:
    """Read the entities that stand inside of a kind that quell has no class for.

    Roles and verdicts are their own, where they say any: those of the whole are not theirs.
    """
    if not isinstance(outer.entity, OtherEntity):
        return ()
    found = [
        read_evidence(inner)
        for name, kind in _INSIDE.items()
        for inner in _inner(kind, spelled(outer.raw).get(name))
    ]
    return tuple(found[:INSIDE_AT_MOST])


def _inner(kind: str, value: Any) -> list[dict[str, Any]]:
    inner: list[dict[str, Any]] = []
    for one in items(value) or [value]:
        if isinstance(one, str) and one and kind in _TEXT_IN:
            inner.append({"@odata.type": kind, _TEXT_IN[kind]: one})
        elif found := mapping(one):
            inner.append({"@odata.type": kind, **found})
    return inner


def read_all(value: Any) -> tuple[Evidence, ...]:
    """Read an alert's list of evidence, in its order, then what stands inside; nothing is left out."""
    found = tuple(read_evidence(item) for item in items(value))
    return (*found, *(inner for outer in found for inner in read_inside(outer)))
