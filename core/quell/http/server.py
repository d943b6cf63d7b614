"""The web server inside a worker: it obeys the worker's sign to stop, and no signal itself."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import uvicorn

from quell.http.app import Door, make_app
from quell.http.watch import Watch
from quell.runtime import Runtime
from quell.telemetry.metrics import CONTENT_TYPE

__all__ = ["make_server"]

#: requests at a time; health and webhooks are short, and callers try again
AT_ONCE = 64
#: seconds that open requests get at the end
GRACE = 3


class WorkersServer(uvicorn.Server):
    """A server that leaves the process's signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


def make_server(runtime: Runtime) -> uvicorn.Server:
    """Build the web server of one worker."""
    config = uvicorn.Config(
        make_app(make_door(runtime)),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=AT_ONCE,
    )
    return WorkersServer(config)


def make_door(runtime: Runtime) -> Door:
    """Give the door what it needs of a worker, and no more."""
    contexts = {
        name: tenant.connectors.context("reader") for name, tenant in runtime.tenants.items()
    }
    watch = Watch(runtime)
    return Door(
        contexts=contexts,
        verifiers=tuple(runtime.registry.webhooks.values()),
        secrets={name: tenant.webhooks for name, tenant in runtime.settings.tenants.items()},
        systems=frozenset(
            source.system for tenant in runtime.tenants.values() for source, _ in tenant.sources
        ),
        receive=runtime.receive,
        problems=watch.problems,
        metrics=watch.page,
        metrics_type=CONTENT_TYPE,
    )
