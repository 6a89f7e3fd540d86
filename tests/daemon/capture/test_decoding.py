"""NVDEC decodes the same frames as FFmpeg: real files, a stand-in for the GPU."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest

from sightd.daemon.capture.decoding import CpuDecoding, DecodedFrame, downloaded
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.feed import Feed
from sightd.daemon.capture.stream import AvStream, Playback
from sightd.daemon.config.model import Camera
from sightd.daemon.config.source import source_of
from sightd.engines.cuda.driver import open_device
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.launch.picture import Matrix
from sightd.engines.cuda.nvdec import Nvdec
from sightd.plugins.api import Frame
from tests.support import media
from tests.support.barcode import get_bar
from tests.support.clips import CLOCKWISE, LiveEncoder, Scene, corners, quadrants, write_film
from tests.support.fake_cuda import StandIn, on_stand_in
from tests.support.fake_nvcodec import Library
from tests.support.odd_camera import OddCamera
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


@pytest.fixture(scope="module")
def stand_in(stand_in: StandIn) -> StandIn:
    media.path("bikes.mp4")  # downloaded here, so that the tests' processes find it in the cache
    return stand_in


class Clock:
    """A clock that never waits."""

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0


def decoded(path: Path, nvdec: Nvdec | None, count: int) -> list[DecodedFrame]:
    source = source_of(Camera.model_validate({"source": str(path)}))
    stream = AvStream(source, Playback(cast(Any, Clock()), lambda seconds: None, nvdec=nvdec))
    found: list[DecodedFrame] = []
    try:
        for frame in stream.frames():
            if isinstance(frame, DecodedFrame):
                found.append(frame)
            if len(found) == count:
                break
    finally:
        stream.close()
    return found


@on_stand_in()
def test_pictures_and_times_are_those_of_the_cpu(kernels: bytes) -> None:
    """An MP4: its packets are not a byte stream, and its parameter sets are in its header."""
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    path = media.path("bikes.mp4")
    on_cpu, on_gpu = decoded(path, None, 30), decoded(path, nvdec, 30)
    assert [frame.pts for frame in on_gpu] == [frame.pts for frame in on_cpu]
    assert [frame.size for frame in on_gpu] == [frame.size for frame in on_cpu]
    assert on_gpu[0].key
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert other.on_device is not None
        np.testing.assert_array_equal(one.decode(), other.decode())
    on_gpu.clear()
    del other
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_feeds_frames_know_that_they_are_on_the_device(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    frames: list[Frame] = []
    options = Camera.model_validate({"source": str(media.path("bikes.mp4")), "decoder": "nvdec"})
    feed = Feed("street", options, frames.append, cast(Any, Quiet()), nvdec=nvdec)
    feed.start()
    until = time.monotonic() + 60
    while len(frames) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    assert feed.stop(60)
    assert len(frames) >= 5
    assert frames[0].device(0) is not None
    assert frames[0].device(1) is None, "another card would have to read foreign memory"
    assert frames[0].host().shape == (frames[0].height, frames[0].width, 3)
    frames.clear()
    nvdec.close()
    device.close()


@on_stand_in()
def test_an_rtsp_camera_is_decoded_on_the_device(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    frames: list[Frame] = []
    with OddCamera() as camera:
        options = Camera.model_validate({"source": camera.address(), "decoder": "nvdec"})
        feed = Feed("door", options, frames.append, cast(Any, Quiet()), nvdec=nvdec)
        feed.start()
        eventually(lambda: len(frames) >= 30, 60)
        assert feed.stop(60)
    bars = [get_bar(frame.host()) for frame in frames[:30]]
    assert all(frame.device(0) is not None for frame in frames[:30])
    assert [bar and bar.number for bar in bars] == list(range(30))
    assert [frame.pts for frame in frames[:30]] == pytest.approx([n / 25 for n in range(30)], abs=1e-6)
    frames.clear()
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_codec_that_it_has_not_is_a_fault_of_the_source(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    with TemporaryDirectory() as folder:
        path = write_mjpeg(Path(folder) / "film.avi")
        with pytest.raises(SourceError, match="not mjpeg: set `decoder: cpu`") as told:
            decoded(path, nvdec, 1)
    assert told.value.reason is Reason.NO_VIDEO
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_film_is_whole_to_its_last_picture(kernels: bytes) -> None:
    """Its frames are decoded in another order than shown: some come only at the end of the file."""
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    with TemporaryDirectory() as folder:
        path = write_h264(Path(folder) / "film.mp4", 12)
        on_cpu, on_gpu = (decoded(path, decoder, 1000) for decoder in (None, nvdec))
    assert len(on_gpu) == len(on_cpu) == 12
    on_gpu.clear()
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_bare_stream_has_key_frames_and_no_times(kernels: bytes) -> None:
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    with TemporaryDirectory() as folder:
        path = write_h264(Path(folder) / "film.h264", 12)
        on_cpu, on_gpu = decoded(path, None, 100), decoded(path, nvdec, 100)
    assert [frame.key for frame in on_gpu] == [frame.key for frame in on_cpu]
    assert any(frame.key for frame in on_gpu)
    assert [frame.pts for frame in on_gpu] == [frame.pts for frame in on_cpu]
    on_gpu.clear()
    nvdec.close()
    device.close()


@on_stand_in()
def test_a_turned_film_is_turned_on_the_host(kernels: bytes) -> None:
    """There is no rotation on the GPU: frames are downloaded, and models and drawing use them on the CPU."""
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    with TemporaryDirectory() as folder:
        options = {"bf": "2", "g": "6"}
        pictures = [quadrants(96, 64)] * 8
        path = write_film(
            Path(folder) / "phone.mp4", pictures, matrix=CLOCKWISE, aspect=Fraction(4, 3), options=options
        )
        on_cpu, on_gpu = decoded(path, None, 100), decoded(path, nvdec, 100)
        assert [frame.size for frame in on_gpu] == [frame.size for frame in on_cpu] == [(64, 128)] * 8
        assert [frame.on_device for frame in on_gpu] == [None] * 8
        assert [frame.pts for frame in on_gpu] == [frame.pts for frame in on_cpu]
        assert [corners(frame.decode()) for frame in on_gpu] == [[2, 0, 3, 1]] * 8
        assert on_gpu[0].decode().shape == (128, 64, 3)
    on_gpu.clear()
    nvdec.close()
    device.close()


@on_stand_in()
def test_turning_and_aspect_are_followed_from_key_frame_to_key_frame(kernels: bytes) -> None:
    """A camera is rotated by 90° and by 180°, then has rectangular and square pixels: the same as on the CPU."""
    device = open_device("cuda:0")
    nvdec = Nvdec(device, Library())
    changes = [
        "aud=insert",
        "display_orientation=insert:rotate=270",
        "display_orientation=insert:rotate=180",
        "sample_aspect_ratio=4/3",
        "sample_aspect_ratio=1/1",
    ]
    with TemporaryDirectory() as folder:
        path = write_changing(Path(folder), changes)
        on_cpu, on_gpu = decoded(path, None, 100), decoded(path, nvdec, 100)
        assert [frame.size for frame in on_gpu] == [frame.size for frame in on_cpu]
        assert list(dict.fromkeys(frame.size for frame in on_gpu)) == [(96, 64), (64, 96), (128, 64)]
        assert [corners(frame.decode()) for frame in on_gpu] == [corners(frame.decode()) for frame in on_cpu]
        assert [frame.on_device is None for frame in on_gpu] == [False] * 5 + [True] * 20
    on_gpu.clear()
    nvdec.close()
    device.close()


def write_changing(folder: Path, changes: list[str]) -> Path:
    """Writes a raw H.264 stream with five frames per change; a change applies from the first, a key frame."""
    whole = b""
    for number, change in enumerate(changes):
        film = write_film(folder / f"{number}.mp4", [quadrants(96, 64)] * 5, options={"tune": "zerolatency"})
        with av.open(str(film)) as container:
            video = container.streams.video[0]
            filters = av.BitStreamFilterContext(f"h264_mp4toannexb,h264_metadata={change}", video)
            for packet in container.demux(video):
                whole += b"".join(bytes(one) for one in filters.filter(packet if packet.size else None))
    path = folder / "changing.h264"
    path.write_bytes(whole)
    return path


def write_h264(path: Path, count: int) -> Path:
    """Writes a video with B-frames, which are decoded in another order than shown."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "2", "g": "6", "preset": "veryfast"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for number in range(count):
            picture = np.full((64, 96, 3), 20 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))
    return path


def write_mjpeg(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        for packet in video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")):
            container.mux(packet)
        container.mux(video.encode(None))
    return path


class Quiet:
    """A listener that ignores everything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **named: None


@pytest.mark.parametrize("size", [(64, 48), (64, 47), (63, 48), (65, 47)])
@pytest.mark.parametrize("full_range", [False, True])
def test_pictures_of_odd_sizes_come_to_the_host_whole(size: tuple[int, int], full_range: bool) -> None:
    width, height = size
    even = (width + width % 2, height + height % 2)
    smooth = cv2.resize(np.random.default_rng(3).integers(0, 256, (2, 2, 3), np.uint8), even)
    planes = av.VideoFrame.from_ndarray(np.asarray(smooth, np.uint8), format="bgr24")
    nv12 = planes.reformat(
        format="nv12", dst_colorspace="ITU601", dst_color_range="JPEG" if full_range else "MPEG"
    ).to_ndarray()
    rows = np.concatenate((nv12[:height], nv12[even[1] :]))
    image = SimpleNamespace(nv12=lambda: rows, picture=SimpleNamespace(width=width, height=height))
    found = downloaded(cast(DeviceImage, image), Matrix.BT601, full_range)
    assert found.shape == (height, width, 3)
    assert np.abs(found.astype(int) - smooth[:height, :width]).mean() < 4


def live_frames() -> int:
    return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())


@pytest.mark.parametrize(
    ("codec", "options", "matrix"),
    [
        ("libx264", {}, None),
        ("libx264", {}, CLOCKWISE),
        ("libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}, None),
        ("mjpeg", {}, None),
    ],
    ids=["plain", "turned", "interlaced", "JPEG"],
)
def test_the_memory_of_a_frame_is_free_as_soon_as_it_is_converted(
    tmp_path: Path, codec: str, options: Mapping[str, str], matrix: Sequence[int] | None
) -> None:
    """The garbage collector counts objects, not bytes: frames that wait for it add up to hundreds of MiB."""
    film = write_film(tmp_path / "a.mkv", [quadrants(64, 48)] * 20, codec=codec, options=options, matrix=matrix)
    with av.open(str(film)) as container:
        video = container.streams.video[0]
        decoding = CpuDecoding(video.codec_context)
        gc.collect()
        before = live_frames()
        gc.disable()
        count = 0
        try:
            for packet in container.demux(video):
                count += len([one.decode() for one in decoding.decode(packet)])
            assert live_frames() <= before + 1, "the decoder keeps one for the next picture"
            assert count == 20
        finally:
            gc.enable()


def test_broken_parameter_sets_of_h265_are_damage_and_nothing_else() -> None:
    """FFmpeg reports some of them as "forbidden", which for a source would mean a wrong password."""
    scene, encoder, chance = Scene(320, 180), LiveEncoder(320, 180, 25, "libx265"), random.Random(1)
    units = [bytes(encoder.encode(scene.frame(number), number, key=number % 2 == 0)[0]) for number in range(4)]
    damaged = 0
    for _ in range(250):
        context = av.CodecContext.create("hevc", "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_type = "NONE"
        decoding = CpuDecoding(context)
        for number, unit in enumerate(units):
            broken = bytearray(unit)
            for _ in range(chance.randint(1, 6) if number % 2 == 0 else 0):
                broken[chance.randrange(min(len(broken), 110))] ^= 1 << chance.randrange(8)
            try:
                decoding.decode(av.Packet(bytes(broken)))
            except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.ArgumentError):
                damaged += 1
    assert damaged > 0
