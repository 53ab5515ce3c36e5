"""Figures of the processes that serve: requests, how long they take, and which arms cool."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from bandit_router.server.metrics.folder import VARIABLE

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class ProcessFigures:
    """Counters of this process, which are shared with the other workers where there is a folder for them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.in_flight = Gauge(
            "bandit_router_http_requests_in_flight",
            "Requests that are being answered, streams included.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._requests = Counter(
            "bandit_router_http_requests",
            "Requests answered, refused ones included.",
            ["method", "path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "bandit_router_http_request_duration_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["path"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._cooling = Gauge(
            "bandit_router_arm_cooling",
            "1 while a worker does not call an arm because its newest calls failed.",
            ["arm"],
            registry=self._registry,
            multiprocess_mode="liveall",
        )
        self._drawn = Counter(
            "bandit_router_judge_answers",
            "Answers that a coin chose to have judged, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._drawn_so_far: dict[str, int] = {}

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answered request. ``path`` is one of a few, with ``{…}`` for what differs."""
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def set_cooling(self, arms: Collection[str], cooling: Collection[str]) -> None:
        """Say which of the arms this worker does not call now."""
        for arm in arms:
            self._cooling.labels(arm).set(arm in cooling)

    def set_drawn(self, outcomes: Mapping[str, int]) -> None:
        """Say what became of the answers of this worker that were to be judged, all of them so far."""
        for outcome, count in outcomes.items():
            self._drawn.labels(outcome).inc(count - self._drawn_so_far.get(outcome, 0))
        self._drawn_so_far = dict(outcomes)

    def render(self) -> bytes:
        """The figures of all workers, as Prometheus reads them."""
        if VARIABLE not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
