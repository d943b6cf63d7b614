"""Brings to life what evidence speaks of: the device, the user and the mail behind an alert."""

from __future__ import annotations

import uuid

from .state.tenant import Tenant
from .wire import Json, as_object, as_objects, as_text, as_texts

_NAMESPACE = uuid.UUID("8d2f6c1e-3a55-4f0b-9c77-5f1f0f5f2c11")
_LOCATIONS = {
    "inbox": "inbox_folder",
    "inbox_folder": "inbox_folder",
    "junkfolder": "junkFolder",
    "deletedfolder": "deletedFolder",
    "quarantine": "quarantine",
    "external": "onprem_external",
    "onprem_external": "onprem_external",
    "failed": "failed",
    "dropped": "dropped",
}


def add_witnesses(tenant: Tenant, alert: Json) -> None:
    """Add what is not in the tenant yet, so that actions on it work; never raises."""
    for item in as_objects(alert.get("evidence")):
        kind = as_text(item.get("@odata.type")).rpartition(".")[2]
        if kind == "deviceEvidence":
            _add_device(tenant, item)
        elif kind in ("userEvidence", "mailboxEvidence"):
            _add_user(tenant, as_object(item.get("userAccount")), item)
        elif kind == "analyzedMessageEvidence":
            _add_message(tenant, item, alert)


def _add_device(tenant: Tenant, item: Json) -> None:
    machine_id = as_text(item.get("mdeDeviceId"))
    if not machine_id or machine_id in tenant.devices.machines:
        return
    onboarding = as_text(item.get("onboardingStatus")) or "onboarded"
    group = item.get("rbacGroupId")
    name = as_text(item.get("deviceDnsName")) or as_text(item.get("hostName")) or machine_id
    addresses = [{"ipAddress": address} for address in as_texts(item.get("ipInterfaces"))]
    fields: Json = {
        "id": machine_id,
        "computerDnsName": name,
        "osPlatform": as_text(item.get("osPlatform")) or "Windows11",
        "version": as_text(item.get("version")) or "24H2",
        "healthStatus": _capital(as_text(item.get("healthStatus")) or "active"),
        "riskScore": _capital(as_text(item.get("riskScore")) or "none"),
        "onboardingStatus": _capital(onboarding),
        "rbacGroupId": group if isinstance(group, int) else 0,
        "rbacGroupName": as_text(item.get("rbacGroupName")) or None,
        "aadDeviceId": as_text(item.get("azureAdDeviceId")) or None,
        "machineTags": as_texts(item.get("tags")),
        "ipAddresses": addresses,
    }
    if as_text(item.get("lastIpAddress")):
        fields["lastIpAddress"] = item["lastIpAddress"]
    tenant.devices.add_machine(fields)


def _add_user(tenant: Tenant, account: Json, item: Json) -> None:
    object_id = as_text(account.get("azureAdUserId"))
    upn = as_text(account.get("userPrincipalName")) or as_text(item.get("upn"))
    sid = as_text(account.get("userSid"))
    is_domain_sid = sid.startswith("S-1-5-21-")
    if not object_id and not upn and not is_domain_sid:
        return  # SYSTEM and its like sign in nowhere
    if any(key and tenant.users.find(key) for key in (object_id, upn)):
        return
    if is_domain_sid and tenant.users.find_by_sid(sid) is not None:
        return
    name = as_text(account.get("accountName")) or upn.partition("@")[0] or "user"
    upn = upn or f"{name}@{tenant.domain}"
    fields: Json = {
        "id": object_id or str(uuid.uuid5(_NAMESPACE, sid or upn.casefold())),
        "userPrincipalName": upn,
        "displayName": as_text(account.get("displayName")) or name,
        "onPremisesSyncEnabled": True if is_domain_sid else None,
        "onPremisesSecurityIdentifier": sid if is_domain_sid else None,
        "onPremisesSamAccountName": name if is_domain_sid else None,
        "onPremisesDomainName": as_text(account.get("domainName")) or None,
        "securityIdentifier": sid if sid.startswith("S-1-12-1-") else None,
        "mail": as_text(item.get("primaryAddress")) or upn,
        "userType": "Guest" if "#EXT#" in upn.upper() else "Member",
    }
    tenant.users.add(fields)


def _add_message(tenant: Tenant, item: Json, alert: Json) -> None:
    network_id = as_text(item.get("networkMessageId"))
    recipient = as_text(item.get("recipientEmailAddress"))
    if not network_id or not recipient or tenant.mail.find(network_id, recipient) is not None:
        return
    sender = as_object(item.get("p2Sender")) or as_object(item.get("p1Sender"))
    where = as_text(item.get("deliveryLocation")).casefold()
    fields: Json = {
        "networkMessageId": network_id,
        "recipientEmailAddress": recipient,
        "location": _LOCATIONS.get(where, "others") if where else "inbox_folder",
        "subject": as_text(item.get("subject")),
        "urls": [{"url": url} for url in as_texts(item.get("urls"))],
        "alertIds": [as_text(alert.get("id"))],
        "senderDetail": {
            "fromAddress": as_text(sender.get("emailAddress")) or None,
            "displayName": as_text(sender.get("displayName")) or None,
            "domainName": as_text(sender.get("domainName")) or None,
            "ipv4": as_text(item.get("senderIp")) or None,
        },
    }
    if as_text(item.get("internetMessageId")):
        fields["internetMessageId"] = item["internetMessageId"]
    if as_text(item.get("receivedDateTime")):
        fields["loggedDateTime"] = item["receivedDateTime"]
    tenant.mail.add(fields)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
