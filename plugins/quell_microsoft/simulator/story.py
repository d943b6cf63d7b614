"""A story of some 30 attacks over all four products, the same at every start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import evidence as played
from .cast import EXTERNAL, Cast, hire, machine_id
from .state.clock import stamp
from .state.tenant import Tenant
from .wire import Json

Evidence = Callable[[Cast], list[Json]]

_SOURCES = {
    "endpoint": ("microsoftDefenderForEndpoint", "Microsoft Defender for Endpoint", "da"),
    "identity": ("microsoftDefenderForIdentity", "Microsoft Defender for Identity", "aa"),
    "office": ("microsoftDefenderForOffice365", "Microsoft Defender for Office 365", "fa"),
    "cloud_apps": ("microsoftDefenderForCloudApps", "Microsoft Defender for Cloud Apps", "ca"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One incident: what it is called and what its alerts show."""

    key: str
    product: str
    title: str
    severity: str
    alerts: tuple[tuple[str, str, Evidence], ...]


def create_story(tenant: Tenant, *, queued: bool = False) -> None:
    """Fill the tenant; queued incidents wait for `POST /_simulator/release`."""
    cast = hire(tenant)
    ids: dict[str, str] = {}
    incidents: list[Json] = []
    for scene in SCENES:
        incident_id = _play(cast, scene, released=not queued)
        ids[scene.key] = incident_id
        incidents.append(_expected(cast, scene, incident_id))
    tenant.story = {
        "merge_loser": ids["beacon_second_half"],
        "merge_winner": ids["beacon"],
        "sentinel_change": ids["unwanted_software"],
        "protected_server": ids["lateral_movement"],
        "approval": ids["compromised_account"],
        "external_recipient": ids["phish_partner"],
        "offline_device": ids["credential_dump"],
        "synced_user": ids["password_spray"],
        "guest_user": ids["guest_consent"],
        "admin_user": ids["admin_target"],
        "incidents": incidents,
        "targets": {
            "protected_server": machine_id("srv-dc-01"),
            "offline_device": machine_id("ws-it-03"),
        },
    }


def _play(cast: Cast, scene: Scene, *, released: bool) -> str:
    tenant = cast.tenant
    queue = tenant.queue
    incident = queue.new_incident(
        {"displayName": scene.title, "severity": scene.severity, "priorityScore": None},
        released=released,
    )
    incident_id: str = incident.body["id"]
    for title, technique, evidence in scene.alerts:
        body = _alert(cast, scene, title, technique, incident_id)
        body["evidence"] = evidence(cast)
        queue.add_alert(body, incident_id, released=released)
    return incident_id


def _alert(cast: Cast, scene: Scene, title: str, technique: str, incident_id: str) -> Json:
    source, product, prefix = _SOURCES[scene.product]
    tenant = cast.tenant
    provider_id = tenant.guid()
    now = stamp(tenant.clock.shown())
    return {
        "id": prefix + provider_id,
        "providerAlertId": provider_id,
        "incidentId": incident_id,
        "tenantId": tenant.tenant_id,
        "status": "new",
        "severity": scene.severity,
        "classification": None,
        "determination": None,
        "serviceSource": source,
        "detectionSource": source,
        "productName": product,
        "detectorId": provider_id[:8],
        "title": title,
        "description": f"{title}.",
        "recommendedActions": "Validate the alert and contain what is affected.",
        "category": "SuspiciousActivity",
        "categories": ["SuspiciousActivity"],
        "assignedTo": None,
        "alertWebUrl": (
            f"https://security.microsoft.com/alerts/{prefix}{provider_id}?tid={tenant.tenant_id}"
        ),
        "incidentWebUrl": (
            f"https://security.microsoft.com/incident2/{incident_id}/overview"
            f"?tid={tenant.tenant_id}"
        ),
        "actorDisplayName": None,
        "threatDisplayName": None,
        "threatFamilyName": None,
        "mitreTechniques": [technique],
        "createdDateTime": now,
        "lastUpdateDateTime": now,
        "resolvedDateTime": None,
        "firstActivityDateTime": now,
        "lastActivityDateTime": now,
        "alertPolicyId": None,
        "additionalData": {},
        "customDetails": {},
        "investigationState": "queued",
        "systemTags": [],
        "comments": [],
        "evidence": [],
    }


def _expected(cast: Cast, scene: Scene, incident_id: str) -> Json:
    """Say who is touched by an incident, read from its own evidence."""
    devices: list[str] = []
    users: list[str] = []
    messages: list[Json] = []
    for alert in cast.tenant.queue.alerts_of(incident_id):
        for item in alert.body["evidence"]:
            kind = item["@odata.type"].rpartition(".")[2]
            if kind == "deviceEvidence" and "compromised" in item["roles"]:
                devices.append(item["mdeDeviceId"])
            elif kind == "userEvidence" and "compromised" in item["roles"]:
                users.append(item["userAccount"]["userSid"] or item["userAccount"]["azureAdUserId"])
            elif kind == "analyzedMessageEvidence":
                names = ("networkMessageId", "recipientEmailAddress")
                messages.append({name: item[name] for name in names})
    return {
        "key": scene.key,
        "id": incident_id,
        "product": scene.product,
        "severity": scene.severity,
        "devices": list(dict.fromkeys(devices)),
        "users": list(dict.fromkeys(users)),
        "messages": messages,
    }


def _endpoint(
    key: str, title: str, severity: str, technique: str, host: str, who: str, program: str
) -> Scene:
    def evidence(cast: Cast) -> list[Json]:
        return [
            played.device(cast, host),
            played.file(program),
            played.process(f"{program} -run", program),
            *([played.sid_only(cast, who)] if who else []),
        ]

    alerts = ((title, technique, evidence),)
    return Scene(key=key, product="endpoint", title=title, severity=severity, alerts=alerts)


def _account(
    key: str, product: str, title: str, severity: str, technique: str, who: str, ip: str
) -> Scene:
    def evidence(cast: Cast) -> list[Json]:
        extra = [played.cloud_app("Microsoft 365")] if product == "cloud_apps" else []
        return [played.user(cast, who), played.address(ip), *extra]

    alerts = ((title, technique, evidence),)
    return Scene(key=key, product=product, title=title, severity=severity, alerts=alerts)


def _phish(key: str, title: str, severity: str, subject: str, recipients: tuple[str, ...]) -> Scene:
    def evidence(cast: Cast) -> list[Json]:
        bad = played.link("https://login.northwind-pay.example/verify")
        return [*played.mails(cast, subject, recipients), bad]

    alerts = ((title, "T1566.002", evidence),)
    return Scene(key=key, product="office", title=title, severity=severity, alerts=alerts)


def _lateral(cast: Cast) -> list[Json]:
    return [
        played.device(cast, "ws-hr-02"),
        played.device(cast, "srv-dc-01"),
        played.sid_only(cast, "marco.rossi"),
        played.address("198.51.100.23", ("commandAndControl",)),
    ]


def _consent(who: str, app: str) -> Evidence:
    return lambda cast: [played.user(cast, who), played.oauth_app(cast, app)]


SCENES: tuple[Scene, ...] = (
    Scene(
        key="ransomware",
        product="endpoint",
        title="Ransomware activity on one endpoint",
        severity="high",
        alerts=(
            ("Ransomware behavior detected in the file system", "T1486",
             lambda cast: [played.device(cast, "ws-fin-07"), played.file("payroll.exe")]),
            ("Possible deletion of shadow copies", "T1490",
             lambda cast: [played.device(cast, "ws-fin-07"),
                           played.device(cast, "srv-file-02", roles=("contextual",)),
                           played.process("vssadmin delete shadows /all", "vssadmin.exe"),
                           played.sid_only(cast, "lena.brandt")]),
        ),
    ),
    Scene(
        key="lateral_movement",
        product="endpoint",
        title="Hands-on-keyboard attack reached a domain controller",
        severity="high",
        alerts=(("Suspicious remote activity on a domain controller", "T1021.002", _lateral),),
    ),
    _endpoint("beacon", "Command and control beacon on one endpoint", "high", "T1071.001",
              "ws-eng-11", "aisha.khan", "updater.exe"),
    _endpoint("beacon_second_half", "Suspicious service registration on one endpoint", "medium",
              "T1543.003", "ws-eng-11", "", "svchostx.exe"),
    _endpoint("credential_dump", "Credential dumping from memory", "high", "T1003.001", "ws-it-03",
              "peter.lind", "procdump64.exe"),
    _endpoint("unwanted_software", "Unwanted software was seen", "low", "T1204.002", "ws-mkt-04",
              "", "toolbar-setup.exe"),
    _endpoint("powershell", "Suspicious PowerShell command line", "medium", "T1059.001",
              "ws-sal-05", "ines.duarte", "powershell.exe"),
    _endpoint("mac_stealer", "Information stealer on one endpoint", "medium", "T1555.001",
              "mac-des-01", "", "Installer.app"),
    _endpoint("web_shell", "Web shell on a server", "high", "T1505.003", "srv-web-01", "",
              "cmd.jsp"),
    _endpoint("old_system", "Malware on an unsupported system", "medium", "T1204", "old-lab-01",
              "", "setup.exe"),
    _endpoint("reinstalled", "Malware reappeared after reinstallation", "medium", "T1547.001",
              "ws-ops-09", "peter.lind", "runme.exe"),
    _account("compromised_account", "identity", "Compromised account of one user", "high",
             "T1078.004", "olu.adeyemi", "198.51.100.61"),
    _account("password_spray", "identity", "Password spray reached one account", "high",
             "T1110.003", "tomas.novak", "198.51.100.62"),
    _account("kerberoasting", "identity", "Suspected Kerberos ticket theft", "medium",
             "T1558.003", "svc.backup", "10.20.0.77"),
    _account("honeytoken", "identity", "Honeytoken account was used", "medium", "T1078",
             "sara.weiss", "10.20.0.78"),
    _account("admin_target", "identity", "Suspicious sign-in of an administrator", "high",
             "T1078.004", "grace.admin", "198.51.100.63"),
    _account("directory_replication", "identity", "Suspected directory replication", "high",
             "T1003.006", "Sync_SRV-ADC01_9f2e11", "10.20.0.79"),
    _account("atypical_travel", "identity", "Atypical travel of one user", "low", "T1078",
             "noah.okafor", "198.51.100.64"),
    _phish("phish_invoice", "Phishing campaign with several recipients", "medium",
           "Overdue invoice 48812", ("lena.brandt", "marco.rossi", "shared.invoices")),
    _phish("phish_partner", "Phishing mail that also left the company", "medium",
           "Your parcel is waiting", ("ines.duarte", "yuki.tanaka", EXTERNAL)),
    _phish("phish_single", "Phishing mail was delivered", "low", "Shared document",
           ("noah.okafor",)),
    _phish("phish_payroll", "Payroll phishing campaign", "high", "Payroll update required",
           ("lena.brandt", "aisha.khan", "tomas.novak", "peter.lind")),
    _phish("phish_clicked", "A user clicked a malicious link", "high", "Voice message received",
           ("olu.adeyemi", "sara.weiss")),
    _phish("phish_reported", "Mail was reported by a user as phishing", "informational",
           "Prize draw", ("yuki.tanaka",)),
    _phish("phish_cyrillic", "Phishing with look-alike characters", "medium",
           "Invоice [{{ urgent }}]", ("marco.rossi", "noah.okafor")),
    Scene(
        key="oauth_consent",
        product="cloud_apps",
        title="Suspicious OAuth app was granted access to mail",
        severity="high",
        alerts=(("Suspicious OAuth app consent", "T1528",
                 _consent("yuki.tanaka", "Calendar Helper Pro")),),
    ),
    Scene(
        key="guest_consent",
        product="cloud_apps",
        title="A guest shared files with unusual speed",
        severity="medium",
        alerts=(("Unusual file share activity", "T1567", _consent("guest", "Fast Share")),),
    ),
    _account("impossible_travel", "cloud_apps", "Impossible travel activity", "medium",
             "T1078.004", "ines.duarte", "203.0.113.99"),
    _account("mass_download", "cloud_apps", "Mass download by one user", "medium", "T1530",
             "sara.weiss", "203.0.113.98"),
    _account("forwarding_rule", "cloud_apps", "Suspicious inbox forwarding rule", "medium",
             "T1114.003", "marco.rossi", "203.0.113.97"),
    _account("unusual_isp", "cloud_apps", "Activity from an unusual provider", "low", "T1078",
             "noah.okafor", "203.0.113.96"),
)  # fmt: skip
