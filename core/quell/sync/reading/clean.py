"""Makes an observation fit to be stored: text that nothing can hold is marked, alerts have names."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

from quell.domain.incident import Alert
from quell.domain.ports import ObservedIncident
from quell.sync.remarks import content_digest

__all__ = ["cleaned"]


def cleaned(seen: ObservedIncident) -> ObservedIncident:
    """Replace U+0000 and lone surrogates; the same input always gives the same text.

    What is compared and what was stored would otherwise differ for ever.
    """
    return _with_names(_holdable(seen))


def _with_names(seen: ObservedIncident) -> ObservedIncident:
    """Give alerts that came without an id one that follows from what they say, and where."""
    if all(alert.id for alert in (*(seen.alerts or ()), *seen.news)):
        return seen
    alerts = seen.alerts and tuple(_named(alert, seen) for alert in seen.alerts)
    news = tuple(_named(alert, seen) for alert in seen.news)
    return msgspec.structs.replace(seen, alerts=alerts, news=news)


def _named(alert: Alert, seen: ObservedIncident) -> Alert:
    if alert.id:
        return alert
    # nameless ones of two incidents would else be one alert, which wanders between them
    digest = content_digest([seen.native_id, msgspec.to_builtins(alert)])
    return msgspec.structs.replace(alert, id=f"nameless-{digest}")


def _holdable(seen: ObservedIncident) -> ObservedIncident:
    try:
        if b"\\u0000" not in msgspec.json.encode(seen):
            return seen
    except UnicodeEncodeError:
        pass
    return msgspec.convert(_walk(msgspec.to_builtins(seen)), ObservedIncident)


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if _is_table(value):
        return {_walk(key): _walk(item) for key, item in value.items()}
    if _is_list(value):
        return [_walk(item) for item in value]
    return value


def _is_table(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...] | frozenset[Any]]:
    # comments, alerts and tasks are tuples, tags a set: these types stay as they are
    return isinstance(value, list | tuple | set | frozenset)
