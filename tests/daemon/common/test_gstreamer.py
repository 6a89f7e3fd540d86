"""Log messages of GStreamer's libraries, whatever peers put into them."""

from __future__ import annotations

import ctypes
import logging

import pytest

from sightd.daemon.common import gstreamer
from sightd.daemon.common.gstreamer import install_log_handler
from sightd.engines.log_throttle import LogThrottle

WARNING, DEBUG = 1 << 4, 1 << 7


def test_they_come_into_the_log_in_ascii_and_throttled(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        glib = ctypes.CDLL("libglib-2.0.so.0")
    except OSError:
        pytest.skip("GLib is not installed")
    monkeypatch.setattr(gstreamer, "_throttle", LogThrottle())
    install_log_handler()
    with caplog.at_level(logging.WARNING):
        glib.g_log(b"Example", DEBUG, b"%s", b"found default implementation")
        for _ in range(100):
            glib.g_log(b"Example", WARNING, b"%s", b"unknown field \xff\n\x1b[31m")
    assert caplog.messages == ["Example, warning, 1 time(s), most recently: 'unknown field \\ufffd\\n\\x1b[31m'"]
    assert capfd.readouterr().err == ""
