"""Prometheus metrics of all workers together; no label takes a value that a client chooses."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .request_log import LoggedRequest

loads: Callable[[bytes], Any] = json.loads
with suppress(ImportError):  # it conflicts with the packages of this environment
    import orjson

    loads = orjson.loads

BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds."""

MAX_LABELS = 32
"""Predicted labels that a worker counts by name; all others count as `other`."""

SHARED = "prometheus_multiproc_dir"
"""The folder in BentoML's home that all services share."""

SHORT, MAX_ANSWERS = 1000, 256
"""Answers with one label are cached: up to this many bytes each, and this many answers."""


class Metrics:
    """The metrics of a worker; created inside it, since prometheus_client reads the environment on import."""

    def __init__(self, *, model: str, version: int, routes: Sequence[str]) -> None:
        keep_apart()
        import prometheus_client

        from .histogram import Histogram

        self._client = prometheus_client
        self._registry = registry = prometheus_client.CollectorRegistry()
        requests = prometheus_client.Counter(
            "amlcore_requests_total", "Requests by route and status", ["route", "status"], registry=registry
        )
        durations = Histogram(
            "amlcore_request_duration_seconds",
            "From the first byte of the headers to the answer",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._requests = requests
        self._counted = {(route, 200): requests.labels(route, "200").inc for route in routes}
        self._observed = {route: durations.labels(route).observe_all for route in (*routes, "other")}
        self._predictions = prometheus_client.Counter(
            "amlcore_predictions_total", "Predictions by label", ["label"], registry=registry
        )
        self._labels: dict[Any, Any] = {}
        self._answers: dict[bytes, Any] = {}
        self.in_flight = prometheus_client.Gauge(
            "amlcore_requests_in_flight",
            "Requests that a thread answers, or that wait for one",
            registry=registry,
            multiprocess_mode="livesum",
        )
        prometheus_client.Gauge(
            "amlcore_model",
            "1, with the model's name and version",
            ["name", "version"],
            registry=registry,
            multiprocess_mode="max",
        ).labels(model, str(version)).set(1)

    def count(self, requests: list[LoggedRequest]) -> None:
        """Count requests; the route of each is one of the constructor's, or `other`."""
        counts: dict[tuple[str, int], int] = {}
        seconds: dict[str, list[float]] = {}
        answers: dict[bytes, int] = {}
        for route, status, duration, _, _, _, _, answer in requests:
            counts[route, status] = counts.get((route, status), 0) + 1
            seconds.setdefault(route, []).append(duration)
            if answer is not None:
                answers[answer] = answers.get(answer, 0) + 1
        for (route, status), number in counts.items():
            counted = self._counted.get((route, status))
            if counted is None:
                # bounded: there are few routes, and few statuses
                counted = self._counted[route, status] = self._requests.labels(route, str(status)).inc
            counted(number)
        for route, durations in seconds.items():
            self._observed[route](durations)
        for answer, number in answers.items():
            self.predicted(answer, number)

    def predicted(self, answer: bytes, times: int = 1) -> None:
        """Count the labels of an answer of `predict`; fractions, as from a regressor, are not labels."""
        count_label = self._answers.get(answer)
        if count_label is not None:
            count_label(times)
            return
        predictions = loads(answer).get("predictions")
        if not predictions or isinstance(predictions[0], (float, list, dict)):
            return
        if len(predictions) == 1:
            label = self._label(predictions[0])
            label(times)
            if len(answer) <= SHORT and len(self._answers) < MAX_ANSWERS:
                self._answers[answer] = label
            return
        for one, count in Counter(predictions).items():
            self._label(one)(count * times)

    def _label(self, label: Any) -> Any:
        count_label = self._labels.get(label)
        if count_label is None:
            name = "other" if len(self._labels) >= MAX_LABELS else str(label)[:100]
            count_label = self._predictions.labels(name).inc
            if len(self._labels) < MAX_LABELS:
                self._labels[label] = count_label
        return count_label

    def expose(self) -> tuple[bytes, str]:
        """All workers' metrics as text, and its content type."""
        registry, folder = self._registry, os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder:
            from prometheus_client import multiprocess

            for pid in _dead(Path(folder)):
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
            registry = self._client.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return self._client.generate_latest(registry), self._client.CONTENT_TYPE_LATEST


def keep_apart() -> None:
    """Give the workers of this service a folder of their own.

    BentoML has one for all services of a home, and each that starts empties it: counts would be lost, and each service
    would show the others' requests.
    """
    shared = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if shared.name != SHARED:
        return
    folders = shared.with_name("amlcore_metrics")
    own = folders / _supervisor(os.getppid())
    with suppress(OSError, ValueError):  # a home that is not writable, or with files of others
        own.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(own)
        for folder in folders.iterdir():
            if folder.name != _supervisor(int(folder.name.partition("-")[0])):
                shutil.rmtree(folder, ignore_errors=True)


def _supervisor(pid: int) -> str:
    """A name that no other process ever has: its pid and its start time (proc(5), field 22)."""
    try:
        start_time = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except OSError:
        start_time = "gone"
    return f"{pid}-{start_time}"


def _dead(folder: Path) -> list[int]:
    """The workers that were killed and left a gauge behind."""
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}
    return [pid for pid in pids if not Path(f"/proc/{pid}").exists()]
