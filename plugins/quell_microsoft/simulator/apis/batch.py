"""Graph's JSON batching: up to 20 requests in one, each answered and throttled on its own."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_object, as_text, as_texts

LIMIT = 20


def operations(root: str) -> list[Operation]:
    """List the route under `/v1.0` or `/beta`."""
    return [Operation(api=Api.GRAPH, method="POST", template=f"{root}/$batch", endpoint=batch)]


def batch(call: Call) -> Answer:
    """Answer a batch; what depends on a failed item fails with 424."""
    items = _items(call)
    answered: dict[str, Json] = {}
    for item in items:
        needs = as_texts(item.get("dependsOn"))
        failed = any(answered.get(need, {"status": 424})["status"] >= 400 for need in needs)
        answered[item["id"]] = _failed_dependency(item) if failed else _one(call, item)
    # the order of the answers is not promised: clients must go by the ids
    return Answer(body={"responses": list(answered.values())[::-1]})


def _items(call: Call) -> list[Json]:
    items: Any = call.json_object().get("requests")
    if not isinstance(items, list) or not items:
        raise Refusal(400, "BadRequest", "Invalid batch payload format.")
    found = [as_object(item) for item in items]  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    if len(found) > LIMIT:
        text = f"Number of batch request steps exceeds the maximum value of {LIMIT}."
        raise Refusal(400, "BadRequest", text)
    ids = [as_text(item.get("id")) for item in found]
    if not all(ids) or len(set(ids)) != len(ids):
        raise Refusal(400, "BadRequest", "Request ids must be unique and not empty.")
    for item in found:
        if not as_text(item.get("url")) or not as_text(item.get("method")):
            raise Refusal(400, "BadRequest", "Each request needs a method and a relative url.")
    return found


def _one(call: Call, item: Json) -> Json:
    version = "/" + call.path.split("/")[1]
    address = urlsplit(as_text(item["url"]))
    headers = {
        name.casefold(): str(value) for name, value in as_object(item.get("headers")).items()
    }
    body = item.get("body")
    if body is not None and "content-type" not in headers:
        text = "Write request id : {} does not contain Content-Type header or body."
        return _shape(item, 400, {}, _error("BadRequest", text.format(item["id"])))
    inner = Call(
        tenant=call.tenant,
        method=as_text(item["method"]).upper(),
        path=unquote(version + "/" + address.path.lstrip("/")),
        query=dict(parse_qsl(address.query, keep_blank_values=True)),
        headers={"authorization": call.headers.get("authorization", ""), **headers},
        content=b"" if body is None else json.dumps(body).encode(),
        base=call.base,
    )
    dispatch = call.dispatch
    if dispatch is None or inner.path.casefold().endswith("/$batch"):
        return _shape(item, 400, {}, _error("BadRequest", "Nested batches are not supported."))
    answer = dispatch(inner)
    status = answer.status or 504  # a dropped connection inside a batch is the gateway's problem
    return _shape(item, status, answer.headers, answer.body)


def _shape(item: Json, status: int, headers: dict[str, str], body: Any) -> Json:
    shown: Json = {"id": item["id"], "status": status}
    shown["headers"] = {"Cache-Control": "no-cache", **headers}
    if body is not None:
        shown["headers"]["Content-Type"] = "application/json"
        shown["body"] = body
    return shown


def _failed_dependency(item: Json) -> Json:
    text = "Dependent request failed."
    return _shape(item, 424, {}, _error("FailedDependency", text))


def _error(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}
