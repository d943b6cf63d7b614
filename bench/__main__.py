"""`python -m bench [NAME…] [--json]`: take measurements and print them."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from bench.figure import Report, WorkNotDone, to_json, to_text
from bench.place import describe

#: by name, the module that measures it; `demo` fetches packages, so it comes last
NAMES = (
    *("startup", "memory", "sync", "unchanged", "catchup", "latency", "engine", "journal"),
    *("fleet", "scale", "wakeup", "window", "peers", "demo"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the measurements that are named, or all. Gives 1 where work was not done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(NAMES):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}")
    # whoever stops it, `timeout` too, leaves no servers and no folders behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = describe()
    if not chosen.json:
        print(", ".join(f"{name} {value}" for name, value in place.items()), flush=True)
    reports, failures = _take(chosen.names or NAMES, is_silent=chosen.json)
    if chosen.json:
        print(to_json(place, reports))
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _take(names: Sequence[str], *, is_silent: bool) -> tuple[list[Report], list[str]]:
    reports: list[Report] = []
    failures: list[str] = []
    for name in names:
        try:
            report: Report = importlib.import_module(f"bench.{name}").measure()
        except WorkNotDone as error:
            failures.append(f"{name}: the work was not done: {error}")
            continue
        reports.append(report)
        if not is_silent:
            print(f"\n{to_text(report)}", flush=True)
    return reports, failures


if __name__ == "__main__":
    raise SystemExit(main())
