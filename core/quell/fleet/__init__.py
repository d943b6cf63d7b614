"""The fleet: Celery's edge. Messages carry ids and may be lost, doubled or late."""
