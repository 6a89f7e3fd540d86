"""Sound is recorded with the image that it belongs to, from RTSP cameras and containers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from sightd.daemon.capture.audio import AudioFormat, aac_format, described_audio
from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.recording.audio_track import stored_codec
from sightd.daemon.recording.clip_file import ClipFile, StreamTemplate
from tests.daemon.capture.test_packets import Kept
from tests.daemon.recording.packets import encoded
from tests.daemon.recording.test_recorder import FPS, site
from tests.support.barcode import get_bar
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually

_BEEP_EVERY = 50
_TOLERANCE = {"aac": 0.14, "opus": 0.04, "alaw": 0.04, "mulaw": 0.04}
"""Seconds; the simulated camera's AAC encoder delays its sound by 0.1 s."""


def beeps(path: Path) -> list[float]:
    """Returns when beeps begin in a file, in s: the times of loud samples after silence."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", 16_000)
        pieces = [
            (frame.time or 0.0, piece) for frame in container.decode(audio=0) for piece in resampler.resample(frame)
        ]
    found, loud_at = list[float](), -1.0
    for begin, piece in pieces:
        for place in np.flatnonzero(np.abs(piece.to_ndarray()[0]) > 0.08):
            at = begin + float(place) / 16_000
            if at - loud_at > 0.5:
                found.append(at)
            loud_at = at
    return found


def marked_frames(path: Path) -> list[float]:
    """Returns when the frames are shown at which beeps begin."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    bars = [(frame.time or 0.0, get_bar(frame.to_ndarray(format="bgr24").astype(np.uint8))) for frame in frames]
    return [time for time, bar in bars if bar is not None and bar.number % _BEEP_EVERY == 0]


@pytest.mark.waiting
@pytest.mark.parametrize(
    "sound", ["alaw", *(pytest.param(one, marks=pytest.mark.slow) for one in ("aac", "opus", "mulaw"))]
)
def test_a_clip_of_an_rtsp_camera_has_its_sound_in_time(tmp_path: Path, sound: str) -> None:
    need_rtsp_server()
    with (
        site(tmp_path, pre="60s", max_length="90s", post="200ms") as here,
        CameraSimulator(Look(size=(320, 240), fps=FPS, audio=sound)) as camera,
        RunningFeed(camera.address(), packets=here.tap, timeout="10s") as feed,
    ):
        feed.wait_for(5 * FPS, 60)
        here.happens()
        clip = here.clip()
    path = here.recorder.reader.folder / clip.path
    assert clip.audio == ("opus" if sound == "opus" else "aac")
    shown, heard = marked_frames(path), beeps(path)
    assert len(heard) >= 2
    assert all(min(abs(one - at) for at in shown) < _TOLERANCE[sound] for one in heard if one > 0.2)


@pytest.mark.waiting
def test_a_camera_whose_sound_is_not_recorded_is_not_asked_for_it(tmp_path: Path) -> None:
    need_rtsp_server()
    kept = Kept()
    with (
        CameraSimulator(Look(size=(320, 240), fps=FPS, audio="alaw")) as camera,
        RunningFeed(camera.address(), packets=kept, timeout="10s") as feed,
    ):
        feed.wait_for(FPS, 60)
    assert kept.audio is None
    assert not any(packet.audio for packet in kept.packets)


def film(path: Path, codec: str, rate: int) -> None:
    """Writes 2 s of video, and of a tone that begins after 1 s."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, width=320, height=240, pix_fmt="yuv420p")
        audio = container.add_stream(codec, rate=rate)
        assert isinstance(audio, av.AudioStream)
        audio.codec_context.layout = "mono"
        size = audio.codec_context.frame_size or 800
        for _ in range(2 * FPS):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="bgr24")))
        for begin in range(0, 2 * rate, size):
            times = np.arange(begin, begin + size)
            tone = (np.sin(times * 2 * np.pi * 500 / rate) * (times >= rate) * 16_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, begin
            resampler = av.AudioResampler(audio.codec_context.format.name, "mono", rate)
            for piece in resampler.resample(frame):
                container.mux(audio.encode(piece))
        container.mux([*video.encode(None), *audio.encode(None)])


@pytest.mark.waiting
@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "stored"),
    [("ts", "aac", 48_000, "aac"), ("mp4", "aac", 44_100, "aac"), ("mkv", "libopus", 48_000, "opus"),
     ("mov", "pcm_alaw", 8_000, "aac")],
)  # fmt: skip
def test_the_sound_of_containers_is_recorded(tmp_path: Path, suffix: str, codec: str, rate: int, stored: str) -> None:
    path, kept = tmp_path / f"film.{suffix}", Kept(wants_audio=True)
    film(path, codec, rate)
    with RunningFeed(str(path), packets=kept, loop=False) as feed:
        feed.wait_for(2 * FPS)
        eventually(lambda: kept.closed > 0, 10)
    assert kept.audio is not None
    assert (stored_codec(kept.audio), kept.audio.rate, kept.audio.channels) == (stored, rate, 1)
    write(tmp_path / "clip.mp4", kept.packets, kept.audio)
    assert beeps(tmp_path / "clip.mp4") == [pytest.approx(1.0, abs=0.03)]


def write(path: Path, packets: Sequence[ReceivedPacket], audio: AudioFormat) -> None:
    file = ClipFile(path, StreamTemplate("h264", packets[0].data), packets, audio=audio)
    for packet in packets:
        file.write(packet)
    file.finish()


def phone(at: float, *, tone: bool = False, pts: float | None = None) -> ReceivedPacket:
    """Returns 40 ms of A-law, which arrive `at`."""
    data = (b"\x2a" * 8 + b"\xaa" * 8) * 20 if tone else b"\xd5" * 320
    return ReceivedPacket(data, at if pts is None else pts, None, False, at, audio=True)


_ALAW = AudioFormat("pcm_alaw", 8_000, 1)


@pytest.mark.computing
@pytest.mark.parametrize("missing", [range(20, 45), range(60, 61), range(0)])
def test_a_gap_of_the_sound_is_silence_and_what_follows_stays_in_time(tmp_path: Path, missing: range) -> None:
    packets = [
        one
        for number, image in enumerate(encoded())
        for one in (image, phone(number / FPS, tone=number == 75))
        if one is image or number not in missing
    ]
    write(tmp_path / "a.mp4", packets, _ALAW)
    assert beeps(tmp_path / "a.mp4") == [pytest.approx(3.0, abs=0.07)]  # a packet of 40 ms may be missing


@pytest.mark.computing
def test_sound_with_an_unrelated_clock_is_placed_by_its_arrival(tmp_path: Path) -> None:
    packets = [
        one
        for number, image in enumerate(encoded())
        for one in (image, phone(number / FPS, tone=number == 75, pts=9000 + number / FPS))
    ]
    write(tmp_path / "a.mp4", packets, _ALAW)
    assert beeps(tmp_path / "a.mp4") == [pytest.approx(3.0, abs=0.02)]


@pytest.mark.computing
def test_a_camera_whose_sound_never_comes_is_recorded(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", encoded(), _ALAW)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(encoded())


@pytest.mark.computing
def test_damaged_sound_does_not_harm_the_image(tmp_path: Path) -> None:
    audio = AudioFormat("aac", 16_000, 1, bytes.fromhex("1408"))
    packets = [
        one
        for number, image in enumerate(encoded())
        for one in (image, ReceivedPacket(bytes(number % 3), number / FPS, None, False, number / FPS, audio=True))
    ]
    write(tmp_path / "a.mp4", packets, audio)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(encoded())


@pytest.mark.computing
def test_the_configuration_of_aac_says_rate_and_channels() -> None:
    assert aac_format(bytes.fromhex("1210")) == AudioFormat("aac", 44_100, 2, bytes.fromhex("1210"))
    assert aac_format(bytes.fromhex("1408")) == AudioFormat("aac", 16_000, 1, bytes.fromhex("1408"))
    assert aac_format(b"") is None
    assert aac_format(bytes.fromhex("11b0")) is None  # six channels
    assert described_audio("MPEG4-GENERIC", lambda _: "no") is None
    assert described_audio("PCMA", lambda _: "2") is None
    assert described_audio("G726-32", lambda _: None) is None
