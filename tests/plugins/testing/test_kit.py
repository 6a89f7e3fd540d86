"""The conformance kit finds each kind of fault, and none in a correct plug-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from sightd.engines.errors import EngineError
from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import (
    AnyPlugin,
    Canvas,
    Context,
    Count,
    CounterSpec,
    Detections,
    Event,
    Events,
    EventSpec,
    Frame,
    FrameOverride,
    GaugeSpec,
    GaugeValue,
    JsonOptions,
    MetricSpec,
    Plugin,
    PluginConfig,
    Results,
)
from sightd.plugins.testing import Report, check_plugin


class Sound(Plugin[PluginConfig]):
    """Reports an object in the upper left corner, and counts how often it saw each camera."""

    produces: ClassVar[frozenset[type]] = frozenset({Detections})

    def __init__(self, config: PluginConfig) -> None:
        super().__init__(config)
        self.seen: dict[str, int] = {}

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [self.one(frame) for frame in frames]

    def one(self, frame: Frame) -> Results:
        self.seen[frame.camera] = self.seen.get(frame.camera, 0) + 1
        return Results(self.thing(frame.width / (1 + self.seen[frame.camera]), frame.height / 2))

    def thing(self, width: float, height: float) -> Detections:
        box = np.array([[0, 0, width, height]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("thing",))

    def forget(self, camera: str) -> None:
        self.seen.pop(camera, None)


def faults(plugin: type[AnyPlugin], options: Mapping[str, Any] | None = None) -> dict[str, str]:
    return {check.name: check.detail for check in check_plugin(plugin, options).failed}


def test_a_sound_plug_in_passes_and_the_report_says_so() -> None:
    report = check_plugin(Sound)
    assert report.ok
    assert str(report).endswith("Sound follows the contract")


def test_one_that_counts_and_reports_what_it_declares_passes() -> None:
    report = check_plugin(Reporting)
    assert report.ok, report


class Undescribed(Sound):
    class Config(PluginConfig):
        level: int = 3


class Renaming(Sound):
    """Has renamed options that it never had, or has still."""

    class Config(PluginConfig):
        renamed_options: ClassVar[Mapping[str, str]] = {"every": "max_fps", "most": "max_things"}


class Inventive(Sound):
    """Produces a result type that it does not declare."""

    produces: ClassVar[frozenset[type]] = frozenset()


class OutOfThePicture(Sound):
    """Produces boxes outside the image."""

    def one(self, frame: Frame) -> Results:
        return Results(self.thing(5000, 10))


class Infinite(Sound):
    """Produces NaN."""

    def one(self, frame: Frame) -> Results:
        return Results(self.thing(float("nan"), 10))


class Backwards(Sound):
    """Returns the results in reverse order."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return super().process(frames, results)[::-1]


class Short(Sound):
    """Leaves a frame out."""

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return super().process(frames, results)[1:]


class Scribbler(Sound):
    """Writes into the camera's image."""

    def one(self, frame: Frame) -> Results:
        image = frame.host()
        image.flags.writeable = True
        image[0] = 255
        return super().one(frame)


class Meddler(Sound):
    """Changes what the detector found."""

    requires: ClassVar[frozenset[type]] = frozenset({Detections})

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        for found in results:
            given = found.get(Detections)
            if given is not None:
                given.scores[:] = 0
        return super().process(frames, results)


class Unsettled(Sound):
    """Treats a prediction as an observation."""

    def predict(self, frame: Frame, results: Results) -> Results:
        return self.one(frame)


class Hoarder(Sound):
    """Never forgets a camera."""

    def forget(self, camera: str) -> None:
        pass


class FrameHoarder(Sound):
    """Keeps the last frame."""

    last: Frame | None = None

    def one(self, frame: Frame) -> Results:
        self.last = frame
        return super().one(frame)


class Racy(Sound):
    """Uses shared state although it declares that it is parallel."""

    parallel: ClassVar[bool] = True


class Clumsy(Sound):
    """Fails to draw if nothing was found."""

    def draw(self, canvas: Canvas, frame: Frame, results: Results) -> None:
        found = results.get(Detections)
        assert found is not None


class SmallPicture(Sound):
    """Produces an image that is not the frame's size."""

    produces: ClassVar[frozenset[type]] = frozenset({FrameOverride})

    def one(self, frame: Frame) -> Results:
        return Results(FrameOverride(np.zeros((8, 8, 3), np.uint8)))


@dataclass(frozen=True)
class Things:
    """A result whose JSON form, counts and gauges are what a test says."""

    form: Any = field(default_factory=dict)
    counted: Sequence[Any] = ()
    measured: Sequence[Any] = ()

    def to_json(self, results: Results, options: JsonOptions) -> Any:
        return self.form

    def counts(self) -> Sequence[Any]:
        return self.counted

    def gauges(self) -> Sequence[Any]:
        return self.measured


class Reporting(Sound):
    """Counts and measures things and says when one came, as declared."""

    produces: ClassVar[frozenset[type]] = frozenset({Things, Events})
    metrics: ClassVar[tuple[MetricSpec, ...]] = (CounterSpec("things", "Things."), GaugeSpec("load", "Load."))
    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("thing.came", "A thing came."),)
    things = Things({"things": [{"size": 3}]}, [Count("things")], [GaugeValue("load", number=0.5)])
    happened = Events((Event("thing.came", {"size": 3}),))

    def one(self, frame: Frame) -> Results:
        return Results(self.things, self.happened)


class Miscounting(Reporting):
    """Counts what it does not declare."""

    things = Things({}, [Count("others")])


class Mismeasuring(Reporting):
    """Sets a gauge that it does not declare."""

    things = Things({}, [], [GaugeValue("others")])


class Surprising(Reporting):
    """Reports an event that it does not declare."""

    happened = Events((Event("thing.left"),))


class Chatting(Reporting):
    """Reports a fact that it does not declare."""

    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("thing.came", "A thing came.", facts=("colour",)),)


class Repeating(Reporting):
    """Reports its events again with predictions."""

    def predict(self, frame: Frame, results: Results) -> Results:
        return Results(self.happened)


class Silent(Sound):
    """Declares events that it does not give."""

    events: ClassVar[tuple[EventSpec, ...]] = (EventSpec("thing.came", "A thing came."),)


class Unwritable(Reporting):
    """Has a JSON form with a set."""

    things = Things({"things": {1, 2}})


class Listing(Reporting):
    """Has a JSON form that is a list."""

    things = Things([1, 2])


class Posing(Reporting):
    """Uses the key of detections."""

    things = Things({"detections": []})


class Reframing(Reporting):
    """Uses a key of the frame itself."""

    things = Things({"width": 3})


class Careless(Sound):
    """Uses in `close` what a failed `open` did not set."""

    def open(self, context: Context) -> None:
        self.network = context.engine(["network"])

    def close(self) -> None:
        self.network.close()


@pytest.mark.parametrize(
    ("plugin", "rule", "detail"),
    [
        (Undescribed, "describes its options", "no description for level"),
        (Undescribed, "has a description", "no docstring"),
        (Renaming, "describes its options", "renamed_options: every, most must lead from an option that is gone"),
        (Inventive, "returns valid results of declared types", "returns Detections, which `produces` does not declare"),
        (OutOfThePicture, "returns valid results of declared types", "exceed the frame of 640x360"),
        (Infinite, "returns valid results of declared types", "not finite"),
        (SmallPicture, "returns valid results of declared types", "not uint8 of the frame's size"),
        (Backwards, "keeps a batch in order and cameras apart", "out of order"),
        (Short, "returns valid results of declared types", "process returned 0 results for 1 frames"),
        (Scribbler, "does not modify frames and earlier results", "writes into the frame"),
        (Meddler, "does not modify frames and earlier results", "writes into the results of earlier"),
        (Unsettled, "predict has no side effects", "predict changes what process finds later"),
        (Hoarder, "forgets a camera", "still holds its name"),
        (FrameHoarder, "forgets a camera", "still holds a frame"),
        (Racy, "returns the same results in parallel", "interfere with each other"),
        (Silent, "declares its metrics and events", "declare `events` and name Events in `produces`"),
        (Miscounting, "counts and reports what it declares", "the counter 'others' is not declared"),
        (Mismeasuring, "counts and reports what it declares", "the gauge 'others' is not declared"),
        (
            Chatting,
            "counts and reports what it declares",
            "thing.came has the fact 'size', which its EventSpec does not",
        ),
        (Surprising, "counts and reports what it declares", "the event kind 'thing.left' is not declared"),
        (Repeating, "counts and reports what it declares", "predict returns Events"),
        (Unwritable, "has results that can be written as JSON", "Things.to_json returns what cannot be written"),
        (Listing, "has results that can be written as JSON", "Things.to_json must return a mapping"),
        (Posing, "has results that can be written as JSON", 'the key "detections", which belongs to Detections'),
        (Reframing, "has results that can be written as JSON", 'the key "width" of Things.to_json is left out'),
        (Clumsy, "draws on any canvas", "raised AssertionError"),
        (Careless, "can be closed after a failed open", "raised AttributeError"),
    ],
)
def test_each_fault_is_found_and_said(plugin: type[AnyPlugin], rule: str, detail: str) -> None:
    assert detail in faults(plugin).get(rule, "")


def test_a_plug_in_that_raises_is_reported_once_with_its_line() -> None:
    class Failing(Sound):
        """Always raises."""

        def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
            raise KeyError("speed")

    told = str(check_plugin(Failing))
    assert told.count("raised KeyError: 'speed'") == 1
    assert f"({__file__}:{Failing.process.__code__.co_firstlineno + 1}, in process)" in told
    assert 'FAILED  handles frames without earlier detections: as "returns valid results of declared types"' in told


def test_an_option_that_is_refused_is_said_with_its_name() -> None:
    assert faults(Sound, {"evry": 2}) == {"accepts the given options": "evry: Extra inputs are not permitted"}


def test_networks_are_loaded_once_and_closed_at_the_end() -> None:
    events: list[str] = []

    class Session:
        def close(self) -> None:
            events.append("closed")

    class Networked(Sound):
        """Loads an engine correctly."""

        def open(self, context: Context) -> None:
            self.network = context.engine(["network"])

    def load(choice: Sequence[str | Model]) -> Engine:
        events.append(f"loaded {choice[0]}")
        return Engine(None, Session(), "the only choice")  # type: ignore[arg-type]

    report: Report = check_plugin(Networked, engine=load)
    assert report.ok, report
    assert events == ["loaded network", "closed"]


def test_a_model_that_is_not_available_is_a_finding_not_a_crash() -> None:
    class Networked(Sound):
        """Requests a model that does not exist."""

        def open(self, context: Context) -> None:
            context.engine(["network"])

    def refuse(choice: Sequence[str | Model]) -> Engine:
        raise EngineError("network cannot be fetched")

    report = check_plugin(Networked, engine=refuse)
    assert "network cannot be fetched" in report.failed[0].detail
