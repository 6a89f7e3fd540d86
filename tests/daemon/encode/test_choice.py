"""Which encoder runs, and that it is told when another must take its place."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from daemon.config.model import Output
from daemon.encode.choice import CodecChoice, EncoderMissingError
from daemon.encode.codec import EncoderError
from daemon.encode.h264 import H264Encoder
from daemon.encode.x264 import open_x264


def absent() -> str | None:
    return "no NVIDIA GPU here"


def present() -> str | None:
    return None


def full(*_: object) -> VideoCodecContext:
    raise EncoderError("h264_nvenc: out of sessions")


def test_auto_takes_nvenc_where_it_is() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=open_x264)
    assert (choice.name, choice.reason) == ("nvenc", "first choice")


def test_auto_takes_x264_elsewhere_and_says_why() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=absent, nvenc=full)
    assert (choice.name, choice.reason) == ("x264", "no nvenc: no NVIDIA GPU here")
    assert choice.open(64, 48, 25, Output()).name == "libx264"


def test_x264_by_configuration_does_not_ask_for_nvenc() -> None:
    def asked() -> str | None:
        raise AssertionError("NVENC was asked for")

    choice = CodecChoice("a", "x264", nvenc_missing=asked)
    assert (choice.name, choice.reason) == ("x264", "as configured")


def test_nvenc_as_a_must_is_refused_with_the_way_out() -> None:
    with pytest.raises(EncoderMissingError, match=r"camera a: .*no NVIDIA GPU here.*`encoder: auto`"):
        CodecChoice("a", "nvenc", nvenc_missing=absent)


def test_a_card_whose_sessions_are_taken_leaves_the_camera_to_x264_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=full)
    encoder = H264Encoder(64, 48, 25, Output(), choice.open)
    assert encoder.encode(np.zeros((48, 64, 3), np.uint8), 0.0)[0].keyframe
    assert (choice.name, choice.reason) == ("x264", "nvenc refused: h264_nvenc: out of sessions")
    assert "camera a is encoded by x264 from now on" in caplog.text


def test_a_must_stays_a_must_while_it_runs() -> None:
    choice = CodecChoice("a", "nvenc", nvenc_missing=present, nvenc=full)
    with pytest.raises(EncoderError, match="out of sessions"):
        choice.open(64, 48, 25, Output())
    assert choice.name == "nvenc"


def test_an_nvenc_that_breaks_down_makes_room_for_x264() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=open_x264)
    choice.failed(EncoderError("the GPU is gone"))
    assert (choice.name, choice.reason) == ("x264", "nvenc refused: the GPU is gone")


def test_an_x264_that_fails_changes_nothing() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=absent)
    choice.failed(EncoderError("libx264 refused a picture"))
    assert choice.reason == "no nvenc: no NVIDIA GPU here"
