"""Which encoder is used, and how it is replaced when it fails."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.choice import CodecChoice, CodecName, EncoderMissingError
from sightd.daemon.encode.codecs import RETRY_AFTER, EncoderError, open_x264
from sightd.daemon.encode.encoder import H264Encoder


def absent() -> str | None:
    return "no NVIDIA GPU found"


def present() -> str | None:
    return None


def full(*_: object) -> VideoCodecContext:
    raise EncoderError("h264_nvenc: out of sessions")


def test_auto_takes_nvenc_where_it_is() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=open_x264)
    assert (choice.name, choice.reason) == ("nvenc", "first choice")


def test_auto_takes_x264_elsewhere_and_says_why() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=absent, nvenc=full)
    assert (choice.name, choice.reason) == ("x264", "no nvenc: no NVIDIA GPU found")
    assert choice.open(64, 48, 25, Output()).name == "libx264"


def test_x264_by_configuration_does_not_ask_for_nvenc() -> None:
    def asked() -> str | None:
        raise AssertionError("NVENC was asked for")

    choice = CodecChoice("a", "x264", nvenc_missing=asked)
    assert (choice.name, choice.reason) == ("x264", "as configured")


def test_nvenc_as_a_must_is_refused_with_the_way_out() -> None:
    with pytest.raises(EncoderMissingError, match=r"camera a: .*no NVIDIA GPU found.*`encoder: auto`"):
        CodecChoice("a", "nvenc", nvenc_missing=absent)


def test_a_card_whose_sessions_are_taken_leaves_the_camera_to_x264_and_that_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=full)
    encoder = H264Encoder(64, 48, 25, Output(), choice.open)
    assert encoder.encode(np.zeros((48, 64, 3), np.uint8), 0.0)[0].keyframe
    assert (choice.name, choice.reason) == ("x264", "nvenc failed: h264_nvenc: out of sessions")
    assert "camera a: switched encoder to x264" in caplog.text


def test_a_must_stays_a_must_while_it_runs() -> None:
    choice = CodecChoice("a", "nvenc", nvenc_missing=present, nvenc=full)
    with pytest.raises(EncoderError, match="out of sessions"):
        choice.open(64, 48, 25, Output())
    assert not choice.failed(EncoderError("the GPU is gone"))
    assert choice.name == "nvenc"


def test_an_nvenc_that_breaks_down_makes_room_for_x264() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=present, nvenc=open_x264)
    assert choice.failed(EncoderError("the GPU is gone"))
    assert (choice.name, choice.reason) == ("x264", "nvenc failed: the GPU is gone")


def test_an_x264_that_fails_changes_nothing() -> None:
    choice = CodecChoice("a", "auto", nvenc_missing=absent)
    assert not choice.failed(EncoderError("libx264 rejected a frame"))
    assert choice.reason == "no nvenc: no NVIDIA GPU found"


class Card:
    """A simulated NVENC that can refuse, a manual clock, and one camera's encoder choice."""

    def __init__(
        self, refuses: str | None, wish: CodecName | Literal["auto"] = "auto", missing: str | None = None
    ) -> None:
        self.refuses, self.missing, self.now, self.tried = refuses, missing, 1000.0, 0
        self.choice = CodecChoice(
            "a", wish, nvenc_missing=lambda: self.missing, nvenc=self.open_nvenc, clock=lambda: self.now
        )

    def open_nvenc(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        self.tried += 1
        if self.refuses:
            raise EncoderError(self.refuses)
        return open_x264(width, height, fps, options)

    def next_encoder(self, later: float) -> str:
        """Opens the next encoder so many seconds later, lets it encode a frame and returns its name."""
        self.now += later
        self.choice.open(64, 48, 25, Output())
        self.choice.succeeded()
        return self.choice.name


def test_a_refused_camera_tries_nvenc_again_after_a_while_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    card = Card("out of sessions")
    assert card.next_encoder(0) == "x264"
    card.refuses = None
    assert card.next_encoder(RETRY_AFTER - 1) == "x264"
    assert (card.tried, card.choice.reason) == (1, "nvenc failed: out of sessions")
    assert card.next_encoder(1) == "nvenc"
    assert card.choice.reason == "first choice, accepted again"
    assert "camera a: switched encoder to nvenc: first choice, accepted" in caplog.text


def test_an_nvenc_that_opens_is_believed_when_it_has_encoded_a_picture(caplog: pytest.LogCaptureFixture) -> None:
    """On a GPU, NVENC opens with the first frame and may fail then, however often it is retried."""
    caplog.set_level(logging.INFO)
    card = Card(None)
    for _ in range(3):
        card.now += RETRY_AFTER
        card.choice.open(64, 48, 25, Output())
        assert card.choice.failed(EncoderError("out of sessions")), "x264 takes its place"
        assert (card.choice.name, card.choice.reason) == ("x264", "nvenc failed: out of sessions")
    card.now += RETRY_AFTER
    card.choice.open(64, 48, 25, Output())
    assert card.choice.name == "x264"
    assert caplog.text.count("switched encoder") == 1
    card.choice.succeeded()
    assert card.choice.reason == "first choice, accepted again"
    assert card.tried == 4


def test_an_nvenc_that_refuses_after_one_that_never_encoded_is_not_believed() -> None:
    card = Card("out of sessions")
    assert card.next_encoder(0) == "x264"
    card.refuses, card.now = None, card.now + RETRY_AFTER
    card.choice.open(64, 48, 25, Output())  # on trial; something else fails before it has encoded
    card.refuses, card.now = "out of sessions", card.now + RETRY_AFTER
    assert card.next_encoder(0) == "x264"


def test_an_nvenc_that_broke_down_is_tried_again_likewise() -> None:
    card = Card(None)
    assert card.next_encoder(0) == "nvenc"
    card.choice.failed(EncoderError("the GPU is gone"))
    assert [card.next_encoder(RETRY_AFTER - 1), card.next_encoder(1)] == ["x264", "nvenc"]


def test_each_refusal_restarts_the_interval_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    card = Card("out of sessions")
    for _ in range(30):
        assert card.next_encoder(RETRY_AFTER / 10) == "x264"
    assert card.tried == 3
    assert caplog.text.count("switched encoder") == 1
    card.refuses = "the driver was renewed"
    card.next_encoder(RETRY_AFTER)
    assert card.choice.reason == "nvenc failed: the driver was renewed"
    assert caplog.text.count("switched encoder") == 2


def test_a_camera_that_began_while_the_card_was_full_gets_nvenc_when_that_is_over() -> None:
    """How often the GPU is queried is not up to the camera: `NvencProblem` caches the result."""
    card = Card(None, missing="all its sessions are taken")
    assert card.next_encoder(0) == "x264"
    assert (card.tried, card.choice.reason) == (0, "no nvenc: all its sessions are taken")
    card.missing = None
    assert card.next_encoder(0) == "nvenc"


@pytest.mark.parametrize(("wish", "tried"), [("x264", 0), ("nvenc", 2)])
def test_a_codec_by_configuration_stays(wish: CodecName, tried: int) -> None:
    card = Card(None, wish)
    assert [card.next_encoder(RETRY_AFTER), card.next_encoder(RETRY_AFTER)] == [wish, wish]
    assert (card.tried, card.choice.reason) == (tried, "as configured")
