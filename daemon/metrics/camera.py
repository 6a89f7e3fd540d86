"""Metrics of one camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from sightd.daemon.metrics.families import DROPS, FRAME_STAGES, PROTOCOLS, Families, Series
from sightd.daemon.metrics.plugin import DeclaredMetrics
from sightd.daemon.metrics.recording import CameraRecordingMetrics
from sightd.daemon.metrics.snapshots import CameraSnapshotMetrics
from sightd.plugins.api import Count, GaugeValue

OTHER_CLASS = "other"


class ClassNames:
    """Bounds the number of class labels: beyond the first `most`, classes are labelled "other"."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """The label for a class of a model."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER_CLASS
        self._known.add(name)
        return name


class CameraMetrics:
    """A camera's time series with labels bound in advance, so the path of a frame needs no lookup but a dictionary key.

    Created by `Metrics.camera`. All attributes are thread-safe, even after the camera was removed.
    """

    def __init__(
        self,
        name: str,
        families: Families,
        declared: DeclaredMetrics,
        classes: ClassNames,
        reconnect_reasons: Iterable[str],
    ) -> None:
        self.name = name
        self._families = families
        self._declared = declared
        self._classes = classes
        self._series = series = Series()
        self._up: Gauge = series.bind(families.source.up, name)
        self._is_up, self._is_analysed = False, True
        self._measured: Mapping[str, Sequence[GaugeValue]] = {}
        """The gauges' values by plug-in; replaced whole."""
        self.last_frame: Gauge = series.bind(families.source.last_frame, name)
        self.age: Gauge = series.bind(families.source.age, name)
        self.latency: Histogram = series.bind(families.frames.latency, name)
        self.slate_active: Gauge = series.bind(families.stream.slate_active, name)
        self.skipped: Counter = series.bind(families.stream.skipped, name)
        self.encoder_active: Gauge = series.bind(families.stream.encoder_active, name)
        self.clients = {p: series.bind(families.stream.clients, name, p) for p in PROTOCOLS}
        self.frames = {stage: series.bind(families.frames.total, name, stage) for stage in FRAME_STAGES}
        self._reconnects = {r: series.bind(families.source.reconnects, name, r) for r in reconnect_reasons}
        self._drops = {drop: series.bind(families.frames.dropped, name, *drop) for drop in DROPS}
        self._counters: dict[tuple[str, str | None], Counter] = {}
        self._encoder = ""

    def up(self, is_up: bool) -> None:
        """Sets whether the camera sends frames. While it does not, gauges of plug-ins have no values."""
        self._is_up = is_up
        self._up.set(is_up)
        if not is_up:
            self._measured = {}

    def analysing(self, is_analysed: bool) -> None:
        """Sets whether frames are analysed, and not only shown. While they are not, gauges of plug-ins have no
        values."""
        self._is_analysed = is_analysed
        if not is_analysed:
            self._measured = {}

    def lost(self, reason: str) -> None:
        """Counts a lost or failed connection to the camera. `reason` is from a fixed set, never a message."""
        if reason not in self._reconnects:
            self._reconnects[reason] = self._series.bind(self._families.source.reconnects, self.name, reason)
        self._reconnects[reason].inc()

    def dropped(self, stage: str, reason: str, count: int = 1) -> None:
        """Counts dropped frames. Stage and reason are from fixed sets (`families.DROPS` lists the common ones)."""
        drop = (stage, reason)
        if drop not in self._drops:
            self._drops[drop] = self._series.bind(self._families.frames.dropped, self.name, stage, reason)
        self._drops[drop].inc(count)

    def count(self, count: Count) -> None:
        """Adds what a plug-in counted. Raises KeyError unless a plug-in has declared the counter."""
        key = count.metric, count.value
        counter = self._counters.get(key)
        if counter is None:
            counter = self._bound(*key)
        counter.inc(count.number)

    def measured(self, values: Mapping[str, Sequence[GaugeValue]]) -> None:
        """Sets gauges to what these plug-ins measured on a frame, instead of all that they measured before."""
        if any(values.values()) or self._measured:
            self._measured = {**self._measured, **values}

    def gauges(self, metric: str) -> Iterator[tuple[str, str | None, float]]:
        """Yields plug-in, value of the label, and number of the current values of a gauge."""
        if self._is_up and self._is_analysed:
            for plugin, values in self._measured.items():
                yield from ((plugin, one.value, one.number) for one in values if one.metric == metric)

    def _bound(self, metric: str, value: str | None) -> Counter:
        spec, family = self._declared.counter(metric)
        label = self._classes.label(value) if value is not None and spec.values is None else value
        counter = self._series.bind(family, self.name) if label is None else self._series.bind(family, self.name, label)
        if label == value:  # names beyond the limit are not cached: the dictionary would grow without bound
            self._counters[metric, value] = counter
        return counter

    def encoder(self, name: str) -> None:
        """Sets the current encoder: "x264" or "nvenc"."""
        if self._encoder and self._encoder != name:
            self._series.unbind(self._families.stream.encoder_info, self.name, self._encoder)
        self._encoder = name
        self._series.bind(self._families.stream.encoder_info, self.name, name).set(1)

    def recording(self) -> CameraRecordingMetrics:
        """Returns the series of a camera that is recorded."""
        return CameraRecordingMetrics(self.name, self._families, self._series)

    def snapshots(self) -> CameraSnapshotMetrics:
        """Returns the series of a camera whose events get snapshots."""
        return CameraSnapshotMetrics(self.name, self._families, self._series)

    def remove(self) -> None:
        """Removes all of the camera's time series."""
        self._series.remove()
