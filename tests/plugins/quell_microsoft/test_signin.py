"""Signing in: each way to prove an identity, one request for all, and errors that say what to do."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from quell.errors import SettingsError, SignInRefused
from quell_microsoft import GraphClient, Identity, NotSent
from quell_microsoft.signin import shared

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import Certificates, Connect, StandIn

pytestmark = pytest.mark.anyio
SCOPE = "https://graph.microsoft.com/.default"


def refusal(number: int) -> dict[str, Any]:
    return {
        "error": "invalid_client",
        "error_codes": [number],
        "error_description": f"AADSTS{number}: words that quell does not repeat",
        "correlation_id": "9d24e4c5-2f8f-47ef-8ddc-06d61bc7474f",
    }


async def test_fifty_calls_at_once_make_one_token_request(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on("/v1.0/users", service.say(body={}))
    graph = connect(GraphClient)

    # when
    await asyncio.gather(*(graph.get("/v1.0/users") for _ in range(50)))

    # then
    assert len(service.to("/v1.0/users")) == 50
    assert service.sign_ins == 1


async def test_clients_of_one_identity_share_its_sign_in_and_others_do_not(
    service: StandIn,
) -> None:
    # given
    one = {"client_id": "a", "client_secret": "x"}
    settings = service.settings(identities={"reader": one, "user": {**one, "client_id": "b"}})

    # when
    reader, user = shared(settings, "reader"), shared(settings, "user")

    # then
    assert shared(settings, "reader") is reader
    assert user is not reader
    await reader.token(SCOPE)
    await user.token(SCOPE)
    bodies = [request.body.decode() for request in service.to(service.token_path)]
    assert ["client_id=a" in body for body in bodies] == [True, False]


async def test_one_caller_that_gives_up_does_not_take_the_token_from_the_others(
    service: StandIn,
) -> None:
    # given
    signing = shared(service.settings(), "reader")
    impatient = asyncio.create_task(signing.token(SCOPE))
    patient = asyncio.create_task(signing.token(SCOPE))
    await asyncio.sleep(0)

    # when
    impatient.cancel()

    # then
    assert (await patient).count(".") == 2
    assert service.sign_ins == 1


async def test_a_token_near_its_end_is_renewed_and_a_fresh_one_is_kept(service: StandIn) -> None:
    # given
    signing = shared(service.settings(), "reader")
    service.on(service.token_path, service.token(lifetime=0), service.token(lifetime=600))

    # when
    for _ in range(4):
        await signing.token(SCOPE)

    # then
    assert service.sign_ins == 2


@pytest.mark.parametrize(
    ("number", "word"),
    [(7000215, "client secret"), (7000222, "expired"), (700016, "client_id"), (500011, "licensed")],
)
async def test_a_refusal_says_what_to_do_and_is_not_tried_in_a_storm(
    service: StandIn, number: int, word: str
) -> None:
    # given
    service.on(service.token_path, service.say(status=401, body=refusal(number)))
    signing = shared(service.settings(), "reader")

    # when
    failures = await asyncio.gather(
        *(signing.token(SCOPE) for _ in range(20)), return_exceptions=True
    )
    with pytest.raises(SignInRefused) as caught:
        await signing.token(SCOPE)

    # then
    assert all(isinstance(failure, SignInRefused) for failure in failures)
    assert service.sign_ins == 1
    assert caught.value.vendor_code == f"AADSTS{number}"
    assert caught.value.request_id == "9d24e4c5-2f8f-47ef-8ddc-06d61bc7474f"
    assert word in caught.value.remedy
    assert "words that quell" not in str(caught.value)


@pytest.mark.parametrize(("off", "word"), [(3600.0, "60 minutes ahead"), (-3600.0, "behind")])
async def test_a_clock_that_is_an_hour_off_is_named_as_the_reason(
    service: StandIn, off: float, word: str
) -> None:
    # given
    service.clock_off = off
    service.on(service.token_path, service.say(status=401, body=refusal(700024)))
    signing = shared(service.settings(), "reader")

    # when
    with pytest.raises(SignInRefused) as caught:
        await signing.token(SCOPE)

    # then
    assert word in str(caught.value)
    assert "clock" in caught.value.remedy


async def test_a_sign_in_service_in_trouble_is_asked_again(service: StandIn) -> None:
    # given
    busy = service.say(status=503, body=b"<html>")
    service.on(service.token_path, busy, service.say(is_silent=True), service.token())

    # when
    token = await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert token.count(".") == 2
    assert service.sign_ins == 3


async def test_no_network_at_sign_in_means_that_nothing_was_sent(
    service: StandIn, connect: Connect
) -> None:
    # given
    graph = connect(GraphClient)
    await service.stop()

    # when
    with pytest.raises(NotSent) as caught:
        await graph.post("/v1.0/users", {})

    # then
    assert not caught.value.may_have_happened
    assert "sign-in" in str(caught.value)
    assert len(caught.value.request_id) == 36


async def test_an_unreadable_token_answer_is_not_written_to_the_log(
    service: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    # given an answer that is cut in the middle of its token
    caplog.set_level(logging.DEBUG)
    half = b'{"token_type":"Bearer","access_token":"' + service.planted.encode()
    service.on(service.token_path, service.say(body=half))

    # when
    with pytest.raises(NotSent):
        await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert service.planted not in caplog.text


async def test_a_good_sign_in_leaves_no_secret_in_the_log(
    service: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    caplog.set_level(logging.DEBUG)

    # when
    token = await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert "Signed in" in caplog.text
    assert service.planted not in caplog.text
    assert token not in caplog.text
    assert token.split(".")[1] not in caplog.text


async def test_a_tenant_that_does_not_exist_is_said_so(service: StandIn) -> None:
    # given
    configuration = f"/{service.tenant}/v2.0/.well-known/openid-configuration"
    service.on(configuration, service.say(status=400, body={"error": "invalid_tenant"}))

    # when
    with pytest.raises(SignInRefused) as caught:
        await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert "tenant_id" in caught.value.remedy


async def test_a_token_endpoint_elsewhere_is_never_told_the_secret(
    service: StandIn, other: StandIn
) -> None:
    # given a configuration that points to another server
    service.on(
        f"/{service.tenant}/v2.0/.well-known/openid-configuration",
        service.say(
            body={
                "cloud_instance_name": "simulated",
                "issuer": f"{service.url}/{service.tenant}/v2.0",
                "authorization_endpoint": f"{other.url}/{service.tenant}/authorize",
                "token_endpoint": f"{other.url}{other.token_path}",
            }
        ),
    )

    # when
    with pytest.raises(SignInRefused):
        await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert other.received == []


async def test_what_does_not_say_that_it_is_a_simulator_is_not_told_the_secret(
    service: StandIn,
) -> None:
    # given a tunnel to the real thing
    service.on(
        f"/{service.tenant}/v2.0/.well-known/openid-configuration",
        service.say(
            body={
                "cloud_instance_name": "microsoftonline.com",
                "authorization_endpoint": f"{service.url}/{service.tenant}/authorize",
                "token_endpoint": f"{service.url}{service.token_path}",
            }
        ),
    )

    # when
    with pytest.raises(SignInRefused, match="no simulator"):
        await shared(service.settings(), "reader").token(SCOPE)

    # then
    assert service.sign_ins == 0


async def test_a_token_of_another_tenant_is_thrown_away(service: StandIn) -> None:
    # given
    service.on(service.token_path, service.token(tid="11111111-0000-4000-8000-000000000009"))

    # when / then
    with pytest.raises(SignInRefused, match="another tenant"):
        await shared(service.settings(), "reader").token(SCOPE)


async def test_permissions_are_read_from_the_token(service: StandIn) -> None:
    # given
    service.on(service.token_path, service.token(roles=["User.Read.All", "Machine.Isolate"]))

    # when
    granted = await shared(service.settings(), "reader").granted(SCOPE)

    # then
    assert granted == {"User.Read.All", "Machine.Isolate"}


# -- other proofs than a secret ----------------------------------------------------------------


def pem_files(certificates: Certificates, folder: Path) -> tuple[Path, Path]:
    leaf = certificates.authority.issue_cert("app.example.org", key_type=trustme.KeyType.RSA)
    both, key = folder / "both.pem", folder / "key.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(both))
    leaf.private_key_pem.write_to_path(str(key))
    return both, key


async def test_a_certificate_signs_the_request(
    service: StandIn, certificates: Certificates, tmp_path: Path
) -> None:
    # given
    both, key = pem_files(certificates, tmp_path)
    in_one = Identity(client_id="app", certificate_file=str(both))
    in_two = Identity(client_id="app", certificate_file=str(both), private_key_file=str(key))

    # when
    for identity in (in_one, in_two):
        await service.sign_in(identity).token(SCOPE)

    # then
    for request in service.to(service.token_path):
        form = request.body.decode()
        assert "client_secret" not in form
        assertion = form.partition("client_assertion=")[2].partition("&")[0]
        head = assertion.split(".")[0]
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        assert header["alg"] == "PS256"
    assert service.sign_ins == 2


async def test_a_certificate_that_cannot_be_used_is_a_mistake_in_the_settings(
    service: StandIn, certificates: Certificates, tmp_path: Path
) -> None:
    # given
    both, _ = pem_files(certificates, tmp_path)
    stray = tmp_path / "stray.pem"
    trustme.CA(key_type=trustme.KeyType.RSA).private_key_pem.write_to_path(str(stray))
    curve = tmp_path / "curve.pem"
    leaf = certificates.authority.issue_cert("app.example.org")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(curve))
    wrong = {
        "cannot be read": Identity(client_id="a", certificate_file=str(tmp_path / "none.pem")),
        "another certificate": Identity(
            client_id="a", certificate_file=str(both), private_key_file=str(stray)
        ),
        "not RSA": Identity(client_id="a", certificate_file=str(curve)),
        "usable private key": Identity(client_id="a", certificate_file=str(certificates.ca_file)),
    }

    # when / then
    for problem, identity in wrong.items():
        with pytest.raises(SettingsError, match=problem):
            await service.sign_in(identity).token(SCOPE)
    assert service.sign_ins == 0


async def test_a_federated_token_is_read_anew_for_each_sign_in(
    service: StandIn, tmp_path: Path
) -> None:
    # given
    service.on(service.token_path, service.token(lifetime=0))
    file = tmp_path / "token"
    signing = service.sign_in(Identity(client_id="app", federated_token_file=str(file)))

    # when
    for text in ("first-assertion", "second-assertion"):
        file.write_text(text + "\n")
        await signing.token(SCOPE)

    # then
    forms = [request.body.decode() for request in service.to(service.token_path)]
    assert "client_assertion=first-assertion&" in forms[0] + "&"
    assert "client_assertion=second-assertion&" in forms[1] + "&"


async def test_a_missing_federated_token_names_its_setting(
    service: StandIn, tmp_path: Path
) -> None:
    # given
    identity = Identity(client_id="app", federated_token_file=str(tmp_path / "none"))

    # when / then
    with pytest.raises(SettingsError, match="federated_token_file"):
        await service.sign_in(identity).token(SCOPE)


@pytest.mark.parametrize("client_id", ["", "user-assigned"])
async def test_a_managed_identity_asks_the_host(
    service: StandIn, monkeypatch: pytest.MonkeyPatch, client_id: str
) -> None:
    # given a host of the kind that names its identity service in the environment
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header-of-the-host")
    token = service.jwt(tid=service.tenant)
    answer = {"access_token": token, "expires_on": "99999999999", "resource": "r"}
    service.on("/msi/token", service.say(body=answer))
    identity = Identity(client_id=client_id, managed_identity=True)

    # when
    found = await service.sign_in(identity).token(SCOPE)

    # then
    assert found == token
    (asked,) = service.to("/msi/token")
    assert asked.query["resource"] == ["https://graph.microsoft.com"]
    assert asked.query.get("client_id") == ([client_id] if client_id else None)
    assert asked.headers["x-identity-header"] == "header-of-the-host"


async def test_a_managed_identity_that_is_refused_is_said_so(
    service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "h")
    service.on("/msi/token", service.say(status=400, body={"statusCode": 400, "message": "no"}))

    # when / then
    with pytest.raises(SignInRefused):
        await service.sign_in(Identity(managed_identity=True)).token(SCOPE)
