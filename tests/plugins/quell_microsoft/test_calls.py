"""One call: what is sent, what comes back, and what each failure is called."""

from __future__ import annotations

import gzip
import logging
import pickle
import socket
from typing import TYPE_CHECKING

import pytest

from quell import OperationClass
from quell.errors import (
    AnswerNotFound,
    BadAnswer,
    ConnectorError,
    PermissionMissing,
    RequestRefused,
    ServerFailure,
    SignInRefused,
    Throttled,
    Unreachable,
    WriteConflict,
)
from quell_microsoft import ArmClient, EndpointClient, GraphClient, NotSent, transport
from quell_microsoft.signin import shared
from quell_microsoft.transport import SendFailure, Transport, options_of

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import Connect, StandIn

pytestmark = pytest.mark.anyio
PATH = "/v1.0/security/incidents"


async def test_a_read_sends_a_token_and_an_id_and_gives_the_json(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(PATH, service.say(body={"value": [{"id": "1"}]}))
    graph = connect(GraphClient)

    # when
    body = await graph.get(PATH, {"$filter": "displayName eq 'a b&c'", "$top": "5"})

    # then
    assert body == {"value": [{"id": "1"}]}
    (sent,) = service.to(PATH)
    assert sent.query == {"$filter": ["displayName eq 'a b&c'"], "$top": ["5"]}
    assert sent.headers["authorization"].startswith("Bearer ey")
    assert len(sent.headers["client-request-id"]) == 36
    assert sent.headers["prefer"] == "include-unknown-enum-members"
    assert sent.headers["user-agent"].startswith("quell")
    assert service.turns == [(OperationClass("graph", "read"), 1, False)]


async def test_connections_are_used_again(service: StandIn, connect: Connect) -> None:
    # given
    service.on(PATH, service.say(body={}))
    graph, arm = connect(GraphClient), connect(ArmClient)

    # when
    for client in (graph, graph, arm):
        await client.get(PATH)

    # then three for signing in (the configuration, and a token for each API), one for all calls
    assert len(service.to(PATH)) == 3
    assert service.connections == 3 + 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefused),
        (403, PermissionMissing),
        (404, AnswerNotFound),
        (409, WriteConflict),
        (412, WriteConflict),
        (429, Throttled),
        (500, ServerFailure),
        (503, ServerFailure),
        (302, BadAnswer),
    ],
)
async def test_each_status_has_its_error(
    service: StandIn, connect: Connect, status: int, kind: type[ConnectorError]
) -> None:
    # given
    body = {"error": {"code": "SomeCode", "message": f"about {service.planted}"}}
    service.on(PATH, service.say(status=status, body=body, headers={"Location": "/elsewhere"}))
    graph = connect(GraphClient)

    # when
    with pytest.raises(kind) as caught:
        await graph.post(PATH, {}, permission="Some.Permission")

    # then
    error = caught.value
    (sent,) = service.to(PATH)
    assert (error.status, error.vendor_code) == (status, "SomeCode")
    assert error.request_id == sent.headers["client-request-id"]
    assert all(part in str(error) for part in (f"POST {PATH}", str(status), error.request_id))
    assert service.planted not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


async def test_a_missing_permission_is_named_with_the_role_that_lacks_it(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on("/api/machines/1/isolate", service.say(status=403, body=b""))
    endpoint = connect(EndpointClient)

    # when
    with pytest.raises(PermissionMissing) as caught:
        await endpoint.post("/api/machines/1/isolate", {}, permission="Machine.Isolate")

    # then
    assert "Machine.Isolate" in caught.value.remedy
    assert "'reader'" in caught.value.remedy


async def test_a_missing_azure_role_is_called_a_role(service: StandIn, connect: Connect) -> None:
    # given
    service.on("/subscriptions/1", service.say(status=403, body=b""))

    # when
    with pytest.raises(PermissionMissing) as caught:
        await connect(ArmClient).get("/subscriptions/1", permission="Microsoft Sentinel Reader")

    # then
    assert "the Azure role Microsoft Sentinel Reader" in caught.value.remedy


async def test_a_refusal_by_the_product_itself_is_not_called_a_missing_permission(
    service: StandIn, connect: Connect
) -> None:
    # given
    refusal = {"error": {"code": "DisabledFeature", "message": "off"}}
    service.on("/api/machines", service.say(status=403, body=refusal))

    # when / then
    with pytest.raises(RequestRefused):
        await connect(EndpointClient).get("/api/machines")


async def test_a_throttled_read_waits_and_goes_on_and_the_quota_hears_of_it(
    service: StandIn, connect: Connect
) -> None:
    # given
    busy = service.say(status=429, body={}, headers={"Retry-After": "0.128"})
    service.on(PATH, busy, service.say(body={"value": []}))

    # when
    body = await connect(GraphClient).get(PATH, operation="security")

    # then
    assert body == {"value": []}
    assert service.pauses == [(OperationClass("graph", "security"), 0.128)]
    ids = {request.headers["client-request-id"] for request in service.to(PATH)}
    assert len(ids) == 2


async def test_a_long_wait_is_handed_to_the_caller(service: StandIn, connect: Connect) -> None:
    # given
    service.on(PATH, service.say(status=429, body={}, headers={"Retry-After": "600"}))

    # when
    with pytest.raises(Throttled) as caught:
        await connect(GraphClient).get(PATH)

    # then
    assert caught.value.retry_after == 600
    assert len(service.to(PATH)) == 1


@pytest.mark.parametrize("trouble", ["silent", "500", "429"])
async def test_a_write_is_sent_once_whatever_happens(
    service: StandIn, connect: Connect, trouble: str
) -> None:
    # given
    bad = service.say(is_silent=True) if trouble == "silent" else service.say(status=int(trouble))
    service.on(PATH, bad, service.say(body={}))

    # when
    with pytest.raises(ConnectorError) as caught:
        await connect(GraphClient).post(PATH, {"comment": "x"}, for_containment=True)

    # then
    assert len(service.to(PATH)) == 1
    assert caught.value.may_have_happened is (trouble != "429")
    assert service.turns == [(OperationClass("graph", "write"), 1, True)]


async def test_a_put_on_a_kept_connection_that_died_is_not_repeated_behind_our_back(
    service: StandIn, connect: Connect
) -> None:
    # given a connection that is kept
    service.on(PATH, service.say(body={}))
    arm = connect(ArmClient)
    await arm.get(PATH)
    service.on("/put", service.say(is_silent=True))

    # when
    with pytest.raises(Unreachable) as caught:
        await arm.put("/put", {"a": 1})

    # then
    assert caught.value.may_have_happened
    assert len(service.to("/put")) == 1


@pytest.mark.parametrize("method", ["post", "patch", "put", "delete"])
async def test_a_repeatable_write_is_sent_again(
    service: StandIn, connect: Connect, method: str
) -> None:
    # given
    service.on(PATH, service.say(is_silent=True), service.say(status=503), service.say(status=204))

    # when
    answer = await getattr(connect(GraphClient), method)(PATH, {"a": 1}, is_repeatable=True)

    # then
    assert (answer.status, answer.body) == (204, None)
    assert [request.method for request in service.to(PATH)] == [method.upper()] * 3
    assert all(request.json() == {"a": 1} for request in service.to(PATH))


async def test_a_closed_port_means_that_nothing_was_sent(
    service: StandIn, connect: Connect
) -> None:
    # given a token, and then nobody listening
    service.on(PATH, service.say(body={}))
    graph = connect(GraphClient)
    await graph.get(PATH)
    await service.stop()
    await graph.aclose()

    # when
    with pytest.raises(NotSent) as caught:
        await graph.post(PATH, {})

    # then
    assert isinstance(caught.value, Unreachable)
    assert not caught.value.may_have_happened
    assert "doctor" in caught.value.remedy


async def test_a_handshake_that_nobody_answers_sent_nothing(service: StandIn) -> None:
    # given a port where connections are taken and never served
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        quiet_one = Transport(options_of(service.settings(connect_timeout=0.2)))

        # when
        with pytest.raises(SendFailure) as caught:
            await quiet_one.send("POST", f"https://127.0.0.1:{quiet.getsockname()[1]}/", headers={})
        await quiet_one.aclose()

    # then
    assert not caught.value.was_sent


async def test_a_server_that_goes_quiet_after_the_request_may_have_acted(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(PATH, service.say(body={"a": 1}, cut_after=3, stays=True))

    # when
    with pytest.raises(Unreachable) as caught:
        await connect(GraphClient, read_timeout=0.2).post(PATH, {})

    # then
    assert caught.value.may_have_happened


@pytest.mark.parametrize(
    "content", [b'{"value": [1, 2', b"<html>busy</html>", b"[" * 50_000, b"\xff\xfe{", b'{"a":NaN}']
)
async def test_an_unreadable_answer_is_a_bad_answer(
    service: StandIn, connect: Connect, content: bytes
) -> None:
    # given
    service.on(PATH, service.say(body=content))

    # when / then
    with pytest.raises(BadAnswer, match="not JSON"):
        await connect(GraphClient, attempts=1).get(PATH)
    with pytest.raises(BadAnswer) as caught:
        await connect(GraphClient).post(PATH, {})
    assert caught.value.may_have_happened


async def test_an_answer_that_is_cut_off_is_not_taken_for_a_whole_one(
    service: StandIn, connect: Connect
) -> None:
    # given
    cut = service.say(body={"value": [1, 2, 3]}, cut_after=9)
    service.on(PATH, cut, service.say(body={"value": [1, 2, 3]}))

    # when
    body = await connect(GraphClient).get(PATH)

    # then
    assert body == {"value": [1, 2, 3]}
    assert len(service.to(PATH)) == 2


async def test_an_answer_beyond_all_documented_sizes_is_not_read_to_its_end(
    service: StandIn, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an answer that is small on the wire and large when unpacked
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    packed = gzip.compress(b'"' + b"a" * 200_000 + b'"')
    service.on(PATH, service.say(body=packed, headers={"Content-Encoding": "gzip"}))
    fits = gzip.compress(b'"' + b"a" * 50_000 + b'"')
    service.on("/fits", service.say(body=fits, headers={"Content-Encoding": "gzip"}))
    graph = connect(GraphClient, attempts=1)

    # when / then
    assert len(await graph.get("/fits")) == 50_000
    with pytest.raises(BadAnswer, match="64 MB"):
        await graph.get(PATH)


async def test_cookies_are_not_kept_since_all_tenants_share_the_hosts(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(PATH, service.say(body={}, headers={"Set-Cookie": "who=tenant-a; Path=/; Secure"}))
    graph = connect(GraphClient)

    # when
    await graph.get(PATH)
    await graph.get(PATH)

    # then
    assert all("cookie" not in request.headers for request in service.received)


async def test_half_a_surrogate_in_a_subject_does_not_hide_the_incident(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(PATH, service.say(body=b'\xef\xbb\xbf{"subject": "a\\ud800b", "n": 1}'))

    # when
    body = await connect(GraphClient).get(PATH)

    # then
    assert body == {"subject": "a?b", "n": 1}


async def test_a_partial_read_is_no_answer_and_a_partial_write_says_so(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(PATH, service.say(status=206, body={"value": []}))
    graph = connect(GraphClient, attempts=1)

    # when / then
    with pytest.raises(BadAnswer, match="partial"):
        await graph.get(PATH)
    with pytest.raises(BadAnswer, match="partial"):
        _ = [page async for page in graph.pages(PATH)]
    assert (await graph.post(PATH, {})).is_partial


async def test_a_refused_token_is_renewed_once_even_for_a_write(
    service: StandIn, connect: Connect
) -> None:
    # given a token that was taken back
    service.on(PATH, service.say(status=401, body={}), service.say(status=201, body={"id": "1"}))

    # when
    answer = await connect(GraphClient).post(PATH, {})

    # then
    assert answer.status == 201
    assert service.sign_ins == 2


async def test_a_token_that_stays_refused_is_said_so(service: StandIn, connect: Connect) -> None:
    # given
    code = {"error": {"code": "InvalidAuthenticationToken"}}
    service.on(PATH, service.say(status=401, body=code))

    # when
    with pytest.raises(SignInRefused) as caught:
        await connect(GraphClient).get(PATH)

    # then
    assert caught.value.vendor_code == "InvalidAuthenticationToken"
    assert len(service.to(PATH)) == 2


async def test_neither_secret_nor_token_nor_person_reaches_logs_reprs_or_errors(
    service: StandIn, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    caplog.set_level(logging.DEBUG)
    graph = connect(GraphClient)
    person = "/v1.0/users/ada%40example.org"
    echo = {"error": {"code": "x y ada@example.org", "message": "ada@example.org"}}
    service.on("/v1.0/users/ada@example.org", service.say(status=400, body=echo))
    service.on(person, service.say(status=400, body=echo))

    # when
    with pytest.raises(RequestRefused) as caught:
        await graph.get(person, {"$filter": "mail eq 'ada@example.org'"})
    with pytest.raises(RequestRefused):
        await graph.post(person, {"note": "ada@example.org"})

    # then
    token = service.to("/v1.0/users/ada@example.org") or service.to(person)
    shown = "\n".join(
        [
            caplog.text,
            repr(graph),
            repr(service.settings()),
            repr(shared(service.settings(), "reader")),
            str(caught.value),
            repr(caught.value),
            repr(caught.value.fields),
        ]
    )
    assert "client-request-id" in caplog.text
    assert token[0].headers["authorization"].removeprefix("Bearer ") not in shown
    assert service.planted not in shown
    assert "example.org" not in shown


async def test_a_wait_of_zero_seconds_is_a_wait_and_no_refusal(
    service: StandIn, connect: Connect
) -> None:
    # given
    at_once = service.say(status=429, body={}, headers={"Retry-After": "0"})
    service.on(PATH, at_once, service.say(body={"value": []}))

    # when / then
    assert await connect(GraphClient).get(PATH) == {"value": []}
