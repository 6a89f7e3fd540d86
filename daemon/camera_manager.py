"""Starts, stops and removes cameras one by one, without affecting the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sightd.daemon.camera import CameraRun
from sightd.daemon.config.diff import chain_of, output_of, render_of
from sightd.daemon.config.model import Camera, Config
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.events.availability import ReportedState
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.serve.mjpeg import JpegStream
from sightd.daemon.serve.rtsp_server import RtspServer
from sightd.daemon.serve.rtsp_stream import RtspStream
from sightd.daemon.serve.status import Viewers
from sightd.daemon.serve.view import CameraEntry, RtspAddress
from sightd.daemon.video_gpu import open_drawing
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.cuda.nvdec import Nvdec

log = logging.getLogger(__name__)

STOP_DEADLINE = 3.0
"""Seconds within which cameras that are stopped together must all end."""


@dataclass(slots=True)
class _CameraEndpoints:
    """A camera's viewer endpoints. They last as long as it is configured, running or not, so viewers stay connected."""

    title: str
    jpeg: JpegStream | None = None
    jpeg_max_fps: float = 0.0
    rtsp: RtspStream | None = None
    reported: ReportedState = field(default_factory=ReportedState)


class CameraManager:
    """Manages the cameras. Endpoints are created before cameras start, so early viewers wait for the first frame.

    Use from one thread; the properties, `entries`, `jpeg`, `viewers` and `address` may be called from any thread.
    """

    def __init__(self, manager: PluginManager, metrics: Metrics, journal: Journal, gpus: Gpus, video_gpu: str) -> None:
        self._manager, self._metrics, self._journal = manager, metrics, journal
        self._gpus, self._video_gpu = gpus, video_gpu
        self._endpoints: dict[str, _CameraEndpoints] = {}
        self._runs: dict[str, CameraRun] = {}
        self.rtsp: RtspServer | None = None
        self.nvdec: Nvdec | None = None

    @property
    def runs(self) -> Mapping[str, CameraRun]:
        """The running cameras by name."""
        return dict(self._runs)

    def entries(self) -> list[CameraEntry]:
        """All configured cameras in the order of the configuration, as shown to viewers."""
        return [CameraEntry(name, place.title, self.address(name)) for name, place in list(self._endpoints.items())]

    def jpeg(self, camera: str) -> JpegStream | None:
        place = self._endpoints.get(camera)
        return None if place is None else place.jpeg

    def viewers(self, camera: str) -> Viewers:
        """Number of viewers watching a camera now."""
        place = self._endpoints.get(camera)
        rtsp = 0 if place is None or place.rtsp is None else place.rtsp.clients
        return Viewers(rtsp, 0 if place is None or place.jpeg is None else place.jpeg.clients)

    def address(self, camera: str) -> RtspAddress | None:
        return None if self.rtsp is None else self.rtsp.address(camera)

    def place(self, config: Config, cameras: Iterable[str]) -> None:
        """Creates endpoints for cameras, in the file's order, or updates existing ones to changed options."""
        for name in cameras:
            camera = config.cameras[name]
            place = self._endpoints.setdefault(name, _CameraEndpoints(""))
            place.title = camera.title or name
            max_fps = output_of(config, camera).mjpeg_max_fps
            if place.jpeg_max_fps != max_fps:
                if place.jpeg is not None:
                    place.jpeg.close()
                place.jpeg, place.jpeg_max_fps = JpegStream(max_fps), max_fps
            if self.rtsp is not None and place.rtsp is None:
                place.rtsp = self.rtsp.add(name)
        self._endpoints = {name: self._endpoints[name] for name in config.cameras if name in self._endpoints}

    def start(self, config: Config, codecs: Mapping[str, CodecChoice]) -> None:
        """Creates and starts cameras that have endpoints; `codecs` maps the cameras to start to their encoders."""
        made = {name: self._made(name, config, codec) for name, codec in codecs.items()}
        self._runs.update(made)
        for run in made.values():
            run.start()

    def stop(self, cameras: Iterable[str], within: float = STOP_DEADLINE) -> None:
        """Stops cameras, all of them `within` seconds, however many there are. Their viewers stay connected."""
        runs = [self._runs.pop(name) for name in list(cameras) if name in self._runs]
        for run in runs:
            run.request_stop()
        until = time.monotonic() + within
        for run in runs:
            run.stop(max(0.0, until - time.monotonic()))

    def remove(self, cameras: Iterable[str]) -> None:
        """Removes the endpoints of stopped cameras and disconnects their viewers."""
        for name in cameras:
            place = self._endpoints.pop(name, None)
            if place is None:
                continue
            if place.jpeg is not None:
                place.jpeg.close()
            if self.rtsp is not None:
                self.rtsp.remove(name)

    def close(self, within: float = STOP_DEADLINE) -> None:
        """Stops all cameras `within` seconds and disconnects MJPEG viewers; the RTSP server disconnects its own."""
        self.stop(list(self._runs), within)
        for place in self._endpoints.values():
            if place.jpeg is not None:
                place.jpeg.close()

    def _made(self, name: str, config: Config, codec: CodecChoice) -> CameraRun:
        camera, place = config.cameras[name], self._endpoints[name]
        nvdec = camera.decoder == "nvdec"
        return CameraRun(
            name,
            camera,
            chain=chain_of(config, camera),
            render=render_of(config, camera),
            output=output_of(config, camera),
            codec=codec,
            nvdec=self.nvdec if nvdec else None,
            drawing=open_drawing(self._gpus, self._video_gpu, name) if nvdec else None,
            manager=self._manager,
            metrics=self._metrics,
            journal=self._journal,
            reported=place.reported,
            rtsp=place.rtsp,
            jpeg=place.jpeg,
        )


def codecs_of(config: Config, cameras: Iterable[str]) -> dict[str, CodecChoice]:
    """Chooses each camera's encoder. Raises EncoderMissingError if NVENC is required but not available."""
    return {name: CodecChoice(name, output_of(config, camera).encoder) for name, camera in _of(config, cameras)}


def uses_nvdec(config: Config, cameras: Iterable[str]) -> bool:
    return any(camera.decoder == "nvdec" for _, camera in _of(config, cameras))


def _of(config: Config, cameras: Iterable[str]) -> list[tuple[str, Camera]]:
    return [(name, config.cameras[name]) for name in cameras]
