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
from typing import Any

from prometheus_client import CollectorRegistry

from sightd.daemon.app.cameras import CameraManager, codecs_of, uses_nvdec, video_gpu
from sightd.daemon.app.health import (
    all_viewers,
    camera_reasons,
    camera_reports,
    plugin_reasons,
    plugin_report,
    plugin_status,
    starting,
    storage_report,
    versions,
)
from sightd.daemon.app.plugin_services import PluginServices, ServedPlugin, offered_routes
from sightd.daemon.capture.errors import Reason
from sightd.daemon.common.process import Deadline, installed_version
from sightd.daemon.config.diff import ConfigDiff, chain_of, diff, enabled, plugins_in_use
from sightd.daemon.config.load import LoadedConfig
from sightd.daemon.config.model import Config
from sightd.daemon.config.problems import ConfigError, LocatedProblem, PathKey
from sightd.daemon.encode.choice import CodecChoice, EncoderMissingError
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import journal_of
from sightd.daemon.isolation.opening import LoadEngine
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.manager import Instance, PluginManager
from sightd.daemon.pipeline.model_loading import engine_loading
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.daemon.serve.auth import Access, PeerRoles
from sightd.daemon.serve.errors import TlsError
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.control_socket import ControlSocket, open_control
from sightd.daemon.serve.http.routes_daemon import AskReload
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.limits import descriptor_shortage
from sightd.daemon.serve.rtsp.server import RtspServer
from sightd.daemon.serve.view import CameraEntry, ConfigurationStatus, Readiness, Servers, Status
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.cuda.nvdec import open_nvdec
from sightd.engines.errors import EngineError
from sightd.engines.progress import Progress, silent
from sightd.plugins.api import PluginError, Route
from sightd.plugins.configuration import registry
from sightd.plugins.storage.state_directory import state_directory


@contextmanager
def as_config_error(loaded: LoadedConfig, path: PathKey) -> Iterator[None]:
    """Re-raises a plug-in, model, encoder or certificate error of the block as a ConfigError at `path` of the file."""
    try:
        yield
    except (PluginError, EngineError, EncoderMissingError, TlsError) as error:
        place = loaded.positions.value(path)
        raise ConfigError([LocatedProblem(path, str(error), "", *place, str(loaded.path))]) from error


log = logging.getLogger(__name__)

STALLED_AFTER = 10.0
"""Seconds without progress of an output loop or server after which the process counts as unhealthy."""


COMMIT_LIMIT = 60.0
"""Seconds after which a start or reload that is applying changes counts as hung."""
STOP_TIME = 14.0
"""Seconds within which `Daemon.stop` finishes, even if several components hang."""
PARTS_TIME = 6.0
"""Seconds of STOP_TIME reserved for cameras, plug-ins, servers and journal while waiting for a change."""
_CHANGE_PATIENCE = 8.0
"""Seconds that a stop waits for such a change to end."""


class AbandonedError(BaseException):
    """A start or reload may not change anything any more: the daemon is stopping, or it took too long."""


class Daemon:
    """The running daemon; also the web server's view of it (`DaemonView`).

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
        ask_reload: AskReload | None = None,
        progress: Progress = silent,
    ) -> None:
        """`gpus` are shared with the engines. `progress` receives the progress of opening isolated plug-ins.
        `ask_reload` is called when a reload is requested over HTTP; it must make the daemon's own thread call
        `apply`."""
        self._ask_reload = ask_reload
        self._loaded = loaded
        self._gpus = gpus
        self._load_engine = load_engine
        self._config = loaded.config
        self._video_gpu = video_gpu(self._config.engines.device)
        self.metrics = Metrics(
            CollectorRegistry(),
            installed_version(),
            [str(reason) for reason in Reason if reason is not Reason.SILENT],
            list(EventKind),
        )
        self._access = Access(self._config.access, self.metrics.refused, PeerRoles(self._config.control.groups))
        events = self._config.events
        self.journal = Journal(journal_of(events, os.environ), events.retention, events.max_count, self.metrics.events)
        self._observations: dict[str, PluginObservation] = {}
        self._manager = PluginManager(
            load_engine,
            self._observation,
            networks=partial(engine_loading, self._config.models, self._config.engines),
            progress=progress,
        )
        self._camera_manager = CameraManager(self._manager, self.metrics, self.journal, gpus, self._video_gpu)
        self._http: HttpServer | None = None
        self._control: ControlSocket | None = None
        self._services = PluginServices(load_engine, os.environ, self.metrics.state_writable)
        self._routes: PluginRoutes | None = None
        self._started_at = time.monotonic()
        self._started = self._stopped = False
        self._changing = threading.Lock()
        self._changing_since: float | None = None
        self._opening: str | None = None
        self.configuration = ConfigurationStatus("current", time.time())
        """Whether the running configuration matches the file; set by the thread that reloads it."""

    def start(self) -> None:
        """Opens the servers, then the plug-ins, then the cameras, so that even the first frame is annotated. Raises
        AlreadyRunningError, before anything is written, if a daemon with the same control socket is running."""
        refused = self.metrics.connection_refused("http")
        self._control = open_control(self._config.control, self._loaded.path, self._access.peers, os.environ, refused)
        self.journal.start()
        self.journal.note(EventKind.DAEMON_STARTED, version=installed_version())
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
            self._camera_manager.start(self._config, codecs)
        self._started = True

    def apply(self, loaded: LoadedConfig, commit: Callable[[], None] = lambda: None) -> ConfigDiff:
        """Applies another configuration to the running daemon; everything unchanged keeps running.

        Plug-ins are opened before anything is stopped: if one fails or an encoder is missing, nothing changes and
        ConfigError is raised with its position in the file. Sections that need a restart keep their old values, but
        renewed certificates are used for new connections.
        `commit` is called after everything is open and before anything changes; if it raises, nothing changes.
        """
        change, old = diff(self._loaded, loaded), self._loaded
        wanted = loaded.config
        config = wanted.model_copy(update={name: getattr(old.config, name) for name in change.fixed})
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
            with as_config_error(loaded, ("plugins",)):
                routes = [*offered_routes(loaded)] if self._http is not None else []
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
        self._loaded, self._config = loaded, loaded.config
        self._camera_manager.place(loaded.config, enabled(loaded.config))
        self._camera_manager.start(loaded.config, codecs)

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
            parts.callback(lambda: self.journal.close(deadline.within(3.0)))
            parts.callback(self.journal.note, EventKind.DAEMON_STOPPED)
            parts.callback(lambda: self._services.close(deadline.within(2.0, keep=0.5)))
            if self._control is not None:  # the web server owns it later, but may never have been created
                parts.callback(self._control.close)
            if (http := self._http) is not None:
                parts.callback(lambda: http.close(deadline.within(2.0, keep=1.0)))
            if (rtsp := self._camera_manager.rtsp) is not None:
                parts.callback(lambda: rtsp.close(deadline.within(2.0, keep=1.5)))
            parts.callback(lambda: self._manager.close(deadline.within(5.0, keep=2.5)))
            parts.callback(lambda: self._camera_manager.close(deadline.within(3.0, keep=4.0)))

    def cameras(self) -> Sequence[CameraEntry]:
        return self._camera_manager.entries()

    def jpeg(self, camera: str) -> JpegStream | None:
        return self._camera_manager.jpeg(camera)

    def rtsp_url(self, camera: str) -> str | None:
        """The camera's RTSP address as reached from this machine."""
        address = self._camera_manager.address(camera)
        return None if address is None else address.url(reachable(self._config.rtsp.host))

    def http_url(self) -> str | None:
        """The web server's address as reached from this machine; None if it is disabled or not started."""
        if self._http is None or not self._config.http.enabled:
            return None
        host = reachable(self._config.http.host)
        scheme = "http" if self._config.http.tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._http.port}"

    def readiness(self) -> Readiness:
        """Ready if everything has started, every camera is live and shown, no plug-in is disabled or hangs, and state
        can be written."""
        cameras = {name: run.status() for name, run in self._camera_manager.runs.items()}
        plugins = {name: plugin_status(instance) for name, instance in dict(self._manager.instances).items()}
        lost = self.journal.fault
        state = [*([] if lost is None else [f"events cannot be kept: {lost}"]), *self._services.faults]
        if few := descriptor_shortage():
            state.append(few)
        reasons = [
            *camera_reasons(self._started, cameras, self._opening),
            *plugin_reasons(self._manager.instances),
            *state,
        ]
        return Readiness(not reasons, cameras, plugins, reasons, self.configuration)

    def status(self) -> Status:
        """Returns the content of `/api/status`. May block on the disk that holds the state."""
        readiness, http_url = self.readiness(), self.http_url()
        uptime = time.monotonic() - self._started_at
        cameras = camera_reports(self._camera_manager, reachable(self._config.rtsp.host), http_url)
        rtsp = self._camera_manager.rtsp
        return Status(
            version=installed_version(),
            pid=os.getpid(),
            started_at=time.time() - uptime,
            uptime=uptime,
            config=str(self._loaded.path.absolute()),
            configuration=readiness.configuration,
            ready=readiness.ready,
            reasons=readiness.reasons,
            cameras=cameras,
            plugins=[
                plugin_report(instance, self._observations.get(name))
                for name, instance in dict(self._manager.instances).items()
            ],
            viewers=all_viewers(cameras),
            servers=Servers(
                rtsp=None if rtsp is None else rtsp.address("").url(reachable(self._config.rtsp.host)),
                http=http_url,
                control=None if self._control is None else str(self._control.path),
            ),
            storage=storage_report(state_directory(os.environ), self.journal, self._services),
            versions=versions(),
        )

    def healthy(self) -> tuple[bool, str]:
        """Whether every loop (feeds, outputs, servers) makes progress. An offline camera does not make the process
        unhealthy, nor does a hanging plug-in, which its supervisor handles."""
        now, runs = time.monotonic(), self._camera_manager.runs
        stalled = [what for run in runs.values() if (what := run.stalled(now, STALLED_AFTER))]
        servers = {"the RTSP server": self._camera_manager.rtsp, "the web server": self._http}
        for name, server in servers.items():
            if server is not None and now - server.progress_at > STALLED_AFTER:
                stalled.append(name)
        since = self._changing_since
        if since is not None and now - since > COMMIT_LIMIT:
            stalled.append("a start or reload that is applying changes")
        if stalled:
            return False, f"{', '.join(stalled)} is stuck"
        loops = f"all loops of {len(runs)} cameras and {sum(map(bool, servers.values()))} servers are running"
        if not self._started:
            return True, f"{loops}; {starting(self._opening)}"
        return True, loops if self.configuration.state == "current" else f"{loops}; {self.configuration}"

    def summary(self) -> str:
        """Status in one line, for systemd."""
        states = [run.status() for run in self._camera_manager.runs.values()]
        live = [state for state in states if state.state in ("live", "ended")]
        away = f", {len(states) - len(live)} offline" if len(live) < len(states) else ""
        line = f"{len(live)} of {len(states)} cameras live{away}, {sum(state.fps or 0 for state in live):.0f} fps"
        return line if self.configuration.state == "current" else f"{line}; {self.configuration}"

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Lock held while the running state changes. Raises AbandonedError if the daemon was stopped."""
        with self._changing:
            if self._stopped:
                raise AbandonedError
            self._changing_since = time.monotonic()
            try:
                yield
            finally:
                self._changing_since = None

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
        self._observations.pop(plugin, None)
        self.metrics.remove_plugin(plugin)

    def _opened(self, loaded: LoadedConfig, name: str) -> Instance:
        """Opens a plug-in instance that serves no camera yet."""
        options, config = loaded.plugin_configs[name], loaded.config
        users = sum(name in chain_of(config, camera) for camera in enabled(config).values())
        self._opening = name
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
                self,
                self.metrics.exposition,
                options.max_viewers,
                self._access,
                self._ask_reload,
                self.journal,
            )
            self._routes = PluginRoutes(app, self._services.service, self._access)
            self._serve(self._services.opened(self._loaded), offered_routes(self._loaded))
            self._http = HttpServer(options, app, self.metrics.connection_refused("http"), self._control)
            self._http.start()

    def _serve(self, services: Mapping[str, ServedPlugin], routes: Iterable[tuple[str, Sequence[Route]]]) -> None:
        """Serves these services of plug-ins, and only these."""
        self._services.serve(services)
        if self._routes is not None:
            for kind, ones in routes:
                self._routes.add(kind, ones)


def reachable(host: str) -> str:
    """The host to use in a URL if a server listens on all addresses."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
