"""Metrics of one camera."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from sightd.daemon.metrics.families import DROPS, FRAME_STAGES, PROTOCOLS, Families, Series

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

    def __init__(self, name: str, families: Families, classes: ClassNames, reconnect_reasons: Iterable[str]) -> None:
        self.name = name
        self._families = families
        self._classes = classes
        self._series = series = Series()
        self.up: Gauge = series.bind(families.source_up, name)
        self.last_frame: Gauge = series.bind(families.source_last_frame, name)
        self.age: Gauge = series.bind(families.source_age, name)
        self.latency: Histogram = series.bind(families.frame_latency, name)
        self.slate_active: Gauge = series.bind(families.stream_slate_active, name)
        self.skipped: Counter = series.bind(families.stream_skipped, name)
        self.encoder_active: Gauge = series.bind(families.encoder_active, name)
        self.clients = {p: series.bind(families.stream_clients, name, p) for p in PROTOCOLS}
        self.frames = {stage: series.bind(families.frames, name, stage) for stage in FRAME_STAGES}
        self._reconnects = {r: series.bind(families.source_reconnects, name, r) for r in reconnect_reasons}
        self._drops = {drop: series.bind(families.frames_dropped, name, *drop) for drop in DROPS}
        self._detections: dict[str, Counter] = {}
        self._classifications: dict[str, Counter] = {}
        self._matches: dict[str, Counter] = {}
        self._encoder = ""

    def lost(self, reason: str) -> None:
        """Counts a lost or failed connection to the camera. `reason` is from a fixed set, never a message."""
        if reason not in self._reconnects:
            self._reconnects[reason] = self._series.bind(self._families.source_reconnects, self.name, reason)
        self._reconnects[reason].inc()

    def dropped(self, stage: str, reason: str, count: int = 1) -> None:
        """Counts dropped frames. Stage and reason are from fixed sets (`families.DROPS` lists the common ones)."""
        drop = (stage, reason)
        if drop not in self._drops:
            self._drops[drop] = self._series.bind(self._families.frames_dropped, self.name, stage, reason)
        self._drops[drop].inc(count)

    def detected(self, class_name: str, count: int = 1) -> None:
        """Counts detected objects. `class_name` is the model's own label."""
        self._of_class(self._families.detections, self._detections, class_name).inc(count)

    def classified(self, class_name: str) -> None:
        """Counts an image or object of that class, by the model's own label."""
        self._of_class(self._families.classifications, self._classifications, class_name).inc()

    def _of_class(self, family: Counter, known: dict[str, Counter], class_name: str) -> Counter:
        counter = known.get(class_name)
        if counter is None:
            label = self._classes.label(class_name)
            counter = self._series.bind(family, self.name, label)
            if label == class_name:  # names beyond the limit are not cached: the dictionary would grow without bound
                known[class_name] = counter
        return counter

    def matched(self, outcome: Literal["known", "unknown"], count: int) -> None:
        """Counts faces on analysed frames. Labels never contain names."""
        counter = self._matches.get(outcome)
        if counter is None:
            counter = self._series.bind(self._families.face_matches, self.name, outcome)
            self._matches[outcome] = counter
        counter.inc(count)

    def encoder(self, name: str) -> None:
        """Sets the current encoder: "x264" or "nvenc"."""
        if self._encoder and self._encoder != name:
            self._series.unbind(self._families.encoder_info, self.name, self._encoder)
        self._encoder = name
        self._series.bind(self._families.encoder_info, self.name, name).set(1)

    def remove(self) -> None:
        """Removes all of the camera's time series."""
        self._series.remove()
