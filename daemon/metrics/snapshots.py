"""Metrics of snapshots: of one camera, and of their folder."""

from __future__ import annotations

from sightd.daemon.metrics.families import SNAPSHOT_DELETIONS, SNAPSHOT_DROPS, Families, Series


class CameraSnapshotMetrics:
    """Time series of a camera whose events get snapshots; thread-safe."""

    def __init__(self, camera: str, families: Families, series: Series) -> None:
        self._written = series.bind(families.snapshots.written, camera)
        self._bytes = series.bind(families.snapshots.bytes, camera)
        self._dropped = {reason: series.bind(families.snapshots.dropped, camera, reason) for reason in SNAPSHOT_DROPS}

    def written(self, size: int) -> None:
        self._written.inc()
        self._bytes.inc(size)

    def dropped(self, reason: str) -> None:
        """Counts an event without snapshots. Raises KeyError unless the reason is one of `SNAPSHOT_DROPS`."""
        self._dropped[reason].inc()


class SnapshotStoreMetrics:
    """Series of the folder of the snapshots; created only if there are any."""

    def __init__(self, families: Families) -> None:
        self._deleted = {reason: families.snapshots.deleted.labels(reason) for reason in SNAPSHOT_DELETIONS}
        self._stored = families.snapshots.stored

    def deleted(self, reason: str) -> None:
        """Counts events whose snapshots were deleted. Raises KeyError unless the reason is one of
        `SNAPSHOT_DELETIONS`."""
        self._deleted[reason].inc()

    def stored(self, size: int) -> None:
        self._stored.set(size)
