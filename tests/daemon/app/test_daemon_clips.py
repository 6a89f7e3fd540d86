"""A real daemon's clips: over HTTP, in its metrics and status, and after kill -9."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any

import av
import pytest

from sightd.daemon.cli.main import main
from tests.support import http
from tests.support.clips import write_clip
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

FPS = 25


def configuration(folder: Path, seconds: int, **clips: Any) -> dict[str, Any]:
    """A camera whose only event is that it is live. The film has a key frame every second."""
    film = write_clip(folder / "film.mp4", size=(320, 240), frames=seconds * FPS)
    recorded = {"kinds": ["camera.up"], "pre": "1s", **clips}
    return {
        "cameras": {"gate": {"source": str(film), "loop": False}},
        "rtsp": {"enabled": False},
        "recording": {"clips": recorded, "min_free": 0},
    }


def clips_of(daemon: DaemonProcess, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get(f"/api/v1/clips{query}").json()
    return found


def frames_in(video: bytes) -> int:
    with av.open(io.BytesIO(video), "r") as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_clip_is_listed_by_its_event_and_plays_over_http(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, configuration(tmp_path, 20, post="2s")) as daemon:
        eventually(lambda: bool(clips_of(daemon)), 30, "a clip")
        (clip,) = clips_of(daemon)
        event = daemon.get("/api/v1/events?kind=camera.up").json()[0]
        assert clip["events"] == [event["id"]]
        assert clip["camera"] == "gate"
        assert clip["begin"] < event["time"] < clip["end"]
        assert clips_of(daemon, f"?event={event['id']}&camera=gate") == [clip]
        assert clips_of(daemon, "?camera=door") == []
        whole = daemon.get(clip["video"])
        assert whole.headers["content-type"] == "video/mp4"
        assert len(whole.content) == clip["size"]
        assert frames_in(whole.content) >= 2 * FPS
        part = http.get(daemon.url(clip["video"]), headers={"Range": "bytes=100-199"}, timeout=10)
        assert part.status_code == 206
        assert part.content == whole.content[100:200]
        assert daemon.get("/api/v1/clips/999.mp4").status_code == 404
        assert daemon.get(f"/api/v1/clips/{10**30}.mp4").status_code == 404
        saved = tmp_path / "saved.mp4"
        place = ["--url", daemon.url("")]
        assert main(["clips", "save", str(clip["id"]), str(saved), *place]) == 0
        assert saved.read_bytes() == whole.content
        assert main(["clips", "protect", str(clip["id"]), *place]) == 0
        assert main(["clips", "delete", str(clip["id"]), *place]) == 1
        assert clips_of(daemon)[0]["protected"]
        assert "sightd_clips_total" in daemon.metrics_of_now()
        assert daemon.metric("sightd_clips_total", camera="gate") == 1
        assert daemon.metric("sightd_clip_bytes_total", camera="gate") == clip["size"]
        assert daemon.metric("sightd_recording_packets_lost_total", camera="gate") == 0
        assert daemon.values("sightd_clips_deleted_total", "reason") == {"age": 0, "size": 0, "disk": 0}
        assert daemon.get("/api/v1/status").json()["storage"]["clips"]["path"] == str(tmp_path / "state/clips")


def test_a_clip_that_was_being_written_when_the_daemon_was_killed_is_there_after_the_next_start(tmp_path: Path) -> None:
    options = configuration(tmp_path, 30, post="50s")
    folder = tmp_path / "state/clips/gate"
    with DaemonProcess(tmp_path, options) as daemon:
        eventually(lambda: any(one.stat().st_size > 20_000 for one in folder.glob("*.part")), 30, "a part")
        assert clips_of(daemon) == []
        daemon.signal(signal.SIGKILL)
        daemon.exit_code()
    options["cameras"]["gate"]["source"] = "rtsp://127.0.0.1:9/none"
    with DaemonProcess(tmp_path, options) as daemon:
        eventually(lambda: bool(clips_of(daemon)), 10, "the clip")
        (clip,) = clips_of(daemon)
        assert frames_in(daemon.get(clip["video"]).content) >= FPS
        assert not list(folder.glob("*.part"))
        assert "was interrupted" in daemon.log


def test_a_stop_finishes_clips(tmp_path: Path) -> None:
    options = configuration(tmp_path, 30, post="50s")
    folder = tmp_path / "state/clips/gate"
    with DaemonProcess(tmp_path, options) as daemon:
        eventually(lambda: any(one.stat().st_size > 20_000 for one in folder.glob("*.part")), 30, "a part")
        code, _ = daemon.terminate()
        assert code == 0
    (video,) = folder.iterdir()
    assert video.suffix == ".mp4"
    assert frames_in(video.read_bytes()) >= FPS


def test_a_folder_with_a_foreign_index_is_reported_in_readyz_and_not_touched(tmp_path: Path) -> None:
    options = configuration(tmp_path, 10)
    options["recording"]["path"] = str(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/clips.db").write_text("somebody else's")
    with DaemonProcess(tmp_path, options) as daemon:
        eventually(lambda: "recordings cannot be kept" in str(daemon.readiness()["reasons"]), 15)
        assert "It was not changed" in str(daemon.readiness()["reasons"])
        assert (tmp_path / "other/clips.db").read_text() == "somebody else's"
