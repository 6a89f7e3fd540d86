"""Clips of events of real cameras: nothing is lost, and they begin before the event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import Clips, Recording, Segments
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.recording.index import Clip, ClipFilter
from sightd.daemon.recording.recorder import Recorder, matches
from sightd.daemon.recording.tap import PacketTap
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import encoded
from tests.support.barcode import get_bar
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.clips import write_clip
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

FPS, GOP_SECONDS = 25, 2.0


class Site:
    """A journal and a recorder of the camera "front"."""

    def __init__(self, folder: Path, segments: Segments | None = None, **options: Any) -> None:
        self.counts = Counts()
        self.journal = Journal(folder / "events.db", 1e6, 1000, self.counts)
        clips = Clips.model_validate({"kinds": ["zone.*"], "pre": "2s", "post": "1s", **options})
        recording = Recording(clips=None if segments else clips, segments=segments, min_free=0)
        self.recorder = Recorder(folder / "clips", recording, self.journal, self.counts)
        rules = CameraRules(recording.clips, recording.segments, recording.max_memory, recording.audio)
        self.tap = self.recorder.tap("front", rules, self.counts)

    def happens(self, kind: str = "zone.entered", ago: float = 0.0) -> float:
        at = time.time() - ago
        self.journal.record(PendingEvent(kind, at, "front"))
        return at

    def clips(self) -> list[Clip]:
        return self.recorder.reader.clips(ClipFilter(), 100)

    def clip(self, within: float = 15.0) -> Clip:
        """Returns the only clip once it is finished."""
        eventually(lambda: bool(self.clips()), within, f"a clip; {self.recorder.faults}")
        (clip,) = self.clips()
        return clip

    def numbers(self, clip: Clip) -> list[int]:
        """Returns the numbers of the clip's frames in the order in which they are shown."""
        with av.open(str(self.recorder.reader.folder / clip.path)) as container:
            frames = list(container.decode(video=0))
        times = [frame.time or 0.0 for frame in frames]
        assert times == sorted(times)
        bars = [get_bar(frame.to_ndarray(format="bgr24").astype(np.uint8)) for frame in frames]
        return [bar.number for bar in bars if bar is not None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kinds": ["zone.*"]}, ["zone.entered", "zone.left by night"]),
        ({"kinds": ["zone.left"]}, ["zone.left by night"]),
        ({"rules": ["night", "day"]}, ["zone.left by night", "line.crossed by day and night"]),
        ({"rules": ["day"], "kinds": ["zone.*"]}, []),
        ({"rules": ["night"], "kinds": ["zone.*"]}, ["zone.left by night"]),
        ({}, []),
    ],
)
def test_events_are_chosen_by_kind_and_by_the_rules_that_selected_them(
    options: dict[str, Any], expected: list[str]
) -> None:
    events = {
        "zone.entered": PendingEvent("zone.entered", 0.0, "front"),
        "zone.left by night": PendingEvent("zone.left", 0.0, "front", rules=("night",)),
        "line.crossed by day and night": PendingEvent("line.crossed", 0.0, "front", rules=("day", "night")),
    }
    for chosen in (Clips.model_validate(options), Segments.model_validate(options)):
        assert [name for name, event in events.items() if matches(event, chosen)] == expected


@contextmanager
def site(folder: Path, **options: Any) -> Iterator[Site]:
    one = Site(folder, **options)
    one.journal.start()
    one.recorder.start()
    eventually(lambda: one.recorder._last is not None, 10, "the recorder follows the journal")
    try:
        yield one
    finally:
        one.recorder.close(10)
        one.journal.close()


@pytest.mark.parametrize("codec", ["h264", pytest.param("h265", marks=pytest.mark.slow)])
def test_a_clip_of_a_camera_begins_before_the_event_and_lacks_no_packet(tmp_path: Path, codec: str) -> None:
    need_rtsp_server()
    with (
        site(tmp_path) as here,
        CameraSimulator(Look(size=(320, 240), fps=FPS, codec=codec)) as camera,
        RunningFeed(camera.address(), packets=here.tap) as feed,
    ):
        feed.wait_for(5 * FPS, 30)
        at = here.happens()
        clip = here.clip()
        assert clip.codec == {"h264": "h264", "h265": "hevc"}[codec]
        assert clip.events == [1]
        assert clip.begin <= at - 2.0 + 0.1
        assert at < clip.end <= at + 1.1
        numbers = here.numbers(clip)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert 2 * FPS <= len(numbers) <= (2.0 + GOP_SECONDS + 1.1) * FPS
        assert here.counts.missing == 0
        with av.open(str(here.recorder.reader.folder / clip.path)) as container:
            packets = [one for one in container.demux(video=0) if one.size]
        assert packets[0].is_keyframe
        assert len(packets) == len(numbers)


def streaming(tap: PacketTap, folder: Path, seconds: int) -> RunningFeed:
    path = write_clip(folder / "film.mp4", size=(320, 240), frames=seconds * FPS)
    return RunningFeed(str(path), packets=tap, loop=False, timeout="3s")


def test_events_within_a_clip_share_it_up_to_its_maximum_length(tmp_path: Path) -> None:
    with site(tmp_path, pre="1s", post="1s", max_length="3s") as here, streaming(here.tap, tmp_path, 9) as feed:
        feed.wait_for(2 * FPS)
        here.happens()
        feed.wait_for_more(20)
        here.happens("zone.left")
        here.happens("camera.down")  # no kind that gets a clip
        feed.wait_for_more(20)
        here.happens()
        eventually(lambda: len(here.clips()) == 1, 10)
        clip = here.clip()
        assert clip.events == [1, 2, 4]
        assert 2.0 <= clip.end - clip.begin <= 4.2  # the key frame may be a second before `pre`


def test_a_clip_ends_with_the_file_and_what_arrived_is_kept(tmp_path: Path) -> None:
    with site(tmp_path, post="60s", max_length="100s") as here, streaming(here.tap, tmp_path, 3) as feed:
        feed.wait_for(FPS)
        here.happens()
        assert here.numbers(here.clip()) == list(range(3 * FPS))


def test_closing_finishes_the_clip_that_is_being_written(tmp_path: Path) -> None:
    with site(tmp_path, post="60s", max_length="100s") as here, streaming(here.tap, tmp_path, 6) as feed:
        feed.wait_for(FPS)
        here.happens()
        feed.wait_for_more(FPS)
        eventually(lambda: bool(list((tmp_path / "clips").glob("front/*.part"))), 5)
        here.recorder.close(10)
        assert len(here.numbers(here.clip())) >= 2 * FPS


def test_a_folder_that_cannot_be_used_is_reported_and_used_as_soon_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("in the way")
    with site(tmp_path) as here, streaming(here.tap, tmp_path, 9) as feed:
        eventually(lambda: bool(here.recorder.faults), 5)
        assert "recordings cannot be kept" in here.recorder.faults[0]
        (tmp_path / "clips").unlink()
        eventually(lambda: not here.recorder.faults, 10)
        feed.wait_for_more(1)
        here.happens()
        assert here.clip().events == [1]


def test_a_change_of_the_frame_size_begins_another_clip(tmp_path: Path) -> None:
    with site(tmp_path, pre="0s", post="1s") as here:
        here.tap.stream_opened("h264")
        here.happens()
        now = time.monotonic()
        for size in ((320, 240), (640, 360)):
            for one in encoded(size=size, frames=10):
                here.tap.packet_received(ReceivedPacket(one.data, one.pts, None, one.key, now))
        eventually(lambda: len(here.clips()) == 2, 10)
        assert {len(here.numbers(clip)) for clip in here.clips()} == {10}


def test_what_cannot_be_recorded_is_named(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.tap.stream_opened("mjpeg")
        assert "camera front cannot be recorded: it sends mjpeg; only H.264 and H.265" in here.recorder.faults[0]
        here.happens()
        eventually(lambda: here.counts.failures == 1, 5)
        assert here.clips() == []


def test_an_event_while_the_recorder_is_starting_gets_its_clip_and_one_of_an_earlier_run_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, begun = Site(tmp_path, pre="0s", post="200ms"), list[float]()
    span = one.journal.reader.span

    def busy_span() -> tuple[int, int]:
        if not begun:
            begun.append(one.happens())
            eventually(lambda: span() == (1, 2), 10)
        return span()

    one.journal.start()
    one.happens(ago=100.0)
    eventually(lambda: span() == (1, 1), 10)
    monkeypatch.setattr(one.journal.reader, "span", busy_span)
    one.tap.stream_opened("h264")
    one.tap.packet_received(encoded()[0]._replace(received_at=time.monotonic()))
    one.recorder.start()
    assert one.clip().events == [2]
    one.recorder.close(10)
    one.journal.close()
