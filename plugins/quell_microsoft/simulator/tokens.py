"""Access tokens: JSON web tokens signed with the tenant's own key, and how they are checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from .call import Call
from .state.registrations import Registration
from .state.tenant import Tenant
from .wire import Api, Json, Refusal, as_object, new_guid

#: which API a resource (the audience of a token) stands for
AUDIENCES: dict[str, Api] = {
    "https://graph.microsoft.com": Api.GRAPH,
    "https://graph.microsoft.us": Api.GRAPH,
    "https://dod-graph.microsoft.us": Api.GRAPH,
    "https://microsoftgraph.chinacloudapi.cn": Api.GRAPH,
    "00000003-0000-0000-c000-000000000000": Api.GRAPH,
    "https://api.securitycenter.microsoft.com": Api.ENDPOINT,
    "https://api.securitycenter.windows.com": Api.ENDPOINT,
    "https://api.security.microsoft.com": Api.ENDPOINT,
    "https://securitycenter.onmicrosoft.com/windowsatpservice": Api.ENDPOINT,
    "https://api-gcc.securitycenter.microsoft.us": Api.ENDPOINT,
    "https://api-gov.securitycenter.microsoft.us": Api.ENDPOINT,
    "fc780465-2017-40d4-a0c5-307022471b92": Api.ENDPOINT,
    "https://management.azure.com": Api.ARM,
    "https://management.core.windows.net": Api.ARM,
    "https://management.usgovcloudapi.net": Api.ARM,
    "https://management.chinacloudapi.cn": Api.ARM,
    "https://monitor.azure.com": Api.INGESTION,
    "https://monitor.azure.us": Api.INGESTION,
    "https://api.loganalytics.io": Api.LOGS,
    "https://api.loganalytics.azure.com": Api.LOGS,
}


def issue(tenant: Tenant, app: Registration, resource: str, now: float | None = None) -> str:
    """Write a token for one resource; ARM and monitor tokens carry no roles, like the real ones."""
    api = AUDIENCES[resource]
    issued = int(tenant.wall_clock() if now is None else now)
    claims: Json = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
        "iat": issued,
        "nbf": issued,
        "exp": issued + tenant.config.token_lifetime_seconds,
        "appid": app.client_id,
        "app_displayname": app.name,
        "idtyp": "app",
        "oid": app.object_id,
        "tid": tenant.tenant_id,
        "uti": new_guid(),
        "ver": "1.0",
    }
    if api in (Api.GRAPH, Api.ENDPOINT):
        claims["roles"] = list(app.grants.get(api, ()))
    head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
    body = f"{head}.{_encode(json.dumps(claims).encode())}"
    return f"{body}.{_sign(tenant.signing_key, body)}"


def authenticate(call: Call, api: Api) -> Registration:
    """Check the bearer token of a call; refuses in the words of that API."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise _unauthorized(api, "Access token is empty.")
    claims = _read(call.tenant, token.strip())
    if claims is None:
        raise _unauthorized(api, "Access token validation failure.")
    if claims.get("exp", 0) <= call.tenant.wall_clock():
        raise _unauthorized(api, "Lifetime validation failed, the token is expired.", expired=True)
    if AUDIENCES.get(str(claims.get("aud"))) is not api:
        raise _unauthorized(api, "Access token validation failure. Invalid audience.")
    app = call.tenant.find_registration(str(claims.get("appid")))
    if app is None:
        raise _unauthorized(
            api, "The identity of the calling application could not be established."
        )
    return app


def _unauthorized(api: Api, message: str, *, expired: bool = False) -> Refusal:
    code = {
        Api.ENDPOINT: "Unauthorized",
        Api.ARM: "ExpiredAuthenticationToken" if expired else "InvalidAuthenticationToken",
        Api.LOGS: "AuthenticationFailed",
        Api.INGESTION: "AuthenticationFailed",
    }.get(api, "InvalidAuthenticationToken")
    return Refusal(401, code, message, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _read(tenant: Tenant, token: str) -> Json | None:
    body, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_sign(tenant.signing_key, body).encode(), signature.encode()):
        return None
    return claims_of(token)


def claims_of(token: str) -> Json | None:
    """Decode the claims of a token without checking who signed it; None for what is none."""
    return _part(token, 1)


def header_of(token: str) -> Json | None:
    """Decode the header of a token; None for what is none."""
    return _part(token, 0)


def _part(token: str, index: int) -> Json | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        decoded: Any = json.loads(decode_part(parts[index]))
    except ValueError:
        return None
    return as_object(decoded)


def decode_part(text: str) -> bytes:
    """Decode one base64url part of a token."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _sign(key: bytes, body: str) -> str:
    return _encode(hmac.new(key, body.encode(), hashlib.sha256).digest())
