"""The encoder's output can be decoded at once, looks like the source, and keeps its timing."""

from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codecs import EncoderError
from sightd.daemon.encode.encoder import H264Encoder, Packet
from sightd.plugins.api import Image

SPS, PPS, IDR, DELIMITER = 7, 8, 5, 9
BASELINE = 66


def scene(step: int = 0, width: int = 320, height: int = 180) -> Image:
    """Returns a smooth gradient with a moving disc, BGR."""
    x, y = np.meshgrid(np.linspace(20, 235, width), np.linspace(20, 235, height))
    image = np.stack([x, y, 255 - x], axis=2).astype(np.uint8)
    return cv2.circle(image, (40 + 5 * step, height // 2), height // 6, (60, 200, 250), -1).astype(np.uint8)


def flat(colour: tuple[int, int, int], width: int = 320, height: int = 180) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def encoded(images: Sequence[Image], fps: float = 25.0, at: float = 1000.0, **options: object) -> list[Packet]:
    height, width = images[0].shape[:2]
    encoder = H264Encoder(width, height, fps, Output.model_validate(options))
    return [packet for n, image in enumerate(images) for packet in encoder.encode(image, at + n / fps)]


def decoded(packets: Sequence[Packet]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    return frames + decoder.decode(None)


def bgr(frame: av.VideoFrame) -> Image:
    return cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420).astype(np.uint8)


def units(packet: Packet) -> list[int]:
    """Returns the types of the NAL units of an access unit."""
    return [part[0] & 31 for part in packet.data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]]


def test_every_picture_gives_its_packet_at_once() -> None:
    encoder = H264Encoder(320, 180, 25, Output())
    for n in range(10):
        packets = encoder.encode(scene(n), n / 25)
        assert [packet.captured_at for packet in packets] == [n / 25]


def test_the_first_packet_is_a_key_frame_that_can_be_decoded_alone() -> None:
    first = encoded([scene()])[0]
    assert first.keyframe
    assert {SPS, PPS, IDR} <= set(units(first))
    assert len(decoded([first])) == 1


def test_packets_are_a_byte_stream_of_whole_access_units() -> None:
    for packet in encoded([scene(n) for n in range(5)]):
        assert packet.data.startswith(b"\0\0\0\1")
        assert units(packet)[0] == DELIMITER
        assert units(packet).count(DELIMITER) == 1


def test_a_key_frame_comes_at_once_when_asked_for_and_serves_a_late_joiner() -> None:
    encoder = H264Encoder(320, 180, 25, Output())
    packets = [packet for n in range(8) for packet in encoder.encode(scene(n), n / 25, keyframe=n == 5)]
    assert [packet.keyframe for packet in packets] == [n in (0, 5) for n in range(8)]
    joined = decoded(packets[5:])
    assert len(joined) == 3
    assert cv2.PSNR(bgr(joined[0]), scene(5)) > 34


@pytest.mark.parametrize("fps", [5.0, 25.0, 60.0])
def test_key_frames_come_by_the_clock_at_any_frame_rate(fps: float) -> None:
    encoder = H264Encoder(64, 48, 25, Output.model_validate({"keyframe_interval": "1s"}))
    image = flat((90, 90, 90), 64, 48)
    packets = [packet for n in range(int(3 * fps) + 1) for packet in encoder.encode(image, 500 + n / fps)]
    keys = [packet.captured_at for packet in packets if packet.keyframe]
    assert keys == pytest.approx([500, 501, 502, 503], abs=1.01 / fps)


def test_a_cut_in_the_picture_makes_no_key_frame_of_its_own() -> None:
    packets = encoded([flat((10, 10, 10)), flat((240, 240, 240)), scene(3)])
    assert [packet.keyframe for packet in packets] == [True, False, False]


def test_the_decoded_pictures_look_like_the_source() -> None:
    images = [scene(n) for n in range(10)]
    frames = decoded(encoded(images, crf=20))
    assert len(frames) == 10
    assert min(cv2.PSNR(bgr(frame), image) for frame, image in zip(frames, images, strict=True)) > 36


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128)]
)
def test_saturated_colours_come_back_right_in_a_player(colour: tuple[int, int, int]) -> None:
    frame = decoded(encoded([flat(colour)], crf=10))[0]
    shown = frame.to_ndarray(format="bgr24")  # converts according to the stream's own colour tags
    assert np.abs(shown[20:-20, 20:-20].astype(int) - colour).max() <= 6


def test_colours_are_marked_as_bt601_matrix_in_limited_range() -> None:
    frame = decoded(encoded([scene()]))[0]
    assert (frame.colorspace, frame.color_range) == (6, 1)
    assert (frame.color_primaries, frame.color_trc) == (1, 1)


def test_the_quickest_preset_is_baseline_so_that_every_browser_plays_it() -> None:
    data = encoded([scene()])[0].data
    sps = data.index(b"\0\0\1\x67") + 4
    assert data[sps] == BASELINE


@pytest.mark.parametrize("preset", ["superfast", "veryfast", "medium"])
def test_slower_presets_hold_nothing_back_either(preset: str) -> None:
    packets = encoded([scene(n) for n in range(5)], preset=preset)
    assert [packet.captured_at for packet in packets] == [1000.0 + n / 25 for n in range(5)]
    assert len(decoded(packets)) == 5


def test_captures_at_one_time_or_out_of_order_are_still_encoded() -> None:
    encoder = H264Encoder(64, 48, 25, Output())
    image = flat((50, 90, 120), 64, 48)
    packets = [packet for at in (5.0, 5.0, 4.9, 5.1) for packet in encoder.encode(image, at)]
    assert [packet.captured_at for packet in packets] == [5.0, 5.0, 4.9, 5.1]


def test_the_rate_keeps_below_the_limit() -> None:
    rng = np.random.default_rng(2)
    noise = [rng.integers(0, 256, (180, 320, 3), np.uint8) for _ in range(50)]
    packets = encoded(noise, max_bitrate=1000)
    assert sum(len(packet.data) for packet in packets[25:]) * 8 < 1.2 * 1_000_000


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (800, 450), (640, 272), (854, 480), (3840, 2160)])
def test_all_even_sizes_can_be_encoded(size: tuple[int, int]) -> None:
    frame = decoded(encoded([scene(0, *size)], crf=15))[0]
    assert (frame.width, frame.height) == size
    assert cv2.PSNR(bgr(frame), scene(0, *size)) > 25  # misplaced planes give 13; halved chroma costs small sizes


def test_the_callers_picture_may_be_reused_at_once() -> None:
    encoder = H264Encoder(320, 180, 25, Output(crf=15))
    image, packets = flat((0, 0, 0)), []
    for n in range(6):
        image[:] = scene(n)
        packets += encoder.encode(image, n / 25)
        image[:] = 0
    assert min(cv2.PSNR(bgr(frame), scene(n)) for n, frame in enumerate(decoded(packets))) > 36


def test_an_odd_size_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="crop or scale"):
        H264Encoder(641, 360, 25, Output())


def test_a_picture_of_another_size_is_refused() -> None:
    encoder = H264Encoder(320, 180, 25, Output())
    with pytest.raises(ValueError, match="does not fit"):
        encoder.encode(scene(0, 640, 360), 0.0)


def test_a_closed_encoder_says_so_and_may_be_closed_again() -> None:
    encoder = H264Encoder(320, 180, 25, Output())
    encoder.encode(scene(), 0.0)
    encoder.close()
    encoder.close()
    with pytest.raises(EncoderError, match="closed"):
        encoder.encode(scene(), 1.0)


def test_it_is_silent_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    encoded([scene()])
    assert capfd.readouterr() == ("", "")
