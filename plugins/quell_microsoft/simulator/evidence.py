"""Evidence as Defender writes it, about the people and devices of the story."""

from __future__ import annotations

import hashlib

from .cast import AD_DOMAIN, Cast
from .wire import Json


def device(cast: Cast, name: str, *, roles: tuple[str, ...] = ("compromised",)) -> Json:
    """Write device evidence."""
    body = cast.machines[name]
    return {
        **_common("deviceEvidence", "suspicious", roles),
        "firstSeenDateTime": body["firstSeen"],
        "mdeDeviceId": body["id"],
        "azureAdDeviceId": body["aadDeviceId"],
        "deviceDnsName": body["computerDnsName"],
        "hostName": name,
        "ntDomain": AD_DOMAIN,
        "dnsDomain": f"corp.{cast.tenant.domain}",
        "osPlatform": body["osPlatform"],
        "osBuild": body["osBuild"],
        "version": body["version"],
        "healthStatus": "active",
        "riskScore": "high",
        "rbacGroupId": body["rbacGroupId"],
        "rbacGroupName": body["rbacGroupName"],
        "onboardingStatus": "onboarded",
        "defenderAvStatus": "updated",
        "ipInterfaces": ["10.20.0.10"],
        "lastIpAddress": "10.20.0.10",
        "lastExternalIpAddress": "203.0.113.10",
        "loggedOnUsers": [],
        "resourceAccessEvents": [],
        "vmMetadata": None,
    }


def user(cast: Cast, name: str, *, roles: tuple[str, ...] = ("compromised",)) -> Json:
    """Write user evidence."""
    return {
        **_common("userEvidence", "suspicious", roles),
        "stream": None,
        "userAccount": _account(cast, name),
    }


def sid_only(cast: Cast, name: str) -> Json:
    """Write user evidence as Endpoint does: only the SID tells who it is."""
    account = {**_account(cast, name), "azureAdUserId": None, "userPrincipalName": None}
    return {
        **_common("userEvidence", "suspicious", ("compromised",)),
        "stream": None,
        "userAccount": account,
    }


def _account(cast: Cast, name: str) -> Json:
    body = cast.users[name].body
    return {
        "accountName": body["userPrincipalName"].partition("@")[0],
        "domainName": AD_DOMAIN if cast.users[name].is_synced else None,
        "userSid": body["onPremisesSecurityIdentifier"],
        "azureAdUserId": body["id"],
        "userPrincipalName": body["userPrincipalName"],
        "displayName": body["displayName"],
        "activeDirectoryObjectGuid": None,
        "tenantId": None,
        "resourceAccessEvents": [],
    }


def file(name: str, verdict: str = "malicious") -> Json:
    """Write file evidence."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return {
        **_common("fileEvidence", verdict, ()),
        "detectionStatus": "detected",
        "mdeDeviceId": None,
        "fileDetails": {
            "sha1": hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(),
            "sha256": sha256,
            "md5": None,
            "fileName": name,
            "filePath": "C:\\Users\\Public",
            "fileSize": 481280,
            "filePublisher": None,
            "signer": None,
            "issuer": None,
        },
    }


def process(command: str, image: str) -> Json:
    """Write process evidence."""
    return {
        **_common("processEvidence", "malicious", ()),
        "processId": 6120,
        "parentProcessId": 812,
        "processCommandLine": command,
        "processCreationDateTime": "2026-11-22T22:14:05.1233333Z",
        "parentProcessCreationDateTime": "2026-11-22T07:00:01Z",
        "detectionStatus": "detected",
        "mdeDeviceId": None,
        "imageFile": {"fileName": image, "filePath": "C:\\Windows\\System32"},
        "parentProcessImageFile": {"fileName": "explorer.exe", "filePath": "C:\\Windows"},
        "userAccount": {
            "accountName": "SYSTEM",
            "domainName": "NT AUTHORITY",
            "userSid": "S-1-5-18",
            "azureAdUserId": None,
            "userPrincipalName": None,
        },
    }


def address(ip: str, roles: tuple[str, ...] = ()) -> Json:
    """Write IP evidence."""
    common = _common("ipEvidence", "suspicious", roles)
    return {**common, "ipAddress": ip, "countryLetterCode": "NL", "location": None, "stream": None}


def link(url: str) -> Json:
    """Write URL evidence."""
    return {**_common("urlEvidence", "malicious", ()), "url": url}


def mails(cast: Cast, subject: str, recipients: tuple[str, ...]) -> list[Json]:
    """Deliver a phish to the recipients and write the evidence; unknown names are outside."""
    network_id = cast.tenant.guid()
    found: list[Json] = []
    for name in recipients:
        inside = cast.users.get(name)
        to = inside.body["mail"] if inside else name
        location = "inbox" if inside else "external"
        found.append(_message(network_id, to, subject, location))
        cast.tenant.mail.add(
            {
                "networkMessageId": network_id,
                "recipientEmailAddress": to,
                "subject": subject,
                "location": "inbox_folder" if inside else "onprem_external",
                "senderDetail": {
                    "fromAddress": "billing@northwind-pay.example",
                    "displayName": "Northwind Billing",
                    "domainName": "northwind-pay.example",
                    "ipv4": "192.0.2.44",
                },
            }
        )
        if inside:
            found.append(_mailbox(cast, name))
    cluster = {
        **_common("mailClusterEvidence", "malicious", ()),
        "clusterBy": "Subject;P2SenderDomain;ContentType",
        "clusterByValue": f"{subject};northwind-pay.example;1",
        "emailCount": len(recipients),
        "networkMessageIds": [network_id],
        "query": f'(Subject:"{subject}") AND (P2SenderDomain:"northwind-pay.example")',
        "urn": f"urn:MailClusterEntity:{network_id.replace('-', '')}",
    }
    return [*found, cluster]


def _message(network_id: str, recipient: str, subject: str, location: str) -> Json:
    sender = {
        "displayName": "Northwind Billing",
        "domainName": "northwind-pay.example",
        "emailAddress": "billing@northwind-pay.example",
    }
    return {
        **_common("analyzedMessageEvidence", "malicious", ()),
        "networkMessageId": network_id,
        "internetMessageId": f"<{network_id}@mail.example>",
        "recipientEmailAddress": recipient,
        "subject": subject,
        "p1Sender": sender,
        "p2Sender": sender,
        "senderIp": "192.0.2.44",
        "receivedDateTime": "2026-11-22T21:58:11Z",
        "deliveryAction": "delivered",
        "deliveryLocation": location,
        "antiSpamDirection": "inbound",
        "threats": ["HighConfPhish"],
        "threatDetectionMethods": ["UrlReputation"],
        "urls": ["https://login.northwind-pay.example/verify"],
        "urlCount": 1,
        "attachmentsCount": 0,
        "language": "en",
        "urn": f"urn:MailEntity:{network_id.replace('-', '')}",
    }


def _mailbox(cast: Cast, name: str) -> Json:
    body = cast.users[name].body
    return {
        **_common("mailboxEvidence", "suspicious", ()),
        "primaryAddress": body["mail"],
        "upn": body["userPrincipalName"],
        "displayName": body["displayName"],
        "userAccount": _account(cast, name),
    }


def oauth_app(cast: Cast, name: str) -> Json:
    """Write OAuth application evidence."""
    return {
        **_common("oauthApplicationEvidence", "suspicious", ("suspicious",)),
        "appId": cast.tenant.guid(),
        "displayName": name,
        "objectId": cast.tenant.guid(),
        "publisher": "Unverified publisher",
    }


def cloud_app(name: str) -> Json:
    """Write cloud application evidence."""
    return {
        **_common("cloudApplicationEvidence", "unknown", ()),
        "appId": 20892,
        "displayName": name,
        "instanceId": 0,
        "instanceName": name,
        "saasAppId": 20892,
        "stream": None,
    }


def _common(kind: str, verdict: str, roles: tuple[str, ...]) -> Json:
    return {
        "@odata.type": f"#microsoft.graph.security.{kind}",
        "createdDateTime": "2026-11-22T22:15:00.4433333Z",
        "verdict": verdict,
        "remediationStatus": "none",
        "remediationStatusDetails": None,
        "roles": list(roles),
        "detailedRoles": [],
        "tags": [],
    }
