"""Alerts and their evidence as rows: one column for each thing that is known, JSON for the rest.

https://learn.microsoft.com/graph/api/resources/security-alert

What a column cannot say is not left out: the whole of an evidence travels beside its columns, and
what an alert has without a column is in `More`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from quell import ColumnType, EventTable
from quell_defender.hunting_tables import columns_of
from quell_microsoft.lenient import items, mapping

__all__ = ["ALERTS", "EVIDENCE", "alert_rows", "evidence_rows"]

Row = dict[str, Any]

#: column, where it is in the alert, and what it holds unless it is a text
ALERT_COLUMNS = """
AlertId=id ProviderAlertId=providerAlertId IncidentId=incidentId AlertTitle=title
Description=description Severity=severity Status=status Classification=classification
Determination=determination Category=category Categories=categories:dynamic
ServiceSource=serviceSource DetectionSource=detectionSource ProductName=productName
DetectorId=detectorId DefenderTenantId=tenantId AssignedTo=assignedTo
RecommendedActions=recommendedActions InvestigationState=investigationState
AlertWebUrl=alertWebUrl IncidentWebUrl=incidentWebUrl ActorDisplayName=actorDisplayName
ThreatDisplayName=threatDisplayName ThreatFamilyName=threatFamilyName
MitreTechniques=mitreTechniques:dynamic AlertPolicyId=alertPolicyId
CreatedDateTime=createdDateTime:datetime LastUpdateDateTime=lastUpdateDateTime:datetime
ResolvedDateTime=resolvedDateTime:datetime FirstActivityDateTime=firstActivityDateTime:datetime
LastActivityDateTime=lastActivityDateTime:datetime SystemTags=systemTags:dynamic
Comments=comments:dynamic CustomDetails=customDetails:dynamic
AdditionalData=additionalData:dynamic
"""
#: the same of an evidence; dots lead into objects, bars separate places of which the first counts
EVIDENCE_COLUMNS = """
Verdict=verdict RemediationStatus=remediationStatus
RemediationStatusDetails=remediationStatusDetails DetectionStatus=detectionStatus
Roles=roles:dynamic DetailedRoles=detailedRoles:dynamic Tags=tags:dynamic
CreatedDateTime=createdDateTime:datetime
DeviceId=mdeDeviceId DeviceDnsName=deviceDnsName|deviceName HostName=hostName
AzureAdDeviceId=azureAdDeviceId OsPlatform=osPlatform
AccountName=userAccount.accountName|account.userAccount.accountName
AccountDomain=userAccount.domainName|account.userAccount.domainName
AccountSid=userAccount.userSid|account.userAccount.userSid|sid
AccountObjectId=userAccount.azureAdUserId|account.userAccount.azureAdUserId
AccountUpn=userAccount.userPrincipalName|account.userAccount.userPrincipalName|upn
AccountDisplayName=userAccount.displayName|account.userAccount.displayName
IpAddress=ipAddress|sourceAddress.ipAddress|senderIp CountryLetterCode=countryLetterCode
Url=url UrlCount=urlCount:long
FileName=fileDetails.fileName|imageFile.fileName FilePath=fileDetails.filePath|imageFile.filePath
Sha1=fileDetails.sha1|imageFile.sha1 Sha256=fileDetails.sha256|imageFile.sha256
Md5=fileDetails.md5|imageFile.md5 FileSize=fileDetails.fileSize|imageFile.fileSize:long
ProcessId=processId:long ProcessCommandLine=processCommandLine
ProcessCreationDateTime=processCreationDateTime:datetime ParentProcessId=parentProcessId:long
RegistryHive=registryHive RegistryKey=registryKey RegistryValueName=registryValueName
RegistryValue=registryValue RegistryValueType=registryValueType
MailboxAddress=primaryAddress|mailboxPrimaryAddress NetworkMessageId=networkMessageId
InternetMessageId=internetMessageId Subject=subject
RecipientEmailAddress=recipientEmailAddress|recipient
SenderAddress=p2Sender.emailAddress|senderFromAddress|sender
DeliveryAction=deliveryAction DeliveryLocation=deliveryLocation Threats=threats:dynamic
ClusterQuery=query
AppId=appId|saasAppId|oAuthAppId AppName=displayName
ObjectId=objectId|servicePrincipalObjectId|securityGroupId
ResourceId=resourceId|amazonResourceId|fullResourceName|storageResource.resourceId
ResourceName=resourceName|name ResourceType=resourceType
"""
#: of the alert that an evidence belongs to
OF_ALERT = {
    "AlertId": "id",
    "IncidentId": "incidentId",
    "AlertLastUpdateDateTime": "lastUpdateDateTime",
}
ALERT_TIME, EVIDENCE_TIME = "LastUpdateDateTime", "AlertLastUpdateDateTime"


def _places(declared: str) -> dict[str, tuple[str, ...]]:
    """Read where each column is found."""
    pairs = (word.partition(":")[0].partition("=") for word in declared.split())
    return {name: tuple(places.split("|")) for name, _, places in pairs}


def _columns(declared: str) -> dict[str, ColumnType]:
    words = (word.partition("=") for word in declared.split())
    return columns_of(
        " ".join(f"{name}:{rest.partition(':')[2] or 'string'}" for name, _, rest in words)
    )


ALERT_PLACES = _places(ALERT_COLUMNS)
EVIDENCE_PLACES = _places(EVIDENCE_COLUMNS)
#: parts of an alert that have a column, or a table of their own
KNOWN = frozenset({"evidence", *(places[0] for places in ALERT_PLACES.values())})

ALERTS = EventTable(
    name="Alerts",
    summary="Alerts with all their fields; a changed alert is a new row.",
    columns={**_columns(ALERT_COLUMNS), "More": ColumnType.DYNAMIC},
    time=ALERT_TIME,
    group="alerts",
)
EVIDENCE = EventTable(
    name="Evidence",
    summary="What alerts are about, with roles, verdict, remediation and the whole evidence.",
    columns={
        "AlertId": ColumnType.STRING,
        "IncidentId": ColumnType.STRING,
        EVIDENCE_TIME: ColumnType.DATETIME,
        "Place": ColumnType.INT,
        "EvidenceType": ColumnType.STRING,
        **_columns(EVIDENCE_COLUMNS),
        "Raw": ColumnType.DYNAMIC,
    },
    time=EVIDENCE_TIME,
    group="alerts",
)


def alert_rows(alert: Mapping[str, Any]) -> list[Row]:
    """Write an alert as one row."""
    has_rows = isinstance(alert.get("evidence"), list)
    more = {
        name: value
        for name, value in alert.items()
        if name not in KNOWN or (name == "evidence" and not has_rows)
    }
    return [_picked(alert, ALERT_PLACES) | ({"More": more} if more else {})]


def evidence_rows(alert: Mapping[str, Any]) -> list[Row]:
    """Write each evidence of an alert as a row. What is no object stands in `Raw` alone."""
    return [
        {
            **{name: alert[place] for name, place in OF_ALERT.items() if place in alert},
            "Place": place,
            "EvidenceType": _kind(evidence),
            **_picked(mapping(evidence), EVIDENCE_PLACES),
            "Raw": evidence,
        }
        for place, evidence in enumerate(items(alert.get("evidence")))
    ]


def _kind(evidence: Any) -> str:
    """Name the kind of an evidence: the last part of its type."""
    kind = mapping(evidence).get("@odata.type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else ""


def _picked(source: Mapping[str, Any], places: Mapping[str, tuple[str, ...]]) -> Row:
    return {
        name: value
        for name, candidates in places.items()
        if (value := next(_found(source, candidates), None)) is not None
    }


def _found(source: Mapping[str, Any], candidates: tuple[str, ...]) -> Iterator[Any]:
    for place in candidates:
        value: Any = source
        for part in place.split("."):
            value = mapping(value).get(part)
        if value is not None:
            yield value
