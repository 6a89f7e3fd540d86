"""NVENC, as far as it can be tested without a GPU: its options, and why it is unavailable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest
from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codecs import (
    RETRY_AFTER,
    EncoderError,
    NvencProblem,
    nvenc_settings,
    open_nvenc,
    open_x264,
    opened,
)
from sightd.engines.cuda.gpus import no_gpu

without_gpu = pytest.mark.skipif(no_gpu() is None, reason="this machine has an NVIDIA GPU")


def test_quality_and_limit_are_those_of_the_configuration() -> None:
    asked = nvenc_settings(Output(crf=19, max_bitrate=4000))
    assert (asked["rc"], asked["cq"], asked["b"]) == ("vbr", "19", "0")
    assert (asked["maxrate"], asked["bufsize"]) == ("4000k", "4000k")


def test_nothing_is_held_back_and_key_frames_come_only_when_asked_for() -> None:
    asked = nvenc_settings(Output())
    assert (asked["tune"], asked["delay"], asked["zerolatency"], asked["rc-lookahead"]) == ("ull", "0", "1", "0")
    assert (asked["forced-idr"], asked["no-scenecut"]) == ("1", "1")


@without_gpu
def test_ffmpeg_has_the_encoder_and_says_that_it_cannot_be_opened() -> None:
    with pytest.raises(EncoderError, match="h264_nvenc cannot encode 256x256"):
        open_nvenc(256, 256, 25, Output())


@without_gpu
def test_without_a_gpu_it_is_not_even_tried() -> None:
    def tried(*_: object) -> VideoCodecContext:
        raise AssertionError("FFmpeg would load CUDA")

    assert NvencProblem(nvenc=tried)() == "no NVIDIA GPU found (the driver is not loaded)"


@without_gpu
def test_a_driver_alone_is_no_encoder() -> None:
    problem = NvencProblem(gpu_missing=lambda: None)()
    assert problem is not None
    assert "this GPU has no NVENC" in problem


class Card:
    """A simulated machine with a GPU; `refuses` is what its NVENC, or FFmpeg, raises."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.gpu_missing: str | None = None
        self.refuses: EncoderError | None = None
        self.problem = NvencProblem(gpu_missing=lambda: self.gpu_missing, nvenc=self.open, clock=lambda: self.now)

    def open(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        self.asked += 1
        if self.refuses:
            raise self.refuses
        return open_x264(width, height, fps, options)


def test_a_card_that_refused_is_asked_again_after_a_while_and_not_before() -> None:
    card = Card()
    card.refuses = EncoderError("out of sessions")
    refused = card.problem()
    assert refused is not None
    assert "all its sessions are taken" in refused
    card.refuses = None
    card.now += RETRY_AFTER - 0.1
    assert (card.problem(), card.asked) == (refused, 1)
    card.now += 0.1
    assert (card.problem(), card.asked) == (None, 2)


def test_a_card_that_goes_on_refusing_is_asked_once_in_that_time() -> None:
    card = Card()
    card.refuses = EncoderError("out of sessions")
    for _ in range(30):
        card.problem()
        card.now += RETRY_AFTER / 10
    assert card.asked == 3


def test_that_it_works_is_remembered_for_good() -> None:
    card = Card()
    assert card.problem() is None
    card.now += 100 * RETRY_AFTER
    card.refuses = EncoderError("out of sessions")
    assert (card.problem(), card.asked) == (None, 1)


def test_that_there_is_no_gpu_is_remembered_for_good() -> None:
    card = Card()
    card.gpu_missing = "no NVIDIA GPU found"
    assert card.problem() == "no NVIDIA GPU found"
    card.now += 100 * RETRY_AFTER
    card.gpu_missing = None
    assert (card.problem(), card.asked) == ("no NVIDIA GPU found", 0)


def test_an_ffmpeg_without_the_encoder_is_remembered_for_good_and_not_taken_for_the_cards_fault() -> None:
    card = Card()
    with pytest.raises(EncoderError) as caught:
        opened("h264_of_no_build", 256, 256, 25, 1, {})
    card.refuses = caught.value
    told = card.problem()
    assert told is not None
    assert told.startswith("this build of PyAV does not include h264_of_no_build")
    card.now += 100 * RETRY_AFTER
    assert (card.problem(), card.asked) == (told, 1)


def test_threads_that_ask_at_once_have_the_card_asked_once() -> None:
    together = Barrier(2)
    asked: list[None] = []

    def slow(*_: object) -> VideoCodecContext:
        asked.append(None)
        with suppress(BrokenBarrierError):
            together.wait(0.2)  # which a second thread would end, if it were let in
        raise EncoderError("out of sessions")

    problem = NvencProblem(gpu_missing=lambda: None, nvenc=slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: problem(), range(2))
    assert first == second is not None
    assert len(asked) == 1
