"""Advanced hunting: canned answers first, then small queries over what the tenant holds."""

from __future__ import annotations

import re

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.kql import QueryError, run
from quell_microsoft.simulator.refusals import too_many
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.mailboxes import Message
from quell_microsoft.simulator.state.tenant import Tenant
from quell_microsoft.simulator.state.throttle import HUNTING
from quell_microsoft.simulator.wire import (
    Answer,
    Api,
    Json,
    Refusal,
    as_object,
    as_text,
    get_ignoring_case,
)

from .security import context

ROW_CAP = 100_000
#: tables that are there in every tenant, with rows or without
RAW_TABLES = (
    "DeviceInfo", "DeviceNetworkInfo", "DeviceProcessEvents", "DeviceNetworkEvents",
    "DeviceFileEvents", "DeviceRegistryEvents", "DeviceLogonEvents", "DeviceImageLoadEvents",
    "DeviceEvents", "DeviceFileCertificateInfo", "EmailAttachmentInfo", "EmailEvents",
    "EmailPostDeliveryEvents", "EmailUrlInfo", "UrlClickEvents", "IdentityDirectoryEvents",
    "IdentityLogonEvents", "IdentityQueryEvents", "IdentityInfo", "CloudAppEvents", "AlertInfo",
    "AlertEvidence",
)  # fmt: skip
_LOCATIONS = {
    "inbox_folder": "Inbox/folder",
    "junkFolder": "Junk folder",
    "deletedFolder": "Deleted items",
    "quarantine": "Quarantine",
    "onprem_external": "On-premises/external",
    "failed": "Failed",
    "dropped": "Dropped",
    "others": "Unknown",
}
_TYPES = {
    "bool": "SByte",
    "int": "Int64",
    "float": "Double",
    "list": "Object",
    "dict": "Object",
}


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    return [
        Operation(
            api=Api.GRAPH,
            method="POST",
            template=f"{root}/security/{name}",
            endpoint=hunt,
            roles=("ThreatHunting.Read.All",),
            limits=(HUNTING,),
        )
        for name in ("runHuntingQuery", "microsoft.graph.security.runHuntingQuery")
    ]


def hunt(call: Call) -> Answer:
    """Answer a hunting query."""
    if call.tenant.config.hunting_cpu_exhausted:
        raise too_many(Api.GRAPH, 900 / call.tenant.clock.scale)
    query = as_text(get_ignoring_case(call.json_object(), "Query"))
    if not query.strip():
        raise Refusal(400, "BadRequest", "The query must not be empty.")
    schema, results = _canned(call.tenant, query) or _computed(call.tenant, query)
    path = "microsoft.graph.security.huntingQueryResults"
    body = {
        "@odata.context": context(call, path),
        "schema": schema,
        "results": results[:ROW_CAP],
    }
    return Answer(body=body)


def _canned(tenant: Tenant, query: str) -> tuple[list[Json], list[Json]] | None:
    for hunt_answer in tenant.hunts:
        if re.search(hunt_answer.pattern, query, re.IGNORECASE | re.DOTALL):
            return hunt_answer.schema, hunt_answer.results
    return None


def _computed(tenant: Tenant, query: str) -> tuple[list[Json], list[Json]]:
    try:
        columns, rows = run(query, tables(tenant))
    except QueryError as error:
        raise Refusal(400, "BadRequest", str(error)) from error
    schema = [{"name": name, "type": _type_of(name, rows)} for name in columns]
    return schema, rows


def tables(tenant: Tenant) -> dict[str, list[Json]]:
    """Show the tenant as hunting tables."""
    messages = list(tenant.mail.messages.values())
    known: dict[str, list[Json]] = {
        "EmailEvents": [_email_event(message) for message in messages],
        "EmailPostDeliveryEvents": [row for m in messages for row in _post_delivery(m)],
        "IdentityInfo": [_identity(user.body) for user in tenant.users.users.values()],
        "DeviceInfo": [_device(m.body) for m in tenant.devices.machines.values()],
        "AlertInfo": [_alert(a.body) for a in tenant.queue.alerts.values() if a.released],
    }
    return {
        name: [*known.get(name, []), *tenant.events.get(name, [])]
        for name in dict.fromkeys((*RAW_TABLES, *known, *tenant.events))
    }


def _email_event(message: Message) -> Json:
    body = message.body
    sender = as_object(body.get("senderDetail"))
    return {
        "Timestamp": body["loggedDateTime"],
        "NetworkMessageId": body["networkMessageId"],
        "InternetMessageId": body["internetMessageId"],
        "RecipientEmailAddress": body["recipientEmailAddress"],
        "RecipientObjectId": None,
        "SenderFromAddress": sender.get("fromAddress"),
        "SenderIPv4": sender.get("ipv4"),
        "Subject": body["subject"],
        "EmailDirection": body["directionality"],
        "DeliveryAction": str(body["originalDelivery"]["action"]).capitalize(),
        "DeliveryLocation": _LOCATIONS.get(body["originalDelivery"]["location"], "Unknown"),
        "LatestDeliveryAction": str(body["latestDelivery"]["action"]).capitalize(),
        "LatestDeliveryLocation": _LOCATIONS.get(message.location, "Unknown"),
        "ThreatTypes": ", ".join(body["threatTypes"]),
    }


def _post_delivery(message: Message) -> list[Json]:
    body = message.body
    return [
        {
            "Timestamp": event["eventDateTime"],
            "NetworkMessageId": body["networkMessageId"],
            "InternetMessageId": body["internetMessageId"],
            "RecipientEmailAddress": body["recipientEmailAddress"],
            "Action": event["eventDetails"],
            "ActionType": "Manual remediation",
            "ActionTrigger": "AdminAction",
            "ActionResult": event["eventResult"],
            "DeliveryLocation": _LOCATIONS.get(message.location, "Unknown"),
        }
        for event in body["timelineEvents"]
    ]


def _identity(body: Json) -> Json:
    return {
        "Timestamp": body.get("createdDateTime"),
        "AccountObjectId": body["id"],
        "AccountUpn": body["userPrincipalName"],
        "OnPremSid": body.get("onPremisesSecurityIdentifier"),
        "CloudSid": body.get("securityIdentifier"),
        "AccountDisplayName": body.get("displayName"),
        "AccountName": body.get("onPremisesSamAccountName") or body.get("mailNickname"),
        "AccountDomain": body.get("onPremisesDomainName"),
        "EmailAddress": body.get("mail"),
        "IsAccountEnabled": body.get("accountEnabled"),
        "UserAccountControl": [],
    }


def _device(body: Json) -> Json:
    return {
        "Timestamp": body.get("lastSeen"),
        "DeviceId": body["id"],
        "DeviceName": body["computerDnsName"],
        "AadDeviceId": body.get("aadDeviceId"),
        "OSPlatform": body.get("osPlatform"),
        "OSVersion": body.get("version"),
        "OnboardingStatus": body.get("onboardingStatus"),
        "PublicIP": body.get("lastExternalIpAddress"),
        "MachineGroup": body.get("rbacGroupName"),
        "DeviceType": "Server" if "Server" in str(body.get("osPlatform")) else "Workstation",
        "SensorHealthState": body.get("healthStatus"),
    }


def _alert(body: Json) -> Json:
    return {
        "Timestamp": body.get("createdDateTime"),
        "AlertId": body["id"],
        "Title": body.get("title"),
        "Severity": str(body.get("severity")).capitalize(),
        "ServiceSource": body.get("productName"),
    }


def _type_of(name: str, rows: list[Json]) -> str:
    if name == "Timestamp" or name.endswith("Time"):
        return "DateTime"
    value = next((row[name] for row in rows if row.get(name) is not None), "")
    return _TYPES.get(type(value).__name__, "String")


def moment(tenant: Tenant) -> str:
    """Write the tenant's present moment."""
    return stamp(tenant.clock.shown())
