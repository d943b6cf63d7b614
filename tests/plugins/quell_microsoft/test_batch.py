"""`$batch`: many requests in one call, each answered and repeated by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from quell import OperationClass
from quell.errors import BadAnswer, PermissionMissing, RequestRefused, ServerFailure
from quell_microsoft import BatchRequest, GraphClient

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import Connect, Received, Say, StandIn

pytestmark = pytest.mark.anyio
BATCH = "/v1.0/$batch"


def users(count: int) -> list[BatchRequest]:
    return [BatchRequest(id=f"u{n}", path=f"/v1.0/users/{n}") for n in range(count)]


def answering(
    service: StandIn, status_of: Callable[[dict[str, Any]], int], **headers: str
) -> Callable[[Received], Say]:
    """Answer each request of a batch by itself, in another order than asked."""

    def answer(request: Received) -> Say:
        items = [
            {
                "id": item["id"],
                "status": status_of(item),
                "headers": headers,
                "body": {"of": item["url"]},
            }
            for item in request.json()["requests"]
        ]
        return service.say(body={"responses": items[::-1]})

    return answer


async def test_answers_come_in_the_order_of_the_requests_twenty_to_a_call(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(BATCH, answering(service, lambda _item: 200))

    # when
    answers = await connect(GraphClient).batch(users(45), operation="users")

    # then
    assert [answer.body["of"] for answer in answers] == [f"/users/{n}" for n in range(45)]
    assert [len(call.json()["requests"]) for call in service.to(BATCH)] == [20, 20, 5]
    assert [cost for _, cost, _ in service.turns] == [20, 20, 5]


async def test_throttled_requests_are_sent_again_alone_and_the_quota_hears_of_it(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(
        BATCH,
        answering(
            service, lambda item: 429 if item["id"] == "u1" else 200, **{"Retry-After": "0.1"}
        ),
        answering(service, lambda _item: 200),
    )

    # when
    answers = await connect(GraphClient).batch(users(3), operation="users")

    # then
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [item["id"] for item in service.to(BATCH)[1].json()["requests"]] == ["u1"]
    assert service.pauses == [(OperationClass("graph", "users"), 0.1)]


async def test_a_write_in_a_batch_that_failed_is_not_sent_again(
    service: StandIn, connect: Connect
) -> None:
    # given
    service.on(BATCH, answering(service, lambda _item: 503))
    write = BatchRequest(id="w", method="POST", path="/v1.0/users/1/revokeSignInSessions")
    again = BatchRequest(id="r", method="PATCH", path="/v1.0/users/1", body={}, is_repeatable=True)

    # when
    answers = await connect(GraphClient, attempts=2).batch([write, again])

    # then
    assert [isinstance(answer.error, ServerFailure) for answer in answers] == [True, True]
    assert answers[0].error is not None
    assert answers[0].error.may_have_happened
    sent = [[item["id"] for item in call.json()["requests"]] for call in service.to(BATCH)]
    assert sent == [["w", "r"], ["r"]]


async def test_each_request_has_its_own_error(service: StandIn, connect: Connect) -> None:
    # given
    service.on(BATCH, answering(service, lambda item: 403 if item["id"] == "u0" else 200))
    first, second = users(2)
    first = BatchRequest(id=first.id, path=first.path, permission="User.Read.All")

    # when
    refused, fine = await connect(GraphClient).batch([first, second])

    # then
    assert isinstance(refused.error, PermissionMissing)
    assert "User.Read.All" in refused.error.remedy
    assert refused.error.request_id == service.to(BATCH)[0].headers["client-request-id"]
    assert fine.error is None


@pytest.mark.parametrize("body", [{}, {"responses": "x"}, {"responses": [1, {"id": "u0"}]}, []])
async def test_a_request_left_unanswered_is_a_bad_answer(
    service: StandIn, connect: Connect, body: Any
) -> None:
    # given
    service.on(BATCH, service.say(body=body))

    # when
    (answer,) = await connect(GraphClient).batch(users(1))

    # then
    assert isinstance(answer.error, BadAnswer)
    assert answer.error.may_have_happened


async def test_what_cannot_be_a_batch_is_refused_before_anything_is_sent(
    service: StandIn, connect: Connect
) -> None:
    # given
    graph = connect(GraphClient)

    # when / then
    with pytest.raises(ValueError, match="unique"):
        await graph.batch([*users(1), *users(1)])
    with pytest.raises(RequestRefused):
        await graph.batch([BatchRequest(id="a", path="/v1.0/users/1?$select=id")])
    with pytest.raises(ValueError, match=r"v1\.0"):
        await graph.batch([BatchRequest(id="a", path="/users/1")])
    assert service.to(BATCH) == []
