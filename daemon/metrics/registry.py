"""The daemon's metrics: one object, one registry, no globals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, Histogram, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder

from sightd.daemon.metrics.camera import CameraMetrics, ClassNames
from sightd.daemon.metrics.delivery import DeliveryMetrics
from sightd.daemon.metrics.families import CONNECTION_REFUSALS, REFUSALS, RELOADS, SERVERS, STAGES, declare
from sightd.daemon.metrics.plugin import DeclaredMetrics, EventMetrics, PluginMetrics, RuleMetrics
from sightd.daemon.metrics.recording import RecordingStoreMetrics
from sightd.daemon.metrics.snapshots import SnapshotStoreMetrics
from sightd.engines.cuda.driver import transferred
from sightd.engines.cuda.stream import TransferCounter
from sightd.plugins.api import MAX_VALUES

_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
"""The only OpenMetrics version requested: the library would echo any version an Accept header makes up."""
_EXPOSITION_SHARE, _EXPOSITION_BURST = 0.1, 0.5
"""Share of CPU time, and burst in seconds: about fifty scrapes."""


class Budget:
    """Accrues `share` seconds per second, up to `most`. Not thread-safe; `clock` returns monotonic seconds."""

    def __init__(self, share: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._most, self._clock = share, most, clock
        self._left = most
        self._at = clock()

    @property
    def left(self) -> bool:
        """Whether any time is left. The last piece of work may have overdrawn the budget."""
        now = self._clock()
        self._left = min(self._most, self._left + self._share * (now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        self._left -= seconds


class DeviceTransfers:
    """A Prometheus collector. Excludes copies by ONNX Runtime itself if images are prepared on the CPU."""

    def __init__(self, transferred: Callable[[], TransferCounter]) -> None:
        self._transferred = transferred

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "sightd_device_transfer_bytes", "Bytes copied between host and GPUs.", labels=["direction"]
        )
        counter = self._transferred()
        family.add_metric(["to_device"], counter.bytes_to_device)
        family.add_metric(["to_host"], counter.bytes_to_host)
        yield family


class Metrics:
    """Declares all families in `registry`, plus those of the process, Python and its garbage collector.

    Series are added and removed with their cameras and plug-ins; plug-ins declare families of their own.
    `reconnect_reasons` and `event_kinds` are the known values of those labels; their counters start at 0. Thread-safe.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        version: str,
        reconnect_reasons: Iterable[str] = (),
        event_kinds: Iterable[str] = (),
    ) -> None:
        self.registry = registry
        self._families = declare(registry, version)
        self._declared = DeclaredMetrics(registry, self._measured)
        self._reasons = tuple(reconnect_reasons)
        self._classes = ClassNames(MAX_VALUES)
        self._lock = threading.Lock()
        self._cameras: dict[str, CameraMetrics] = {}
        self._plugins: dict[str, PluginMetrics] = {}
        self.stages: dict[str, Histogram] = {
            stage: self._families.frames.stage_duration.labels(stage) for stage in STAGES
        }
        self._reloads = {taken: self._families.daemon.reloads.labels(word) for taken, word in RELOADS.items()}
        self._families.daemon.last_reload_successful.set(1)
        self._refusals = {
            (server, reason): self._families.daemon.access_refused.labels(server, reason)
            for server in SERVERS
            for reason in REFUSALS
        }
        for server, reasons in CONNECTION_REFUSALS.items():
            for reason in reasons:
                self._families.daemon.connections_refused.labels(server, reason)
        self._exposing = threading.Lock()
        self._exposed: dict[str, bytes] = {}  # by content type; there are two
        self._budget = Budget(_EXPOSITION_SHARE, _EXPOSITION_BURST)
        self.events = EventMetrics(self._families, event_kinds)
        self.rules = RuleMetrics(self._families)
        self.delivery = DeliveryMetrics(self._families)
        registry.register(DeviceTransfers(transferred))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Returns all metrics as text in the format requested by the Accept header, and its content type.

        Anyone may ask, and each time costs some 10 ms in which no frame moves. Beyond a tenth of the time, frequent
        callers get the previous text.
        """
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS.partition(";")[0] in accept else "")
        with self._exposing:
            if self._budget.left or content_type not in self._exposed:
                began = time.thread_time()
                self._exposed[content_type] = encode(_WithoutCreated(self.registry))
                self._budget.spend(time.thread_time() - began)
            return self._exposed[content_type], content_type

    def camera(self, name: str) -> CameraMetrics:
        """Returns the camera's metrics, created on the first call."""
        with self._lock:
            if name not in self._cameras:
                self._cameras[name] = CameraMetrics(name, self._families, self._declared, self._classes, self._reasons)
            return self._cameras[name]

    def plugin(self, name: str) -> PluginMetrics:
        """Returns the plug-in's metrics, created on the first call."""
        with self._lock:
            if name not in self._plugins:
                self._plugins[name] = PluginMetrics(name, self._families, self._declared, self.events)
            return self._plugins[name]

    def _measured(self, metric: str) -> dict[tuple[str, str | None], float]:
        """Returns the values of a gauge, by camera and value of its label. Disabled and removed plug-ins have none."""
        with self._lock:
            cameras = list(self._cameras.values())
            running = {name for name, plugin in self._plugins.items() if not plugin.is_disabled}
        return {
            (camera.name, value): number
            for camera in cameras
            for plugin, value, number in camera.gauges(metric)
            if plugin in running
        }

    def recordings(self, max_size: int, min_free: int) -> RecordingStoreMetrics:
        """Returns the series of the folder of the recordings, which has these limits in bytes."""
        return RecordingStoreMetrics(self._families, max_size, min_free)

    def snapshots(self) -> SnapshotStoreMetrics:
        """Returns the series of the folder of the snapshots."""
        return SnapshotStoreMetrics(self._families)

    def state_writable(self, store: str, able: bool) -> None:
        """Sets whether some part of the state can be written. `store` is from a fixed set."""
        self._families.daemon.state_writable.labels(store).set(able)

    def state_disk(self, free: int, total: int) -> None:
        """Sets the free bytes and the size of the disk that holds the state."""
        self._families.daemon.state_free.set(free)
        self._families.daemon.state_disk.set(total)

    def reloaded(self, taken: bool) -> None:
        """Counts a configuration reload, which was applied or refused."""
        self._reloads[taken].inc()
        self._families.daemon.last_reload_successful.set(taken)

    def refused(self, server: str, reason: str) -> None:
        """Counts a rejected request."""
        self._refusals[server, reason].inc()

    def connection_refused(self, server: str) -> Callable[[str], None]:
        """Returns a function that counts connections the server rejected or cut off, by reason."""
        return lambda reason: self._families.daemon.connections_refused.labels(server, reason).inc()

    def remove_camera(self, name: str) -> None:
        """Removes the camera's time series. Ignores unknown names."""
        with self._lock:
            camera = self._cameras.pop(name, None)
        if camera is not None:
            camera.remove()

    def remove_plugin(self, name: str) -> None:
        """Removes the plug-in's time series. Ignores unknown names."""
        with self._lock:
            plugin = self._plugins.pop(name, None)
        if plugin is not None:
            plugin.remove()


class _WithoutCreated:
    """A registry without the `_created` samples, which double the number of series and which nobody uses."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
