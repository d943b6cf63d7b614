"""Microsoft's clouds: which hosts belong to each, and which addresses a token may be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CLOUDS", "Api", "Cloud", "CloudAddresses"]


class Cloud(StrEnum):
    """The national clouds; a tenant lives in exactly one."""

    GLOBAL = "global"
    GCC = "gcc"
    GCC_HIGH = "gcc_high"
    DOD = "dod"
    CHINA = "china"


class Api(StrEnum):
    """The APIs that quell speaks to; each wants a token of its own."""

    GRAPH = "graph"
    #: Defender for Endpoint
    ENDPOINT = "endpoint"
    #: Azure Resource Manager, where Sentinel is
    ARM = "arm"
    #: Azure Monitor's Logs Ingestion
    INGESTION = "ingestion"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAddresses:
    """One cloud's hosts and scopes. An API that is not in `hosts` does not exist there."""

    login: str
    hosts: Mapping[Api, str]
    scopes: Mapping[Api, str]
    #: every ingestion endpoint has a name of its own below this
    ingestion_suffix: str


def _cloud(
    *, login: str, graph: str, endpoint: str | None, arm: str, monitor: str
) -> CloudAddresses:
    hosts = {Api.GRAPH: graph, Api.ARM: arm}
    if endpoint:
        hosts[Api.ENDPOINT] = endpoint
    scopes = {api: f"https://{host}/.default" for api, host in hosts.items()}
    scopes[Api.INGESTION] = f"https://{monitor}/.default"
    return CloudAddresses(
        login=login,
        hosts=MappingProxyType(hosts),
        scopes=MappingProxyType(scopes),
        ingestion_suffix=f".ingest.{monitor}",
    )


#: https://learn.microsoft.com/graph/deployments and
#: https://learn.microsoft.com/defender-endpoint/gov
CLOUDS: Mapping[Cloud, CloudAddresses] = MappingProxyType(
    {
        Cloud.GLOBAL: _cloud(
            login="login.microsoftonline.com",
            graph="graph.microsoft.com",
            endpoint="api.securitycenter.microsoft.com",
            arm="management.azure.com",
            monitor="monitor.azure.com",
        ),
        Cloud.GCC: _cloud(
            login="login.microsoftonline.com",
            graph="graph.microsoft.com",
            endpoint="api-gcc.securitycenter.microsoft.us",
            arm="management.azure.com",
            monitor="monitor.azure.com",
        ),
        Cloud.GCC_HIGH: _cloud(
            login="login.microsoftonline.us",
            graph="graph.microsoft.us",
            endpoint="api-gov.securitycenter.microsoft.us",
            arm="management.usgovcloudapi.net",
            monitor="monitor.azure.us",
        ),
        Cloud.DOD: _cloud(
            login="login.microsoftonline.us",
            graph="dod-graph.microsoft.us",
            endpoint="api-gov.securitycenter.microsoft.us",
            arm="management.usgovcloudapi.net",
            monitor="monitor.azure.us",
        ),
        Cloud.CHINA: _cloud(
            login="login.partner.microsoftonline.cn",
            graph="microsoftgraph.chinacloudapi.cn",
            endpoint=None,
            arm="management.chinacloudapi.cn",
            monitor="monitor.azure.cn",
        ),
    }
)
