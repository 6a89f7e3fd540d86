"""A daemon with several cameras and one viewer for each, all running until the context ends."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.pipeline import scene
from bench.pipeline.daemon_process import DaemonProcess
from bench.pipeline.options import Options
from tests.support.camera import CameraSimulator, Look
from tests.support.viewer import Seen, Viewer

_SETTLE = 3.0


@dataclass(frozen=True, slots=True)
class Watching:
    """A daemon with viewers, which are threads of the benchmark's own process."""

    daemon: DaemonProcess
    viewers: list[Viewer]

    def seen(self) -> list[list[Seen]]:
        """Returns what each viewer has seen so far."""
        return [list(viewer.seen) for viewer in self.viewers]


@contextmanager
def watching(options: Options, cameras: int) -> Iterator[Watching]:
    """Starts cameras that stamp frames while sending them, all in step, a daemon, and a viewer for each; yields when
    all have settled."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        look = Look(size=scene.SIZE, fps=scene.FPS, background=scene.photograph(folder))
        simulator = stack.enter_context(CameraSimulator(look, mounts=cameras))
        sources = [simulator.address(n) for n in range(cameras)]
        daemon = stack.enter_context(DaemonProcess(folder, sources, options.chain, options.detector))
        daemon.wait_until_analysing(cameras)
        viewers = [stack.enter_context(Viewer(daemon.address(n))) for n in range(cameras)]
        for viewer in viewers:
            viewer.wait_for(1)
        time.sleep(_SETTLE)
        yield Watching(daemon, viewers)
