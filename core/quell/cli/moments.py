"""Moments as people give them: a date, a time, or a span before now."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

__all__ = ["moment_of"]


def moment_of(text: str, now: datetime, option: str) -> datetime:
    """Read a date, a time or a span before now. Raises a usage error that names the option."""
    from datetime import UTC

    from quell.playbooks.scalars import parse_duration

    try:
        span: timedelta | None = parse_duration(text)
    except ValueError:
        span = None
    if span is not None:
        return now - span
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text} is neither a date like 2026-01-31, a time, nor a span like 14d of 366 days "
            "at most",
            param_hint=option,
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
