"""One view of a camera for all its viewers over WebSockets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Coroutine

import av
import pytest

from sightd.daemon.encode.encoder import Packet
from sightd.daemon.serve.live_video import AnnotatedVideo, CleanVideo
from sightd.daemon.serve.mse.stream import MseStreams, MseViewer
from tests.daemon.recording.packets import FPS, GOP, encoded

pytestmark = pytest.mark.waiting

LARGE = (400, 240)


class Watched:
    """A video with its stream; used on an event loop."""

    def __init__(self, video: AnnotatedVideo | CleanVideo) -> None:
        self.video = video
        self.streams = MseStreams()
        if isinstance(video, CleanVideo):
            video.stream_opened("h264")

    @property
    def annotated(self) -> AnnotatedVideo:
        assert isinstance(self.video, AnnotatedVideo)
        return self.video

    def join(self) -> MseViewer:
        viewer = MseViewer()
        self.streams.stream(self.video).join(viewer)
        return viewer

    async def send(self, first: int, last: int, size: tuple[int, int] = (320, 240), later: float = 0.0) -> None:
        for one in encoded("h264", 2 * GOP, size)[first:last]:
            at = 10 + later + one.received_at
            if isinstance(self.video, AnnotatedVideo):
                self.video.push(Packet(one.data, at, one.key))
            else:
                self.video.packet_received(type(one)(one.data, at, None, one.key, at))
            await asyncio.sleep(0)


def run(act: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(act(), 20))


def kinds(viewer: MseViewer) -> list[str]:
    """Returns what waits for a viewer: types, initialisation segments and fragments."""
    names = {b"ftyp": "init", b"moof": "fragment"}
    return ["type" if isinstance(one, str) else names[one[4:8]] for one, _ in viewer._waiting]


def test_a_viewer_gets_the_type_then_the_initialisation_then_fragments_from_a_key_frame_on() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        viewer = watched.join()
        assert watched.annotated.wanted
        await watched.send(GOP - 2, GOP + 3)
        assert kinds(viewer) == ["type", "init", "fragment", "fragment"]
        told = json.loads(str(await viewer.next()))
        assert told["type"].startswith('video/mp4; codecs="avc1.')

    run(act)


def test_a_frame_lasts_until_the_next_however_late_that_is() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        viewer = watched.join()
        first, *others = encoded("h264", 5)
        for one, at in zip((first, *others), (0.0, 0.04, 0.30, 0.31, 0.40), strict=True):
            watched.annotated.push(Packet(one.data, 10 + at, one.key))
        await asyncio.sleep(0)
        film = b"".join(one for one, _ in viewer._waiting if isinstance(one, bytes))
        with av.open(io.BytesIO(film), "r") as container:
            times = [(one.dts, one.duration) for one in container.demux(video=0) if one.size]
        assert times == [(0, 3600), (3600, 23400), (27000, 900), (27900, 8100)]

    run(act)


def test_fragments_are_made_once_for_all_viewers() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        first, second = watched.join(), watched.join()
        await watched.send(0, 4)
        pairs = list(zip(first._waiting, second._waiting, strict=True))[1:]
        assert len(pairs) == 4
        assert all(one is other for (one, _), (other, _) in pairs)

    run(act)


def test_a_late_viewer_of_the_annotated_view_requests_a_key_frame() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        watched.join()
        await watched.send(0, 2)
        watched.annotated._key_at = 0.0
        watched.annotated.take_keyframe_request()
        watched.annotated._key_at = 0.0
        late = watched.join()
        assert watched.annotated.take_keyframe_request()
        await watched.send(2, 3)
        assert kinds(late) == []

    run(act)


def test_a_late_viewer_of_the_clean_view_begins_with_the_last_key_frame() -> None:
    async def act() -> None:
        watched = Watched(CleanVideo())
        await watched.send(0, 3)
        first = watched.join()
        assert kinds(first) == ["type", "init", "fragment"]
        await watched.send(3, 5)
        late = watched.join()
        assert kinds(late) == ["type", "init", "fragment"]
        fragments = [one for one, _ in late._waiting][2]
        assert isinstance(fragments, bytes)
        assert fragments.count(b"moof") == 4

    run(act)


def test_a_slow_viewer_skips_to_the_next_key_frame_and_a_fast_one_misses_nothing() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        slow, fast = watched.join(), watched.join()
        taken = 0
        for number in range(GOP + FPS):
            await watched.send(number, number + 1)
            taken += len(kinds(fast))
            while kinds(fast):
                await fast.next()
            assert len(kinds(slow)) <= FPS + 3
        assert taken == GOP + FPS + 1
        assert kinds(slow)[:3] == ["type", "init", "fragment"]
        assert len(kinds(slow)) == FPS + 1

    run(act)


def test_another_frame_size_has_another_type_and_initialisation() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        viewer = watched.join()
        await watched.send(0, 2)
        await watched.send(0, 3, LARGE, later=0.5)
        assert kinds(viewer) == ["type", "init", "fragment", "fragment"] * 2

    run(act)


def test_nothing_is_muxed_after_the_last_viewer_has_left_and_a_new_one_starts_again() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        viewer = watched.join()
        watched.streams.stream(watched.video).leave(viewer)
        assert not watched.annotated.wanted
        assert watched.video.viewers("mse") == 0
        again = watched.join()
        await watched.send(0, 2)
        assert kinds(again) == ["type", "init", "fragment"]

    run(act)


def test_the_end_of_the_video_reaches_viewers_after_what_waits() -> None:
    async def act() -> None:
        watched = Watched(AnnotatedVideo())
        viewer = watched.join()
        await watched.send(0, 2)
        watched.video.end()
        await asyncio.sleep(0)
        found = [await viewer.next() for _ in range(4)]
        assert found[3] is None
        assert None not in found[:3]

    run(act)
