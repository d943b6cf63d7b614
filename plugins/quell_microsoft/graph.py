"""Microsoft Graph's client: what all APIs share, plus `$batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import anyio

from quell_microsoft.api import ApiClient
from quell_microsoft.batch import BatchAnswer, BatchRequest, Round, longest_wait
from quell_microsoft.clouds import Api
from quell_microsoft.limits import LONGEST_WAIT, operation_class
from quell_microsoft.sending import Request

__all__ = ["GraphClient"]


class GraphClient(ApiClient):
    """Microsoft Graph: paths begin with `/v1.0/`."""

    api = Api.GRAPH
    #: without it, newer members of enums come as `unknownFutureValue`
    fixed_headers: ClassVar[Mapping[str, str]] = {"Prefer": "include-unknown-enum-members"}

    async def batch(
        self,
        requests: Sequence[BatchRequest],
        *,
        operation: str = "read",
        for_containment: bool = False,
    ) -> list[BatchAnswer]:
        """Send many requests in few calls; the answers are in the order of the requests.

        Requests that were throttled are sent again, those that failed with 5xx only where they
        are repeatable. What still fails is an answer with its status: see `BatchAnswer.error`.
        """
        found: dict[str, BatchAnswer] = {}
        for chunk in Round.chunks(requests):
            found |= await self._chunk(chunk, operation, for_containment)
        return [found[request.id] for request in requests]

    async def _chunk(
        self, chunk: Round, operation: str, for_containment: bool
    ) -> dict[str, BatchAnswer]:
        found: dict[str, BatchAnswer] = {}
        left: Round | None = chunk
        for attempt in range(self._settings.attempts):
            if left is None or (attempt and not await self._wait(found, operation, attempt)):
                break
            answer = await self.send(self._outer(left, operation, for_containment))
            found |= left.answers(answer, role=self.role)
            left = left.to_repeat(found)
        return found

    async def _wait(self, found: Mapping[str, BatchAnswer], operation: str, attempt: int) -> bool:
        """Wait before the next round; False where the vendor asks for longer than that."""
        seconds = longest_wait(found)
        if seconds is not None:
            await self._quota.pause(operation_class(self.api, operation), seconds)
        if seconds is not None and seconds > LONGEST_WAIT:
            return False
        await anyio.sleep(seconds if seconds is not None else 0.25 * 2**attempt)
        return True

    def _outer(self, chunk: Round, operation: str, for_containment: bool) -> Request:
        body: Any = chunk.body()
        return Request(
            method="POST",
            url=self._address.url(f"/{chunk.version}/$batch"),
            operation=operation,
            body=body,
            # a batch is as repeatable as the least repeatable request in it
            is_repeatable=all(request.is_safe_twice for request in chunk.requests),
            for_containment=for_containment,
            cost=len(chunk.requests),
        )
