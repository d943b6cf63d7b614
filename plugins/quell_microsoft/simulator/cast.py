"""The people and devices of the story: fictional, at reserved domains, always the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .state.tenant import Tenant
from .state.users import User
from .wire import Json

AD_DOMAIN = "TAILSPIN"
SID_BASE = "S-1-5-21-2091785324-1172309812-3380921177"

#: (login, display name, department, kind)
PEOPLE = (
    ("lena.brandt", "Lena Brandt", "Finance", "synced"),
    ("marco.rossi", "Marco Rossi", "Human Resources", "synced"),
    ("aisha.khan", "Aisha Khan", "Engineering", "synced"),
    ("tomas.novak", "Tomas Novak", "Engineering", "synced"),
    ("ines.duarte", "Ines Duarte", "Sales", "synced"),
    ("olu.adeyemi", "Olu Adeyemi", "Marketing", "cloud"),
    ("yuki.tanaka", "Yuki Tanaka", "Design", "cloud"),
    ("peter.lind", "Peter Lind", "Operations", "synced"),
    ("sara.weiss", "Sara Weiss", "Legal", "synced"),
    ("noah.okafor", "Noah Okafor", "Support", "cloud"),
    ("grace.admin", "Grace Hollis (admin)", "IT", "admin"),
    ("soc.analyst", "Sam Carter", "Security", "cloud"),
    ("svc.backup", "Backup service", "IT", "service"),
    ("Sync_SRV-ADC01_9f2e11", "On-Premises Directory Synchronization", "IT", "sync"),
    ("breakglass1", "Emergency access 1", "IT", "admin"),
    ("shared.invoices", "Invoices (shared mailbox)", "Finance", "shared"),
)
#: (host name, platform, group, tags, online)
HOSTS = (
    ("ws-fin-07", "Windows11", "Workstations", (), True),
    ("ws-hr-02", "Windows11", "Workstations", (), True),
    ("ws-eng-11", "Windows11", "Workstations", (), True),
    ("ws-eng-12", "Windows11", "Workstations", (), True),
    ("ws-sal-05", "Windows10", "Workstations", (), True),
    ("ws-mkt-04", "Windows11", "Workstations", (), True),
    ("ws-ops-09", "Windows11", "Workstations", (), True),
    ("ws-it-03", "Windows11", "Workstations", (), False),
    ("mac-des-01", "macOS", "Workstations", (), True),
    ("old-lab-01", "Windows8", "Workstations", (), True),
    ("srv-web-01", "Linux", "Servers", (), True),
    ("srv-file-02", "WindowsServer2022", "Servers", (), True),
    ("srv-dc-01", "WindowsServer2022", "Domain Controllers", ("Domain Controller",), True),
)
EXTERNAL = "partner@fabrikam.example"


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody who plays, by the short name that the story uses."""

    tenant: Tenant
    users: dict[str, User]
    machines: dict[str, Json]


def hire(tenant: Tenant) -> Cast:
    """Put the people and their devices into the tenant."""
    users = {person[0]: _person(tenant, index, person) for index, person in enumerate(PEOPLE)}
    users["guest"] = tenant.users.add(
        {
            "id": tenant.guid(),
            "userPrincipalName": f"visitor_fabrikam.example#EXT#@{tenant.domain}",
            "displayName": "Vera Visitor",
            "mail": "visitor@fabrikam.example",
            "userType": "Guest",
        }
    )
    machines = {host[0]: _host(tenant, host) for host in HOSTS}
    _reinstalled(tenant)
    return Cast(tenant, users, machines)


def _person(tenant: Tenant, index: int, person: tuple[str, str, str, str]) -> User:
    login, name, department, kind = person
    is_synced = kind in ("synced", "service")
    fields: Json = {
        "id": tenant.guid(),
        "userPrincipalName": f"{login}@{tenant.domain}",
        "displayName": name,
        "department": department,
        "accountEnabled": kind != "shared",
        "onPremisesSyncEnabled": True if is_synced else None,
        "onPremisesSecurityIdentifier": f"{SID_BASE}-{1100 + index}" if is_synced else None,
        "onPremisesSamAccountName": login if is_synced else None,
        "onPremisesDomainName": f"corp.{tenant.domain}" if is_synced else None,
        "createdDateTime": "2024-03-04T09:00:00Z",
    }
    roles = ("Global Administrator",) if kind == "admin" else ()
    if kind == "sync":
        roles = ("Directory Synchronization Accounts",)
    user = tenant.users.add(fields, admin_roles=roles)
    user.identity_account_id = tenant.guid()
    return user


def _host(tenant: Tenant, host: tuple[str, str, str, tuple[str, ...], bool]) -> Json:
    name, platform, group, tags, online = host
    machine = tenant.devices.add_machine(
        {
            "id": machine_id(name),
            "computerDnsName": f"{name}.corp.{tenant.domain}",
            "osPlatform": platform,
            "rbacGroupName": group,
            "machineTags": list(tags),
            "aadDeviceId": tenant.guid(),
            "deviceValue": "High" if group != "Workstations" else "Normal",
        }
    )
    tenant.devices.set_online(machine, online)
    return machine.body


def _reinstalled(tenant: Tenant) -> None:
    """Leave an old record of a host that was set up anew: same name, another id."""
    tenant.devices.add_machine(
        {
            "id": machine_id("ws-ops-09 before"),
            "computerDnsName": f"ws-ops-09.corp.{tenant.domain}",
            "lastSeen": "2026-06-30T17:12:09Z",
            "healthStatus": "Inactive",
            "onboardingStatus": "CanBeOnboarded",
        }
    )


def machine_id(name: str) -> str:
    """Give a device id: 40 hex digits, as Defender's are."""
    return hashlib.sha1(f"device {name}".encode(), usedforsecurity=False).hexdigest()
