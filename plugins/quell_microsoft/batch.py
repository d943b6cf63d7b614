"""The shapes of `$batch`: up to twenty requests in one call, each answered by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from quell.errors import BadAnswer, ConnectorError
from quell_microsoft.addresses import relative, route
from quell_microsoft.answers import Answer
from quell_microsoft.errors import SERVER_TROUBLE, CallName, error_of, retry_after

__all__ = ["MOST", "BatchAnswer", "BatchRequest", "Round", "longest_wait"]

#: https://learn.microsoft.com/graph/json-batching
MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """One request of a batch. `path` begins at the API's root: `/v1.0/users/…`."""

    #: unique within the batch
    id: str
    method: str = "GET"
    path: str = field(repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    is_repeatable: bool = False
    permission: str = ""

    @property
    def is_safe_twice(self) -> bool:
        """Tell whether sending it twice is the same as sending it once."""
        return self.method == "GET" or self.is_repeatable

    def inner(self) -> dict[str, Any]:
        """Write it as Graph wants it: the address is relative to the version."""
        url = _split(relative(self.path, self.params))[1]
        item: dict[str, Any] = {"id": self.id, "method": self.method, "url": url}
        headers = {"Prefer": "include-unknown-enum-members", **self.headers}
        if self.body is not None:
            item["body"] = self.body
            headers.setdefault("Content-Type", "application/json")
        return item | {"headers": headers}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """The answer to one request of a batch."""

    id: str
    status: int
    body: Any = field(default=None, repr=False)
    #: names in lower case
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: what the status stands for; None where it succeeded
    error: ConnectorError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One call: requests of one version of the API, twenty at most."""

    version: str
    requests: tuple[BatchRequest, ...]

    @classmethod
    def chunks(cls, requests: Sequence[BatchRequest]) -> Iterator[Round]:
        """Cut the requests into calls. Raises ValueError for ids that are not unique."""
        if len({request.id for request in requests}) != len(requests):
            raise ValueError("the ids in a batch must be unique")
        by_version: dict[str, list[BatchRequest]] = {}
        for request in requests:
            by_version.setdefault(_split(request.path)[0], []).append(request)
        for version, same in by_version.items():
            for start in range(0, len(same), MOST):
                yield cls(version=version, requests=tuple(same[start : start + MOST]))

    def body(self) -> dict[str, Any]:
        """Write the call's body."""
        return {"requests": [request.inner() for request in self.requests]}

    def answers(self, answer: Answer, *, role: str) -> dict[str, BatchAnswer]:
        """Read the answers by id; a request without one has a BadAnswer."""
        given = _item(answer.body).get("responses")
        items = cast(list[object], given) if isinstance(given, list) else []
        by_id = {item["id"]: item for item in map(_item, items) if isinstance(item.get("id"), str)}
        return {
            one.id: _read(one, by_id.get(one.id), role, answer.request_id) for one in self.requests
        }

    def to_repeat(self, found: Mapping[str, BatchAnswer]) -> Round | None:
        """Choose what is sent again; None where nothing is."""
        again = tuple(one for one in self.requests if _is_repeated(one, found[one.id].status))
        return Round(version=self.version, requests=again) if again else None


def _is_repeated(request: BatchRequest, status: int) -> bool:
    # a throttled request was not carried out, whatever it is
    return status == 429 or (status in SERVER_TROUBLE and request.is_safe_twice)


def _item(item: Any) -> dict[str, Any]:
    return cast(dict[str, Any], item) if isinstance(item, dict) else {}


def _read(
    request: BatchRequest, item: dict[str, Any] | None, role: str, request_id: str
) -> BatchAnswer:
    call = CallName(
        api="graph",
        method=request.method,
        route=route(request.path),
        request_id=request_id,
        permission=request.permission,
        role=role,
    )
    status = item.get("status") if item is not None else None
    if item is None or not isinstance(status, int):
        lost = BadAnswer(
            endpoint=call.endpoint, request_id=request_id, problem="the batch left it unanswered"
        )
        return BatchAnswer(id=request.id, status=0, error=lost)
    headers = {str(name).lower(): str(value) for name, value in _item(item.get("headers")).items()}
    error = error_of(call, status, headers, item.get("body"))
    return BatchAnswer(
        id=request.id, status=status, body=item.get("body"), headers=headers, error=error
    )


def _split(path: str) -> tuple[str, str]:
    """Cut `/v1.0/users/1` into the version and the rest."""
    version, _, rest = path.removeprefix("/").partition("/")
    if version not in {"v1.0", "beta"} or not rest:
        raise ValueError("a batched path begins with /v1.0/ or /beta/")
    return version, f"/{rest}"


def longest_wait(found: Mapping[str, BatchAnswer]) -> float | None:
    """Give the longest Retry-After of the throttled answers."""
    waits = [retry_after(answer.headers) for answer in found.values() if answer.status == 429]
    return max((wait for wait in waits if wait is not None), default=None)
