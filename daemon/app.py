"""The daemon: plug-ins, servers and cameras of one configuration, started and stopped in the right order."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from daemon.camera import CameraRun
from daemon.capture.errors import Reason
from daemon.config.load import Loaded
from daemon.config.model import Camera, Output
from daemon.encode.choice import CodecChoice
from daemon.faces.desk import FaceDesk
from daemon.faces.opening import open_desk
from daemon.metrics.registry import Metrics
from daemon.observe import PluginObservation
from daemon.pipeline.breaker import BreakerState
from daemon.pipeline.guard import HANGS_AFTER
from daemon.pipeline.host import Instance, LoadEngine, PluginHost
from daemon.serve.http import create_app
from daemon.serve.http_server import HttpServer
from daemon.serve.mjpeg import JpegStream
from daemon.serve.rtsp_server import RtspServer
from daemon.serve.view import CameraEntry, CameraStatus, PluginStatus, Readiness, RtspAddress
from daemon.version import installed_version
from daemon.video_gpu import open_drawing, video_gpu
from engines.cuda.gpus import Gpus
from engines.cuda.nvdec import Nvdec, open_nvdec
from plugins import registry
from plugins.face.config import FaceConfig

log = logging.getLogger(__name__)

STOP_DEADLINE = 3.0
"""Seconds that all cameras together have to stop."""
STALLED_AFTER = 10.0
"""Seconds without a turn of an output's loop after which the process counts as unhealthy."""


class Daemon:
    """What runs; also what the web server sees of it (`DaemonView`). `start` and `stop` belong to one thread.

    `start` raises PluginError or EngineError where a plug-in cannot open, ListenError where an address is taken, and
    GStreamerMissingError or EncoderMissingError where RTSP or NVENC is asked for and cannot be; `stop` is then still
    to be called.
    """

    def __init__(self, loaded: Loaded, load_engine: LoadEngine, gpus: Gpus) -> None:
        """`gpus` are those that the engines use."""
        self._loaded = loaded
        self._gpus = gpus
        self._load_engine = load_engine
        self._config = loaded.config
        self._video_gpu = video_gpu(self._config.engines.device)
        self.metrics = Metrics(CollectorRegistry(), installed_version(), [str(reason) for reason in Reason])
        self._host = PluginHost(load_engine, lambda name: PluginObservation(self.metrics.plugin(name)))
        self._wanted = {name: camera for name, camera in self._config.cameras.items() if camera.enabled}
        self._jpegs: dict[str, JpegStream] = {}
        self._cameras: dict[str, CameraRun] = {}
        self._rtsp: RtspServer | None = None
        self._http: HttpServer | None = None
        self._nvdec: Nvdec | None = None
        self._faces: FaceDesk | None = None
        self._started = False

    def start(self) -> None:
        """Opens the plug-ins, then the servers, then the cameras: the first picture is already served annotated."""
        codecs = {name: CodecChoice(name, self._output(camera).encoder) for name, camera in self._wanted.items()}
        if any(camera.decoder == "nvdec" for camera in self._wanted.values()):
            self._nvdec = open_nvdec(self._gpus, self._video_gpu)
        for codec, reason in sorted({(choice.name, choice.reason) for choice in codecs.values()}):
            log.info("H.264 is encoded by %s: %s", codec, reason)
        self._listen()
        for name in self._loaded.plugin_configs:
            users = sum(name in self._chain(camera) for camera in self._wanted.values())
            if users:
                config = self._loaded.plugin_configs[name]
                self._host.open(name, registry.load(config.use or name), config, users)
        for name, camera in self._wanted.items():
            self._cameras[name] = self._camera(name, camera, codecs[name])
        for run in self._cameras.values():
            run.start()
        self._started = True

    def stop(self) -> None:
        """Ends cameras, plug-ins and servers, in this order; each part within a few seconds, however many there are.

        A part that cannot be ended in order does not keep the others. May follow a start that broke off anywhere.
        """
        with ExitStack() as parts:  # ends what was entered last first
            if self._faces is not None:
                parts.callback(self._faces.close)
            if self._http is not None:
                parts.callback(self._http.close)
            if self._rtsp is not None:
                parts.callback(self._rtsp.close)
            parts.callback(self._host.close)
            parts.callback(self._stop_cameras)

    def _stop_cameras(self) -> None:
        runs = list(self._cameras.values())
        for run in runs:
            run.request_stop()
        until = time.monotonic() + STOP_DEADLINE
        for run in runs:
            run.stop(max(0.0, until - time.monotonic()))
        for jpeg in self._jpegs.values():
            jpeg.close()

    def cameras(self) -> Sequence[CameraEntry]:
        return [
            CameraEntry(name, camera.title or name, self._rtsp_address(name)) for name, camera in self._wanted.items()
        ]

    def jpeg(self, camera: str) -> JpegStream | None:
        return self._jpegs.get(camera)

    def rtsp_url(self, camera: str) -> str | None:
        """The camera's RTSP address as this machine reaches it."""
        address = self._rtsp_address(camera)
        return None if address is None else address.url(reachable(self._config.rtsp.host))

    def http_url(self) -> str | None:
        """The web server's address as this machine reaches it."""
        if self._http is None:
            return None
        host = reachable(self._config.http.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._http.port}"

    def readiness(self) -> Readiness:
        """Ready once all has started, every camera sends and is shown, and no plug-in is taken out or hangs."""
        cameras = {name: run.status() for name, run in list(self._cameras.items())}
        plugins = {name: _plugin_status(instance) for name, instance in dict(self._host.instances).items()}
        reasons = [*_reasons(self._started, cameras), *_plugin_reasons(self._host.instances)]
        return Readiness(ready=not reasons, cameras=cameras, plugins=plugins, reasons=reasons)

    def healthy(self) -> tuple[bool, str]:
        """Whether every camera's output still turns; a camera that is away does not make the process unhealthy."""
        now = time.monotonic()
        stalled = [name for name, run in list(self._cameras.items()) if run.stalled_for(now) > STALLED_AFTER]
        if stalled:
            return False, f"the output of {', '.join(stalled)} stands still for more than {STALLED_AFTER:.0f} s"
        return True, f"all {len(self._cameras)} camera outputs turn"

    def _chain(self, camera: Camera) -> Sequence[str]:
        return self._config.chain if camera.chain is None else camera.chain

    def _rtsp_address(self, camera: str) -> RtspAddress | None:
        return None if self._rtsp is None else self._rtsp.address(camera)

    def _output(self, camera: Camera) -> Output:
        return camera.output or self._config.output

    def _listen(self) -> None:
        if self._config.rtsp.enabled:
            self._rtsp = RtspServer(self._config.rtsp)
            self._rtsp.start()
        if self._config.http.enabled:
            for name, camera in self._wanted.items():  # before the server: who comes early waits for the first picture
                self._jpegs[name] = JpegStream(self._output(camera).mjpeg_max_fps)
            options = self._config.http
            self._faces = self._face_desk()
            app = create_app(self, self.metrics.exposition, options.max_viewers, self._faces, options.host)
            self._http = HttpServer(self._config.http, app)
            self._http.start()

    def _face_desk(self) -> FaceDesk | None:
        """Of the first face plug-in that a camera uses."""
        used = {name for camera in self._wanted.values() for name in self._chain(camera)}
        for name, config in self._loaded.plugin_configs.items():
            if name in used and isinstance(config, FaceConfig):
                return open_desk(config, self._load_engine, os.environ)
        return None

    def _camera(self, name: str, camera: Camera, codec: CodecChoice) -> CameraRun:
        return CameraRun(
            name,
            camera,
            chain=self._chain(camera),
            render=camera.render or self._config.render,
            output=self._output(camera),
            codec=codec,
            nvdec=self._nvdec if camera.decoder == "nvdec" else None,
            drawing=open_drawing(self._gpus, self._video_gpu, name) if camera.decoder == "nvdec" else None,
            host=self._host,
            metrics=self.metrics,
            rtsp=None if self._rtsp is None else self._rtsp.add(name),
            jpeg=self._jpegs.get(name),
        )


def reachable(host: str) -> str:
    """A host to write into an address where a server listens on every one."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host


def _plugin_status(instance: Instance) -> PluginStatus:
    guard = instance.guard
    if not instance.engines:
        return PluginStatus(breaker=guard.state.value, faults=guard.faults)
    engine = instance.engines[0]
    backend = engine.session.backend
    return PluginStatus(
        model=engine.model.name,
        backend=backend.name,
        precision=backend.precision,
        device=backend.device,
        reason=engine.reason,
        breaker=guard.state.value,
        faults=guard.faults,
    )


def _plugin_reasons(instances: Mapping[str, Instance]) -> Iterator[str]:
    for name, instance in dict(instances).items():
        guard = instance.guard
        if guard.state is BreakerState.OPEN:
            yield f"plug-in {name} is taken out after faults: {guard.last_fault}"
        if guard.busy_for > HANGS_AFTER:
            yield f"plug-in {name} hangs: it has been at one batch for {guard.busy_for:.0f} s"


def _reasons(started: bool, cameras: Mapping[str, CameraStatus]) -> Sequence[str]:
    if not started:
        return ["starting: plug-ins are being opened"]
    return [
        f"camera {name} is {status.state}" + (f": {status.reason}" if status.reason else "")
        for name, status in cameras.items()
        if status.state not in ("live", "ended")
    ]
