"""Makes parts of the daemon from a configuration: those that need several others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry

from sightd.daemon.administration.configuration import Reloading
from sightd.daemon.administration.services import Administration
from sightd.daemon.app.cameras import CameraManager
from sightd.daemon.capture.errors import Reason
from sightd.daemon.common.process import installed_version
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.model import Config
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.model_loading import verifier_of
from sightd.daemon.recording.recorder import Recorder
from sightd.daemon.recording.store import recordings_folder
from sightd.daemon.serve.webrtc.service import WebRtcService
from sightd.daemon.snapshots.store import snapshots_folder
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.sessions.factories import installed_backends


def new_metrics() -> Metrics:
    reasons = [str(reason) for reason in Reason if reason is not Reason.SILENT]
    return Metrics(CollectorRegistry(), installed_version(), reasons, list(EventKind))


def recorder_of(config: Config, journal: Journal, metrics: Metrics) -> Recorder | None:
    """Returns the recorder, which decides which events of the journal get clips; None if nothing is recorded."""
    options = config.recording
    if options.clips is None and options.segments is None:
        return None
    kept = metrics.recordings(options.max_size, options.min_free)
    recorder = Recorder(recordings_folder(options, os.environ), options, journal, kept)
    journal.decide_clips(recorder.records)
    return recorder


def snapshots_of(config: Config, metrics: Metrics) -> SnapshotWriter | None:
    options = config.events.snapshots
    if options is None:
        return None
    return SnapshotWriter(snapshots_folder(options, os.environ), options, metrics.snapshots())


def webrtc_of(config: Config) -> WebRtcService | None:
    """Returns what shows video by WebRTC, over the web server; None if one of both is off."""
    enabled = config.webrtc.enabled and config.http.enabled
    return WebRtcService(config.webrtc, config.http.host) if enabled else None


def administration_of(
    loaded: Callable[[], LoadedConfig],
    reloading: Reloading,
    cameras: CameraManager,
    plugins: PluginManager,
    journal: Journal,
    gpus: Gpus,
) -> Administration:
    """Returns what the API changes; `loaded` returns the running configuration."""

    def paused(camera: str) -> bool | None:
        run = cameras.runs.get(camera)
        return None if run is None or not run.chain or not run.can_pause else run.paused

    def running_models() -> Mapping[str, Sequence[str]]:
        instances = dict(plugins.instances)
        return {name: [engine.model.name for engine in one.engines] for name, one in instances.items()}

    return Administration(
        loaded().path,
        loaded,
        reloading,
        paused=paused,
        pause=cameras.pause,
        events=journal.reader,
        running_models=running_models,
        backends=installed_backends(verifier_of, gpus).factories,
        environ=os.environ,
    )
