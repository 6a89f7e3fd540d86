from __future__ import annotations

import asyncio
import threading

import pytest

from sightd.daemon.serve.jpeg_stream import JpegPicture, JpegStream
from sightd.daemon.serve.limits import ViewerLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def data(picture: JpegPicture | None) -> bytes | None:
    return None if picture is None else picture.data


def test_a_frame_is_requested_while_somebody_waits_and_for_two_seconds_after(clock: Clock) -> None:
    stream = JpegStream(max_fps=1000, clock=clock)
    assert not stream.wanted

    async def ask() -> None:
        waiting = asyncio.create_task(stream.newest())
        await asyncio.sleep(0)
        clock.now += 60
        assert stream.wanted
        stream.publish(b"one", 1.0)
        assert data(await waiting) == b"one"

    asyncio.run(ask())
    clock.now += 1.9
    assert stream.wanted
    clock.now += 60
    assert not stream.wanted


def test_frames_are_requested_at_max_fps_at_most_on_average(clock: Clock) -> None:
    stream = JpegStream(max_fps=15, clock=clock)

    async def second_of_frames() -> int:
        published = 0
        for _ in range(25 * 4):
            clock.now += 1 / 25
            if stream.wanted:
                stream.publish(b"x", clock.now)
                published += 1
            await stream.newest()
        return published

    stream.publish(b"first", 0)
    assert 56 <= asyncio.run(second_of_frames()) <= 60


def test_the_newest_picture_wins_and_a_slow_viewer_skips() -> None:
    stream = JpegStream()

    async def watch() -> list[bytes | None]:
        stream.publish(b"one", 1.0)
        first = await stream.newest()
        assert first is not None
        stream.publish(b"two", 2.0)
        stream.publish(b"three", 3.0)
        return [data(first), data(await stream.newest(first.number))]

    assert asyncio.run(watch()) == [b"one", b"three"]


def test_a_publisher_on_another_thread_wakes_all_who_wait() -> None:
    stream = JpegStream()

    async def watch() -> list[JpegPicture | None]:
        waiting = [asyncio.create_task(stream.newest()) for _ in range(3)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=stream.publish, args=(b"one", 1.0))
        thread.start()
        pictures = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        thread.join()
        return pictures

    assert [data(picture) for picture in asyncio.run(watch())] == [b"one"] * 3


def test_a_publisher_outlives_the_event_loop_of_a_viewer() -> None:
    stream = JpegStream()

    loop = asyncio.new_event_loop()
    waiting = loop.create_task(stream.newest())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    stream.publish(b"one", 1.0)
    assert not waiting.done()
    assert data(asyncio.run(stream.newest())) == b"one"


def test_an_old_picture_is_no_still(clock: Clock) -> None:
    stream = JpegStream(clock=clock)
    stream.publish(b"old", 1.0)
    assert data(asyncio.run(stream.still())) == b"old"
    clock.now += 3600
    assert asyncio.run(stream.still(within=0.01)) is None

    async def ask() -> bytes | None:
        waiting = asyncio.create_task(stream.still())
        await asyncio.sleep(0)
        while not stream.wanted:
            await asyncio.sleep(0)
        stream.publish(b"new", 2.0)
        return data(await waiting)

    assert asyncio.run(ask()) == b"new"


def test_closing_ends_the_stream_for_those_who_wait_and_who_come() -> None:
    stream = JpegStream()

    async def watch() -> list[JpegPicture | None]:
        waiting = asyncio.create_task(stream.newest())
        await asyncio.sleep(0)
        stream.close()
        return [await waiting, await stream.newest()]

    assert asyncio.run(watch()) == [None, None]


def test_an_audience_seats_no_more_than_its_most() -> None:
    viewer_limit = ViewerLimit(2)
    with viewer_limit.slot() as first, viewer_limit.slot() as second:
        assert (first, second) == (True, True)
        with viewer_limit.slot() as third:
            assert not third
    with viewer_limit.slot() as again:
        assert again


def test_closing_an_audience_from_another_thread_ends_all_waits() -> None:
    viewer_limit, stream = ViewerLimit(2), JpegStream()

    async def wait() -> list[JpegPicture | None]:
        waiting = [asyncio.create_task(viewer_limit.unless_closed(stream.newest())) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.to_thread(viewer_limit.close)
        return await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert asyncio.run(wait()) == [None, None]
    with viewer_limit.slot() as seated:
        assert not seated


def test_a_viewer_who_is_cancelled_is_not_taken_for_a_closed_audience() -> None:
    async def cancel() -> None:
        waiting = asyncio.create_task(ViewerLimit(1).unless_closed(JpegStream().newest()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel())
