"""Start-up time: from the start of the process to the first annotated packet that a viewer gets."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import av

from bench.pipeline import scene
from bench.pipeline.daemon_process import DaemonError, DaemonProcess
from bench.pipeline.options import Options
from bench.pipeline.report import heading, progress, table
from tests.support.camera import CameraSimulator, Look

_WITHIN = 60.0
_RTSP = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "1"}


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process until: it listens (everything is imported, the configuration is read); its
    first packet arrives; the first frame was analysed, so that later frames show boxes."""

    listens: float
    first_packet: float
    first_analysed: float


def measure(options: Options) -> list[Start]:
    with tempfile.TemporaryDirectory() as scratch:
        look = Look(files=[scene.film(Path(scratch))])
        with CameraSimulator(look) as camera:
            return [_start(options, camera.address(), Path(scratch), n + 1) for n in range(3)]


def show(starts: list[Start]) -> None:
    heading("Start of the process to the first annotated packet, s (aim: 5 at most)")
    table(
        ["start", "listens", "first packet", "first analysed"],
        [[str(n), *(f"{value:.2f}" for value in asdict(start).values())] for n, start in enumerate(starts, 1)],
    )


def as_json(starts: list[Start]) -> object:
    return [asdict(start) for start in starts]


def _start(options: Options, source: str, folder: Path, number: int) -> Start:
    progress(f"start: {number} of 3")
    with DaemonProcess(folder, [source], options.chain, options.detector) as daemon:
        listens = _until(daemon, lambda: _connects(daemon.rtsp_port))
        packet = _until(daemon, lambda: _gives_a_packet(daemon.address()))
        analysed = _until(daemon, lambda: daemon.counters().total("sightd_frames_total", stage="analysed") > 0)
    return Start(listens, packet, max(packet, analysed))


def _until(daemon: DaemonProcess, condition: Callable[[], bool]) -> float:
    """Returns the seconds from the daemon's start until the condition holds, polled every 20 ms. Raises DaemonError if
    that takes too long."""
    while not condition():
        daemon.check()
        if time.monotonic() - daemon.began > _WITHIN:
            raise DaemonError(f"no annotated packet within {_WITHIN:.0f} s of the start")
        time.sleep(0.02)
    return time.monotonic() - daemon.began


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _gives_a_packet(address: str) -> bool:
    try:
        with av.open(address, options=_RTSP, timeout=5) as container:
            return any(packet.size for packet in container.demux(video=0))
    except (av.FFmpegError, OSError):
        return False  # the camera is not served yet
