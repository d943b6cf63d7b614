"""Follows the links from page to page, to the same host only."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, quote, urlsplit

from quell.errors import BadAnswer
from quell_microsoft.addresses import route
from quell_microsoft.answers import Answer

if TYPE_CHECKING:
    from quell_microsoft.sending import Request

__all__ = ["links"]

logger = logging.getLogger(__name__)


async def links(
    send: Callable[[Request], Awaitable[Answer]], first: Request, checked: Callable[[str], str]
) -> AsyncIterator[dict[str, Any]]:
    """Give page after page. A link to another host is refused, a repeated one ends the list."""
    request = first
    seen = {first.url}
    while True:
        page = _page(await send(request), request)
        yield page
        link = _next(page)
        if link is None:
            return
        url = checked(_with_version(link, first.url))
        if url in seen:
            logger.warning("A list of %s repeats a page link", route(url), extra={"event": "loop"})
            return
        seen.add(url)
        request = replace(first, url=url)


def _page(answer: Answer, request: Request) -> dict[str, Any]:
    body = answer.body
    if isinstance(body, dict):
        return cast(dict[str, Any], body)
    raise BadAnswer(
        endpoint=f"GET {route(request.url)}", status=answer.status, problem="a page is no object"
    )


def _next(page: dict[str, Any]) -> str | None:
    link = page.get("@odata.nextLink") or page.get("nextLink")
    return link if isinstance(link, str) and link else None


def _with_version(link: str, first: str) -> str:
    """Add the `api-version` of the first call where a link lacks it, as ARM's sometimes do."""
    version = parse_qs(urlsplit(first).query).get("api-version")
    if not version or "api-version=" in link.lower():
        return link
    return f"{link}{'&' if '?' in link else '?'}api-version={quote(version[0])}"
