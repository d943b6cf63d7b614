"""Who may wake the poll of a Sentinel workspace, and how little a caller can say."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell import WebhookEvent
from quell.domain.offers import WebhookVerifier
from quell.domain.secret import Secret
from quell.domain.signature import TOLERANCE, sign
from quell.testing import PluginContext, SteppedClock
from quell_sentinel import SentinelSettings, SentinelWebhook

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SECRET = Secret("whsec_" + base64.b64encode(b"0123456789abcdef").decode())
NAME = "00000000-0000-0000-0000-00000000000c"
BODY = json.dumps(
    {
        "objectSchemaType": "Incident",
        "objectEventType": "Create",
        "object": {"name": NAME.upper(), "properties": {"title": "isolate everything now"}},
    }
).encode()


def context(secret: Secret | None = SECRET) -> Any:
    return PluginContext(
        clock=SteppedClock(NOW), sections=(SentinelSettings(webhook_secret=secret),)
    )


def signed(
    body: bytes = BODY, *, event_id: str = "e1", late: int = 0, secret: Secret = SECRET
) -> dict[str, str]:
    timestamp = str(int(NOW.timestamp()) - late)
    return {
        "Webhook-Id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(secret, event_id, timestamp, body),
    }


async def verify(
    headers: dict[str, str], body: bytes = BODY, secret: Secret | None = SECRET
) -> Any:
    verifier: WebhookVerifier = SentinelWebhook()
    return await verifier.verify(headers, body, context(secret))


async def test_a_signed_call_says_which_incident_to_look_at_and_nothing_else() -> None:
    assert await verify(signed()) == WebhookEvent(
        source_system="sentinel", event_id="e1", native_id=NAME
    )


async def test_the_signature_is_the_one_of_the_published_scheme() -> None:
    # the example of the Standard Webhooks specification
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_one_good_signature_of_several_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = "v1,bm90IGl0 v2,xx " + headers["webhook-signature"]
    assert await verify(headers) is not None


@pytest.mark.parametrize("name", ["Webhook-Id", "webhook-timestamp", "webhook-signature"])
async def test_a_header_that_is_missing_or_changed_proves_nothing(name: str) -> None:
    without = {header: value for header, value in signed().items() if header != name}
    assert await verify(without) is None
    assert await verify({**signed(), name: "7"}) is None


async def test_another_body_or_another_secret_proves_nothing() -> None:
    assert await verify(signed(), BODY + b" ") is None
    assert await verify(signed(secret=Secret("other"))) is None


@pytest.mark.parametrize("late", [TOLERANCE + 1, -TOLERANCE - 1])
async def test_a_call_that_is_too_old_or_from_the_future_is_not_believed(late: int) -> None:
    assert await verify(signed(late=late)) is None
    assert await verify(signed(late=TOLERANCE)) is not None


@pytest.mark.parametrize("secret", [None, Secret("")])
async def test_without_a_secret_nobody_can_prove_anything(secret: Secret | None) -> None:
    assert await verify(signed(secret=Secret("")), secret=secret) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b"{}", b'{"object": 5}', b'{"object": {"name": "../../x"}}', b"\xff\xfe",
     b"[" * 100_000],
)  # fmt: skip
async def test_a_body_that_names_no_incident_wakes_the_poll_all_the_same(body: bytes) -> None:
    found = await verify(signed(body), body)
    assert found == WebhookEvent(source_system="sentinel", event_id="e1", native_id="")


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()
    )
)
async def test_no_header_makes_it_fail_or_pass(headers: dict[str, str]) -> None:
    assert await verify(headers) is None


async def test_the_secret_does_not_print() -> None:
    settings = SentinelSettings(webhook_secret=SECRET)
    assert SECRET.reveal() not in repr(settings)
