"""Reads each kind of Graph security evidence that quell has a class for into its entity.

https://learn.microsoft.com/graph/api/resources/security-alertevidence
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quell.domain.entity import (
    CloudApplication,
    Device,
    Entity,
    File,
    Ip,
    Mailbox,
    MailCluster,
    MailMessage,
    OAuthApplication,
    Process,
    RegistryKey,
    RegistryValue,
    SecurityGroup,
    Url,
    User,
)
from quell_microsoft.lenient import first, fold, mapping, number, text, texts

__all__ = ["READERS", "read_user_account"]

Raw = Mapping[str, Any]


def _device(raw: Raw) -> Device:
    machine = mapping(raw.get("vmMetadata"))
    dns_name = text(raw.get("deviceDnsName"))
    host_name = text(raw.get("hostName")) or (dns_name or "").partition(".")[0] or None
    return Device(
        name=dns_name or host_name or "",
        mde_id=text(raw.get("mdeDeviceId")),
        entra_id=text(raw.get("azureAdDeviceId")),
        azure_resource_id=text(machine.get("resourceId")),
        dns_name=dns_name,
        host_name=host_name,
        nt_domain=text(raw.get("ntDomain")),
        os=text(raw.get("osPlatform")),
        os_version=text(raw.get("version")),
        ip=text(raw.get("lastIpAddress")) or next(iter(texts(raw.get("ipInterfaces"))), None),
        public_ip=text(raw.get("lastExternalIpAddress")),
        health=text(raw.get("healthStatus")),
        risk=text(raw.get("riskScore")),
        onboarding=text(raw.get("onboardingStatus")),
    )


def read_user_account(value: Any) -> User:
    """Read the account object that several kinds of evidence carry."""
    raw = mapping(value)
    upn, account = text(raw.get("userPrincipalName")), text(raw.get("accountName"))
    display_name = text(raw.get("displayName"))
    return User(
        name=display_name or upn or account or "",
        object_id=text(raw.get("azureAdUserId")),
        upn=upn,
        sid=text(raw.get("userSid")),
        ad_object_guid=text(raw.get("activeDirectoryObjectGuid")),
        account_name=account,
        nt_domain=text(raw.get("domainName")),
        display_name=display_name,
    )


def _mailbox(raw: Raw) -> Mailbox:
    account = mapping(raw.get("userAccount"))
    address, display_name = text(raw.get("primaryAddress")), text(raw.get("displayName"))
    return Mailbox(
        name=address or display_name or "",
        address=address,
        upn=text(raw.get("upn")) or text(account.get("userPrincipalName")),
        display_name=display_name,
        directory_object_id=text(account.get("azureAdUserId")),
    )


def _message(raw: Raw) -> MailMessage:
    shown, envelope = mapping(raw.get("p2Sender")), mapping(raw.get("p1Sender"))
    subject = text(raw.get("subject"))
    return MailMessage(
        name=subject or "",
        network_message_id=text(raw.get("networkMessageId")),
        internet_message_id=text(raw.get("internetMessageId")),
        recipient=text(raw.get("recipientEmailAddress")),
        subject=subject,
        sender=text(shown.get("emailAddress")),
        return_path=text(envelope.get("emailAddress")),
        sender_ip=text(raw.get("senderIp")),
        received=text(raw.get("receivedDateTime")),
        delivery_action=text(raw.get("deliveryAction")),
        delivery_location=text(raw.get("deliveryLocation")),
        threats=texts(raw.get("threats")),
        urls=texts(raw.get("urls")),
    )


def _mailbox_configuration(raw: Raw) -> Mailbox:
    address, display_name = text(raw.get("mailboxPrimaryAddress")), text(raw.get("displayName"))
    return Mailbox(
        name=address or display_name or "",
        address=address,
        upn=text(raw.get("upn")),
        display_name=display_name,
        directory_object_id=text(raw.get("externalDirectoryObjectId")),
    )


def _submission(raw: Raw) -> MailMessage:
    subject = text(raw.get("subject"))
    return MailMessage(
        name=subject or "",
        network_message_id=text(raw.get("networkMessageId")),
        recipient=text(raw.get("recipient")),
        subject=subject,
        sender=text(raw.get("sender")),
        sender_ip=text(raw.get("senderIp")),
    )


def _cluster(raw: Raw) -> MailCluster:
    return MailCluster(
        name=text(raw.get("clusterBy")) or "",
        query=text(raw.get("query")),
        urn=text(raw.get("urn")),
        network_message_ids=texts(raw.get("networkMessageIds")),
        email_count=number(raw.get("emailCount")),
        cluster_by=text(raw.get("clusterBy")),
        cluster_by_value=text(raw.get("clusterByValue")),
    )


def _file(details: Any, raw: Raw) -> File:
    file = mapping(details)
    return File(
        name=text(file.get("fileName")) or "",
        sha256=text(file.get("sha256")),
        sha1=text(file.get("sha1")),
        md5=text(file.get("md5")),
        path=text(file.get("filePath")),
        size=number(file.get("fileSize")),
        device_mde_id=text(raw.get("mdeDeviceId")),
        detection_status=text(raw.get("detectionStatus")),
    )


def _file_hash(raw: Raw) -> File:
    value, kind = text(raw.get("value")), fold(text(raw.get("algorithm")) or "")
    return File(
        name=value or "",
        sha256=value if kind == "sha256" else None,
        sha1=value if kind == "sha1" else None,
        md5=value if kind == "md5" else None,
    )


def _image(details: Any) -> File | None:
    # the device stands in the process itself
    return _file(details, {}) if mapping(details) else None


def _process(raw: Raw) -> Process:
    account, image = mapping(raw.get("userAccount")), _image(raw.get("imageFile"))
    return Process(
        name=image.name if image else "",
        process_id=number(raw.get("processId")),
        command_line=text(raw.get("processCommandLine")),
        created=text(raw.get("processCreationDateTime")),
        image=image,
        parent_process_id=number(raw.get("parentProcessId")),
        parent_created=text(raw.get("parentProcessCreationDateTime")),
        parent_image=_image(raw.get("parentProcessImageFile")),
        account=read_user_account(account) if account else None,
        device_mde_id=text(raw.get("mdeDeviceId")),
    )


def _ip(raw: Raw) -> Ip:
    address = text(raw.get("ipAddress"))
    return Ip(name=address or "", address=address, country=text(raw.get("countryLetterCode")))


def _url(raw: Raw) -> Url:
    url = text(raw.get("url"))
    return Url(name=url or "", url=url)


def _cloud_application(raw: Raw) -> CloudApplication:
    return CloudApplication(
        name=text(raw.get("displayName")) or "",
        app_id=number(raw.get("appId")),
        instance_id=number(raw.get("instanceId")),
        instance_name=text(raw.get("instanceName")),
        saas_app_id=number(raw.get("saasAppId")),
    )


def _oauth_application(raw: Raw) -> OAuthApplication:
    return OAuthApplication(
        name=text(raw.get("displayName")) or "",
        app_id=text(raw.get("appId")),
        object_id=text(raw.get("objectId")),
        publisher=text(raw.get("publisher")),
    )


def _service_principal(raw: Raw) -> OAuthApplication:
    return OAuthApplication(
        name=text(first(raw, "servicePrincipalName", "displayName")) or "",
        app_id=text(raw.get("appId")),
        object_id=text(raw.get("servicePrincipalObjectId")),
    )


def _registry_key(raw: Raw) -> RegistryKey:
    key = text(raw.get("registryKey"))
    return RegistryKey(name=key or "", hive=text(raw.get("registryHive")), key=key)


def _registry_value(raw: Raw) -> RegistryValue:
    value_name = text(raw.get("registryValueName"))
    return RegistryValue(
        name=value_name or "",
        hive=text(raw.get("registryHive")),
        key=text(raw.get("registryKey")),
        value_name=value_name,
        value=text(raw.get("registryValue")),
        value_type=text(raw.get("registryValueType")),
        device_mde_id=text(raw.get("mdeDeviceId")),
    )


def _security_group(raw: Raw) -> SecurityGroup:
    return SecurityGroup(
        name=text(first(raw, "displayName", "friendlyName")) or "",
        object_id=text(raw.get("securityGroupId")),
        sid=text(raw.get("sid")),
        distinguished_name=text(raw.get("distinguishedName")),
        ad_object_guid=text(raw.get("activeDirectoryObjectGuid")),
    )


#: by the kind's own name, in lower case
READERS: dict[str, Callable[[Raw], Entity]] = {
    "deviceevidence": _device,
    "userevidence": lambda raw: read_user_account(raw.get("userAccount")),
    "mailboxevidence": _mailbox,
    "analyzedmessageevidence": _message,
    "mailclusterevidence": _cluster,
    "fileevidence": lambda raw: _file(raw.get("fileDetails"), raw),
    "processevidence": _process,
    "ipevidence": _ip,
    "urlevidence": _url,
    "cloudapplicationevidence": _cloud_application,
    "oauthapplicationevidence": _oauth_application,
    "registrykeyevidence": _registry_key,
    "registryvalueevidence": _registry_value,
    "securitygroupevidence": _security_group,
    "mailboxconfigurationevidence": _mailbox_configuration,
    "submissionmailevidence": _submission,
    "filehashevidence": _file_hash,
    "serviceprincipalevidence": _service_principal,
    # as the older API names them, all in one flat object
    "user": lambda raw: read_user_account({**raw, "azureAdUserId": raw.get("aadUserId")}),
    "mailbox": lambda raw: _mailbox(
        {
            "primaryAddress": raw.get("mailboxAddress"),
            "displayName": raw.get("mailboxDisplayName"),
            "userAccount": {
                "azureAdUserId": raw.get("aadUserId"),
                "userPrincipalName": raw.get("userPrincipalName"),
            },
        }
    ),
    "mailmessage": _submission,
    "mailcluster": _cluster,
    "file": lambda raw: _file(raw, raw),
    "process": lambda raw: _process({**raw, "imageFile": raw, "userAccount": raw}),
    "ip": _ip,
    "url": _url,
}
