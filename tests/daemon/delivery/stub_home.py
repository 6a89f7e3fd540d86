"""A daemon for home automation, without cameras."""

from __future__ import annotations

from collections.abc import Sequence

from sightd.daemon.delivery.home_view import CameraView, DaemonView, Threshold
from sightd.daemon.events.event import Event

GATE = CameraView(
    "gate",
    "Front gate",
    ("zones",),
    True,
    False,
    False,
    ("camera.down", "camera.up"),
    True,
    {"drive": {"person": 1}},
    {},
)


class StubHome:
    """Implements `Home`; `cameras` is what it shows, and it records what it was asked to change."""

    def __init__(self, cameras: Sequence[CameraView] = (GATE,), thresholds: Sequence[Threshold] = ()) -> None:
        self.cameras, self.thresholds = list(cameras), list(thresholds)
        self.paused: list[tuple[str, bool]] = []
        self.adjusted: list[tuple[Threshold, float]] = []
        self.pictures: dict[int, bytes] = {}
        self.busy = self.broken = False

    def view(self) -> DaemonView:
        if self.broken:
            raise RuntimeError("the view is broken")
        return DaemonView("1.0", True, (), tuple(self.cameras), tuple(self.thresholds), ("plugin.down",))

    def picture(self, event: Event) -> bytes | None:
        return self.pictures.get(event.id)

    def pause(self, camera: str, paused: bool) -> bool:
        if camera not in {one.name for one in self.cameras}:
            return False
        self.paused.append((camera, paused))
        return True

    def adjust(self, threshold: Threshold, value: float) -> bool:
        if not self.busy:
            self.adjusted.append((threshold, value))
        return not self.busy
