"""The Celery application of the worker fleet: `celery -A worker worker`.

A message says "look at this run" and nothing else. Leases in the journal protect runs, so
messages are acknowledged early; whatever is due is found by the sweep.
"""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from celery.bootsteps import StartStopStep
from celery.signals import setup_logging, worker_shutting_down
from celery.worker import state

from quell.domain.urgency import URGENT, USUAL, is_urgent
from quell.fleet.process import (
    FleetProcess,
    log_as_configured,
    read_broker_url,
    read_runs_in_flight,
)

__all__ = ["app"]

#: what Celery calls its worker, and what ours leaves out
WORKER = "celery.apps.worker:Worker"
QUIET = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
#: the broker's lists by urgency, most urgent first: a wake-up's rank is where its list begins
RANKS = (0, 3, 6, 9)


class Fleet(Celery):
    """Celery with what quell needs set in the application itself, whatever the command line says."""

    def subclass_with_self(
        self, Class: Any, *args: Any, **options: Any
    ) -> Any:  # Celery's own name
        """Make workers without chatter between them: the journal knows who is there."""
        made = super().subclass_with_self(Class, *args, **options)
        return _quiet(made) if Class == WORKER else made


def _quiet(worker: Any) -> Any:
    def make(*args: Any, **options: Any) -> Any:
        # above what the command line gives: its own options are always there, as False
        return worker(*args, **(options | QUIET))

    return make


class RuntimeStep(StartStopStep):
    """Opens the journal and the connectors when the worker starts, and drains them when it stops."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Open everything; what it raises ends the worker."""
        FleetProcess.current().start(send=_send, leave=_leave)

    def stop(self, parent: Any) -> None:
        """Drain and close everything. The consumer has been stopped before: nothing comes in."""
        FleetProcess.current().stop()

    def terminate(self, parent: Any) -> None:
        """Stop in a hurry: what is in hand is left to its leases."""
        FleetProcess.current().hurry()
        FleetProcess.current().stop()


def _make_app() -> Fleet:
    fleet = Fleet("quell", broker=read_broker_url(), set_as_current=False)
    fleet.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue="wake-ups",
        task_ignore_result=True,
        task_acks_late=False,  # leases protect runs, acks do not
        worker_pool="threads",
        worker_concurrency=read_runs_in_flight(),
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=10,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # a lost connection is met by waiting for the broker, however long it is away
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "global_keyprefix": "quell:",
            "visibility_timeout": 300,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "priority_steps": list(RANKS),
        },
    )
    fleet.steps["worker"].add(RuntimeStep)
    return fleet


def _note_sign(**_: Any) -> None:
    FleetProcess.current().note_sign()


# sent for each signal: the first begins to drain, the second hurries
worker_shutting_down.connect(_note_sign, weak=False)
# with a receiver, Celery leaves logging alone: its lines go through quell's redaction, too
setup_logging.connect(log_as_configured, weak=False)
app = _make_app()


@app.task(name="quell.look_at", bind=True, max_retries=0)
def look_at(self: Task[Any, Any], tenant_id: str, run_id: str) -> None:
    """Look at a run: claim it and run whatever is ready, on the process's own event loop."""
    rank = (self.request.delivery_info or {}).get("priority")
    FleetProcess.current().drive(tenant_id, run_id, URGENT if rank == RANKS[0] else USUAL)


def _send(tenant_id: str, run_id: str, priority: int) -> None:
    rank = RANKS[0] if is_urgent(priority) else RANKS[2 if priority > USUAL else 1]
    look_at.apply_async(args=(tenant_id, run_id), retry=False, ignore_result=True, priority=rank)


def _leave() -> None:
    """End the worker: it would take wake-ups and do nothing about them, or takes none."""
    # every turn of the consumer looks at it; the stubs know only its first value
    setattr(state, "should_stop", 1)  # noqa: B010
