"""Metrics of recordings: of one camera, and of their folder."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from sightd.daemon.metrics.families import CLIP_DELETIONS, RECORDINGS, Families, Series


class CameraRecordingMetrics:
    """A recorded camera's time series; thread-safe. `kind` is one of `families.RECORDINGS`."""

    def __init__(self, camera: str, families: Families, series: Series) -> None:
        own = families.recording
        self._buffer: Gauge = series.bind(own.buffer, camera)
        self._packets_lost: Counter = series.bind(own.lost, camera)
        self._written: dict[str, Counter] = {kind: series.bind(own.written[kind], camera) for kind in RECORDINGS}
        self._bytes: dict[str, Counter] = {kind: series.bind(own.written_bytes[kind], camera) for kind in RECORDINGS}
        self._failed: dict[str, Counter] = {kind: series.bind(own.errors[kind], camera) for kind in RECORDINGS}

    def buffered(self, size: int) -> None:
        self._buffer.set(size)

    def lost(self, packets: int) -> None:
        self._packets_lost.inc(packets)

    def written(self, kind: str, size: int) -> None:
        self._written[kind].inc()
        self._bytes[kind].inc(size)

    def failed(self, kind: str) -> None:
        self._failed[kind].inc()


class RecordingStoreMetrics:
    """Series of the folder of the recordings; created only if something is recorded."""

    def __init__(self, families: Families, max_size: int, min_free: int) -> None:
        own = families.recording
        self._deleted = {
            (kind, reason): own.deleted[kind].labels(reason) for kind in RECORDINGS for reason in CLIP_DELETIONS
        }
        self._stored, self._free = own.stored, own.free
        own.limit.set(max_size)
        own.min_free.set(min_free)

    def deleted(self, kind: str, reason: str) -> None:
        """Counts a deleted recording. Raises KeyError unless the reason is one of `families.CLIP_DELETIONS`."""
        self._deleted[kind, reason].inc()

    def stored(self, kind: str, size: int) -> None:
        self._stored[kind].set(size)

    def free(self, size: int) -> None:
        self._free.set(size)
