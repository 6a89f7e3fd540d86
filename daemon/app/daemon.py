"""The daemon: starts and stops the plug-ins, servers and cameras of one configuration in the right order."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from sightd.daemon.administration.configuration import Reloading
from sightd.daemon.administration.services import Administration
from sightd.daemon.app.assembly import administration_of, new_metrics, recorder_of, snapshots_of, webrtc_of
from sightd.daemon.app.cameras import CameraManager, codecs_of, uses_nvdec, video_gpu
from sightd.daemon.app.health import DaemonState
from sightd.daemon.app.home import DaemonHome
from sightd.daemon.app.log_ring import LogRing
from sightd.daemon.app.plugin_services import PluginServices, ServedPlugin, offered_routes
from sightd.daemon.app.resources import DiskWatch
from sightd.daemon.common.process import Deadline, installed_version
from sightd.daemon.config.diff import ConfigDiff, chain_of, diff, enabled, plugins_in_use, with_fixed_sections
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.model import Config
from sightd.daemon.config.problems import ConfigError, LocatedProblem, PathKey
from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.encode.choice import CodecChoice, EncoderMissingError
from sightd.daemon.events.event import Event, EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import journal_of
from sightd.daemon.events.rules import EventRules, kinds_by_rule
from sightd.daemon.isolation.opening import LoadEngine
from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.daemon.serve.auth import Access, PeerRoles
from sightd.daemon.serve.errors import TlsError
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.control_socket import ControlSocket, open_control
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.rtsp.server import RtspServer
from sightd.daemon.serve.stored_tokens import FILE as TOKENS
from sightd.daemon.serve.stored_tokens import StoredTokens
from sightd.daemon.snapshots.store import ANNOTATED
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.cuda.nvdec import open_nvdec
from sightd.engines.errors import EngineError
from sightd.engines.files import state_directory
from sightd.engines.progress import Progress, silent
from sightd.plugins.api import EventRef, Phase, PluginError, Route
from sightd.plugins.configuration import registry


@contextmanager
def as_config_error(loaded: LoadedConfig, path: PathKey) -> Iterator[None]:
    """Re-raises a plug-in, model, encoder or certificate error of the block as a ConfigError at `path` of the file."""
    try:
        yield
    except (PluginError, EngineError, EncoderMissingError, TlsError) as error:
        place = loaded.positions.value(path)
        raise ConfigError([LocatedProblem(path, str(error), "", *place, str(loaded.path))]) from error


def _kinds_by_rule(loaded: LoadedConfig) -> frozenset[str]:
    """Returns the kinds of events of the plug-ins in use that are stored only if a rule selects them."""
    return kinds_by_rule(registry.load(options.use or name) for name, options in plugins_in_use(loaded).items())


log = logging.getLogger(__name__)

STOP_TIME = 14.0
"""Seconds within which `Daemon.stop` finishes, even if several components hang."""
PARTS_TIME = 6.5
"""Seconds of STOP_TIME reserved for cameras, plug-ins, servers, journal and sinks while waiting for a change."""
_PICTURE_PATIENCE = 3.0
"""Seconds that a notification waits for a snapshot that is being drawn."""
_CHANGE_PATIENCE = 8.0
"""Seconds that a stop waits for such a change to end."""


class AbandonedError(BaseException):
    """A start or reload may not change anything any more: the daemon is stopping, or it took too long."""


class Daemon:
    """The running daemon. `state` is what it reports, to the web server and to systemd.

    Call `start` and then `apply` one at a time, on any thread. `stop` may be called at any time, even while one of them
    hangs: the hanging call then raises AbandonedError and changes nothing more.

    `start` raises PluginError or EngineError if a plug-in cannot open, EncoderMissingError if NVENC is required but
    unavailable, and a ServeError if a server cannot start (such as ListenError, TlsError or GStreamerMissingError).
    Call `stop` even then.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        load_engine: LoadEngine,
        gpus: Gpus,
        reloading: Reloading | None = None,
        progress: Progress = silent,
    ) -> None:
        """`gpus` are shared with the engines. `progress` receives the progress of opening isolated plug-ins.
        `reloading` is asked for a reload over HTTP; it must make the daemon's own thread call `apply`."""
        self._reloading = reloading
        self._loaded = loaded
        self._gpus = gpus
        self._load_engine = load_engine
        self._config = loaded.config
        self._video_gpu = video_gpu(self._config.engines.device)
        self.metrics = new_metrics()
        self._tokens = StoredTokens(state_directory(os.environ) / TOKENS)
        peers = PeerRoles(self._config.control.groups)
        self._access = Access(self._config.access, self.metrics.refused, peers, self._tokens, self._config.http.proxies)
        events = self._config.events
        self.journal = Journal(journal_of(events, os.environ), events.retention, events.max_count, self.metrics.events)
        self.recorder = recorder_of(self._config, self.journal, self.metrics)
        self.snapshots = snapshots_of(self._config, self.metrics)
        self._disk = DiskWatch(state_directory(os.environ), self.metrics.state_disk)
        self._observations: dict[str, PluginObservation] = {}
        self._manager = PluginManager(
            load_engine,
            self._observation,
            networks=partial(engine_loading, self._config.models, self._config.engines),
            progress=progress,
        )
        self._rules = EventRules(self.metrics.rules)
        self._rules.apply(events.rules, _kinds_by_rule(loaded))
        self._camera_manager = CameraManager(
            self._manager, self.metrics, self.journal, self._rules, gpus, self._video_gpu
        )
        self._camera_manager.recorder, self._camera_manager.snapshots = self.recorder, self.snapshots
        self.delivery = EventDelivery(
            self.journal, os.environ, self.metrics.delivery, self._home(reloading), self._picture_of
        )
        self._http: HttpServer | None = None
        self._webrtc = webrtc_of(self._config)
        self._control: ControlSocket | None = None
        self._administration = self._administration_by(reloading)
        self._log_ring = LogRing()
        self._services = PluginServices(load_engine, os.environ, self.metrics.state_writable)
        self._routes: PluginRoutes | None = None
        self.state = DaemonState(
            loaded,
            self._camera_manager,
            self._manager,
            self._observations,
            self.journal,
            self._services,
            self.delivery,
            self.recorder,
            self.snapshots,
        )
        self._began: EventRef | None = None
        self._stopped = False
        self._changing = threading.Lock()

    def _administration_by(self, reloading: Reloading | None) -> Administration | None:
        if reloading is None:
            return None
        cameras, plugins = self._camera_manager, self._manager
        return administration_of(lambda: self._loaded, reloading, cameras, plugins, self.journal, self._gpus)

    def _home(self, reloading: Reloading | None) -> DaemonHome:
        return DaemonHome(
            self._camera_manager,
            lambda: self._loaded,
            lambda: self.state.readiness(),
            None if reloading is None else reloading.ask,
            partial(self._picture_of, patience=0.0),
        )

    def start(self) -> None:
        """Opens the servers, then the plug-ins, then the cameras, so that even the first frame is annotated. Raises
        AlreadyRunningError, before anything is written, if a daemon with the same control socket is running."""
        self._log_ring.attach()
        self._tokens.load()
        refused = self.metrics.connection_refused("http")
        self._control = self.state.control = open_control(
            self._config.control, self._loaded.path, self._access.peers, os.environ, refused
        )
        self._disk.start()
        self.journal.start()
        self._began = self.journal.note(EventKind.DAEMON_STARTED, phase=Phase.BEGAN, version=installed_version())
        self.delivery.apply(self._config.delivery)
        if self.recorder is not None:
            self.recorder.start()
        if self.snapshots is not None:
            self.snapshots.start()
        cameras = list(enabled(self._config))
        codecs = codecs_of(self._config, cameras)
        self._open_nvdec(self._config, cameras)
        for codec, reason in sorted({(choice.name, choice.reason) for choice in codecs.values()}):
            log.info("using %s to encode H.264: %s", codec, reason)
        with self._change():
            self._listen(cameras)
        for name in plugins_in_use(self._loaded):
            with ExitStack() as undo:
                instance = self._opened(self._loaded, name)
                undo.callback(self._manager.discard, instance)
                with self._change():
                    self._manager.add(instance)
                    undo.pop_all()
        with self._change():
            self._camera_manager.ptz.apply(self._config)
            self._camera_manager.start(self._config, codecs)
        self.state.started = True

    def apply(self, loaded: LoadedConfig, commit: Callable[[], None] = lambda: None) -> ConfigDiff:
        """Applies another configuration to the running daemon; everything unchanged keeps running.

        Plug-ins are opened before anything is stopped: if one fails or an encoder is missing, nothing changes and
        ConfigError is raised with its position in the file. Sections that need a restart keep their old values, but
        renewed certificates are used for new connections.
        `commit` is called after everything is open and before anything changes; if it raises, nothing changes.
        """
        change, old = diff(self._loaded, loaded), self._loaded
        wanted = loaded.config
        config = with_fixed_sections(wanted, old.config, change.fixed)
        loaded = replace(loaded, config=config)
        codecs: dict[str, CodecChoice] = {}
        for name in (*change.added, *change.changed):
            with as_config_error(loaded, ("cameras", name)):
                codecs |= codecs_of(config, [name])
                self._open_nvdec(config, [name])
        with ExitStack() as undo:
            ready = []
            for name in (*change.opened, *change.replaced):
                if name in change.opened:
                    undo.callback(self._lose_sight_of, name)
                with as_config_error(loaded, ("plugins", name)):
                    ready.append(self._opened(loaded, name))
                undo.callback(self._manager.discard, ready[-1])
            for name in change.adjusted:
                with as_config_error(loaded, ("plugins", name)):
                    self._manager.reconfigure(name, loaded.plugin_configs[name])
                undo.callback(self._manager.reconfigure, name, old.plugin_configs[name])
            with as_config_error(loaded, ("plugins",)):
                routes = offered_routes(loaded) if self._http is not None else {}
                services = self._services.opened(loaded) if self._http is not None else {}
            undo.callback(self._services.discard, services)
            renewals = self._renewals(loaded, wanted)
            change = replace(change, renewed=tuple(renewals))
            with self._change():
                commit()
                undo.pop_all()
                self._follow(loaded, change, codecs, ready)
                self._serve(services, routes)
                for renew in renewals.values():
                    renew()
        return change

    def _renewals(self, loaded: LoadedConfig, wanted: Config) -> dict[str, Callable[[], None]]:
        """Reads the servers' certificates again. Returns, for each that was renewed, a function that uses it. If `tls`
        of a section changed, its old files may be gone: the certificate stays until the restart that this requires."""
        found: dict[str, Callable[[], None]] = {}
        for section, server in (("rtsp", self._camera_manager.rtsp), ("http", self._http)):
            if server is not None and getattr(wanted, section).tls == getattr(self._config, section).tls:
                with as_config_error(loaded, (section, "tls")):
                    if renew := server.renewal():
                        found[section] = renew
        return found

    def _follow(
        self, loaded: LoadedConfig, change: ConfigDiff, codecs: Mapping[str, CodecChoice], ready: Iterable[Instance]
    ) -> None:
        self._camera_manager.stop((*change.changed, *change.removed))
        self._camera_manager.remove(change.removed)
        for name in (*change.closed, *change.replaced):
            self._manager.remove(name)
            if name in change.closed:
                self._lose_sight_of(name)
        for instance in ready:
            self._manager.add(instance)
        self._loaded = self.state.loaded = loaded
        self._config = loaded.config
        self._rules.apply(loaded.config.events.rules, _kinds_by_rule(loaded))
        self._camera_manager.place(loaded.config, enabled(loaded.config))
        self._camera_manager.ptz.apply(loaded.config)
        self._camera_manager.start(loaded.config, codecs)
        self.delivery.apply(loaded.config.delivery)

    def reloaded(self, change: ConfigDiff | None, reason: str = "") -> None:
        """Counts and journals a reload: its changes, or (None) the `reason` it was refused."""
        self.metrics.reloaded(change is not None)
        if change is None:
            self.journal.note(EventKind.CONFIG_RELOADED, outcome="refused", reason=reason)
        else:
            changed: dict[str, Any] = {what: list(names) for what, names in asdict(change).items() if names}
            self.journal.note(EventKind.CONFIG_RELOADED, outcome="applied", **changed)

    def stop(self, deadline: Deadline | None = None) -> None:
        """Stops cameras, plug-ins and servers, in this order, by `deadline` (None: within STOP_TIME). A component that
        hangs is abandoned when its share of the time is over, so that the others get theirs.

        A component that fails to stop does not prevent the others from stopping. May follow a start that failed at any
        point.
        """
        deadline = deadline or Deadline(STOP_TIME)
        if self._changing.acquire(timeout=deadline.within(_CHANGE_PATIENCE, keep=PARTS_TIME)):
            self._stopped = True
            self._changing.release()
        else:
            self._stopped = True
            log.error("a start or reload hangs while applying changes; abandoning it")
        with ExitStack() as parts:  # runs the callbacks in reverse order
            parts.callback(self._log_ring.detach)
            parts.callback(lambda: self.delivery.close(deadline.within(2.0)))
            parts.callback(self._disk.close)
            if (snapshots := self.snapshots) is not None:
                parts.callback(lambda: snapshots.close(deadline.within(2.0, keep=0.5)))
            parts.callback(lambda: self.journal.close(deadline.within(3.0, keep=1.0)))
            parts.callback(self._note_stopped)
            if (recorder := self.recorder) is not None:
                parts.callback(lambda: recorder.close(deadline.within(2.0, keep=1.5)))
            parts.callback(lambda: self._services.close(deadline.within(2.0, keep=2.0)))
            if (webrtc := self._webrtc) is not None:
                parts.callback(lambda: webrtc.close(deadline.within(1.0, keep=2.5)))
            if (administration := self._administration) is not None:
                parts.callback(lambda: administration.close(deadline.within(1.0, keep=3.0)))
            if self._control is not None:  # the web server owns it later, but may never have been created
                parts.callback(self._control.close)
            if (http := self._http) is not None:
                parts.callback(lambda: http.close(deadline.within(2.0, keep=3.5)))
            if (rtsp := self._camera_manager.rtsp) is not None:
                parts.callback(lambda: rtsp.close(deadline.within(2.0, keep=4.0)))
            parts.callback(lambda: self._camera_manager.ptz.close(deadline.within(1.0, keep=4.5)))
            parts.callback(lambda: self._manager.close(deadline.within(5.0, keep=5.0)))
            parts.callback(lambda: self._camera_manager.close(deadline.within(3.0, keep=5.5)))

    def _note_stopped(self) -> None:
        phase = Phase.ONCE if self._began is None else Phase.ENDED
        self.journal.note(EventKind.DAEMON_STOPPED, phase=phase, about=self._began)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Lock held while the running state changes. Raises AbandonedError if the daemon was stopped."""
        with self._changing:
            if self._stopped:
                raise AbandonedError
            self.state.changing_since = time.monotonic()
            try:
                yield
            finally:
                self.state.changing_since = None

    def _awaits_clip(self, event: int) -> bool:
        return self.recorder is not None and self.recorder.awaits(event)

    def _picture_of(self, event: Event, patience: float = _PICTURE_PATIENCE) -> Path | None:
        """Returns the file with an event's annotated snapshot. Waits up to `patience` s if it is just being drawn."""
        if self.snapshots is None or not event.snapshot:
            return None
        return self.snapshots.find(event, ANNOTATED, patience)

    def _open_nvdec(self, config: Config, cameras: Iterable[str]) -> None:
        if self._camera_manager.nvdec is None and uses_nvdec(config, cameras):
            self._camera_manager.nvdec = open_nvdec(self._gpus, self._video_gpu)

    def _observation(self, name: str) -> PluginObservation:
        """The observation of a plug-in, shared by successive instances: if one is replaced while disabled, the plug-in
        counts as down until the new one runs."""
        if name not in self._observations:
            self._observations[name] = PluginObservation(self.metrics.plugin(name), self.journal)
        return self._observations[name]

    def _lose_sight_of(self, plugin: str) -> None:
        observation = self._observations.pop(plugin, None)
        if observation is not None:
            observation.removed()
        self.metrics.remove_plugin(plugin)

    def _opened(self, loaded: LoadedConfig, name: str) -> Instance:
        """Opens a plug-in instance that serves no camera yet."""
        options, config = loaded.plugin_configs[name], loaded.config
        users = sum(name in chain_of(config, camera) for camera in enabled(config).values())
        self.state.opening = name
        return self._manager.open(name, registry.load(options.use or name), options, users)

    def _listen(self, cameras: Sequence[str]) -> None:
        if self._config.rtsp.enabled:
            self._camera_manager.rtsp = RtspServer(
                self._config.rtsp, self._access, self.metrics.connection_refused("rtsp")
            )
            self._camera_manager.rtsp.start()
        self._camera_manager.place(
            self._config, cameras
        )  # before the web server: early viewers wait for the first frame
        if self._config.http.enabled or self._control is not None:
            options = self._config.http
            app = create_app(
                self.state,
                self.metrics.exposition,
                options.max_viewers,
                self._access,
                None if self._reloading is None else self._reloading.ask,
                self.journal,
                None if self.recorder is None else self.recorder.reader,
                self.delivery,
                self._camera_manager.live,
                self.snapshots,
                self._awaits_clip,
                self._webrtc,
                administration=self._administration,
                log_tail=self._log_ring,
                ptz=self._camera_manager.ptz,
                configured=lambda: self._loaded.config.cameras,
            )
            self._routes = PluginRoutes(app, self._services.service, self._access)
            self._serve(self._services.opened(self._loaded), offered_routes(self._loaded))
            self._http = HttpServer(options, app, self.metrics.connection_refused("http"), self._control)
            self.state.http = self._http
            self._http.start()

    def _serve(self, services: Mapping[str, ServedPlugin], routes: Mapping[str, Sequence[Route]]) -> None:
        """Serves these services of plug-ins, and only these."""
        self._services.serve(services)
        if self._routes is not None:
            for kind, ones in routes.items():
                self._routes.add(kind, ones)
