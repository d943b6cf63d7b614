"""Entra's token endpoint: client secrets, client assertions, discovery, managed identities."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.state.registrations import Registration
from quell_microsoft.simulator.tokens import AUDIENCES, claims_of, decode_part, header_of, issue
from quell_microsoft.simulator.wire import Answer, Api, Json, new_guid

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class SignInError(Exception):
    """A sign-in that Entra refuses, with its AADSTS number."""

    def __init__(self, error: str, number: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error = error
        self.number = number
        self.text = text
        self.status = status


def operations() -> list[Operation]:
    """List the sign-in routes."""
    routes = [
        ("POST", "/{tenant}/oauth2/v2.0/token", token),
        ("GET", "/{tenant}/v2.0/.well-known/openid-configuration", discovery),
        ("GET", "/{tenant}/.well-known/openid-configuration", discovery),
        ("GET", "/common/discovery/instance", instance_discovery),
        ("GET", "/metadata/identity/oauth2/token", managed_identity),
        ("GET", "/msi/token", managed_identity),
    ]
    return [
        Operation(api=Api.SIGN_IN, method=method, template=template, endpoint=endpoint)
        for method, template, endpoint in routes
    ]


def token(call: Call) -> Answer:
    """Give an access token for client credentials."""
    form = {name: values[0] for name, values in parse_qs(call.content.decode("latin-1")).items()}
    try:
        _check_tenant(call)
        resource = _resource(form)
        app = _authenticate_client(call, form)
    except SignInError as error:
        return _refuse(error)
    return Answer(body=_grant(call, app, resource), headers={"Cache-Control": "no-store"})


def discovery(call: Call) -> Answer:
    """Tell where the endpoints of the tenant are."""
    try:
        _check_tenant(call)
    except SignInError as error:
        return _refuse(error)
    tenant = call.parameters["tenant"]
    root = f"{call.base}/{tenant}"
    body = {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "token"],
        "scopes_supported": ["openid"],
        "issuer": f"{root}/v2.0",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "tenant_region_scope": "EU",
        "cloud_instance_name": "simulated",
    }
    return Answer(body=body)


def instance_discovery(call: Call) -> Answer:
    """Tell clients that insist on instance discovery that this host is its own cloud."""
    host = call.base.removeprefix("https://")
    tenant = call.tenant.tenant_id
    body = {
        "tenant_discovery_endpoint": f"{call.base}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
    return Answer(body=body)


def managed_identity(call: Call) -> Answer:
    """Give a token to a managed identity, as IMDS or App Service do."""
    if call.path.startswith("/metadata/") and call.headers.get("metadata") != "true":
        return _identity_error("Required metadata header not specified")
    if call.path == "/msi/token" and not call.headers.get("x-identity-header"):
        return _identity_error("Missing X-IDENTITY-HEADER")
    resource = call.query.get("resource", "").removesuffix("/.default").rstrip("/")
    if resource not in AUDIENCES:
        return _identity_error(f"Resource '{resource}' was not found")
    wanted = call.query.get("client_id")
    tenant = call.tenant
    app = tenant.find_registration(wanted) if wanted else tenant.registrations["everything"]
    if app is None:
        return _identity_error("Identity not found")
    granted = _grant(call, app, resource)
    granted["expires_on"] = str(int(tenant.wall_clock()) + tenant.config.token_lifetime_seconds)
    granted["expires_in"] = str(granted["expires_in"])
    granted["resource"] = resource
    return Answer(body=granted)


def _grant(call: Call, app: Registration, resource: str) -> Json:
    seconds = call.tenant.config.token_lifetime_seconds
    return {
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": issue(call.tenant, app, resource),
    }


def _check_tenant(call: Call) -> None:
    asked = call.parameters["tenant"]
    if asked.casefold() not in (call.tenant.tenant_id, call.tenant.domain):
        text = f"Tenant '{asked}' not found. Check to make sure you have the correct tenant ID."
        raise SignInError("invalid_request", 90002, text)


def _resource(form: Json) -> str:
    if form.get("grant_type") != "client_credentials":
        raise SignInError("unsupported_grant_type", 70003, "The grant type is not supported.")
    scopes = [
        scope
        for scope in str(form.get("scope", "")).split()
        if scope not in ("openid", "profile", "offline_access")
    ]
    if len(scopes) != 1 or not scopes[0].endswith("/.default"):
        text = f"The provided value for the input parameter 'scope' is not valid: {scopes}."
        raise SignInError("invalid_scope", 70011 if len(scopes) != 1 else 1002012, text)
    # some samples write a double slash before .default
    resource = scopes[0].removesuffix("/.default").rstrip("/")
    if resource not in AUDIENCES:
        text = f"The resource principal named {resource} was not found in the tenant."
        raise SignInError("invalid_resource", 500011, text)
    return resource


def _authenticate_client(call: Call, form: Json) -> Registration:
    client_id = str(form.get("client_id", ""))
    app = call.tenant.find_registration(client_id)
    if app is None:
        text = f"Application with identifier '{client_id}' was not found in the directory."
        raise SignInError("unauthorized_client", 700016, text)
    if form.get("client_assertion_type") == ASSERTION_TYPE:
        _check_assertion(call, app, str(form.get("client_assertion", "")))
        return app
    secret = str(form.get("client_secret", ""))
    if not secret:
        text = "The request body must contain 'client_assertion' or 'client_secret'."
        raise SignInError("invalid_client", 7000218, text, 401)
    if app.is_secret_expired:
        text = f"The provided client secret keys for app '{client_id}' are expired."
        raise SignInError("invalid_client", 7000222, text, 401)
    if not hmac.compare_digest(secret.encode(), app.client_secret.encode()):
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            "client secret value, not the client secret ID, for a secret added to app "
            f"'{client_id}'."
        )
        raise SignInError("invalid_client", 7000215, text, 401)
    return app


def _check_assertion(call: Call, app: Registration, assertion: str) -> None:
    """Check an assertion: its own claims always, its signature where a certificate is set."""
    claims, head = claims_of(assertion), header_of(assertion)
    if claims is None or head is None:
        raise SignInError("invalid_client", 50027, "JWT token is invalid or malformed.", 401)
    if not _is_timely(call, claims):
        text = "Client assertion is not within its valid time range."
        raise SignInError("invalid_client", 700024, text, 401)
    is_own = claims.get("iss") == app.client_id
    if is_own and claims.get("sub") != app.client_id:
        raise SignInError("invalid_client", 700021, "Client assertion subject mismatch.", 401)
    if is_own and not str(claims.get("aud", "")).startswith(call.base):
        text = "Client assertion audience claim does not match the endpoint."
        raise SignInError("invalid_client", 700023, text, 401)
    if app.certificate is not None and is_own:
        _check_signature(app.certificate, assertion, str(head.get("alg")))


def _is_timely(call: Call, claims: Json) -> bool:
    until, since = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(until, int | float) or not isinstance(since, int | float):
        return False
    # Assumed: five minutes of difference between the clocks are forgiven
    return since - 300 <= call.tenant.wall_clock() <= until + 300


def _check_signature(certificate: str, assertion: str, algorithm: str) -> None:
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    body, _, signature = assertion.rpartition(".")
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm == "PS256":
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
    try:
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidSignature
        key.verify(decode_part(signature), body.encode(), scheme, hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        text = "Client assertion failed signature validation."
        raise SignInError("invalid_client", 700027, text, 401) from error


def _refuse(error: SignInError) -> Answer:
    moment = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = new_guid(), new_guid()
    description = (
        f"AADSTS{error.number}: {error.text} Trace ID: {trace} Correlation ID: {correlation} "
        f"Timestamp: {moment}"
    )
    body = {
        "error": error.error,
        "error_description": description,
        "error_codes": [error.number],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={error.number}",
    }
    return Answer(status=error.status, body=body)


def _identity_error(text: str) -> Answer:
    return Answer(status=400, body={"error": "invalid_request", "error_description": text})
