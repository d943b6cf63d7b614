"""Reads Sentinel's entities and alerts; what quell has no class for is kept whole.

https://learn.microsoft.com/azure/sentinel/entities-reference
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quell.domain.entity import (
    CloudApplication,
    Device,
    Entity,
    Evidence,
    File,
    Ip,
    Mailbox,
    MailCluster,
    MailMessage,
    OtherEntity,
    Process,
    RegistryKey,
    RegistryValue,
    SecurityGroup,
    Url,
    User,
)
from quell_microsoft.lenient import first, fold, items, mapping, number, text, texts
from quell_microsoft.spelling import spelled
from quell_sentinel.references import Known, Raw, learn, pointed, properties_of, resolved

__all__ = ["read_entities", "read_entity"]


def read_entities(value: Any) -> tuple[Evidence, ...]:
    """Read an incident's entities, in their order; nothing is left out. Never fails."""
    found = items(value)
    known: dict[str, Raw] = {}
    for item in found:
        learn(known, spelled(item))
    return tuple(read_entity(item, known) for item in found)


def read_entity(value: Any, known: Known | None = None) -> Evidence:
    """Read one entity. Sentinel tells neither role nor verdict. `raw` is the JSON as it came.

    Alerts in tables hold entities as flat objects, which may stand for one that was given before.
    """
    raw, whole = spelled(value), mapping(value)
    raw = resolved(known or {}, raw)
    kind = text(first(raw, "kind", "type")) or "unknown"
    read = _READERS.get(fold(kind))
    properties = properties_of(raw)
    entity = read(properties, known or {}) if read else _other(kind, properties)
    return Evidence(entity=entity, raw=dict(whole) if whole else {"value": value})


def _friendly(raw: Raw, *values: str | None) -> str:
    return next((value for value in values if value), text(raw.get("friendlyName")) or "")


#: where the kinds that quell has no class for keep what people call them by, the best first
_NAMES = (
    "displayName",
    "alertDisplayName",
    "malwareName",
    "name",
    "domainName",
    "deviceName",
    "resourceId",
    "macAddress",
    "sessionId",
    "deviceId",
)


def _other(kind: str, raw: Raw) -> OtherEntity:
    return OtherEntity(kind=kind, name=_friendly(raw) or text(first(raw, *_NAMES)) or "")


def _account(raw: Raw, _known: Known) -> User:
    account = text(first(raw, "accountName", "name"))
    suffix = text(raw.get("upnSuffix"))
    upn = f"{account}@{suffix}" if account and suffix else None
    display_name = text(raw.get("displayName"))
    return User(
        name=_friendly(raw, display_name, upn, account),
        object_id=text(raw.get("aadUserId")),
        upn=upn,
        sid=text(raw.get("sid")),
        ad_object_guid=text(raw.get("objectGuid")),
        account_name=account,
        nt_domain=text(raw.get("ntDomain")),
        display_name=display_name,
    )


def _host(raw: Raw, _known: Known) -> Device:
    host, domain = text(raw.get("hostName")), text(raw.get("dnsDomain"))
    more = mapping(raw.get("additionalData"))
    dns_name = f"{host}.{domain}" if host and domain else None
    return Device(
        name=_friendly(raw, dns_name, host, text(raw.get("netBiosName"))),
        mde_id=text(first(more, "MdatpDeviceId", "mdatpDeviceId")),
        entra_id=text(first(more, "AadDeviceId", "aadDeviceId")),
        azure_resource_id=text(raw.get("azureID")),
        dns_name=dns_name,
        host_name=host or text(raw.get("netBiosName")),
        nt_domain=text(raw.get("ntDomain")),
        os=text(raw.get("osFamily")),
        os_version=text(raw.get("osVersion")),
    )


def _file(raw: Raw, known: Known) -> File:
    hashes = {"sha256": "", "sha1": "", "md5": ""}
    for one in items(first(raw, "fileHashEntityIds", "fileHashes")):
        found = pointed(known, one)
        value = text(first(found, "hashValue", "value")) or ""
        hashes[fold(text(found.get("algorithm")) or "")] = value
    return File(
        name=_friendly(raw, text(first(raw, "fileName", "name"))),
        sha256=hashes["sha256"] or None,
        sha1=hashes["sha1"] or None,
        md5=hashes["md5"] or None,
        path=text(raw.get("directory")),
    )


def _file_hash(raw: Raw, _known: Known) -> File:
    value = text(first(raw, "hashValue", "value"))
    kind = fold(text(raw.get("algorithm")) or "")
    return File(
        name=_friendly(raw, value),
        sha256=value if kind == "sha256" else None,
        sha1=value if kind == "sha1" else None,
        md5=value if kind == "md5" else None,
    )


def _process(raw: Raw, known: Known) -> Process:
    image, account, parent = (
        pointed(known, first(raw, f"{name}EntityId", name))
        for name in ("imageFile", "account", "parentProcess")
    )
    file = _file(image, known) if image else None
    return Process(
        name=_friendly(raw, file.name if file else None),
        process_id=number(raw.get("processId")),
        command_line=text(raw.get("commandLine")),
        created=text(raw.get("creationTimeUtc")),
        image=file,
        parent_process_id=number(parent.get("processId")),
        parent_created=text(parent.get("creationTimeUtc")),
        account=_account(account, known) if account else None,
    )


def _ip(raw: Raw, _known: Known) -> Ip:
    address, place = text(raw.get("address")), mapping(raw.get("location"))
    return Ip(name=_friendly(raw, address), address=address, country=text(place.get("countryCode")))


def _url(raw: Raw, _known: Known) -> Url:
    url = text(raw.get("url"))
    return Url(name=_friendly(raw, url), url=url)


def _cloud_application(raw: Raw, _known: Known) -> CloudApplication:
    return CloudApplication(
        name=_friendly(raw, text(first(raw, "appName", "name"))),
        app_id=number(raw.get("appId")),
        instance_name=text(raw.get("instanceName")),
    )


def _mailbox(raw: Raw, _known: Known) -> Mailbox:
    address = text(raw.get("mailboxPrimaryAddress"))
    return Mailbox(
        name=_friendly(raw, address),
        address=address,
        upn=text(raw.get("upn")),
        display_name=text(raw.get("displayName")),
        directory_object_id=text(raw.get("externalDirectoryObjectId")),
    )


def _message(raw: Raw, _known: Known) -> MailMessage:
    subject = text(raw.get("subject"))
    return MailMessage(
        name=_friendly(raw, subject),
        network_message_id=text(raw.get("networkMessageId")),
        internet_message_id=text(raw.get("internetMessageId")),
        recipient=text(raw.get("recipient")),
        subject=subject,
        sender=text(raw.get("p2Sender")),
        return_path=text(raw.get("p1Sender")),
        sender_ip=text(raw.get("senderIP")),
        received=text(raw.get("receiveDate")),
        delivery_action=text(raw.get("deliveryAction")),
        delivery_location=text(raw.get("deliveryLocation")),
        threats=texts(raw.get("threats")),
        urls=texts(raw.get("urls")),
    )


def _submission(raw: Raw, _known: Known) -> MailMessage:
    subject = text(raw.get("subject"))
    return MailMessage(
        name=_friendly(raw, subject),
        network_message_id=text(raw.get("networkMessageId")),
        recipient=text(raw.get("recipient")),
        subject=subject,
        sender=text(raw.get("sender")),
        sender_ip=text(raw.get("senderIp")),
    )


def _cluster(raw: Raw, _known: Known) -> MailCluster:
    return MailCluster(
        name=_friendly(raw, text(raw.get("clusterSourceIdentifier"))),
        query=text(raw.get("query")),
        network_message_ids=texts(raw.get("networkMessageIds")),
        email_count=number(raw.get("mailCount")),
        cluster_by=text(raw.get("clusterSourceType")),
        cluster_by_value=text(raw.get("clusterSourceIdentifier")),
    )


def _registry_key(raw: Raw, _known: Known) -> RegistryKey:
    key = text(raw.get("key"))
    return RegistryKey(name=_friendly(raw, key), hive=text(raw.get("hive")), key=key)


def _registry_value(raw: Raw, known: Known) -> RegistryValue:
    key = pointed(known, first(raw, "keyEntityId", "key"))
    value_name = text(first(raw, "valueName", "name"))
    return RegistryValue(
        name=_friendly(raw, value_name),
        hive=text(key.get("hive")),
        key=text(key.get("key")),
        value_name=value_name,
        value=text(first(raw, "valueData", "value")),
        value_type=text(raw.get("valueType")),
    )


def _security_group(raw: Raw, _known: Known) -> SecurityGroup:
    distinguished_name = text(raw.get("distinguishedName"))
    return SecurityGroup(
        name=_friendly(raw, distinguished_name),
        sid=text(raw.get("sid")),
        distinguished_name=distinguished_name,
        ad_object_guid=text(raw.get("objectGuid")),
    )


_READERS: dict[str, Callable[[Raw, Known], Entity]] = {
    "account": _account,
    "host": _host,
    "file": _file,
    "filehash": _file_hash,
    "process": _process,
    "ip": _ip,
    "url": _url,
    "cloudapplication": _cloud_application,
    "mailbox": _mailbox,
    "mailmessage": _message,
    "mailcluster": _cluster,
    "registrykey": _registry_key,
    "registryvalue": _registry_value,
    "securitygroup": _security_group,
    "submissionmail": _submission,
}
