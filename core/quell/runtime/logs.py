"""Logging: a sentence for people, an event name for machines, and redaction as the very last step.

Secrets are cut out wherever they stand, also in exception texts. Personal data is not put into
log lines above debug by the code; what slips in with an error's text is cut out by its shape.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import msgspec
import structlog

from quell.domain.secret import Secret
from quell.errors import QuellError
from quell.meters import LOG_LINES
from quell.settings import LoggingSettings

__all__ = ["REDACTED", "Redaction", "configure_logging", "secrets_in"]

REDACTED = "•••"
#: most lines about one exception
MOST_FRAMES = 80

#: shapes of secrets, and of personal data that error texts of libraries may carry
SHAPES = (
    # a JSON web token, whole or cut
    re.compile(r"eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*){0,2}"),
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"),
    # name=value and "name": "value", also where the quotes are themselves inside a quoted text
    re.compile(
        r"(?i)\b(client_secret|client_assertion|password|access_token|refresh_token)"
        r"(\W{1,8})[^\s\"'&,;}\\]{4,}"
    ),
    # the signature or the code in an address
    re.compile(r"(?i)(?<=[?&])(sig|code|token)=[^\s\"'&\\]+"),
    re.compile(r"(?i)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END|\Z)", re.DOTALL),
    # user and password of a database URL
    re.compile(r"(?<=://)[^\s/@:\"]*:[^\s/@\"]+(?=@)"),
    re.compile(r"[\w.+-]{1,64}@[\w-]+(\.[\w-]+)+"),
)


class Redaction:
    """A processor that cuts known secrets and everything of a secret's shape out of a finished line."""

    def __init__(self, secrets: Iterable[str] = (), *, shapes: bool = True) -> None:
        spelled = {text for secret in secrets for text in _spellings(secret) if len(text) >= 4}
        # longest first: a secret may be part of another
        self._known = tuple(sorted(spelled, key=len, reverse=True))
        self._shapes = SHAPES if shapes else ()

    def __call__(self, logger: Any, name: str, event: str | bytes) -> str | bytes:
        """Cut secrets out of a rendered line."""
        return self.clean(event if isinstance(event, str) else event.decode("utf-8", "replace"))

    def clean(self, text: str) -> str:
        """Cut secrets out of a text."""
        for secret in self._known:
            text = text.replace(secret, REDACTED)
        for shape in self._shapes:
            text = shape.sub(REDACTED, text)
        return text


def _spellings(secret: str) -> Iterator[str]:
    """List the ways a line may spell a secret: in an address, quoted, and quoted once more."""
    for text in {secret, *_passwords(secret)}:
        for addressed in (text, quote(text), quote(text, safe=""), quote_plus(text)):
            for shown in (addressed, repr(addressed)[1:-1]):
                yield shown
                yield json.dumps(shown)[1:-1]
                yield json.dumps(shown, ensure_ascii=False)[1:-1]


def _passwords(secret: str) -> Iterator[str]:
    """Give the password in a URL, which drivers show without the rest of it."""
    try:
        password = urlsplit(secret).password
    except ValueError:  # not a URL
        return
    if password:
        yield password
        yield unquote(password)


def secrets_in(value: Any) -> Iterator[str]:
    """List every secret anywhere in the settings."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for part in value.values():  # pyright: ignore[reportUnknownVariableType] # plugins' own sections
            yield from secrets_in(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:  # pyright: ignore[reportUnknownVariableType] # as above
            yield from secrets_in(part)


def configure_logging(settings: LoggingSettings, secrets: Iterable[str] = ()) -> None:
    """Send every log line, quell's and its libraries', to standard error, redacted last."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    redaction = Redaction(secrets)
    shared: list[Any] = [
        _tell_retry,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(_describe_exception),
    ]
    rendering: list[Any] = [_rendering(settings), redaction]
    structlog.configure(
        processors=[
            count_line,  # before the level is looked at: what is not written out happened as well
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[_drop_private, *rendering],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _quieten_libraries(level)


def count_line(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Count a line by its level and its event's name, and let it pass."""
    level = "error" if name == "exception" else name
    LOG_LINES.add(level, str(event.get("event_name", "")))
    return event


def _tell_retry(
    logger: Any, name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Put stamina's line about a retry into a sentence, without what the call was given."""
    if event.get("event") != "stamina.retry_scheduled":
        return event
    return {
        "event": f"A call failed and is tried again in {event.get('wait_for')} s",
        "event_name": "retry_scheduled",
        "tries": event.get("retry_num"),
        "error": str(event.get("caused_by", "")).partition("(")[0],
    }


def _describe_exception(exc_info: Any) -> str:
    """Say what broke and where, without a defect's own words: they may quote an incident."""
    lines: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None and len(lines) < MOST_FRAMES:
        lines.append(str(error) if isinstance(error, QuellError) else type(error).__name__)
        lines += [
            f"  at {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in reversed(traceback.extract_tb(error.__traceback__))
        ]
        error = error.__cause__ or error.__context__
    return "\n".join(lines[:MOST_FRAMES])


def _rendering(settings: LoggingSettings) -> Any:
    if settings.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _drop_private(
    logger: Any, name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)


def _quieten_libraries(level: int) -> None:
    """Keep libraries that log each request, with its address and its query, to their warnings."""
    for name in (
        "httpx",
        "httpcore",
        "aiohttp",
        "msal",
        "alembic",
        "sqlalchemy",
        "urllib3",
        "celery",
        "kombu",
        "asyncio",
    ):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
