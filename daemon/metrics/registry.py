"""The daemon's metrics: one object, one registry, nothing global."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, Histogram, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from daemon.metrics.camera import CameraMetrics, ClassNames
from daemon.metrics.events import EventMetrics
from daemon.metrics.families import RELOADS, STAGES, declare
from daemon.metrics.plugin import PluginMetrics
from daemon.metrics.transfers import DeviceTransfers
from engines.cuda.driver import transferred

MOST_CLASSES = 100


class Metrics:
    """Declares all families in `registry`, with the process's, Python's and its garbage collector's own.

    Cameras and plug-ins come and go with their series. `reconnect_reasons` and `event_kinds` are the known values of
    those labels, which begin at 0. Any thread.
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
        self._reasons = tuple(reconnect_reasons)
        self._classes = ClassNames(MOST_CLASSES)
        self._lock = threading.Lock()
        self._cameras: dict[str, CameraMetrics] = {}
        self._plugins: dict[str, PluginMetrics] = {}
        self.stages: dict[str, Histogram] = {stage: self._families.stage_duration.labels(stage) for stage in STAGES}
        self._reloads = {taken: self._families.config_reloads.labels(word) for taken, word in RELOADS.items()}
        self._families.config_last_reload_successful.set(1)
        self.events = EventMetrics(self._families, event_kinds)
        registry.register(DeviceTransfers(transferred))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, in the format that the Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(_WithoutCreated(self.registry)), content_type

    def camera(self, name: str) -> CameraMetrics:
        """The camera's series, made at the first call."""
        with self._lock:
            if name not in self._cameras:
                self._cameras[name] = CameraMetrics(name, self._families, self._classes, self._reasons)
            return self._cameras[name]

    def plugin(self, name: str) -> PluginMetrics:
        """The plug-in instance's series, made at the first call."""
        with self._lock:
            if name not in self._plugins:
                self._plugins[name] = PluginMetrics(name, self._families)
            return self._plugins[name]

    def state_writable(self, store: str, able: bool) -> None:
        """Whether something that belongs to the state can be written. `store` is one of a fixed set."""
        self._families.state_writable.labels(store).set(able)

    def reloaded(self, taken: bool) -> None:
        """The configuration was read anew, and taken over or not."""
        self._reloads[taken].inc()
        self._families.config_last_reload_successful.set(taken)

    def remove_camera(self, name: str) -> None:
        """Takes the camera's series out. Unknown names are ignored."""
        with self._lock:
            camera = self._cameras.pop(name, None)
        if camera is not None:
            camera.remove()

    def remove_plugin(self, name: str) -> None:
        """Takes the plug-in's series out. Unknown names are ignored."""
        with self._lock:
            plugin = self._plugins.pop(name, None)
        if plugin is not None:
            plugin.remove()


class _WithoutCreated:
    """A registry without the `_created` samples, which double the number of series and of which nobody asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
