"""One page of any list: the rows that are due, the way to the next page, and ordered mischief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .call import Call
from .config import SimulatorConfig
from .paging import Page, Paging, cut_page, next_link
from .wire import Json, Refusal

#: starts a token that leads to the page just given, once more
_AGAIN = "again."


def list_page(call: Call, rows: Sequence[Json], paging: Paging) -> tuple[Page, str | None]:
    """Cut the page that a call asks for; gives it and the address of the next one."""
    config = call.tenant.config
    query = dict(call.query)
    token = _take_token(query, paging)
    is_repeat = token.startswith(_AGAIN)
    if token.removeprefix(_AGAIN):
        query[paging.token_name] = token.removeprefix(_AGAIN)
    if config.ignore_orderby:
        query.pop("$orderby", None)
    page = cut_page(rows, query, _shortened(paging, config))
    for row in page.rows:
        refuse_poison(config, str(row.get(paging.key, "")))
    following = _following(page.token, token, config, is_repeat=is_repeat)
    if following is None:
        return page, None
    link = next_link(_base(call), call.path, _sent(call.query, paging), paging, following)
    return page, link


def refuse_poison(config: SimulatorConfig, key: str) -> None:
    """Answer 500 for what holds a row that the service itself stumbles over."""
    if key in config.poison_rows:
        raise Refusal(500, "InternalServerError", "An error has occurred.")


def _following(
    next_token: str | None, token: str, config: SimulatorConfig, *, is_repeat: bool
) -> str | None:
    if config.stuck_pages and next_token is not None:
        return token or _AGAIN
    if config.repeat_pages and not is_repeat:
        return _AGAIN + token
    return next_token


def _shortened(paging: Paging, config: SimulatorConfig) -> Paging:
    return paging.capped(config.short_pages) if config.short_pages > 0 else paging


def _take_token(query: dict[str, str], paging: Paging) -> str:
    """Take the token out of the options, whatever the case of its name."""
    wanted = paging.token_name.casefold()
    found = [name for name in query if name.casefold() == wanted]
    return "".join(query.pop(name) for name in found)


def _sent(query: Mapping[str, str], paging: Paging) -> dict[str, str]:
    """Give the options as they were sent, with the token under its own name."""
    options = dict(query)
    _take_token(options, paging)
    return options


def _base(call: Call) -> str:
    host = call.tenant.config.next_link_host
    return f"{urlsplit(call.base).scheme}://{host}" if host else call.base
