"""Comparison with the loop a user would write: CPU per frame and latency of both, measured alternately."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.pipeline import procfs, scene
from bench.pipeline.ages import Ages, ages_of, within
from bench.pipeline.daemon_process import ROOT, DaemonProcess, free_ports, stop
from bench.pipeline.options import Options
from bench.pipeline.report import heading, progress, table
from tests.support.camera import CameraSimulator, Look
from tests.support.viewer import Seen, Viewer

_SETTLE = 3.0
_SETTLE_WITHIN = 40.0
_FIRST_PICTURE_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Contender:
    """The result of one of the two, over all windows: CPU ms per frame that its viewer saw, frame ages, and rates."""

    name: str
    cpu_per_picture: float
    cores: float
    seen_fps: float
    analysed_fps: float
    ages: Ages


@dataclass(frozen=True, slots=True)
class _Window:
    seconds: float
    cpu: float
    analysed: float
    seen: list[Seen]


def measure(options: Options) -> list[Contender] | None:
    """Measures the daemon and the loop alternately. Returns None if there is no ffmpeg."""
    if shutil.which("ffmpeg") is None:
        return None
    daemon: list[_Window] = []
    loop: list[_Window] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        look = Look(size=scene.SIZE, fps=scene.FPS, background=scene.photograph(folder))
        with CameraSimulator(look) as camera:
            for turn in range(options.turns):
                progress(f"user: daemon, window {turn + 1} of {options.turns}")
                daemon.append(_daemon(options, camera.address(), folder))
                progress(f"user: the user's loop, window {turn + 1} of {options.turns}")
                loop.append(_loop(options, camera.address()))
    return [_contender("daemon", daemon), _contender("user's loop", loop)]


def show(contenders: list[Contender] | None) -> None:
    heading("Against the loop a user would write: cv2.VideoCapture → ONNX Runtime → cv2 → ffmpeg")
    if contenders is None:
        print("  Not measured: there is no ffmpeg on the PATH. `apt-get install ffmpeg` brings it.")
        return
    table(
        ["", "CPU ms a picture", "cores used", "seen fps", "analysed fps", "p50", "p95", "max ms"],
        [
            [
                c.name,
                f"{c.cpu_per_picture:.1f}",
                f"{c.cores:.2f}",
                f"{c.seen_fps:.1f}",
                f"{c.analysed_fps:.1f}",
                *(f"{value:.0f}" for value in (c.ages.p50, c.ages.p95, c.ages.most)),
            ]
            for c in contenders
        ],
    )


def as_json(contenders: list[Contender] | None) -> object:
    return None if contenders is None else [asdict(contender) for contender in contenders]


def _daemon(options: Options, source: str, folder: Path) -> _Window:
    with DaemonProcess(folder, [source], options.chain, options.detector) as daemon:
        daemon.wait_until_analysing(1)
        with Viewer(daemon.address()) as viewer:
            return _watched(
                viewer,
                options.seconds,
                lambda: procfs.cpu_seconds(daemon.pid),
                lambda: daemon.counters().total("sightd_frames_total", stage="analysed"),
            )


def _loop(options: Options, source: str) -> _Window:
    """Measures the loop and its ffmpeg. It analyses every frame, so frames seen are frames analysed."""
    target = f"udp://127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "bench.pipeline.user_loop", source, f"{target}?pkt_size=1316"]
    with Viewer(target, container="mpegts", timeout=_FIRST_PICTURE_WITHIN) as viewer:
        process = subprocess.Popen([*command, "--model", options.model], stdout=subprocess.PIPE, cwd=ROOT, text=True)
        try:
            assert process.stdout is not None
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError("the user's loop failed; its own message is above")
            pids = (process.pid, int(answer))
            return _watched(
                viewer, options.seconds, lambda: sum(map(procfs.cpu_seconds, pids)), lambda: len(viewer.seen)
            )
        finally:
            viewer.stop()  # stop while data still arrives, or the viewer would wait for its timeout
            stop(process)


def _watched(viewer: Viewer, seconds: float, cpu: Callable[[], float], analysed: Callable[[], float]) -> _Window:
    viewer.wait_for(1, _FIRST_PICTURE_WITHIN)
    _settle(viewer)
    begun, cpu_before, analysed_before = time.monotonic(), cpu(), analysed()
    time.sleep(seconds)
    end, used, count = time.monotonic(), cpu() - cpu_before, analysed() - analysed_before
    return _Window(end - begun, used, count, within(list(viewer.seen), begun, end))


def _settle(viewer: Viewer) -> None:
    """Returns when the frames' age no longer falls, because a loop first works through the frames that arrived while it
    started."""
    before, deadline = math.inf, time.monotonic() + _SETTLE_WITHIN
    while time.monotonic() < deadline:
        begun = time.monotonic()
        time.sleep(_SETTLE)
        age = Ages.of(ages_of(within(list(viewer.seen), begun, time.monotonic()))).p50
        if age > 0.95 * before:
            return
        before = age


def _contender(name: str, windows: list[_Window]) -> Contender:
    seconds, cpu = sum(w.seconds for w in windows), sum(w.cpu for w in windows)
    seen = [picture for window in windows for picture in window.seen]
    return Contender(
        name,
        1000 * cpu / max(1, len(seen)),
        cpu / seconds,
        len(seen) / seconds,
        sum(w.analysed for w in windows) / seconds,
        Ages.of(ages_of(seen)),
    )
