"""How each API words a refusal: the error bodies and headers as recorded."""

from __future__ import annotations

from datetime import datetime

from .call import Call
from .wire import Answer, Api, Json, Refusal, new_guid


def render(refusal: Refusal, api: Api, call: Call) -> Answer:
    """Turn a refusal into the answer that this API would give."""
    request_id = new_guid()
    body = {
        Api.ENDPOINT: _endpoint,
        Api.ARM: _arm,
        Api.INGESTION: _plain,
        Api.LOGS: _logs,
        Api.CONTROL: _plain,
    }.get(api, _graph)(refusal, call, request_id)
    return Answer(status=refusal.status, body=body, headers=dict(refusal.headers))


def _graph(refusal: Refusal, call: Call, request_id: str) -> Json:
    moment: datetime = call.tenant.clock.shown()
    inner: Json = {
        "date": f"{moment:%Y-%m-%dT%H:%M:%S}",
        "request-id": request_id,
        "client-request-id": call.headers.get("client-request-id", request_id),
    }
    error: Json = {"code": refusal.code, "message": refusal.message, "innerError": inner}
    if refusal.status == 429:
        inner |= {"code": "429", "message": "Please retry after", "status": "429"}
    if refusal.code == "":
        error["details"] = []
    return {"error": error}


def _endpoint(refusal: Refusal, _call: Call, request_id: str) -> Json:
    error: Json = {"code": refusal.code, "message": refusal.message}
    if refusal.code != "ActiveRequestAlreadyExists":
        error["target"] = request_id
    return {"error": error}


def _arm(refusal: Refusal, _call: Call, _request_id: str) -> Json:
    error: Json = {"code": refusal.code, "message": refusal.message}
    if refusal.status == 405:
        error["innerError"] = None
    return {"error": error}


def _logs(refusal: Refusal, _call: Call, _request_id: str) -> Json:
    if not refusal.inner:
        return {"error": {"message": refusal.message, "code": refusal.code}}
    inner = {"code": refusal.inner, "message": refusal.message}
    message = "The request had some invalid properties"
    return {"error": {"message": message, "code": refusal.code, "innererror": inner}}


def _plain(refusal: Refusal, _call: Call, _request_id: str) -> Json:
    return {"error": {"code": refusal.code, "message": refusal.message}}


def too_many(api: Api, seconds: float) -> Refusal:
    """Refuse for throttling; Graph's Retry-After has been seen with decimals, ARM's has not."""
    if api is Api.GRAPH:
        wait = f"{seconds:.3f}".rstrip("0").rstrip(".") or "0"
        text = "Please retry again later."
    else:
        wait = str(max(1, round(seconds + 0.499)))
        text = "The request is being throttled. Please try again after the time in Retry-After."
    return Refusal(429, "TooManyRequests", text, headers={"Retry-After": wait})
