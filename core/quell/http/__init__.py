"""The small web door: health, readiness and webhooks."""

from quell.http.serve import serve_door

__all__ = ["serve_door"]
