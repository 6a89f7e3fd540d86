"""A daemon that analyses a film has events and objects described by an endpoint, and the answers in its journal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from tests.support.chat_endpoint import ChatServer, chat_server, hanging, saying
from tests.support.daemon import DaemonProcess
from tests.support.example import environment_with, install_example
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

ROOT = Path(__file__).parents[3]
TOKEN = "Kanari3nvogel-token"
HOSTILE = "A square [bold red]moves[/] \x1b[31m\u202e<b>right</b>\nand https://user:Kanari3@example.com/ too"
CLEANED = "A square [bold red]moves[/] [31m<b>right</b> and https://***@example.com/ too"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds in which a bright square moves to the right; played again and again."""
    path = tmp_path_factory.mktemp("film") / "square.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for number in range(20):
        image = np.zeros((240, 320, 3), np.uint8)
        image[80:160, 10 * number : 10 * number + 80] = (40, 40, 240)
        video.write(image)
    video.release()
    return path


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**environment_with(install_example(tmp_path_factory.mktemp("example"))), "DESCRIBE_TOKEN": TOKEN}


def configuration(film: Path, url: str, **options: Any) -> dict[str, Any]:
    describe = {
        "url": url,
        "token": "${env:DESCRIBE_TOKEN}",
        "events": ["motion.began"],
        "classes": ["moving"],
        "min_score": 0.5,
        "min_age": 0,
        "cooldown": "1h",
        **options,
    }
    return {
        "cameras": {"yard": {"source": str(film)}},
        "plugins": {"motion": {"rest": "1h"}, "describe": describe},
        "chain": ["motion", "describe"],
        "rtsp": {"enabled": False},
    }


@pytest.fixture(scope="module", params=[False, True], ids=["within", "isolated"])
def described(
    request: pytest.FixtureRequest, film: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DaemonProcess, ChatServer]]:
    with chat_server(saying(HOSTILE)) as chat:
        configured = configuration(film, chat.url, isolate=request.param)
        with DaemonProcess(tmp_path_factory.mktemp("daemon"), configured, environ) as daemon:
            eventually(lambda: len(answers(daemon)) == 2, 30, f"both answers\n{daemon.log}")
            yield daemon, chat
            assert daemon.terminate()[0] == 0
            assert TOKEN not in daemon.log


def answers(daemon: DaemonProcess, kind: str = "describe.answered") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get(f"/api/v1/events?after=0&kind={kind}").json()
    return found


def test_the_answer_about_an_event_names_that_event_and_is_a_later_one(
    described: tuple[DaemonProcess, ChatServer],
) -> None:
    daemon, _ = described
    [first] = answers(daemon, "motion.began")
    [answer] = [one for one in answers(daemon) if "kind" in one["facts"]]
    facts = answer["facts"]
    assert (answer["camera"], answer["plugin"]) == ("yard", "describe")
    assert (facts["event"], facts["kind"], facts["captured"]) == (first["id"], "motion.began", first["time"])
    assert answer["id"] > first["id"]
    assert answer["time"] >= first["time"]


def test_the_answer_about_an_object_says_which(described: tuple[DaemonProcess, ChatServer]) -> None:
    daemon, chat = described
    [answer] = [one for one in answers(daemon) if "class" in one["facts"]]
    assert (answer["facts"]["class"], answer["facts"]["score"]) == ("moving", 1.0)
    assert "event" not in answer["facts"]
    sizes = sorted(one.image.shape[:2] for one in chat.received)
    assert sizes[-1] == (240, 320), "the event has no box, so the whole frame is sent"
    assert sizes[0][1] < 320


def test_the_answer_is_plain_text_wherever_it_is_shown(described: tuple[DaemonProcess, ChatServer]) -> None:
    daemon, _ = described
    assert [one["facts"]["text"] for one in answers(daemon)] == [CLEANED, CLEANED]
    command = [sys.executable, "-m", "sightd", "events", "--url", daemon.url(""), "--kind", "describe.answered"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True).stdout
    assert shown.count(f"camera yard: describe.answered, text {CLEANED}") == 2
    assert daemon.log.isascii() or "\u202e" not in daemon.log


def test_requests_have_the_token_and_are_counted(described: tuple[DaemonProcess, ChatServer]) -> None:
    daemon, chat = described
    assert {one.headers["Authorization"] for one in chat.received} == {f"Bearer {TOKEN}"}
    assert daemon.values("sightd_describe_requests_total", "outcome", camera="yard")["answered"] == 2
    assert daemon.metric("sightd_describe_request_milliseconds_total", camera="yard") >= 0
    assert sum(daemon.values("sightd_plugin_faults_total", "reason", plugin="describe").values()) == 0


@pytest.mark.parametrize("isolate", [False, True], ids=["within", "isolated"])
def test_an_endpoint_that_hangs_delays_neither_frames_nor_a_reload_nor_the_stop(
    isolate: bool, film: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    with chat_server(hanging) as chat:
        configured = configuration(film, chat.url, isolate=isolate, timeout="10m")
        with DaemonProcess(tmp_path, configured, environ) as daemon:
            eventually(lambda: bool(chat.received), 30, "a request")
            before = daemon.metric("sightd_motion_frames_total", camera="yard")
            eventually(lambda: daemon.metric("sightd_motion_frames_total", camera="yard") > before + 5, 30, "frames")
            changed = yaml.safe_load(daemon.path.read_text())
            changed["plugins"]["describe"]["prompt"] = "What is this?"
            daemon.path.write_text(yaml.safe_dump(changed))
            daemon.signal(signal.SIGHUP)
            eventually(lambda: chat.received[-1].text == "What is this?", 30, f"a new request\n{daemon.log}")
            code, seconds = daemon.terminate()
    assert code == 0
    assert seconds < 15
