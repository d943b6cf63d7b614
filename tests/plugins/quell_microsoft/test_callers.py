"""Whose Entra token is believed: keys come over real HTTPS, signatures are real ones."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

from quell.testing import PluginContext, SteppedClock
from quell_microsoft import CallerCheck, MicrosoftSettings
from quell_sentinel import SentinelSettings, SentinelWebhook, Workspace

pytestmark = pytest.mark.anyio

TENANT = "00000000-0000-0000-0000-000000000001"
AUDIENCE = "00000000-0000-0000-0000-0000000000aa"
CALLER = "00000000-0000-0000-0000-0000000000cc"
INCIDENT = "00000000-0000-0000-0000-00000000000c"
EVENT = "00000000-0000-0000-0000-0000000000ee"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NUMBERS = KEY.public_key().public_numbers()


def number(value: int) -> str:
    """Write a number as keys are written."""
    plain = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


PUBLIC = {"kty": "RSA", "n": number(NUMBERS.n), "e": number(NUMBERS.e)}


class Keys(http.server.BaseHTTPRequestHandler):
    """Serves a tenant's signing keys, and counts how often they are asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        body = json.dumps({"keys": [{**PUBLIC, "kid": "one", "use": "sig"}, {"kid": 7}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # the base class says so
        """Say nothing."""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[MicrosoftSettings]:
    """Serve keys on loopback; gives the settings of the tenant that they are of."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert("127.0.0.1")
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] # partly typed
    Keys.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield MicrosoftSettings(
        tenant_id=TENANT,
        base_url=f"https://127.0.0.1:{server.server_address[1]}",
        ca_file=str(tmp_path / "ca.pem"),
    )
    server.shutdown()
    server.server_close()
    thread.join()


def token(key: Any = KEY, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    said = {
        "aud": AUDIENCE,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now,
        "exp": now + 3600,
        "tid": TENANT,
        "appid": CALLER,
        "oid": "00000000-0000-0000-0000-0000000000dd",
        **claims,
    }
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})


def check(settings: MicrosoftSettings) -> CallerCheck:
    return CallerCheck(settings=settings, clock=SteppedClock())


async def test_a_token_of_the_tenants_own_names_its_caller(settings: MicrosoftSettings) -> None:
    caller = await check(settings).find_caller(token(), AUDIENCE)
    assert caller is not None
    assert caller.client_id == CALLER
    assert caller.is_one_of(frozenset({CALLER.upper()}))
    assert not caller.is_one_of(frozenset({TENANT}))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://graph.microsoft.com"},
        {"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000002/"},
        {"tid": "00000000-0000-0000-0000-000000000002"},
        {"exp": int(time.time()) - 3600},
        {"nbf": int(time.time()) + 3600},
        {"appid": None},
        {"oid": None},
    ],
)
async def test_a_claim_that_does_not_fit_proves_nothing(
    settings: MicrosoftSettings, claims: dict[str, Any]
) -> None:
    assert await check(settings).find_caller(token(**claims), AUDIENCE) is None


@pytest.mark.parametrize(
    "forged",
    [
        token(OTHER_KEY),
        token(kid="nobody"),
        token("a shared secret that is long enough for it", algorithm="HS256"),
        jwt.encode({"aud": AUDIENCE, "tid": TENANT}, "", algorithm="none", headers={"kid": "one"}),
        "",
        "a.b.c",
        "é" * 40,
        "x" * 20_000,
    ],
)
async def test_a_forged_token_proves_nothing(settings: MicrosoftSettings, forged: str) -> None:
    assert await check(settings).find_caller(forged, AUDIENCE) is None


async def test_keys_are_kept_and_strangers_cannot_have_them_fetched_again_and_again(
    settings: MicrosoftSettings,
) -> None:
    # given
    asked = check(settings)

    # when
    for _ in range(5):
        await asked.find_caller(token(), AUDIENCE)
        await asked.find_caller(token(kid="nobody"), AUDIENCE)

    # then
    assert Keys.asked == [f"/{TENANT}/discovery/v2.0/keys"]


async def test_a_playbook_of_an_automation_rule_is_believed_by_its_token(
    settings: MicrosoftSettings,
) -> None:
    # given
    body = json.dumps({"eventUniqueId": EVENT, "object": {"name": INCIDENT}}).encode()
    sentinel = SentinelSettings(
        webhook_callers=frozenset({CALLER}),
        webhook_audience=AUDIENCE,
        workspaces=(Workspace(subscription_id=TENANT, resource_group="rg", workspace="ws"),),
    )
    context: Any = PluginContext(
        clock=SteppedClock(),
        sections=(sentinel, settings),
        connectors={CallerCheck: check(settings)},
    )
    verifier = SentinelWebhook()

    # when
    good = await verifier.verify({"Authorization": f"Bearer {token()}"}, body, context)
    stranger = await verifier.verify(
        {"authorization": f"Bearer {token(appid=TENANT)}"}, body, context
    )
    silent = await verifier.verify({}, body, context)

    # then
    assert good is not None
    assert (good.source_system, good.event_id, good.native_id) == ("sentinel", EVENT, INCIDENT)
    assert stranger is None
    assert silent is None
