"""The Celery application of the worker fleet: `celery -A worker worker`.

A message says "look at this run" and nothing else. Leases in the journal protect runs, so
messages are acknowledged early; whatever is due is found by the sweep.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from celery.bootsteps import StartStopStep

from quell.fleet.process import FleetProcess, read_broker_url

__all__ = ["app"]

#: what Celery calls its worker, and what ours leaves out
WORKER = "celery.apps.worker:Worker"
QUIET = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
#: threads that wait for runs; the runs themselves share one event loop
CONCURRENCY = 64


class Fleet(Celery):
    """Celery with what quell needs set in the application itself, whatever the command line says."""

    def subclass_with_self(self, Class: Any, **options: Any) -> Any:  # Celery's own name
        """Make workers without chatter between them: the journal knows who is there."""
        made = super().subclass_with_self(Class, **options)
        return partial(made, **QUIET) if Class == WORKER else made


class RuntimeStep(StartStopStep):
    """Opens the journal and the connectors when the worker starts, and drains them when it stops."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        FleetProcess.current().start(send=_send)

    def stop(self, parent: Any) -> None:
        FleetProcess.current().stop()


def _make_app() -> Fleet:
    fleet = Fleet("quell", broker=read_broker_url(), set_as_current=False)
    fleet.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,  # leases protect runs, acks do not
        worker_pool="threads",
        worker_concurrency=CONCURRENCY,
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=10,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "global_keyprefix": "quell:",
            "visibility_timeout": 300,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    fleet.steps["worker"].add(RuntimeStep)
    return fleet


app = _make_app()


@app.task(name="quell.look_at", bind=True, max_retries=0)
def look_at(self: Task[Any, Any], tenant_id: str, run_id: str) -> None:
    """Look at a run: claim it and run whatever is ready, on the process's own event loop."""
    FleetProcess.current().drive(tenant_id, run_id)


def _send(tenant_id: str, run_id: str) -> None:
    look_at.apply_async(args=(tenant_id, run_id), retry=False, ignore_result=True)
