"""The cameras that can be moved, by name, and the way of tracks to those that follow objects."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from sightd.daemon.config.diff import enabled
from sightd.daemon.config.model import Config
from sightd.daemon.ptz.control import PtzControl
from sightd.daemon.ptz.follow import Sight, Target
from sightd.plugins.api import Frame, Results, Tracks, label_of
from sightd.plugins.geometry.regions import standing_points


class PtzManager:
    """One control for each enabled camera with `onvif`. Call `apply` and `close` on one thread; `get` and `observe` on
    any."""

    def __init__(self) -> None:
        self._controls: Mapping[str, PtzControl] = {}

    def get(self, camera: str) -> PtzControl | None:
        """Returns the control of a camera; None if it cannot be moved."""
        return self._controls.get(camera)

    def apply(self, config: Config) -> None:
        """Follows a configuration: cameras with other options get another control, and the old one stops them."""
        before, after = self._controls, dict[str, PtzControl]()
        for name, camera in enabled(config).items():
            if camera.onvif is None:
                continue
            follow = None if camera.ptz is None else camera.ptz.follow
            control = before.get(name)
            same = control is not None and control.options == (camera.onvif, follow)
            after[name] = control if control is not None and same else PtzControl(name, camera.onvif, follow)
        self._controls = after
        _close([one for name, one in before.items() if after.get(name) is not one])

    def observe(self, frame: Frame, results: Results) -> None:
        """Passes the tracks of an analysed frame on, if its camera follows objects. Never blocks."""
        control = self._controls.get(frame.camera)
        if control is not None and control.follows:
            control.observe(sight_of(frame, results.get(Tracks)))

    def close(self, deadline: float = 2.0) -> None:
        """Stops all cameras, within `deadline` s for all of them together."""
        controls, self._controls = list(self._controls.values()), {}
        _close(controls, deadline)


def sight_of(frame: Frame, tracks: Tracks | None) -> Sight:
    """Returns the observed tracks of a frame: a predicted one says what the controller assumes itself."""
    targets: list[Target] = []
    if tracks is not None and len(tracks):
        size = np.array([frame.width, frame.height] * 2, np.float64)
        feet = standing_points(tracks.boxes, frame.width, frame.height)
        for row in np.flatnonzero(tracks.detection >= 0):
            left, top, right, bottom = (float(value) for value in tracks.boxes[row] / size)
            targets.append(
                Target(
                    int(tracks.ids[row]),
                    label_of(tracks.labels, int(tracks.class_ids[row])),
                    (left + right) / 2,
                    (top + bottom) / 2,
                    (float(feet[row, 0]), float(feet[row, 1])),
                    (right - left) * (bottom - top),
                )
            )
    return Sight(frame.captured_at, tuple(targets), frame.width / frame.height)


def _close(controls: list[PtzControl], deadline: float = 2.0) -> None:
    threads = [threading.Thread(target=one.close, args=(deadline,), daemon=True) for one in controls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline + 0.5)
