"""The whole daemon with the face plug-in: enrolment while it runs, live recognition, redaction if requested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from sightd.plugins.api import Frame
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Sightings
from sightd.plugins.face.matching.calibration import calibration_of
from tests.support import media
from tests.support.daemon import DaemonProcess
from tests.support.faces import analyser, photo
from tests.support.networks import stored
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

NAME = "Tom Q. Stranger"
CHANGES = {"X-Sightd": "1"}


@pytest.fixture(autouse=True, scope="module")
def _networks() -> None:
    for name in ("yunet", "sface"):
        stored(name)


def configuration(folder: Path, **options: Any) -> dict[str, Any]:
    return {
        "cameras": {"desk": {"source": str(media.path("single_face.mp4"))}},
        "chain": ["face"],
        "plugins": {"face": {"gallery": str(folder / "faces.db"), **options}},
        "rtsp": {"enabled": False},
        "log": {"level": "info"},
    }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, configuration(tmp_path)) as process:
        eventually(lambda: bool(process.readiness()["ready"]), 20, "daemon ready")
        yield process


def matches(daemon: DaemonProcess, outcome: str) -> float:
    return daemon.metric("sightd_face_matches_total", outcome=outcome)


def seen(daemon: DaemonProcess) -> bool:
    try:
        return matches(daemon, "unknown") > 0
    except KeyError:
        return False


def test_who_is_enrolled_while_it_runs_is_known_within_a_second(daemon: DaemonProcess, tmp_path: Path) -> None:
    eventually(lambda: seen(daemon), 20)
    assert matches(daemon, "known") == 0
    added = httpx.post(
        daemon.url(f"/api/v1/faces/{NAME}/photos"),
        content=media.path("single_face.jpg").read_bytes(),
        headers=CHANGES,
        timeout=30,
    )
    assert added.status_code == 201, added.text
    eventually(lambda: matches(daemon, "known") > 0, 2.5)
    code, _ = daemon.terminate()
    assert code == 0
    assert "Stranger" not in daemon.log
    gallery = Gallery(tmp_path / "faces.db")
    sightings = list(Sightings(gallery).latest())
    assert sightings[0].person == gallery.person(NAME).id, "written at the stop"
    gallery.close()


def test_no_name_is_in_the_metrics(daemon: DaemonProcess) -> None:
    gallery = httpx.post(
        daemon.url(f"/api/v1/faces/{NAME}/photos"),
        content=media.path("single_face.jpg").read_bytes(),
        headers=CHANGES,
        timeout=30,
    )
    assert gallery.status_code == 201
    eventually(lambda: seen(daemon) or matches(daemon, "known") > 0, 20)
    assert "Stranger" not in daemon.get("/metrics").text
    assert "Stranger" not in daemon.get("/readyz").text


def test_no_viewer_sees_a_face_that_is_hidden(tmp_path: Path) -> None:
    table = calibration_of("sface")
    assert table is not None
    person = analyser().looks([Frame.of(photo("single_face.jpg").copy(), still=True)])[0].embeddings[0]
    with DaemonProcess(tmp_path, configuration(tmp_path, blur="all", names=False)) as process:
        pictures = []
        for _ in range(8):  # from the very first frame on
            answer = process.get("/desk.jpg")
            if answer.status_code == 200:
                pictures.append(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR))
    assert len(pictures) >= 4
    for image in pictures:
        assert image is not None
        for look in analyser().looks([Frame.of(np.asarray(image, np.uint8), still=True)])[0].embeddings:
            assert float(look @ person) < table.cosine(1e-3)


def test_in_a_process_of_its_own_it_knows_people_enrolled_by_the_daemon(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, configuration(tmp_path, isolate=True)) as process:
        eventually(lambda: seen(process), 60)
        told = process.readiness()["plugins"]["face"]
        assert told["model"] == "sface"
        assert told["backend"] == "onnxruntime-cpu"
        added = httpx.post(
            process.url(f"/api/v1/faces/{NAME}/photos"),
            content=media.path("single_face.jpg").read_bytes(),
            headers=CHANGES,
            timeout=60,
        )
        assert added.status_code == 201, added.text
        eventually(lambda: matches(process, "known") > 0, 20)
        assert process.terminate(20)[0] == 0
        assert "Stranger" not in process.log
