"""GET /metrics: what happened, in Prometheus text; counted as it happens, or read from the server when it is asked."""

import time
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one server. state: has `models`, a list, and `gate`; read only when somebody asks."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.registry = CollectorRegistry()
        self._children: dict[tuple[str, int | None], tuple[Any, ...]] = {}
        labels = ("model", "version")
        self.requests = Counter(
            "promotion_requests", "Answers to POST /invocations.", (*labels, "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "promotion_request_seconds",
            "From the whole request to its answer.",
            labels,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.predict = Histogram(
            "promotion_batch_seconds",
            "What a worker takes for a batch.",
            labels,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.sizes = Histogram(
            "promotion_batch_requests", "Requests in a batch.", labels, buckets=SIZES, registry=self.registry
        )
        self.registry.register(_Now(state))

    def refused(self, model: str, version: int | None, status: int) -> None:
        """Count an answer that no worker gave."""
        self.requests.labels(model, "" if version is None else version, status).inc()

    def batch(self, model: str, version: int | None, ages: list[float], statuses: list[int], seconds: float) -> None:
        """Count a batch. ages: seconds since each of its requests was whole. seconds: what the worker took."""
        label = "" if version is None else version
        for status, count in Tally(statuses).items():
            self.requests.labels(model, label, status).inc(count)
        found = self._children.get((model, version))
        if found is None:  # looking a child up takes as long as counting
            kinds = (self.seconds, self.predict, self.sizes)
            found = self._children[model, version] = tuple(kind.labels(model, label) for kind in kinds)
        for age in ages:
            found[0].observe(age)
        found[1].observe(seconds)
        found[2].observe(len(statuses))

    def page(self) -> tuple[str, bytes]:
        """Media type and text."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)


class _Now:
    """What is read at the moment of asking."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        gauges = {
            "queue": ("Requests that wait for a worker.", lambda m: m.batcher.waiting),
            "workers": ("Workers that are ready.", lambda m: 0 if m.served is None else len(m.served.pool.ready)),
            "version": ("The version that serves; 0: none.", lambda m: 0 if m.served is None else m.served.version),
            "version_age_seconds": (
                "Since the version took over.",
                lambda m: 0.0 if m.served is None else time.monotonic() - m.served.since,
            ),
            "batching": (
                "1 where requests may share a predict.",
                lambda m: 0 if m.served is None else int(bool(m.served.pool.proof.get("batching"))),
            ),
            "problems": ("Problems in /health.", lambda m: len(m.problems())),
        }
        counters = {
            "swaps": ("Versions that took over from another.", lambda m: m.follower.swaps),
            "failed_loads": ("Versions that could not be served.", lambda m: m.follower.failed_loads),
            "worker_restarts": ("Workers that died and were replaced.", lambda m: m.restarts()),
            "queue_full": ("Requests refused because too many waited.", lambda m: m.batcher.refused),
        }
        for name, (text, read) in gauges.items():
            gauge = GaugeMetricFamily(f"promotion_{name}", text, labels=("model",))
            for model in self.state.models:
                gauge.add_metric((model.name,), read(model))
            yield gauge
        for name, (text, read) in counters.items():
            counter = CounterMetricFamily(f"promotion_{name}", text, labels=("model",))
            for model in self.state.models:
                counter.add_metric((model.name,), read(model))
            yield counter
        yield from _shadows([model for model in self.state.models if model.shadow is not None])
        yield from _log(next((model.logbook for model in self.state.models if model.logbook is not None), None))
        gate = self.state.gate
        yield GaugeMetricFamily("promotion_connections", "Open connections.", len(gate.connections))
        yield GaugeMetricFamily("promotion_held_bytes", "Bytes of unfinished bodies and unread answers.", gate.held)
        yield CounterMetricFamily("promotion_evicted", "Connections closed to make room.", gate.evicted)


def _shadows(models: list[Any]) -> Iterator[Metric]:
    if not models:
        return
    answers = CounterMetricFamily(
        "promotion_shadow", "What became of requests at the shadow.", labels=("model", "outcome")
    )
    seconds = CounterMetricFamily("promotion_shadow_seconds", "What its worker took.", labels=("model",))
    waiting = GaugeMetricFamily("promotion_shadow_waiting", "Requests it has yet to answer.", labels=("model",))
    version = GaugeMetricFamily("promotion_shadow_version", "The version that answers; 0: none.", labels=("model",))
    for model in models:
        counts = model.shadow.counts
        for outcome in ("same", "differ", "dropped", "failed"):
            answers.add_metric((model.name, outcome), getattr(counts, outcome))
        seconds.add_metric((model.name,), counts.seconds)
        waiting.add_metric((model.name,), model.shadow.waiting)
        version.add_metric((model.name,), 0 if model.shadow.served is None else model.shadow.served.version)
    yield from (answers, seconds, waiting, version)


def _log(logbook: Any) -> Iterator[Metric]:
    if logbook is not None:
        yield CounterMetricFamily("promotion_log_rows", "Rows in the log.", logbook.written)
        yield CounterMetricFamily("promotion_log_dropped", "Requests or rows that are not in it.", logbook.dropped)
