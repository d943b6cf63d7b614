"""The raw tables of advanced hunting that can be streamed, with their columns.

https://learn.microsoft.com/defender-xdr/advanced-hunting-schema-tables

Columns are texts unless they say otherwise. The schema grows: a column that is not listed here
still travels, as JSON.
"""

from __future__ import annotations

from functools import cache

from quell import ColumnType, EventTable

__all__ = ["hunting_tables"]

#: the column that every raw table is read by
TIME = "Timestamp"

DEVICE = "Timestamp:datetime DeviceId DeviceName"
EVENT = f"{DEVICE} ActionType ReportId:long AppGuardContainerId AdditionalFields:dynamic"
FILE = "FileName FolderPath SHA1 SHA256 MD5 FileSize:long"
ACCOUNT = "AccountDomain AccountName AccountSid AccountUpn AccountObjectId"
#: the process that did it
PROCESS = """
InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid
InitiatingProcessAccountUpn InitiatingProcessAccountObjectId
InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5
InitiatingProcessFileName InitiatingProcessFileSize:long InitiatingProcessFolderPath
InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName
InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName
InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription
InitiatingProcessId:long InitiatingProcessCommandLine InitiatingProcessCreationTime:datetime
InitiatingProcessIntegrityLevel InitiatingProcessTokenElevation
InitiatingProcessParentId:long InitiatingProcessParentFileName
InitiatingProcessParentCreationTime:datetime InitiatingProcessUniqueId:long
InitiatingProcessSessionId:long IsInitiatingProcessRemoteSession:boolean
InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP
"""
NEW_PROCESS = """
ProcessId:long ProcessCommandLine ProcessCreationTime:datetime ProcessTokenElevation
ProcessUniqueId:long LogonId:long InitiatingProcessLogonId:long
CreatedProcessSessionId:long IsProcessRemoteSession:boolean ProcessRemoteSessionDeviceName
ProcessRemoteSessionIP
"""
IDENTITY = f"""
Timestamp:datetime ActionType Application Protocol {ACCOUNT} AccountDisplayName DeviceName
IPAddress Port:int DestinationDeviceName DestinationIPAddress DestinationPort:int
TargetDeviceName TargetAccountDisplayName Location ReportId AdditionalFields:dynamic
"""
MAIL = "Timestamp:datetime NetworkMessageId ReportId"
SENDER = "SenderFromAddress SenderDisplayName SenderObjectId"
RECIPIENT = "RecipientEmailAddress RecipientObjectId"
VERDICT = "ThreatTypes ThreatNames DetectionMethods"

#: by group and name: what the table is about, and its columns
TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "devices": {
        "DeviceProcessEvents": (
            "Processes that were started.",
            f"""{EVENT} {FILE} {ACCOUNT} {NEW_PROCESS} {PROCESS} ProcessIntegrityLevel
            ProcessVersionInfoCompanyName ProcessVersionInfoProductName
            ProcessVersionInfoProductVersion ProcessVersionInfoInternalFileName
            ProcessVersionInfoOriginalFileName ProcessVersionInfoFileDescription
            InitiatingProcessSignerType InitiatingProcessSignatureStatus""",
        ),
        "DeviceNetworkEvents": (
            "Connections of devices.",
            f"""{EVENT} {PROCESS} RemoteIP RemotePort:int RemoteUrl LocalIP LocalPort:int Protocol
            LocalIPType RemoteIPType""",
        ),
        "DeviceFileEvents": (
            "Files that were made, changed, renamed or deleted.",
            f"""{EVENT} {FILE} {PROCESS} FileOriginUrl FileOriginReferrerUrl FileOriginIP
            PreviousFolderPath PreviousFileName RequestProtocol RequestSourceIP
            RequestSourcePort:int RequestAccountName RequestAccountDomain RequestAccountSid
            ShareName SensitivityLabel SensitivitySubLabel IsAzureInfoProtectionApplied:boolean""",
        ),
        "DeviceRegistryEvents": (
            "Registry entries that were made or changed.",
            f"""{EVENT} {PROCESS} RegistryKey RegistryValueType RegistryValueName RegistryValueData
            PreviousRegistryKey PreviousRegistryValueName PreviousRegistryValueData""",
        ),
        "DeviceLogonEvents": (
            "Sign-ins on devices.",
            f"""{EVENT} {PROCESS} {ACCOUNT} LogonType Protocol FailureReason IsLocalAdmin:boolean
            LogonId:long RemoteDeviceName RemoteIP RemoteIPType RemotePort:int""",
        ),
        "DeviceImageLoadEvents": (
            "Libraries that were loaded.",
            f"{EVENT} {FILE} {PROCESS}",
        ),
        "DeviceEvents": (
            "What antivirus, firewall and other controls of devices noticed.",
            f"""{EVENT} {FILE} {ACCOUNT} {NEW_PROCESS} {PROCESS} RemoteUrl RemoteDeviceName
            RegistryKey RegistryValueName RegistryValueData RemoteIP RemotePort:int LocalIP
            LocalPort:int FileOriginUrl FileOriginIP""",
        ),
    },
    "inventory": {
        "DeviceInfo": (
            "Devices, as they report themselves.",
            f"""{DEVICE} ClientVersion PublicIP OSArchitecture OSPlatform OSBuild:long
            IsAzureADJoined:boolean JoinType AadDeviceId LoggedOnUsers:dynamic RegistryDeviceTag
            OSVersion MachineGroup ReportId:long OnboardingStatus AdditionalFields:dynamic
            DeviceCategory DeviceType DeviceSubtype Model Vendor OSDistribution OSVersionInfo
            MergedDeviceIds MergedToDeviceId IsInternetFacing:boolean SensorHealthState
            IsExcluded:boolean ExclusionReason ExposureLevel AssetValue DeviceManualTags
            DeviceDynamicTags ConnectivityType HostDeviceId""",
        ),
        "DeviceNetworkInfo": (
            "Network adapters, addresses and networks of devices.",
            f"""{DEVICE} NetworkAdapterName MacAddress NetworkAdapterType NetworkAdapterStatus
            NetworkAdapterVendor TunnelType ConnectedNetworks:dynamic DnsAddresses:dynamic IPv4Dhcp
            IPv6Dhcp DefaultGateways:dynamic IPAddresses:dynamic ReportId:long""",
        ),
        "DeviceFileCertificateInfo": (
            "Certificates that files were signed with.",
            f"""{DEVICE} SHA1 IsSigned:boolean SignatureType Signer SignerHash Issuer IssuerHash
            CertificateSerialNumber CrlDistributionPointUrls:dynamic
            CertificateCreationTime:datetime CertificateExpirationTime:datetime
            CertificateCountersignatureTime:datetime IsTrusted:boolean
            IsRootSignerMicrosoft:boolean ReportId:long""",
        ),
        "IdentityInfo": (
            "Accounts, as the directories describe them.",
            """Timestamp:datetime ReportId AccountObjectId AccountUpn OnPremSid CloudSid
            AccountDisplayName AccountName AccountDomain CriticalityLevel:int Type
            DistinguishedName GivenName Surname Department JobTitle EmailAddress SipProxyAddress
            Address City Country IsAccountEnabled:boolean Manager Phone CreatedDateTime:datetime
            ChangeSource BlastRadius CompanyName DeletedDateTime:datetime EmployeeId
            OtherMailAddresses:dynamic RiskLevel RiskLevelDetails State Tags:dynamic
            AssignedRoles:dynamic PrivilegedEntraPimRoles:dynamic TenantId SourceSystem
            OnPremObjectId TenantMembershipType RiskStatus UserAccountControl:dynamic
            IdentityEnvironment SourceProviders:dynamic GroupMembership:dynamic""",
        ),
    },
    "mail": {
        "EmailEvents": (
            "Mails, and what was done with them.",
            f"""{MAIL} {SENDER} {RECIPIENT} {VERDICT} InternetMessageId SenderMailFromAddress
            SenderMailFromDomain SenderFromDomain SenderIPv4 SenderIPv6 Subject
            EmailClusterId:long EmailDirection DeliveryAction DeliveryLocation ConfidenceLevel
            BulkComplaintLevel:int EmailAction EmailActionPolicy EmailActionPolicyGuid
            AuthenticationDetails AttachmentCount:int UrlCount:int EmailLanguage Connectors
            OrgLevelAction OrgLevelPolicy UserLevelAction UserLevelPolicy
            AdditionalFields:dynamic LatestDeliveryLocation LatestDeliveryAction""",
        ),
        "EmailAttachmentInfo": (
            "Attachments of mails.",
            f"{MAIL} {SENDER} {RECIPIENT} {VERDICT} FileName FileType SHA256 FileSize:long",
        ),
        "EmailPostDeliveryEvents": (
            "What was done with mails after they were delivered.",
            f"""{MAIL} InternetMessageId Action ActionType ActionTrigger ActionResult
            RecipientEmailAddress DeliveryLocation ThreatTypes DetectionMethods""",
        ),
        "EmailUrlInfo": ("Addresses in mails.", f"{MAIL} Url UrlDomain UrlLocation"),
        "UrlClickEvents": (
            "Clicks on addresses that were checked.",
            f"""{MAIL} Url ActionType AccountUpn Workload ThreatTypes DetectionMethods IPAddress
            IsClickedThrough:boolean UrlChain:dynamic""",
        ),
    },
    "identities": {
        "IdentityDirectoryEvents": (
            "Changes in the directory on premises.",
            f"{IDENTITY} TargetAccountUpn ISP",
        ),
        "IdentityLogonEvents": (
            "Sign-ins to the directory and to online services.",
            f"{IDENTITY} LogonType FailureReason DeviceType OSPlatform ISP",
        ),
        "IdentityQueryEvents": (
            "Questions asked of the directory.",
            f"{IDENTITY} QueryType QueryTarget Query TargetAccountUpn",
        ),
        "CloudAppEvents": (
            "What accounts did in cloud apps.",
            """Timestamp:datetime ActionType Application ApplicationId:int AppInstanceId:int
            AccountObjectId AccountId AccountDisplayName AccountType IsAdminOperation:boolean
            DeviceType OSPlatform IPAddress IsAnonymousProxy:boolean CountryCode City Isp
            UserAgent ActivityType ActivityObjects:dynamic ObjectName ObjectType ObjectId ReportId
            IsExternalUser:boolean IsImpersonated:boolean IPTags:dynamic IPCategory
            UserAgentTags:dynamic RawEventData:dynamic AdditionalFields:dynamic
            LastSeenForUser:dynamic UncommonForUser:dynamic AuditSource SessionData:dynamic
            OAuthAppId""",
        ),
    },
    "alerts": {
        "AlertInfo": (
            "Alerts, as advanced hunting shows them.",
            """Timestamp:datetime AlertId Title Category Severity ServiceSource DetectionSource
            AttackTechniques""",
        ),
        "AlertEvidence": (
            "What alerts are about, as advanced hunting shows it.",
            f"""Timestamp:datetime AlertId Title Categories AttackTechniques ServiceSource
            DetectionSource EntityType EvidenceRole EvidenceDirection FileName FolderPath SHA1
            SHA256 FileSize:long ThreatFamily RemoteIP RemoteUrl {ACCOUNT} DeviceId DeviceName
            LocalIP NetworkMessageId EmailSubject Application ApplicationId:int
            OAuthApplicationId ProcessCommandLine RegistryKey RegistryValueName
            RegistryValueData AdditionalFields:dynamic Severity CloudResource CloudPlatform
            ResourceType ResourceID SubscriptionId""",
        ),
    },
}


@cache
def hunting_tables() -> tuple[EventTable, ...]:
    """List the raw tables."""
    return tuple(
        EventTable(name=name, summary=summary, columns=columns_of(columns), time=TIME, group=group)
        for group, tables in TABLES.items()
        for name, (summary, columns) in tables.items()
    )


def columns_of(declared: str) -> dict[str, ColumnType]:
    """Read a list of columns: `Name` is a text, `Name:type` says otherwise."""
    found: dict[str, ColumnType] = {}
    for word in declared.split():
        name, _, kind = word.partition(":")
        found[name] = ColumnType(kind or "string")
    return found
