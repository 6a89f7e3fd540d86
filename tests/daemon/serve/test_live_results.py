"""Results of analysed frames for readers: the newest of each camera, at most at the reader's rate, and no work without
one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sightd.daemon.serve import live_results as module
from sightd.daemon.serve.live_results import LiveFrame, LiveResults, ResultsReader
from sightd.plugins.api import Event, Events, Frame, FrameOverride, JsonOptions, JsonValue, Results
from tests.daemon.pipeline.plugins import IMAGE, found, frame

NOON = 1772366624.125


def record(results: Results, *keys: str) -> dict[str, Any]:
    one = Frame.of(IMAGE, camera="yard", seq=7, captured_at=1.0, wall_time=NOON, pts=0.28)
    answer: dict[str, Any] = json.loads(LiveFrame(one, results).text(frozenset(keys)))
    return answer


@dataclass(frozen=True)
class Answering:
    """A result whose JSON form is what a test says."""

    form: Any

    def to_json(self, results: Results, options: JsonOptions) -> Mapping[str, JsonValue]:
        assert not options.embeddings
        return self.form  # type: ignore[no-any-return]


def test_a_record_says_which_frame_it_is_about_and_has_all_results() -> None:
    whole = record(Results(found(2), Events((Event("door.opened", {"by": "Ada"}),)), Answering({"queue": 3})))
    assert list(whole) == ["camera", "time", "frame", "pts", "width", "height", "detections", "events", "queue"]
    assert (whole["camera"], whole["time"], whole["frame"]) == ("yard", "2026-03-01T12:03:44.125Z", 7)
    assert (whole["pts"], whole["width"], whole["height"]) == (0.28, 4, 4)
    assert [one["class"] for one in whole["detections"]] == ["x", "x"]
    assert whole["events"] == [{"kind": "door.opened", "phase": "once", "facts": {"by": "Ada"}}]


def test_it_has_only_the_keys_that_a_reader_asks_for() -> None:
    results = Results(found(2), Answering({"queue": 3, "waiting": True}))
    assert list(record(results, "queue", "unknown")) == [*module.HEADER_KEYS, "queue"]


@pytest.mark.parametrize("form", [{"queue": {1, 2}}, {"queue": float("nan")}, [1, 2], None])
def test_results_without_a_valid_form_are_an_error_and_not_silence(form: Any) -> None:
    answer = record(Results(found(1), Answering(form)))
    assert list(answer) == [*module.HEADER_KEYS, "error"]


def test_a_key_that_is_in_use_is_left_out() -> None:
    answer = record(Results(Answering({"camera": "other", "queue": 3})))
    assert (answer["camera"], answer["queue"]) == ("yard", 3)


def test_no_image_is_kept() -> None:
    live = LiveFrame(frame("yard"), Results(FrameOverride(np.zeros((4, 4, 3), np.uint8)), found(1)))
    assert FrameOverride not in live._results
    assert not any(isinstance(getattr(live, name), Frame) for name in vars(live))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def next_of(reader: ResultsReader) -> tuple[str, int] | None:
    """Returns camera and number of the next frame that is due now; None if there is none."""
    try:
        one = await asyncio.wait_for(reader.next(), 0.02)
    except TimeoutError:
        return None
    answer = json.loads(one.text(frozenset()))
    return answer["camera"], answer["frame"]


def test_a_slow_reader_gets_the_newest_frame_and_skips_the_others() -> None:
    async def read() -> None:
        live = LiveResults()
        with live.reader(frozenset(), rate=30) as reader:
            for number in range(1000):
                live.publish(frame("yard", number), Results(found(1)))
            assert len(reader._waiting) == 1
            assert await next_of(reader) == ("yard", 999)
            assert await next_of(reader) is None

    asyncio.run(read())


def test_each_camera_has_the_rate_that_the_reader_chose() -> None:
    async def read() -> list[int]:
        clock = Clock()
        live = LiveResults(clock)
        numbers = []
        with live.reader(frozenset({"yard"}), rate=4) as reader:
            for number in range(32):  # 16 frames per second, for two seconds
                live.publish(frame("yard", number), Results(found(1)))
                frame_now, _ = reader._take()
                if frame_now is not None:
                    numbers.append(json.loads(frame_now.text(frozenset()))["frame"])
                clock.now += 1 / 16
        return numbers

    assert asyncio.run(read()) == [0, 4, 8, 12, 16, 20, 24, 28]


def test_a_busy_camera_does_not_keep_others_waiting() -> None:
    async def read() -> None:
        clock = Clock()
        live = LiveResults(clock)
        with live.reader(frozenset(), rate=10) as reader:
            found_first = []
            for number in range(4):
                for camera in ("busy", "calm"):
                    live.publish(frame(camera, number), Results())
                found_first.append([await next_of(reader), await next_of(reader), await next_of(reader)])
                clock.now += 0.1
            live.publish(frame("busy", 9), Results())
            live.publish(frame("calm", 9), Results())
            assert {await next_of(reader), await next_of(reader)} == {("busy", 9), ("calm", 9)}
            live.publish(frame("busy", 10), Results())
            live.publish(frame("third", 10), Results())
            assert await next_of(reader) == ("third", 10), "the other one is not due yet"
            assert all(set(ones) == {("busy", n), ("calm", n), None} for n, ones in enumerate(found_first))

    asyncio.run(read())


def test_a_reader_that_waits_is_woken_from_another_thread() -> None:
    async def read() -> None:
        live = LiveResults()
        with live.reader(frozenset({"yard"}), rate=30) as reader:
            waiting = asyncio.ensure_future(reader.next())
            await asyncio.to_thread(live.publish, frame("gate", 1), Results())
            await asyncio.to_thread(live.publish, frame("yard", 2), Results())
            assert (await asyncio.wait_for(waiting, 20)).camera == "yard", "and not of a camera that it does not read"

    asyncio.run(read())


def test_without_a_reader_nothing_is_kept_or_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(module, "LiveFrame", lambda frame, _results: made.append(frame.camera))

    async def read() -> None:
        live = LiveResults()
        live.publish(frame("yard", 1), Results(found(1)))
        with live.reader(frozenset({"gate"}), rate=30):
            live.publish(frame("yard", 2), Results(found(1)))
        live.publish(frame("gate", 3), Results(found(1)))

    asyncio.run(read())
    assert made == []


def test_the_json_form_is_made_once_for_all_readers() -> None:
    calls: list[int] = []

    @dataclass(frozen=True)
    class Counted:
        def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
            calls.append(1)
            return {"queue": 3, "waiting": 1}

    live = LiveFrame(frame("yard", 1), Results(Counted()))
    assert live.text(frozenset()) is live.text(frozenset())
    assert "waiting" not in live.text(frozenset({"queue"}))
    assert calls == [1]
