"""The tamper plug-in: notices that a camera was covered, defocused or moved, and reports it as an event."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from sightd.plugins.api import (
    Canvas,
    Duration,
    Event,
    EventRef,
    Events,
    EventSpec,
    Frame,
    JsonOptions,
    JsonValue,
    Phase,
    Plugin,
    PluginConfig,
    Results,
)
from sightd.plugins.tamper.look import look_at
from sightd.plugins.tamper.machine import CameraView, Change, Tampered, TamperRules, begin, step

TAMPERED = "camera.tampered"
_COLOUR = (70, 70, 255)
"""Blue, green, red."""


class TamperConfig(PluginConfig):
    """Options of the tamper plug-in. Every option has a default: `tamper: {}` works."""

    max_fps: float | None = Field(
        2.0, gt=0, description="Looks per second at each camera; the last result holds for the frames between."
    )
    learn: Duration = Field(
        30.0,
        description="How long the usual view of a camera is learnt before anything is reported: after a start, and "
        "when a new view is accepted.",
    )
    after: Duration = Field(
        10.0,
        description="Report what lasts this long: longer than anything that passes hides the view, such as a bus.",
    )
    clear_after: Duration = Field(5.0, description="It is over when the usual view was seen again for this long.")
    accept_after: Duration | None = Field(
        600.0,
        description="The view of a camera that was moved and stays as it is becomes the usual one after this time; "
        "null for never.",
    )
    draw: bool = Field(True, description="Write what has happened into the video.")


@dataclass(frozen=True, slots=True)
class Tampering:
    """What is known of the camera on a frame: what has happened to it, if anything, and whether its usual view is still
    being learnt. `agreement`: how well its view agrees with the usual one, in standard deviations of chance."""

    tampered: Tampered | None
    learning: bool
    agreement: float

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "tamper"."""
        state = "learning" if self.learning else "usual" if self.tampered is None else str(self.tampered.what)
        return {"tamper": {"state": state, "agreement": round(self.agreement, 1)}}


@dataclass(frozen=True, slots=True, eq=False)
class _Camera:
    """A camera after its last look, and the event that lasts."""

    view: CameraView
    began: EventRef | None = None


class Tamper(Plugin[TamperConfig]):
    """Notices that a camera was covered, defocused or moved.

    Threads: cameras' states are immutable and replaced whole; `process` and `forget` exclude each other.
    """

    Config: ClassVar[type[PluginConfig]] = TamperConfig
    produces: ClassVar[frozenset[type]] = frozenset({Tampering, Events})
    events: ClassVar[tuple[EventSpec, ...]] = (
        EventSpec(
            TAMPERED,
            "A camera was covered, defocused or moved; ended when it is as before.",
            facts=("what", "right_percent", "down_percent", "seconds", "reason"),
        ),
    )

    def __init__(self, config: TamperConfig) -> None:
        super().__init__(config)
        self._rules = TamperRules(config.learn, config.after, config.clear_after, config.accept_after)
        self._cameras: dict[str, _Camera] = {}
        self._turn = threading.Lock()

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        with self._turn:
            return [Results() if frame.still else self._looked(frame) for frame in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        """Returns what the last look has found."""
        known = self._cameras.get(frame.camera)
        return Results() if known is None else Results(self._tampering(known.view))

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        found = results.get(Tampering)
        if found is not None and found.tampered is not None and self.config.draw:
            canvas.text((0.02 * frame.width, 0.93 * frame.height), f"camera {found.tampered.what}", _COLOUR)

    def forget(self, camera: str) -> None:
        with self._turn:
            self._cameras.pop(camera, None)

    def close(self) -> None:
        with self._turn:
            self._cameras.clear()

    def _looked(self, frame: Frame) -> Results:
        look, known = look_at(frame), self._cameras.get(frame.camera)
        if known is None or known.view.usual.edges.shape != look.edges.shape:
            self._cameras[frame.camera] = known = _Camera(begin(look, frame.captured_at))
            return Results(self._tampering(known.view), Events(()))
        view, change = step(known.view, look, frame.captured_at, self._rules)
        began, events = known.began, tuple[Event, ...]()
        if change is not None:
            event = _event(change, began)
            began = EventRef(TAMPERED, frame.wall_time, event.facts) if event.phase is Phase.BEGAN else None
            events = (event,)
        self._cameras[frame.camera] = _Camera(view, began)
        return Results(self._tampering(view), Events(events))

    def _tampering(self, view: CameraView) -> Tampering:
        learning = view.tampered is None and view.known_for < self._rules.learn
        return Tampering(view.tampered, learning, view.agreed)


def _event(change: Change, began: EventRef | None) -> Event:
    facts: dict[str, JsonValue] = {"what": str(change.tampered.what)}
    if change.reason is None:
        return Event(TAMPERED, facts | _moved(change.tampered), phase=Phase.BEGAN)
    facts |= {"seconds": round(change.seconds, 1), "reason": str(change.reason)}
    return Event(TAMPERED, facts, began, Phase.ENDED)


def _moved(tampered: Tampered) -> dict[str, JsonValue]:
    """Returns how far the camera was moved, in percent of the frame: right and down is how its image was moved."""
    if tampered.shift is None:
        return {}
    x, y = tampered.shift
    return {"right_percent": round(100 * x, 1), "down_percent": round(100 * y, 1)}
