"""The way of every request: route, fault, token, throttle, permission, operation, journal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .call import Call, Operation
from .refusals import render, too_many
from .state.faults import FaultRule
from .state.tenant import Tenant
from .tokens import authenticate
from .wire import Answer, Api, Breakage, Refusal, as_object, new_guid

_OPEN_APIS = frozenset({Api.SIGN_IN, Api.CONTROL})
_FAULT_CODES = {
    "409": "Conflict",
    "500": "InternalServerError",
    "502": "BadGateway",
    "503": "ServiceUnavailable",
    "504": "GatewayTimeout",
}


class Dispatcher:
    """Knows all operations and answers calls with them, one at a time."""

    def __init__(self, tenant: Tenant, operations: Sequence[Operation]) -> None:
        self.tenant = tenant
        self._routes = [(operation.pattern(), operation) for operation in operations]

    def answer(self, call: Call) -> Answer:
        """Answer one call, with whatever fault was ordered for it."""
        self.tenant.clock.settle()
        call.dispatch = self.answer
        operation = self._route(call)
        api = operation.api if operation else _guess_api(call.path)
        is_control = api is Api.CONTROL
        rule = None if is_control else self.tenant.faults.take(call.method, call.path)
        answer = self._run(call, operation, api, rule)
        template = operation.template if operation else "unknown"
        if not is_control:
            self.tenant.ledger.count(call.method, template, answer.status)
        _stamp_headers(answer, call, api)
        return answer

    def _run(
        self, call: Call, operation: Operation | None, api: Api, rule: FaultRule | None
    ) -> Answer:
        if rule is None:
            return self._perform(call, operation, api)
        if rule.kind == "drop" and not rule.after_effect:
            return Answer(status=0, breakage=Breakage.DROP)
        if rule.kind.isdigit():
            if rule.after_effect:
                self._perform(call, operation, api)
            return _fault(call, api, rule)
        return _spoil(self._perform(call, operation, api), rule)

    def _perform(self, call: Call, operation: Operation | None, api: Api) -> Answer:
        try:
            if operation is None:
                raise self._no_route(call, api)
            if api not in _OPEN_APIS:
                call.app = authenticate(call, api)
            self._throttle(call, operation)
            if operation.roles:
                call.require_roles(api, *operation.roles)
            answer = operation.endpoint(call)
        except Refusal as refusal:
            return render(refusal, api, call)
        if operation.is_write and answer.status < 300:
            self._record(call, answer)
        return answer

    def _route(self, call: Call) -> Operation | None:
        for pattern, operation in self._routes:
            if operation.method != call.method:
                continue
            match = pattern.fullmatch(call.path)
            if match is not None:
                call.parameters = match.groupdict()
                return operation
        return None

    def _no_route(self, call: Call, api: Api) -> Refusal:
        allowed = [op.method for pattern, op in self._routes if pattern.fullmatch(call.path)]
        if allowed:
            return _method_not_allowed(call, api, allowed)
        if api is Api.GRAPH:
            segment = call.path.rstrip("/").rsplit("/", 1)[-1]
            return Refusal(400, "BadRequest", f"Resource not found for the segment '{segment}'.")
        return Refusal(404, "NotFound", f"No resource matches the path '{call.path}'.")

    def _throttle(self, call: Call, operation: Operation) -> None:
        caller = call.app.client_id if call.app else "anonymous"
        for limit in operation.limits:
            wait = self.tenant.throttle.take(limit, caller, self.tenant.config.throttle_scale)
            if wait is not None:
                raise too_many(operation.api, wait)

    def _record(self, call: Call, answer: Answer) -> None:
        try:
            body = json.loads(call.content) if call.content else None
        except (ValueError, RecursionError):
            body = None
        name = call.app.name if call.app else "unknown"
        self.tenant.ledger.record(
            app=name, method=call.method, path=call.path, body=body, status=answer.status
        )


def _method_not_allowed(call: Call, api: Api, allowed: list[str]) -> Refusal:
    if api is Api.ARM:
        version = call.query.get("api-version", "")
        text = (
            f"The HTTP resource that matches the request URI '{call.base}{call.path}' with API "
            f"version '{version}' does not support HTTP method '{call.method}'."
        )
        return Refusal(405, "UnsupportedApiVersion", text)
    text = "Specified HTTP method is not allowed for the request target."
    return Refusal(405, "Request_BadRequest", text, headers={"Allow": ", ".join(allowed)})


def _guess_api(path: str) -> Api:
    if re.match(r"/(v1\.0|beta)/", path, re.IGNORECASE):
        return Api.GRAPH
    if re.match(r"/api/", path, re.IGNORECASE):
        return Api.ENDPOINT
    if re.match(r"/subscriptions", path, re.IGNORECASE):
        return Api.ARM
    if re.match(r"/dataCollectionRules/", path, re.IGNORECASE):
        return Api.INGESTION
    if re.match(r"/_simulator/", path):
        return Api.CONTROL
    return Api.SIGN_IN


def _fault(call: Call, api: Api, rule: FaultRule) -> Answer:
    if rule.kind == "429":
        refusal = too_many(api, 1.0 if rule.retry_after is None else rule.retry_after)
        if rule.retry_after is not None:
            refusal.headers["Retry-After"] = f"{rule.retry_after:g}"
    else:
        refusal = Refusal(int(rule.kind), _FAULT_CODES[rule.kind], "A fault that was ordered.")
        if rule.retry_after is not None:
            refusal.headers["Retry-After"] = f"{rule.retry_after:g}"
    return render(refusal, api, call)


def _spoil(answer: Answer, rule: FaultRule) -> Answer:
    if rule.kind == "slow":
        answer.delay = rule.delay
    elif rule.kind == "partial206":
        _make_partial(answer)
    else:
        answer.breakage = Breakage(rule.kind)
    return answer


def _make_partial(answer: Answer) -> None:
    """Answer as a federation with one provider out of order does: 206 and no rows."""
    answer.status = 206
    answer.headers["Warning"] = '199 - "Microsoft/MDE/504/10000"'
    if "value" in as_object(answer.body):
        answer.body = {**as_object(answer.body), "value": []}


def _stamp_headers(answer: Answer, call: Call, api: Api) -> None:
    request_id = new_guid()
    if api is Api.ARM:
        answer.headers.setdefault("x-ms-request-id", request_id)
        answer.headers.setdefault("x-ms-correlation-request-id", request_id)
        answer.headers.setdefault("x-ms-routing-request-id", f"SIMULATED:{request_id}")
        return
    answer.headers.setdefault("request-id", request_id)
    client = call.headers.get("client-request-id")
    if client is not None:
        answer.headers.setdefault("client-request-id", client)
    if api is Api.GRAPH:
        answer.headers.setdefault("x-ms-ags-diagnostic", '{"ServerInfo":{"Ring":"simulated"}}')
        answer.headers.setdefault("OData-Version", "4.0")
