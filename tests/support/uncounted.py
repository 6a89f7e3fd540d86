"""Frames that a viewer missed and that the daemon did not count."""

from __future__ import annotations

import time

from tests.support.daemon import DaemonProcess
from tests.support.exposition import total
from tests.support.viewer import Watching

_COUNTS = ("sightd_frames_dropped_total", "sightd_stream_skipped_total")
_PICTURES_LATER = 12
_WITHIN = 60.0


def uncounted(daemon: DaemonProcess, viewer: Watching, camera: str) -> int:
    """Returns the frames that the viewer has missed since it connected, less those counted as dropped or skipped.
    Measured while none is left out, if there is such a time within a minute, because the viewer notices a counted loss
    only a little later."""
    deadline = time.monotonic() + _WITHIN
    while True:
        before = _left_out(daemon, camera)
        viewer.wait_for(len(viewer.seen) + _PICTURES_LATER)
        missing, after = viewer.missing(), _left_out(daemon, camera)
        if after == before or time.monotonic() > deadline:
            return missing - int(after)


def _left_out(daemon: DaemonProcess, camera: str) -> float:
    text = daemon.metrics_of_now()
    return sum(total(text, name, camera=camera) for name in _COUNTS)
