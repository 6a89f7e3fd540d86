"""Test harness: a daemon with two cameras and honest viewers, who must not notice what abusive clients do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from tests.support.camera import CameraSimulator, Look
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.mjpeg_viewer import MjpegViewer
from tests.support.process import Sample, sample
from tests.support.uncounted import uncounted
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

STALL_TIMEOUT = 3
"""RTSP stall timeout, s."""
_MORE_DESCRIPTORS, _MORE_THREADS, _MORE_MEMORY = 8, 4, 40
"""How much more may be in use half a minute after an attack; memory in MiB. Two rounds of 10,000 random HTTP messages
leave 12 MiB behind (threads, caches, heap fragmentation), later rounds add nothing."""
_LONGEST_GAP = 2.0
"""Seconds between two frames of an honest viewer, on a machine that shares its cores with the abusers."""
_MOST_LOG_LINES = 40


class AbuseHarness:
    """A context manager: cameras "front" and "back", and two viewers of "front" that stay connected throughout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = ExitStack()

    def __enter__(self) -> AbuseHarness:
        with ExitStack() as parts:
            cameras = parts.enter_context(CameraSimulator(Look(size=(640, 360), fps=25), mounts=2))
            configuration = {
                "cameras": {"front": {"source": cameras.address(0)}, "back": {"source": cameras.address(1)}},
                "chain": ["detector", "tracker"],
                "plugins": {"detector": one_object_network(self._folder)},
                "output": {"mjpeg_max_fps": 100},
                "rtsp": {"port": 0, "stall_timeout": f"{STALL_TIMEOUT}s"},
            }
            self.daemon = parts.enter_context(DaemonProcess(self._folder, configuration))
            self.rtsp_port = urlsplit(self.daemon.rtsp("front")).port or 0
            self.http_port = urlsplit(self.daemon.url("/")).port or 0
            self.viewer = parts.enter_context(Viewer(self.daemon.rtsp("front")))
            self.mjpeg = parts.enter_context(MjpegViewer(self.daemon.url("/front.mjpg")))
            self.viewer.wait_for(50, within=20)
            self.mjpeg.wait_for(50, within=20)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Asserts that honest viewers notice nothing of what happens inside the context, and that no resources leak."""
        before, log, lost, began = sample(self.daemon.pid), len(self.daemon.log), self.uncounted(), time.monotonic()
        yield
        seen = len(self.viewer.seen), len(self.mjpeg.numbers)
        self.viewer.wait_for(seen[0] + 25)
        self.mjpeg.wait_for(seen[1] + 25)
        self._tidy(before)
        lost = self.uncounted() - lost
        assert lost <= 0, f"{lost} frames came neither to the viewer nor into the count of those left out"
        assert self.viewer.in_order(), "pictures over RTSP out of order"
        assert self.mjpeg.in_order(), "pictures over MJPEG out of order"
        assert (_longest_gap([one.at for one in self.viewer.seen], began)) < _LONGEST_GAP, "RTSP stood still"
        assert (_longest_gap(self.mjpeg.at, began)) < _LONGEST_GAP, "MJPEG stood still"
        assert (self.viewer.error, self.mjpeg.error) == (None, None)
        told = self.daemon.log[log:]
        assert "Traceback" not in told
        assert len(told.splitlines()) < _MOST_LOG_LINES, told
        assert self.daemon.readiness()["ready"]

    def uncounted(self) -> int:
        """Returns how many frames the RTSP viewer has missed that the daemon did not count as dropped or skipped."""
        return uncounted(self.daemon, self.viewer, "front")

    def refused(self, protocol: str) -> dict[str, float]:
        return self.daemon.values("sightd_connections_refused_total", "reason", server=protocol)

    def clients(self, camera: str, protocol: str) -> float:
        return self.daemon.metric("sightd_stream_clients", camera=camera, protocol=protocol)

    def _tidy(self, before: Sample) -> None:
        def holds() -> bool:
            now = sample(self.daemon.pid)
            return (
                now.descriptors <= before.descriptors + _MORE_DESCRIPTORS
                and now.threads <= before.threads + _MORE_THREADS
                and now.memory <= before.memory + _MORE_MEMORY
            )

        eventually(holds, 30, f"{before} again, and not {sample(self.daemon.pid)}")


def _longest_gap(times: list[float], since: float) -> float:
    late = [moment for moment in times if moment >= since]
    return max((later - earlier for earlier, later in pairwise(late)), default=float("inf"))
