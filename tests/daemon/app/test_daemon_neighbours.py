"""Other video servers read a running daemon: with the options that they give FFmpeg, and what they do with packets."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import dropwhile, islice, pairwise
from typing import Any

import av
import httpx
import pytest
from av.packet import Packet

from tests.support.camera import need_rtsp_server
from tests.support.daemon import DaemonProcess

pytestmark = [pytest.mark.slow, pytest.mark.waiting]

TOKEN = "a-token-of-somebody-to-view"
PACKETS, MOST = 30, 100
"""Packets that are passed on, and that are read in all: there is a key frame every one or two seconds."""
READERS = {
    "Home Assistant": {"rtsp_flags": "prefer_tcp", "stimeout": "5000000"},
    "go2rtc": {"fflags": "nobuffer", "flags": "low_delay", "timeout": "5000000", "rtsp_transport": "tcp"},
    "Frigate": {"rtsp_transport": "tcp", "timeout": "10000000"},
    "Frigate, generic": {
        "avoid_negative_ts": "make_zero",
        "fflags": "+genpts+discardcorrupt",
        "rtsp_transport": "tcp",
        "timeout": "10000000",
        "use_wallclock_as_timestamps": "1",
    },
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    need_rtsp_server()
    configuration = {
        "cameras": {"gate": {"source": "testpattern://", "width": 320, "height": 240, "fps": 25, "chain": []}},
        "access": {"tokens": {"wall": {"role": "view", "token": TOKEN}}},
    }
    with DaemonProcess(tmp_path_factory.mktemp("neighbours"), configuration) as one:
        yield one


def usable(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Yields packets from the first key frame of known time. FFmpeg knows no time before the server's first report, and
    with `nobuffer` it drops what it probed."""
    arrived = (packet for packet in packets if packet.size)
    began = dropwhile(lambda packet: packet.dts is None or not packet.is_keyframe, islice(arrived, MOST))
    for packet in began:
        assert packet.dts is not None
        yield packet


@pytest.mark.parametrize("reader", READERS)
def test_a_neighbour_gets_packets_that_it_can_pass_on_and_decode(daemon: DaemonProcess, reader: str) -> None:
    address = daemon.rtsp("gate").replace("://", f"://wall:{TOKEN}@")
    passed_on = io.BytesIO()
    with av.open(address, options=READERS[reader], timeout=30) as source:
        [video] = source.streams
        assert (video.type, video.codec_context.name) == ("video", "h264")
        assert video.codec_context.extradata, "SPS and PPS are known before the first packet"
        packets = list(islice(usable(source.demux(video)), PACKETS))
        times = [packet.dts or 0 for packet in packets]
        with av.open(passed_on, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as file:
            copy = file.add_stream_from_template(video)
            for packet in packets:
                packet.stream = copy
                file.mux(packet)
    assert packets[0].is_keyframe
    assert all(0 < after - before < 90_000 for before, after in pairwise(times)), "no time goes back, none is missing"
    with av.open(io.BytesIO(passed_on.getvalue()), "r") as played:
        frames = [frame.to_ndarray(format="bgr24") for frame in played.decode(video=0)]
    assert len(frames) == PACKETS
    assert all(frame.std() > 10 for frame in frames)


def test_a_generic_camera_has_a_still_with_name_and_token(daemon: DaemonProcess) -> None:
    answer = httpx.get(daemon.url("/gate.jpg"), auth=("wall", TOKEN), timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
