"""Names the products that Sentinel's alerts come from, in quell's spelling."""

from __future__ import annotations

from quell_microsoft.lenient import fold

__all__ = ["read_product"]

_PRODUCTS = {
    "microsoftdefenderadvancedthreatprotection": "endpoint",
    "microsoftdefenderforendpoint": "endpoint",
    "azureadvancedthreatprotection": "identity",
    "microsoftdefenderforidentity": "identity",
    "office365advancedthreatprotection": "office",
    "microsoftdefenderforoffice365": "office",
    "microsoftcloudappsecurity": "cloud_apps",
    "microsoftdefenderforcloudapps": "cloud_apps",
    "microsoft365defender": "xdr",
    "microsoftdefenderxdr": "xdr",
    "azureactivedirectoryidentityprotection": "identity_protection",
    "microsoftentraidprotection": "identity_protection",
    "azuresecuritycenter": "cloud",
    "microsoftdefenderforcloud": "cloud",
    "azuresentinel": "sentinel",
    "microsoftsentinel": "sentinel",
}


def read_product(name: str) -> str:
    """Give a product's name in quell's spelling, or as it is spelled where it is not known."""
    return _PRODUCTS.get(fold(name), name)
