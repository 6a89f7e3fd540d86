from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sightd.daemon.encode.encoder import Packet
from tests.daemon.serve.numbered import FPS, number_in, player, watch
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.daemon.serve.conftest import Service

Serve = Callable[..., "Service"]
StartViewer = Callable[..., "subprocess.Popen[str]"]


def test_a_play_that_ends_after_its_media_harms_no_camera(serve: Serve) -> None:
    stream = serve().server.add("other")
    stream.viewer_plays(1)
    assert not stream.push(Packet(b"\0\0\0\1\x65", time.monotonic(), keyframe=True))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_viewer_gets_every_frame_in_order(serve: Serve, transport: str) -> None:
    numbers = watch(serve().url, 30, transport)
    later = numbers[2:]  # the first frame is the one with which the stream was described
    assert later == list(range(later[0], later[0] + len(later)))


def test_a_picture_is_decoded_well_within_a_frame_interval(serve: Serve) -> None:
    service = serve()
    with player(service.url) as frames:
        next(frames)
        ages = (time.monotonic() - service.camera.captured[number_in(frame)] for frame in itertools.islice(frames, 250))
        assert any(age < 0.8 / FPS for age in ages), "one that is held back until the next comes is never that young"


def test_times_move_as_evenly_as_the_frames_were_captured(serve: Serve) -> None:
    service = serve()
    with player(service.url) as frames:
        seen = [(number_in(frame), frame.time) for frame in itertools.islice(frames, 3, 30)]
    captured = [service.camera.captured[number] for number, _ in seen]
    # FFmpeg's times are one frame early (daemon.serve.delimiter), so each belongs to the frame before.
    assert np.diff([pts for _, pts in seen[1:]]) == pytest.approx(np.diff(captured[:-1]), abs=0.002)


def test_nothing_is_wanted_until_somebody_watches_nor_after(serve: Serve) -> None:
    service = serve()
    for _ in range(3):
        assert not service.stream.wanted
        with player(service.url) as frames:
            next(frames)
            assert service.stream.wanted
            eventually(lambda: service.stream.clients == 1)
        eventually(lambda: not service.stream.wanted, within=2)
        assert service.stream.clients == 0


def test_a_late_joiner_sees_a_picture_within_a_second(serve: Serve) -> None:
    service = serve()
    with player(service.url) as first:
        for _ in range(10):
            next(first)
        begun = time.monotonic()
        with player(service.url) as second:
            joined_at = number_in(next(second))
            assert time.monotonic() - begun < 4.0  # the encoder's own next key frame is up to 10 s away
            assert joined_at > 10
            eventually(lambda: service.stream.clients == 2)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_killed_viewer_is_forgotten_at_once(serve: Serve, viewer_process: StartViewer, transport: str) -> None:
    service = serve()
    viewer = viewer_process(service.url, transport)
    assert service.stream.clients == 1
    viewer.kill()
    eventually(lambda: not service.stream.wanted and service.stream.clients == 0, within=2)


def test_a_stalled_viewer_is_cut_off_and_harms_nobody(serve: Serve, viewer_process: StartViewer) -> None:
    service = serve(stall_timeout="1s")
    stalled = viewer_process(service.url)
    with player(service.url) as frames:
        next(frames)
        eventually(lambda: service.stream.clients == 2)
        os.kill(stalled.pid, signal.SIGSTOP)
        numbers = []
        while service.stream.clients == 2:
            numbers.append(number_in(next(frames)))
            assert len(numbers) < 10 * FPS, "the stalled viewer is still there"
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    eventually(lambda: not service.stream.wanted, within=2)


@pytest.mark.waiting
@pytest.mark.slow
def test_a_viewer_who_is_silent_but_reads_stays(serve: Serve) -> None:
    """Some players send neither RTCP nor keep-alives over TCP."""
    service = serve(stall_timeout="1s")
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        reader = connection.makefile("rb")
        session = _play_by_hand(connection, reader, service.url)
        assert session.endswith("timeout=10")
        ends, received = time.monotonic() + 12.5, 0
        while time.monotonic() < ends:
            received += len(reader.read1(65536))
        assert service.stream.clients == 1
        assert received > 500_000
        reader.close()


def _play_by_hand(connection: socket.socket, reader: object, url: str) -> str:
    def ask(method: str, address: str, *headers: str) -> dict[str, str]:
        lines = [f"{method} {address} RTSP/1.0", "CSeq: 1", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        assert b"200" in reader.readline()  # type: ignore[attr-defined]
        answer = {}
        while line := reader.readline().strip():  # type: ignore[attr-defined]
            key, _, value = line.decode().partition(": ")
            answer[key.lower()] = value
        reader.read(int(answer.get("content-length", 0)))  # type: ignore[attr-defined]
        return answer

    ask("DESCRIBE", url)
    session = ask("SETUP", f"{url}/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")["session"]
    ask("PLAY", url, f"Session: {session.split(';')[0]}")
    return session


def test_viewers_come_and_go_without_a_trace(serve: Serve) -> None:
    service = serve()
    watch(service.url, 2)
    eventually(lambda: not service.stream.wanted)
    descriptors, threads = _descriptors(), threading.active_count()
    dice = random.Random(11)

    visits = [(dice.randint(1, 6), dice.choice(["tcp", "udp"])) for _ in range(60)]
    with ThreadPoolExecutor(3) as crowd:  # often the last viewer leaves just as another comes
        seen = list(crowd.map(lambda visit: len(watch(service.url, *visit)), visits))
    assert seen == [frames for frames, _ in visits]
    eventually(lambda: not service.stream.wanted and service.stream.clients == 0)
    assert watch(service.url, 3)
    eventually(lambda: not service.stream.wanted)
    eventually(lambda: _descriptors() <= descriptors + 8, what="descriptors go back")
    eventually(lambda: threading.active_count() <= threads + 1, what="threads go back")


def test_what_a_viewer_was_given_does_not_end_before_he_has_it(serve: Serve) -> None:
    """The last viewer leaves just after another's DESCRIBE has found the stream, before it takes a reference."""
    service = serve()
    factory, _ = service.server._server.get_mount_points().match("/front")
    later: list[Callable[[], bool]] = []
    factory.holds._later = lambda _milliseconds, call: later.append(call)
    with player(service.url) as frames:
        next(frames)
        media = service.stream._media
        before = factory.do_gen_key(None)
    eventually(lambda: service.stream.clients == 0)
    time.sleep(0.3)  # long enough for it to end
    assert media.prepare(None), "the viewer who came last may use it"
    media.unprepare()
    [let_go] = later
    assert not let_go()
    eventually(lambda: not service.stream.wanted)
    assert factory.do_gen_key(None) != before, "nobody is given it once it has ended"


def test_a_server_that_closes_holds_nothing(serve: Serve) -> None:
    service = serve()
    factory, _ = service.server._server.get_mount_points().match("/front")
    with player(service.url) as frames:
        next(frames)
        media = service.stream._media
        factory.do_gen_key(None)
        service.server.close()
    unprepared = service.stream._gstreamer.rtsp_server.RTSPMediaStatus.UNPREPARED
    eventually(lambda: media.get_status() == unprepared)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not on the PATH")
def test_ffprobe_reads_the_stream(serve: Serve) -> None:
    command = ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,width,height"]
    answer = subprocess.run([*command, "-of", "csv=p=0", serve().url], capture_output=True, text=True, timeout=30)
    assert answer.stdout.strip() == "h264,640,360"


def test_what_cannot_be_sent_in_time_is_counted_and_what_follows_can_be_decoded(serve: Serve) -> None:
    """The pipeline stalls for two seconds, as on an overloaded machine."""
    service = serve()
    numbers: list[int] = []
    with player(service.url) as frames:
        numbers += [number_in(frame) for frame in itertools.islice(frames, 10)]
        pad = service.stream._source.get_static_pad("src")
        kinds = service.stream._gstreamer.gst.PadProbeType
        blocked = pad.add_probe(kinds.BLOCK | kinds.BUFFER, lambda *_: service.stream._gstreamer.gst.PadProbeReturn.OK)
        time.sleep(2)  # the passing of time is what is tested
        pad.remove_probe(blocked)
        numbers += [number_in(frame) for frame in itertools.islice(frames, 50)]
    whole = [later - earlier for earlier, later in itertools.pairwise(numbers[2:])]
    assert min(whole) >= 1
    assert sum(gap - 1 for gap in whole) == service.stream.skipped > 10
    assert sum(gap > 1 for gap in whole) == 1, "after the gap every picture is whole: a key frame comes first"
