"""The documented rate limits, by API and operation class."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quell.domain.ports import OperationClass, Rate
from quell_microsoft.clouds import Api

__all__ = ["LONGEST_WAIT", "RATES", "WITHOUT_HINT", "operation_class", "rates_of"]

#: a longer request to wait is the caller's business: waiting in place would hold its run
LONGEST_WAIT = 60.0
#: seconds to pause a class whose 429 did not say how long
WITHOUT_HINT = 5.0

#: https://learn.microsoft.com/graph/throttling-limits,
#: https://learn.microsoft.com/defender-endpoint/api/common-errors and the pages of each API,
#: https://learn.microsoft.com/azure/sentinel/sentinel-service-limits,
#: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
RATES: Mapping[OperationClass, Rate] = MappingProxyType(
    {
        # security: alert operations are documented, incidents are assumed to be the same
        OperationClass(str(Api.GRAPH), "read"): Rate(calls=150, seconds=60),
        OperationClass(str(Api.GRAPH), "write"): Rate(calls=150, seconds=60),
        OperationClass(str(Api.GRAPH), "security"): Rate(calls=150, seconds=60),
        OperationClass(str(Api.GRAPH), "hunting"): Rate(calls=45, seconds=60),
        # resource units of the smallest tenants, at two units a read
        OperationClass(str(Api.GRAPH), "users"): Rate(calls=1750, seconds=10),
        OperationClass(str(Api.GRAPH), "user_writes"): Rate(calls=3000, seconds=150),
        OperationClass(str(Api.GRAPH), "identity_protection"): Rate(calls=1, seconds=1),
        OperationClass(str(Api.GRAPH), "mail"): Rate(calls=10_000, seconds=600),
        # 100 a minute and 1,500 an hour for each API: the slower one holds in the long run
        OperationClass(str(Api.ENDPOINT), "read"): Rate(calls=1500, seconds=3600),
        OperationClass(str(Api.ENDPOINT), "write"): Rate(calls=1500, seconds=3600),
        OperationClass(str(Api.ENDPOINT), "machines"): Rate(calls=1500, seconds=3600),
        OperationClass(str(Api.ENDPOINT), "machine_actions"): Rate(calls=1500, seconds=3600),
        # Sentinel counts each kind by itself, see below; nothing is contained there
        OperationClass(str(Api.ARM), "read"): Rate(calls=100, seconds=300, reserve=0.0),
        OperationClass(str(Api.ARM), "write"): Rate(calls=75, seconds=300, reserve=0.0),
        # lists of incidents are not in Sentinel's table: the resource manager's own figure
        OperationClass(str(Api.ARM), "list"): Rate(calls=25, seconds=1, reserve=0.0),
        OperationClass(str(Api.INGESTION), "write"): Rate(calls=12_000, seconds=60, reserve=0.0),
    }
)

#: the parts of an incident that Sentinel counts apart, each at the figures of `read` and `write`
SENTINEL_PARTS = ("incidents", "alerts", "entities", "comments", "relations", "tasks", "bookmarks")


def operation_class(api: Api, name: str) -> OperationClass:
    """Name what a vendor's limit counts together."""
    return OperationClass(str(api), name)


def rates_of(api: Api) -> Mapping[OperationClass, Rate]:
    """Give the documented rates of one API, by operation class."""
    rates = {operation: rate for operation, rate in RATES.items() if operation.api == api}
    if api is Api.ARM:
        rates |= {
            operation_class(api, f"{part}.{kind}"): RATES[operation_class(api, kind)]
            for part in SENTINEL_PARTS
            for kind in ("read", "write")
        }
    return rates
