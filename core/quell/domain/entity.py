"""What attacks touch and actions act on: devices, users, mail and the rest, with their names.

An entity has many names. A *strong* alias names one thing in one tenant (an object id, a
SID, a machine id); a *weak* one (a host name, an address) may be shared or reused, helps a
person and a search, and never identifies a target. Kinds that quell does not know are kept
whole as `OtherEntity`: nothing is dropped.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

__all__ = [
    "Alias",
    "CloudApplication",
    "Device",
    "Entity",
    "EntityKind",
    "Evidence",
    "EvidenceRole",
    "EvidenceVerdict",
    "File",
    "Ip",
    "MailCluster",
    "MailMessage",
    "Mailbox",
    "OAuthApplication",
    "OtherEntity",
    "Process",
    "RegistryKey",
    "RegistryValue",
    "SecurityGroup",
    "Url",
    "User",
]


class EntityKind(StrEnum):
    """The kinds of entity; the value is the tag in journals, playbooks and the CLI."""

    DEVICE = "device"
    USER = "user"
    MAILBOX = "mailbox"
    MAIL_MESSAGE = "mail"
    MAIL_CLUSTER = "mail_cluster"
    FILE = "file"
    PROCESS = "process"
    IP = "ip"
    URL = "url"
    CLOUD_APPLICATION = "cloud_application"
    OAUTH_APPLICATION = "oauth_application"
    REGISTRY_KEY = "registry_key"
    REGISTRY_VALUE = "registry_value"
    SECURITY_GROUP = "security_group"
    OTHER = "other"


class EvidenceRole(StrEnum):
    """The part that an entity plays in an alert; names as in the products' own schema."""

    UNKNOWN = "unknown"
    CONTEXTUAL = "contextual"
    SCANNED = "scanned"
    SOURCE = "source"
    DESTINATION = "destination"
    CREATED = "created"
    ADDED = "added"
    COMPROMISED = "compromised"
    EDITED = "edited"
    ATTACKED = "attacked"
    ATTACKER = "attacker"
    COMMAND_AND_CONTROL = "command_and_control"
    LOADED = "loaded"
    SUSPICIOUS = "suspicious"
    POLICY_VIOLATOR = "policy_violator"


class EvidenceVerdict(StrEnum):
    """What the detecting product thinks of an entity."""

    UNKNOWN = "unknown"
    NO_THREATS_FOUND = "no_threats_found"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"


class Alias(msgspec.Struct, frozen=True, order=True):
    """One name of an entity: `kind` says in which naming scheme, `value` is compared as stored."""

    kind: str
    value: str
    is_strong: bool = True


class Named(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entity"):
    """What all entities share. Subclasses say which of their fields are names."""

    #: a name for people; attacker-controlled, never an identity
    name: str = ""

    def aliases(self) -> tuple[Alias, ...]:
        """List the names of this entity, strong ones first; empty when nothing identifies it."""
        return ()


def _aliases(*names: tuple[str, str | None, bool]) -> tuple[Alias, ...]:
    found = {
        Alias(kind, value.strip().lower(), is_strong)
        for kind, value, is_strong in names
        if value and value.strip()
    }
    return tuple(sorted(found, key=lambda alias: (not alias.is_strong, alias.kind, alias.value)))


class Device(Named, frozen=True, kw_only=True, omit_defaults=True, tag="device"):
    """A machine. `mde_id` is the sensor's machine id, `entra_id` the directory's device id."""

    mde_id: str | None = None
    entra_id: str | None = None
    azure_resource_id: str | None = None
    dns_name: str | None = None
    host_name: str | None = None
    nt_domain: str | None = None
    os: str | None = None
    os_version: str | None = None
    ip: str | None = None
    public_ip: str | None = None
    health: str | None = None
    risk: str | None = None
    onboarding: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(
            ("mde", self.mde_id, True),
            ("entra_device", self.entra_id, True),
            ("azure_resource", self.azure_resource_id, True),
            ("dns", self.dns_name, False),
            ("host", self.host_name, False),
        )


class User(Named, frozen=True, kw_only=True, omit_defaults=True, tag="user"):
    """An account of a person or a service. Any of the names may be missing."""

    object_id: str | None = None
    upn: str | None = None
    sid: str | None = None
    ad_object_guid: str | None = None
    account_name: str | None = None
    nt_domain: str | None = None
    display_name: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        is_domain_account = self.sid is not None and self.sid.upper().startswith(
            ("S-1-5-21-", "S-1-12-1-")
        )
        account = (
            f"{self.nt_domain}\\{self.account_name}"
            if self.nt_domain and self.account_name
            else None
        )
        return _aliases(
            ("entra_user", self.object_id, True),
            ("upn", self.upn, True),
            # built-in SIDs (S-1-5-18 …) name another account on each machine
            ("sid", self.sid, is_domain_account),
            ("ad_object", self.ad_object_guid, True),
            ("account", account, False),
        )


class Mailbox(Named, frozen=True, kw_only=True, omit_defaults=True, tag="mailbox"):
    """A mailbox by its primary address."""

    address: str | None = None
    upn: str | None = None
    display_name: str | None = None
    directory_object_id: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(("mailbox", self.address, True), ("mailbox_upn", self.upn, False))


class MailMessage(Named, frozen=True, kw_only=True, omit_defaults=True, tag="mail"):
    """One delivered copy of a message: the pair of network message id and recipient."""

    network_message_id: str | None = None
    internet_message_id: str | None = None
    recipient: str | None = None
    subject: str | None = None
    sender: str | None = None
    return_path: str | None = None
    sender_ip: str | None = None
    received: str | None = None
    delivery_action: str | None = None
    delivery_location: str | None = None
    threats: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def aliases(self) -> tuple[Alias, ...]:
        copy = (
            f"{self.network_message_id}|{self.recipient}"
            if self.network_message_id and self.recipient
            else None
        )
        return _aliases(
            ("mail_copy", copy, True), ("internet_message", self.internet_message_id, False)
        )


class MailCluster(Named, frozen=True, kw_only=True, omit_defaults=True, tag="mail_cluster"):
    """Messages that a product found alike."""

    query: str | None = None
    urn: str | None = None
    network_message_ids: tuple[str, ...] = ()
    email_count: int | None = None
    cluster_by: str | None = None
    cluster_by_value: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(("mail_cluster", self.urn or self.query, True))


class File(Named, frozen=True, kw_only=True, omit_defaults=True, tag="file"):
    """A file's content and place; only its hash identifies it."""

    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None
    path: str | None = None
    size: int | None = None
    device_mde_id: str | None = None
    detection_status: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(
            ("sha256", self.sha256, True), ("sha1", self.sha1, True), ("md5", self.md5, False)
        )


class Process(Named, frozen=True, kw_only=True, omit_defaults=True, tag="process"):
    """A process on a device; the number alone is reused, so device and start belong to its name."""

    process_id: int | None = None
    command_line: str | None = None
    created: str | None = None
    image: File | None = None
    parent_process_id: int | None = None
    parent_created: str | None = None
    parent_image: File | None = None
    account: User | None = None
    device_mde_id: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        place = (
            f"{self.device_mde_id}|{self.process_id}|{self.created}"
            if self.device_mde_id and self.process_id is not None and self.created
            else None
        )
        return _aliases(("process", place, True))


class Ip(Named, frozen=True, kw_only=True, omit_defaults=True, tag="ip"):
    """An IP address."""

    address: str | None = None
    country: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(("ip", self.address, True))


class Url(Named, frozen=True, kw_only=True, omit_defaults=True, tag="url"):
    """A URL, kept as it was seen."""

    url: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        # paths are case-sensitive: the one alias that is not folded
        return (Alias("url", self.url),) if self.url else ()


class CloudApplication(
    Named, frozen=True, kw_only=True, omit_defaults=True, tag="cloud_application"
):
    """A SaaS application as the cloud access product numbers it."""

    app_id: int | None = None
    instance_id: int | None = None
    instance_name: str | None = None
    saas_app_id: int | None = None

    def aliases(self) -> tuple[Alias, ...]:
        number = self.saas_app_id if self.saas_app_id is not None else self.app_id
        place = f"{number}|{self.instance_id or 0}" if number is not None else None
        return _aliases(("cloud_application", place, True))


class OAuthApplication(
    Named, frozen=True, kw_only=True, omit_defaults=True, tag="oauth_application"
):
    """An application registered in a directory that users consented to."""

    app_id: str | None = None
    object_id: str | None = None
    publisher: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(("oauth_object", self.object_id, True), ("oauth_app", self.app_id, True))


class RegistryKey(Named, frozen=True, kw_only=True, omit_defaults=True, tag="registry_key"):
    """A key of the Windows registry."""

    hive: str | None = None
    key: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(
            ("registry_key", f"{self.hive or ''}\\{self.key}" if self.key else None, False)
        )


class RegistryValue(Named, frozen=True, kw_only=True, omit_defaults=True, tag="registry_value"):
    """A value under a registry key."""

    hive: str | None = None
    key: str | None = None
    value_name: str | None = None
    value: str | None = None
    value_type: str | None = None
    device_mde_id: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        place = f"{self.hive or ''}\\{self.key}\\{self.value_name or ''}" if self.key else None
        return _aliases(("registry_value", place, False))


class SecurityGroup(Named, frozen=True, kw_only=True, omit_defaults=True, tag="security_group"):
    """A group of accounts."""

    object_id: str | None = None
    sid: str | None = None
    distinguished_name: str | None = None
    ad_object_guid: str | None = None

    def aliases(self) -> tuple[Alias, ...]:
        return _aliases(
            ("entra_group", self.object_id, True),
            ("sid", self.sid, True),
            ("ad_object", self.ad_object_guid, True),
            ("distinguished_name", self.distinguished_name, False),
        )


class OtherEntity(Named, frozen=True, kw_only=True, omit_defaults=True, tag="other"):
    """A kind of entity that quell has no class for; its JSON is in the evidence's `raw`."""

    #: the product's own name of the kind
    kind: str = ""


Entity = (
    Device
    | User
    | Mailbox
    | MailMessage
    | MailCluster
    | File
    | Process
    | Ip
    | Url
    | CloudApplication
    | OAuthApplication
    | RegistryKey
    | RegistryValue
    | SecurityGroup
    | OtherEntity
)


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entity as one alert saw it. `raw` is the product's own JSON, whole."""

    entity: Entity
    roles: tuple[EvidenceRole, ...] = ()
    verdict: EvidenceVerdict = EvidenceVerdict.UNKNOWN
    remediation: str | None = None
    created: str | None = None
    raw: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    @property
    def kind(self) -> EntityKind:
        """Tell which kind of entity this is evidence of."""
        return EntityKind(str(self.entity.__struct_config__.tag))
