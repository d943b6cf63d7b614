"""The small web door: health, readiness, metrics and webhooks."""

from quell.http.serve import serve_door

__all__ = ["serve_door"]
