"""All metric families of sightd itself: name, labels, buckets and meaning; and the series that are bound to them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

FRAME_STAGES = ("captured", "analysed", "shown", "unwatched", "encoded")
"""How far frames get: read from the camera; through its chain; drawn; not drawn because nobody watched; encoded as
H.264. Each captured frame is shown, unwatched, dropped, or in progress."""
DROPS = (("capture", "damaged"), ("capture", "late"), ("admission", "replaced"), ("output", "failed"))
"""Where and why frames are dropped: corrupt on arrival; part of a backlog that was skipped; replaced by a newer one
before a worker was free; not shown because drawing or encoding failed, which is an error."""
STAGES = ("wait", "analysis", "render", "encode", "jpeg")
PHASES = ("process", "predict", "draw")
FAULTS = ("error", "timeout", "invalid", "crashed", "memory")
PROTOCOLS = ("rtsp", "mjpeg", "webrtc", "mse")
SERVERS = ("http", "rtsp")
REFUSALS = ("missing", "wrong", "limited", "role", "foreign", "invalid")
"""Why a request was rejected: no token; a wrong token; too many wrong tokens before; insufficient role; a foreign page
or program; an invalid Host header."""
CONNECTION_REFUSALS = {
    "rtsp": ("total", "address", "slow", "flood"),
    "http": ("total", "address", "slow", "flood", "invalid"),
}
"""Why servers reject or cut off connections: the total or per-address limit is reached; no request arrived in time; it
sent more than any viewer would, or invalid data."""
OUTCOMES = ("delivered", "filtered", "dead", "lost")
"""What becomes of an event at a sink: delivered; not one that the sink gets; a dead letter; deleted from the journal
before it was delivered."""
SNAPSHOT_DROPS = ("busy", "disk", "redaction", "failed")
"""Why events have no snapshots although they were selected: too many wait; the disk cannot be written; redaction of the
frame was not certain; drawing failed."""
SNAPSHOT_DELETIONS = ("age", "size", "disk")
"""Why snapshots are deleted, as for clips."""
RECORDINGS = ("clip", "segment")
CLIP_DELETIONS = ("age", "size", "disk")
"""Why clips and segments are deleted: older than `retention`; more than `max_size`; the disk is nearly full."""
RELOADS = {True: "applied", False: "refused"}
BREAKER_STATES = ("closed", "half-open", "open")
"""The value of `sightd_plugin_breaker_state` is the index in this tuple."""

_WORK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
_LATENCY = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


Family = TypeVar("Family", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class _Registration:
    """Creates families in a registry. The methods raise ValueError if it already has one of the name."""

    registry: CollectorRegistry

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, *labels: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, meaning, labels, registry=self.registry, buckets=buckets)


@dataclass(frozen=True, slots=True)
class SourceFamilies:
    """Cameras as sources of frames."""

    up: Gauge
    last_frame: Gauge
    age: Gauge
    reconnects: Counter

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            up=to.gauge(
                "sightd_source_up", "1 while the camera sends frames, 0 while the offline slate is shown.", "camera"
            ),
            last_frame=to.gauge(
                "sightd_source_last_frame_timestamp_seconds",
                "Unix time of the last frame; 0 before the first.",
                "camera",
            ),
            age=to.gauge(
                "sightd_source_age_seconds",
                "Age of the newest live frame at its arrival, by the clock of the stream; 0 if not measured.",
                "camera",
            ),
            reconnects=to.counter(
                "sightd_source_reconnects_total",
                "Number of times the camera was lost or could not be opened.",
                "camera",
                "reason",
            ),
        )


@dataclass(frozen=True, slots=True)
class FrameFamilies:
    """Frames on their way through the daemon."""

    total: Counter
    dropped: Counter
    latency: Histogram
    stage_duration: Histogram

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            total=to.counter(
                "sightd_frames_total",
                "Frames by processing stage: captured = shown + unwatched + dropped; some were analysed, some encoded.",
                "camera",
                "stage",
            ),
            dropped=to.counter("sightd_frames_dropped_total", "Dropped frames.", "camera", "stage", "reason"),
            latency=to.histogram(
                "sightd_frame_latency_seconds", "Time from capture to the encoded packet.", "camera", buckets=_LATENCY
            ),
            stage_duration=to.histogram(
                "sightd_stage_duration_seconds", "Time a frame spends in a stage.", "stage", buckets=_WORK
            ),
        )


@dataclass(frozen=True, slots=True)
class StreamFamilies:
    """What viewers get, and its encoding."""

    clients: Gauge
    slate_active: Gauge
    skipped: Counter
    encoder_active: Gauge
    encoder_info: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            clients=to.gauge("sightd_stream_clients", "Current number of viewers.", "camera", "protocol"),
            slate_active=to.gauge(
                "sightd_stream_slate_active", "1 while the offline slate is shown, otherwise 0.", "camera"
            ),
            skipped=to.counter(
                "sightd_stream_skipped_total",
                "Encoded frames that were dropped before RTSP because sending was late.",
                "camera",
            ),
            encoder_active=to.gauge("sightd_encoder_active", "1 while H.264 is encoded, otherwise 0.", "camera"),
            encoder_info=to.gauge(
                "sightd_encoder_info", "1 for the H.264 encoder in use by the camera.", "camera", "encoder"
            ),
        )


@dataclass(frozen=True, slots=True)
class PluginFamilies:
    """Plug-ins, their processes and their models."""

    batch_size: Histogram
    duration: Histogram
    faults: Counter
    breaker_state: Gauge
    resident: Gauge
    cpu: Counter
    restarts: Counter
    engine_info: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            batch_size=to.histogram("sightd_batch_size", "Frames per batch.", "plugin", buckets=_BATCH),
            duration=to.histogram(
                "sightd_plugin_duration_seconds", "Duration of plug-in calls.", "plugin", "phase", buckets=_WORK
            ),
            faults=to.counter("sightd_plugin_faults_total", "Failed plug-in calls.", "plugin", "reason"),
            breaker_state=to.gauge(
                "sightd_plugin_breaker_state",
                "State of the circuit breaker: 0 closed (running), 1 half-open (on trial), 2 open (disabled).",
                "plugin",
            ),
            resident=to.gauge(
                "sightd_plugin_process_resident_bytes",
                "Resident memory of the process of an isolated plug-in; 0 if there is none.",
                "plugin",
            ),
            cpu=to.counter(
                "sightd_plugin_process_cpu_seconds_total",
                "CPU time of the processes of an isolated plug-in.",
                "plugin",
            ),
            restarts=to.counter(
                "sightd_plugin_process_restarts_total",
                "Number of restarts of the process of an isolated plug-in.",
                "plugin",
            ),
            engine_info=to.gauge(
                "sightd_engine_info",
                "1 for each running model, with its backend and device.",
                *("plugin", "model", "backend", "precision", "device"),
            ),
        )


@dataclass(frozen=True, slots=True)
class DaemonFamilies:
    """The servers, and the daemon as a whole."""

    access_refused: Counter
    connections_refused: Counter
    reloads: Counter
    last_reload_successful: Gauge
    state_writable: Gauge
    state_free: Gauge
    state_disk: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            access_refused=to.counter("sightd_access_refused_total", "Rejected requests.", "server", "reason"),
            connections_refused=to.counter(
                "sightd_connections_refused_total", "Rejected or closed connections.", "server", "reason"
            ),
            reloads=to.counter("sightd_config_reloads_total", "Number of configuration reloads.", "outcome"),
            last_reload_successful=to.gauge(
                "sightd_config_last_reload_successful",
                "1 if the running configuration is the one read last, otherwise 0.",
            ),
            state_writable=to.gauge(
                "sightd_state_writable", "1 while the state can be written to disk, otherwise 0.", "store"
            ),
            state_free=to.gauge("sightd_state_free_bytes", "Free space on the disk of the state directory."),
            state_disk=to.gauge("sightd_state_disk_bytes", "Size of the disk of the state directory."),
        )


@dataclass(frozen=True, slots=True)
class EventFamilies:
    """The event journal."""

    total: Counter
    lost: Counter
    suppressed: Counter
    waiting: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            total=to.counter("sightd_events_total", "Events by kind.", "kind"),
            lost=to.counter("sightd_events_lost_total", "Events that could not be stored."),
            suppressed=to.counter(
                "sightd_events_suppressed_total",
                "Events that were not stored because a rule that is about them did not select them, by its condition.",
                "rule",
                "reason",
            ),
            waiting=to.gauge("sightd_events_waiting", "Events waiting to be written to disk."),
        )


@dataclass(frozen=True, slots=True)
class DeliveryFamilies:
    """The sinks that events are delivered to."""

    events: Counter
    pending: Gauge
    oldest: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            events=to.counter(
                "sightd_delivery_events_total", "Events by what became of them at a sink.", "sink", "outcome"
            ),
            pending=to.gauge(
                "sightd_delivery_pending", "Events of the journal that a sink has not processed yet.", "sink"
            ),
            oldest=to.gauge(
                "sightd_delivery_oldest_pending_seconds",
                "Age of the event that is being sent to a sink; 0 if there is none.",
                "sink",
            ),
        )


@dataclass(frozen=True, slots=True)
class RecordingFamilies:
    """Recordings of received packets."""

    buffer: Gauge
    lost: Counter
    written: dict[str, Counter]
    written_bytes: dict[str, Counter]
    errors: dict[str, Counter]
    deleted: dict[str, Counter]
    stored: dict[str, Gauge]
    free: Gauge
    limit: Gauge
    min_free: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            buffer=to.gauge(
                "sightd_recording_buffer_bytes",
                "Packets kept in memory for the beginning of recordings.",
                "camera",
            ),
            lost=to.counter(
                "sightd_recording_packets_lost_total",
                "Packets missing in recordings because the disk was too slow.",
                "camera",
            ),
            written={
                kind: to.counter(f"sightd_{kind}s_total", f"{kind.title()}s written.", "camera") for kind in RECORDINGS
            },
            written_bytes={
                kind: to.counter(f"sightd_{kind}_bytes_total", f"Bytes of {kind}s written.", "camera")
                for kind in RECORDINGS
            },
            errors={
                kind: to.counter(
                    f"sightd_{kind}_errors_total",
                    f"{kind.title()}s that could not be written or were cut short.",
                    "camera",
                )
                for kind in RECORDINGS
            },
            deleted={
                kind: to.counter(f"sightd_{kind}s_deleted_total", f"Deleted {kind}s.", "reason") for kind in RECORDINGS
            },
            stored={
                kind: to.gauge(f"sightd_{kind}s_stored_bytes", f"Size of all {kind}s on the disk.")
                for kind in RECORDINGS
            },
            free=to.gauge("sightd_recording_free_bytes", "Free space on the disk of the recordings."),
            limit=to.gauge("sightd_recording_max_bytes", "Maximum size of all recordings (recording.max_size)."),
            min_free=to.gauge(
                "sightd_recording_min_free_bytes",
                "Free space below which recordings are deleted before their time (recording.min_free).",
            ),
        )


@dataclass(frozen=True, slots=True)
class SnapshotFamilies:
    """Pictures of events."""

    written: Counter
    bytes: Counter
    dropped: Counter
    deleted: Counter
    stored: Gauge

    @classmethod
    def declared(cls, to: _Registration) -> Self:
        return cls(
            written=to.counter("sightd_snapshots_total", "Events whose snapshots were written.", "camera"),
            bytes=to.counter("sightd_snapshot_bytes_total", "Bytes of snapshots written.", "camera"),
            dropped=to.counter(
                "sightd_snapshots_dropped_total", "Selected events that have no snapshots.", "camera", "reason"
            ),
            deleted=to.counter("sightd_snapshots_deleted_total", "Events whose snapshots were deleted.", "reason"),
            stored=to.gauge("sightd_snapshots_stored_bytes", "Size of all snapshots on the disk."),
        )


@dataclass(frozen=True, slots=True)
class Families:
    """The metric families of one registry, by subject."""

    source: SourceFamilies
    frames: FrameFamilies
    stream: StreamFamilies
    plugin: PluginFamilies
    daemon: DaemonFamilies
    events: EventFamilies
    delivery: DeliveryFamilies
    recording: RecordingFamilies
    snapshots: SnapshotFamilies


def declare(registry: CollectorRegistry, version: str) -> Families:
    """Registers all families. Raises ValueError if the registry already has them."""
    Info("sightd_build", "Version of the running sightd.", registry=registry).info({"version": version})
    to = _Registration(registry)
    return Families(
        source=SourceFamilies.declared(to),
        frames=FrameFamilies.declared(to),
        stream=StreamFamilies.declared(to),
        plugin=PluginFamilies.declared(to),
        daemon=DaemonFamilies.declared(to),
        events=EventFamilies.declared(to),
        delivery=DeliveryFamilies.declared(to),
        recording=RecordingFamilies.declared(to),
        snapshots=SnapshotFamilies.declared(to),
    )


class Series:
    """Binds labels to families and remembers them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: dict[tuple[Counter | Gauge | Histogram, tuple[str, ...]], None] = {}
        self._removed = False

    def bind(self, family: Family, *values: str) -> Family:
        """Returns the child for these label values, in the order in which the family declares its labels.

        After `remove` the child still counts but is not exported: a late caller cannot restore a series.
        """
        with self._lock:
            child = family.labels(*values)
            if self._removed:
                family.remove(*values)
            else:
                self._bound[family, values] = None
            return child

    def unbind(self, family: Family, *values: str) -> None:
        """Removes one series."""
        with self._lock:
            if self._bound.pop((family, values), False) is None:
                family.remove(*values)

    def remove(self) -> None:
        """Removes all series. Idempotent."""
        with self._lock:
            self._removed = True
            for family, values in self._bound:
                family.remove(*values)
            self._bound.clear()
