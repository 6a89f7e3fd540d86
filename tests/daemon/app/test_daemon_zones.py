"""The sample film, counted by eye, in `sightd analyze` and live: the same numbers. Zones can be changed meanwhile.

In the film, two people walk from the left to the right over the line: a man in a suit, and the legs of another one. In
the zone to its right there are three: these two, and a cyclist who waits.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest
import yaml

from tests.support import media
from tests.support.daemon import DaemonProcess
from tests.support.networks import stored
from tests.support.sightd import sightd
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

CAMERA = {
    "lines": {"kerb": {"points": [[0.55, 1], [0.55, 0]], "classes": ["person"]}},
    "zones": {"right": {"corners": [[0.6, 0], [1, 0], [1, 1], [0.6, 1]], "classes": ["person"], "min_dwell": "200ms"}},
}
FPS = 15
"""The film is played slowly, so that a loaded machine can analyse most frames. A lorry hides the cyclist for 1.3 s."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "slow.avi"
    source, written = cv2.VideoCapture(str(media.path("bikes.mp4"))), None
    while (read := source.read())[0]:
        image = read[1]
        written = written or cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (image.shape[1], image.shape[0])
        )
        written.write(image)
    assert written is not None
    written.release()
    return path


def configuration(film: Path) -> dict[str, Any]:
    stored("yolox-nano")
    zones = {"lost_after": "2s", "cameras": {"*": CAMERA}}
    return {
        "cameras": {"street": {"source": str(film), "loop": False}},
        "chain": ["detector", "tracker", "zones"],
        "plugins": {"detector": {"model": "yolox-nano"}, "zones": zones},
        "rtsp": {"enabled": False},
    }


def test_the_film_counts_the_same_by_eye_in_analyze_and_live(film: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "analyze.yaml", tmp_path / "out.jsonl"
    path.write_text(yaml.safe_dump(configuration(film)))
    assert sightd("analyze", "-c", path, film, "--out", out).returncode == 0
    last = json.loads(out.read_text().splitlines()[-1])
    assert (last["lines"]["kerb"]["in"], last["lines"]["kerb"]["out"]) == (2, 0)
    assert (last["zones"]["right"]["entered"], last["zones"]["right"]["left"]) == (3, 3)

    with DaemonProcess(tmp_path, configuration(film)) as daemon:
        eventually(lambda: len(events(daemon, "zone.left")) == 3, 300, "the third one is gone")
        crossings = [one["facts"]["direction"] for one in events(daemon, "line.crossed")]
        assert crossings == ["in", "in"]
        assert len(events(daemon, "zone.entered")) == 3
        assert daemon.values("sightd_line_crossings_total", "direction", camera="street") == {"in": 2, "out": 0}
        assert daemon.values("sightd_zone_entries_total", "class", camera="street") == {"person": 3}
        assert daemon.values("sightd_zone_exits_total", "class", camera="street") == {"person": 3}
        assert daemon.terminate()[0] == 0


def events(daemon: DaemonProcess, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get(f"/api/v1/events?after=0&kind={kind}").json()
    return found


@pytest.mark.parametrize("isolate", [False, True])
def test_zones_that_come_through_the_api_apply_while_the_daemon_runs(film: Path, tmp_path: Path, isolate: bool) -> None:
    given = configuration(film)
    given["cameras"]["street"]["loop"] = True
    given["plugins"]["zones"] = {"lost_after": "1s", "isolate": isolate}
    with DaemonProcess(tmp_path, given) as daemon:
        everywhere = {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]], "min_dwell": 0}
        answer = httpx.put(daemon.url("/api/v1/zones/street/everywhere"), json=everywhere, headers={"X-Sightd": "1"})
        assert answer.status_code == 200, answer.text
        eventually(lambda: bool(events(daemon, "zone.entered")), 120, "an object is in the new zone")
        assert {one["facts"]["zone"] for one in events(daemon, "zone.entered")} == {"everywhere"}
        occupied = partial(daemon.values, "sightd_zone_occupancy", "zone", camera="street")
        eventually(lambda: occupied().get("everywhere", 0) > 0, 60, "the gauge has the new zone")
        listed = sightd("zones", "list", "-c", daemon.path)
        assert "everywhere" in listed.stdout
        assert "no daemon" not in listed.stderr
        gone = httpx.delete(daemon.url("/api/v1/zones/street/everywhere"), headers={"X-Sightd": "1"})
        assert gone.is_success
        eventually(lambda: not occupied(), 60, "and does not have a removed one")
        assert daemon.terminate()[0] == 0
