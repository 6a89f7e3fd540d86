"""How FFmpeg's errors are mapped to reasons."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import av
import pytest

from sightd.daemon.capture.errors import Reason, SourceError, fault_of, hiding


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (av.error.HTTPUnauthorizedError(1, "text"), Reason.UNAUTHORISED),
        (av.error.HTTPNotFoundError(1, "text"), Reason.NOT_FOUND),
        (av.error.ExitError(1, "text"), Reason.TIMEOUT),
        (av.error.TimeoutError(1, "text"), Reason.TIMEOUT),
        (av.error.EOFError(1, "text"), Reason.EOF),
        (av.error.InvalidDataError(1, "text"), Reason.DECODE),
        (av.error.DecoderNotFoundError(1, "text"), Reason.NO_VIDEO),
        (OSError(errno.EHOSTUNREACH, "text"), Reason.REFUSED),
        (SourceError(Reason.NO_VIDEO), Reason.NO_VIDEO),
        (RuntimeError("text"), Reason.OTHER),
    ],
)
def test_a_failure_has_a_reason(failure: BaseException, reason: Reason) -> None:
    assert fault_of(failure).reason is reason


def test_every_reason_has_words_for_the_slate_and_an_explanation() -> None:
    assert all(reason.words and reason.explanation for reason in Reason)
    assert len({reason.words for reason in Reason}) == len(Reason)


def reason_of_opening(address: str) -> Reason:
    try:
        av.open(address, timeout=3.0).close()
    except Exception as failure:  # noqa: BLE001 - the mapping of any exception is tested
        return fault_of(failure).reason
    raise AssertionError("it could be opened")


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert reason_of_opening(f"rtsp://127.0.0.1:{unused.getsockname()[1]}/a") is Reason.REFUSED


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert reason_of_opening(f"file:{tmp_path}/none.mp4") is Reason.NOT_FOUND


def test_a_file_that_is_no_video_cannot_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all\n" * 50)
    assert reason_of_opening(f"file:{tmp_path}/text.mp4") is Reason.DECODE


def test_the_text_of_an_unknown_failure_is_shown_without_a_password() -> None:
    fault = fault_of(av.error.FFmpegError(5, "odd", "rtsp://user:hunter2@host/a"))
    assert "odd" in str(fault)
    assert "hunter2" not in str(fault)


def test_a_fault_repeats_no_password() -> None:
    fault = hiding(SourceError(Reason.REDIRECT, "to the host 's3cret-word'"), "s3cret-Word")
    assert (fault.reason, fault.detail) == (Reason.REDIRECT, "to the host '***'")
    assert hiding(SourceError(Reason.OTHER, "a"), "a").detail == "a"
