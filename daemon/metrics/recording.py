"""Metrics of recordings: of one camera, and of the folder of the clips."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from sightd.daemon.metrics.families import CLIP_DELETIONS, Families, Series


class CameraRecordingMetrics:
    """A recorded camera's time series; thread-safe."""

    def __init__(self, camera: str, families: Families, series: Series) -> None:
        self._buffer: Gauge = series.bind(families.recording.buffer, camera)
        self._packets_lost: Counter = series.bind(families.recording.lost, camera)
        self._clips: Counter = series.bind(families.recording.clips, camera)
        self._bytes: Counter = series.bind(families.recording.clip_bytes, camera)
        self._failed: Counter = series.bind(families.recording.clip_errors, camera)

    def buffered(self, size: int) -> None:
        self._buffer.set(size)

    def lost(self, packets: int) -> None:
        self._packets_lost.inc(packets)

    def written(self, size: int) -> None:
        self._clips.inc()
        self._bytes.inc(size)

    def failed(self) -> None:
        self._failed.inc()


class ClipStoreMetrics:
    """Series of the folder of the clips; created only if clips are recorded."""

    def __init__(self, families: Families) -> None:
        self._deleted = {reason: families.recording.deleted.labels(reason) for reason in CLIP_DELETIONS}
        self._stored = families.recording.stored

    def deleted(self, reason: str) -> None:
        """Counts a deleted clip. Raises KeyError unless the reason is one of `families.CLIP_DELETIONS`."""
        self._deleted[reason].inc()

    def stored(self, size: int) -> None:
        self._stored.set(size)
