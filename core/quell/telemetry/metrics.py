"""The page that Prometheus reads: every meter, every gauge, and the process itself."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from quell.meters import COUNTERS, SPREADS, Counter, Spread, Spreading
from quell.telemetry.gauges import GAUGES, Gauge, Now

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render(now: Now) -> bytes:
    """Write the page."""
    # one of its own: the library's global one belongs to whoever else lives in this process
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(now))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Page:
    """What the library asks for families of metrics."""

    def __init__(self, now: Now) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Give all of them."""
        for counter in COUNTERS:
            yield _counter(counter)
        for spread in SPREADS:
            yield _histogram(spread)
        for gauge in GAUGES:
            yield _gauge(gauge, self._now)


def _counter(counter: Counter) -> Metric:
    family = CounterMetricFamily(counter.name, counter.text, labels=counter.labels)
    for labels, number in sorted(counter.read().items()):
        family.add_metric(labels, number)
    return family


def _gauge(gauge: Gauge, now: Now) -> Metric:
    family = GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels)
    for labels, number in sorted(gauge.read(now).items()):
        family.add_metric(labels, number)
    return family


def _histogram(spread: Spread) -> Metric:
    family = HistogramMetricFamily(spread.name, spread.text, labels=spread.labels)
    for labels, series in sorted(spread.read().items()):
        family.add_metric(labels, buckets=_buckets(spread, series), sum_value=series.total)
    return family


def _buckets(spread: Spread, series: Spreading) -> list[tuple[str, float]]:
    sums: list[tuple[str, float]] = []
    total = 0
    names = [*(str(float(bound)) for bound in spread.bounds), "+Inf"]
    for name, count in zip(names, series.counts, strict=True):
        total += count
        sums.append((name, total))
    return sums
