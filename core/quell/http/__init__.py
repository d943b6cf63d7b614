"""The small web door: health, readiness and webhooks."""
