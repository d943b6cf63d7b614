"""Writes Defender evidence as the Sentinel entities that Microsoft's connector makes of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from .state.workspaces import Workspace
from .wire import Json, as_object, as_objects, as_text, as_texts

#: kind and properties of an entity; None where Sentinel has no such kind
Written = tuple[str, Json] | None


def entities_of(workspace: Workspace, alerts: list[Json]) -> list[Json]:
    """List the distinct entities behind the evidence of alerts."""
    found: dict[str, Json] = {}
    for alert in alerts:
        for item in as_objects(alert.get("evidence")):
            kind = as_text(item.get("@odata.type")).rpartition(".")[2]
            write = _WRITERS.get(kind)
            written = write(item) if write else None
            if written is not None:
                entity = _entity(workspace, *written)
                found[entity["name"]] = entity
    return list(found.values())


def _entity(workspace: Workspace, kind: str, properties: Json) -> Json:
    kept = {name: value for name, value in properties.items() if value is not None}
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([workspace.id, kind, kept])))
    return {
        "id": workspace.arm_id(f"Entities/{name}"),
        "name": name,
        "type": "Microsoft.SecurityInsights/Entities",
        "kind": kind,
        "properties": kept,
    }


def _account(item: Json) -> Written:
    account = as_object(item.get("userAccount"))
    name = as_text(account.get("accountName"))
    upn = as_text(account.get("userPrincipalName"))
    return "Account", {
        "friendlyName": name,
        "accountName": name,
        "ntDomain": account.get("domainName"),
        "upnSuffix": upn.partition("@")[2] or None,
        "sid": account.get("userSid"),
        "aadUserId": account.get("azureAdUserId"),
        "displayName": account.get("displayName"),
        "isDomainJoined": bool(account.get("domainName")),
    }


def _host(item: Json) -> Written:
    platform = as_text(item.get("osPlatform"))
    name = as_text(item.get("hostName")) or as_text(item.get("deviceDnsName")).partition(".")[0]
    return "Host", {
        "friendlyName": name,
        "hostName": name,
        "dnsDomain": item.get("dnsDomain"),
        "ntDomain": item.get("ntDomain"),
        "azureID": as_object(item.get("vmMetadata")).get("resourceId"),
        "osFamily": "Windows" if platform.startswith("Windows") else "Unknown",
        "osVersion": item.get("version"),
        "additionalData": {
            "MdatpDeviceId": as_text(item.get("mdeDeviceId")),
            "FQDN": as_text(item.get("deviceDnsName")),
        },
    }


def _ip(item: Json) -> Written:
    text = as_text(item.get("ipAddress"))
    return "Ip", {"friendlyName": text, "address": text}


def _url(item: Json) -> Written:
    text = as_text(item.get("url"))
    return "Url", {"friendlyName": text, "url": text}


def _file(item: Json) -> Written:
    details = as_object(item.get("fileDetails"))
    name = as_text(details.get("fileName"))
    folder = details.get("filePath")
    return "File", {"friendlyName": name, "fileName": name, "directory": folder}


def _process(item: Json) -> Written:
    command = as_text(item.get("processCommandLine"))
    return "Process", {
        "friendlyName": command or "process",
        "processId": str(item.get("processId")),
        "commandLine": command,
        "creationTimeUtc": item.get("processCreationDateTime"),
    }


def _mailbox(item: Json) -> Written:
    primary = as_text(item.get("primaryAddress"))
    return "Mailbox", {
        "friendlyName": primary,
        "mailboxPrimaryAddress": primary,
        "displayName": item.get("displayName"),
        "upn": item.get("upn"),
    }


def _message(item: Json) -> Written:
    sender = as_object(item.get("p2Sender"))
    return "MailMessage", {
        "friendlyName": as_text(item.get("subject")),
        "recipient": item.get("recipientEmailAddress"),
        "networkMessageId": item.get("networkMessageId"),
        "internetMessageId": item.get("internetMessageId"),
        "subject": item.get("subject"),
        "p2Sender": sender.get("emailAddress"),
        "p2SenderDisplayName": sender.get("displayName"),
        "p2SenderDomain": sender.get("domainName"),
        "senderIP": item.get("senderIp"),
        "receiveDate": item.get("receivedDateTime"),
        "urls": as_texts(item.get("urls")),
        "threats": as_texts(item.get("threats")),
        "language": item.get("language"),
    }


def _cluster(item: Json) -> Written:
    return "MailCluster", {
        "friendlyName": as_text(item.get("clusterByValue")),
        "networkMessageIds": as_texts(item.get("networkMessageIds")),
        "mailCount": item.get("emailCount"),
        "query": item.get("query"),
        "source": "O365 ATP",
    }


def _application(item: Json) -> Written:
    name = as_text(item.get("displayName"))
    number = item.get("saasAppId")
    return "CloudApplication", {
        "friendlyName": name,
        "appName": name,
        "appId": number if isinstance(number, int) else None,
        "instanceName": item.get("instanceName"),
    }


def _group(item: Json) -> Written:
    return "SecurityGroup", {
        "friendlyName": as_text(item.get("displayName")),
        "distinguishedName": item.get("distinguishedName"),
        "sid": item.get("sid"),
    }


_WRITERS: dict[str, Callable[[Json], Written]] = {
    "userEvidence": _account,
    "deviceEvidence": _host,
    "ipEvidence": _ip,
    "urlEvidence": _url,
    "fileEvidence": _file,
    "processEvidence": _process,
    "mailboxEvidence": _mailbox,
    "analyzedMessageEvidence": _message,
    "mailClusterEvidence": _cluster,
    "cloudApplicationEvidence": _application,
    "oauthApplicationEvidence": _application,
    "securityGroupEvidence": _group,
}
