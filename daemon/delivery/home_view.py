"""What a home automation gets to know of the daemon, and what it may change. The daemon implements it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sightd.daemon.events.event import Event


@dataclass(frozen=True, slots=True)
class LineView:
    """A line: crossings so far in each direction ("in", "out"), and by class and direction."""

    crossed: Mapping[str, int]
    by_class: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CameraView:
    """An enabled camera. `connected`: its stream is live. `paused` is None if its analysis cannot be paused. `zones`
    are the objects inside by class, `objects` those in the picture, `persons` the known ones; all three, and `lines`,
    are None if no current frame was analysed for them. `kinds` are the kinds of events that it can have;
    `pictured`: its events may have snapshots."""

    name: str
    title: str
    chain: Sequence[str]
    connected: bool
    paused: bool | None
    recognises: bool
    kinds: Sequence[str]
    pictured: bool = False
    zones: Mapping[str, Mapping[str, int]] | None = None
    lines: Mapping[str, LineView] | None = None
    objects: Mapping[str, int] | None = None
    persons: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number among the options of a plug-in that can be set between two bounds."""

    plugin: str
    option: str
    value: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class DaemonView:
    """The daemon: `reasons` say why it is not ready, without secrets; `kinds` are the kinds of events without a
    camera."""

    version: str
    ready: bool
    reasons: Sequence[str]
    cameras: Sequence[CameraView]
    thresholds: Sequence[Threshold]
    kinds: Sequence[str]


class Home(Protocol):
    """The daemon. All methods may be called from any thread; `picture` reads a file, all others
    return at once."""

    def view(self) -> DaemonView: ...

    def picture(self, event: Event) -> bytes | None:
        """Returns the annotated snapshot of an event as a JPEG file; None if there is none, or not yet."""

    def pause(self, camera: str, paused: bool) -> bool:
        """Pauses or resumes the analysis of a camera. Returns whether that is possible."""

    def adjust(self, threshold: Threshold, value: float) -> bool:
        """Sets an option of a plug-in until the next start; the view shows the value once it applies. Returns False if
        another change is in progress; try again later then."""


class SelectedCameras:
    """A `Home` that shows and changes only some of another one's cameras, and thresholds of plug-ins that no other
    camera uses."""

    def __init__(self, home: Home, cameras: Collection[str]) -> None:
        self._home, self._cameras = home, frozenset(cameras)

    def view(self) -> DaemonView:
        view = self._home.view()
        cameras = [one for one in view.cameras if one.name in self._cameras]
        shared = {plugin for one in view.cameras if one.name not in self._cameras for plugin in one.chain}
        thresholds = [one for one in view.thresholds if one.plugin not in shared]
        return replace(view, cameras=cameras, thresholds=thresholds)

    def picture(self, event: Event) -> bytes | None:
        return self._home.picture(event) if event.camera in self._cameras else None

    def pause(self, camera: str, paused: bool) -> bool:
        return camera in self._cameras and self._home.pause(camera, paused)

    def adjust(self, threshold: Threshold, value: float) -> bool:
        return self._home.adjust(threshold, value)
