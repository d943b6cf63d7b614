"""`quell doctor`: plugins, settings, journal, and what each product says of us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, progress, show

__all__ = ["doctor"]


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant. [default: all of them]")
@json_option
@pass_invocation
def doctor(invocation: Invocation, tenant: str | None) -> int:
    """Check plugins, settings, journal, connections, sign-in and permissions.

    Changes nothing. Exits with 1 when something is wrong.
    """
    with invocation.runtime() as runtime:
        rows = [*_plugin_rows(runtime), *_own_rows(runtime)]
        with progress() as display:
            display.add_task("asking the products")
            lines = runtime.run(runtime.doctor(tenant))
        rows += [_row(name, one.ok, one.what, one.detail, one.remedy) for name, one in lines]
        rows += _mode_rows(runtime, tenant)
        rows += _stream_rows(runtime, tenant)
        rows += _queue_rows(runtime, tenant)
    show(rows, ("tenant", "result", "what", "detail", "remedy"))
    return ExitCode.DONE if all(row["ok"] for row in rows) else ExitCode.NO


def _mode_rows(runtime: Any, tenant: str | None) -> Iterator[dict[str, Any]]:
    for one in [runtime.tenant(tenant)] if tenant else runtime.tenants.values():
        for found in runtime.run(one.sync.modes()):
            other = "overlay" if found.mode == "replica" else "replica"
            yield _row(
                one.id,
                not found.doubt,
                f"mode of {found.source_id}",
                f"{found.mode or 'not settled'}: {found.doubt or found.reason}",
                f"`quell sync mode {found.source_id} {other}`" if found.doubt else "",
            )


def _stream_rows(runtime: Any, tenant: str | None) -> Iterator[dict[str, Any]]:
    for one in [runtime.tenant(tenant)] if tenant else runtime.tenants.values():
        for name, problem in runtime.run(one.streams.check()):
            yield _row(
                one.id,
                problem is None,
                f"events to {name}",
                "are taken in" if problem is None else problem.message,
                "" if problem is None else problem.remedy,
            )


def _queue_rows(runtime: Any, tenant: str | None) -> Iterator[dict[str, Any]]:
    for one in [runtime.tenant(tenant)] if tenant else runtime.tenants.values():
        waiting, at_most = runtime.run(one.pressure.waiting()), one.pressure.at_most
        yield _row(
            one.id,
            waiting < at_most,
            "queue",
            f"{waiting} of at most {at_most} runs wait for a worker"
            + ("" if waiting < at_most else ": all but containment is held back"),
            "" if waiting < at_most else "Start more workers; `quell held` lists what is held.",
        )


def _row(tenant: str, ok: bool, what: str, detail: str = "", remedy: str = "") -> dict[str, Any]:
    return {
        "tenant": tenant,
        "ok": ok,
        "result": "good" if ok else "WRONG",
        "what": what,
        "detail": detail,
        "remedy": remedy,
    }


def _plugin_rows(runtime: Any) -> Iterator[dict[str, Any]]:
    for report in runtime.registry.plugins:
        if report.problem:
            yield _row("", False, f"plugin {report.name}", report.problem, report.remedy)


def _own_rows(runtime: Any) -> Iterator[dict[str, Any]]:
    yield _row("", True, "journal", runtime.journal.where)
    for section in runtime.settings.ignored:
        yield _row("", False, f"settings [{section}]", "belongs to no plugin that could be loaded")
    if not runtime.tenants:
        yield _row("", False, "tenants", "none is configured", "`quell config init`")
