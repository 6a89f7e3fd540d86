"""NVENC as far as a machine without a GPU can tell: what it is asked for, and why it is not there."""

from __future__ import annotations

import pytest

from daemon.config.model import Output
from daemon.encode import nvenc
from daemon.encode.codec import EncoderError
from daemon.encode.nvenc import nvenc_problem, open_nvenc, settings
from engines.placement import no_gpu

without_gpu = pytest.mark.skipif(no_gpu() is None, reason="this machine has an NVIDIA GPU")


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    nvenc_problem.cache_clear()


def test_quality_and_limit_are_those_of_the_configuration() -> None:
    asked = settings(Output(crf=19, max_bitrate=4000))
    assert (asked["rc"], asked["cq"], asked["b"]) == ("vbr", "19", "0")
    assert (asked["maxrate"], asked["bufsize"]) == ("4000k", "4000k")


def test_nothing_is_held_back_and_key_frames_come_only_when_asked_for() -> None:
    asked = settings(Output())
    assert (asked["tune"], asked["delay"], asked["zerolatency"], asked["rc-lookahead"]) == ("ull", "0", "1", "0")
    assert (asked["forced-idr"], asked["no-scenecut"]) == ("1", "1")


@without_gpu
def test_without_a_gpu_it_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*_: object) -> None:
        raise AssertionError("FFmpeg would load CUDA")

    monkeypatch.setattr(nvenc, "open_nvenc", tried)
    assert nvenc_problem() == "no NVIDIA GPU here (its driver is not loaded)"


@without_gpu
def test_a_driver_alone_is_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "no_gpu", lambda: None)
    problem = nvenc_problem()
    assert problem is not None
    assert "this GPU has no NVENC" in problem


@without_gpu
def test_ffmpeg_has_the_encoder_and_says_that_it_cannot_be_opened() -> None:
    with pytest.raises(EncoderError, match="h264_nvenc cannot encode 256x256"):
        open_nvenc(256, 256, 25, Output())


def test_it_is_asked_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["the first answer", "another answer"])
    monkeypatch.setattr(nvenc, "no_gpu", lambda: next(answers))
    assert [nvenc_problem(), nvenc_problem()] == ["the first answer"] * 2
    nvenc_problem.cache_clear()
