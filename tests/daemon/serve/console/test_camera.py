"""One camera, large: zoom, snapshot, boxes drawn over the video, what is seen now, and its events."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from sightd.daemon.events.event import EventKind, PendingEvent
from sightd.plugins.api import Detections, Results
from tests.support.browser import Browser, Visit
from tests.support.console import ConsoleServer
from tests.support.waiting import eventually

PEOPLE = Results(
    Detections(
        np.array([[100, 100, 200, 300], [300, 120, 380, 330]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([0, 0]),
        ("person",),
    )
)


def test_a_camera_is_shown_large_with_what_is_seen_and_its_events(browser: Browser, server: ConsoleServer) -> None:
    server.journal.record(PendingEvent(EventKind.CAMERA_DOWN, time.time(), camera="gate", facts={"reason": "refused"}))
    eventually(lambda: server.journal.last_id is not None)
    with browser.visit(server.url("/#/camera/gate")) as visit:
        visit.page.get_by_role("heading", name="Gate <north>").wait_for()
        visit.page.locator(".events").get_by_text("camera.down").wait_for()
        visit.page.locator(".live-video video").wait_for()

        def counted() -> bool:
            server.analysed("gate", PEOPLE)
            return "2 person" in visit.page.locator(".counts").inner_text()

        visit.eventually(counted)
        visit.picture("camera")
        visit.require_accessible()
        visit.picture("camera-dark")


def transform(visit: Visit) -> str:
    found: str = visit.page.locator(".stage .content").evaluate("one => one.style.transform")
    return found


def test_the_picture_is_zoomed_by_keyboard_wheel_and_buttons(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/camera/gate")) as visit:
        stage = visit.page.locator(".stage")
        stage.press("+")
        assert "scale(1.4)" in transform(visit)
        before = transform(visit)
        stage.press("ArrowRight")
        assert transform(visit) != before
        stage.press("0")
        assert transform(visit) == ""
        stage.hover()
        visit.page.mouse.wheel(0, -400)
        visit.eventually(lambda: "scale(2.7" in transform(visit))
        visit.page.get_by_role("button", name="Show all").click()
        assert transform(visit) == ""


def test_a_snapshot_is_saved(browser: Browser, server: ConsoleServer, tmp_path: Path) -> None:
    with browser.visit(server.url("/#/camera/gate")) as visit:
        with visit.page.expect_download() as download:
            visit.page.get_by_role("button", name="Save a snapshot").click()
        assert download.value.suggested_filename.startswith("gate-")
        download.value.save_as(tmp_path / "snapshot.jpg")
        assert (tmp_path / "snapshot.jpg").read_bytes().startswith(b"\xff\xd8")


def test_a_camera_that_does_not_exist_is_reported(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/camera/nowhere")) as visit:
        visit.page.get_by_text("There is no camera nowhere.").wait_for()


def milliseconds(figures: str, name: str) -> int:
    """Returns a figure in ms; -1 if it is not there."""
    found = re.search(rf"{name}\n([\d,]+) ms", figures)
    return -1 if found is None else int(found[1].replace(",", ""))


@pytest.mark.parametrize(
    ("without", "transport"),
    [
        ((), "WebRTC"),
        pytest.param(["RTCPeerConnection"], "MSE", marks=pytest.mark.slow),
        pytest.param(["RTCPeerConnection", "MediaSource"], "MJPEG", marks=pytest.mark.slow),
    ],
)
def test_video_comes_by_the_best_transport_that_the_browser_has(
    browser: Browser, server: ConsoleServer, without: list[str], transport: str
) -> None:
    with browser.visit(server.url("/#/camera/gate"), without=without) as visit:
        figures = visit.page.locator(".figures")
        visit.eventually(lambda: f"Transport\n{transport}" in figures.inner_text())
        visit.eventually(lambda: re.search(r"Frames per second\n[1-9]", figures.inner_text()) is not None)
        latency = "Delay in the browser" if transport == "MJPEG" else "Latency"
        visit.eventually(lambda: 0 < milliseconds(figures.inner_text(), latency) < 30_000, "frames have their time")
        visit.eventually(lambda: server.daemon.watched == {"gate"})


def painted(visit: Visit) -> int:
    """Returns how many pixels are drawn over the video."""
    count: int = visit.page.locator("canvas.overlay").evaluate(
        """(canvas) => canvas.width && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
            .filter((value, index) => index % 4 === 3 && value).length"""
    )
    return count


def test_boxes_are_drawn_over_the_clean_view(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/camera/gate")) as visit:
        visit.page.get_by_role("radio", name="Drawn over it").check()
        visit.eventually(lambda: server.daemon.videos["gate"].clean.viewers("webrtc") == 1)

        def drawn() -> bool:
            server.analysed("gate", PEOPLE)
            return painted(visit) > 500

        visit.eventually(drawn)
        visit.picture("camera-drawn")
        visit.page.get_by_role("radio", name="None").check()
        visit.eventually(lambda: painted(visit) == 0)
        assert server.daemon.videos["gate"].clean.viewers("webrtc") == 1, "the video goes on"
