"""One event over HTTP, with its snapshots and its clip."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from sightd.daemon.config.model import Clips, Http, Recording
from sightd.daemon.config.recording import CameraRules
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.recording.index import ClipIndex
from sightd.daemon.recording.recorder import Recorder
from sightd.daemon.serve.http import routes_event_media
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.snapshots.store import SnapshotStore
from sightd.plugins.api import Frame
from tests.daemon.recording.counts import Counts as RecordingCounts
from tests.daemon.recording.packets import encoded
from tests.daemon.serve.http.test_app import View
from tests.daemon.snapshots.site import Site, event, frame
from tests.support import http
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


class Service:
    """A server with a journal, snapshots, and a recorder of the camera "gate"."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        counts = RecordingCounts()
        clips = Clips.model_validate({"kinds": ["line.*"], "pre": "1s", "post": "50s"})
        options = Recording(clips=clips, min_free=0)
        self.recorder = Recorder(folder / "clips", options, self.site.journal, counts)
        self.tap = self.recorder.tap("gate", CameraRules(clips, None, 2**20), counts)
        self.site.journal.decide_clips(self.recorder.records)
        app = create_app(
            View(),
            lambda _: (b"", "text/plain"),
            8,
            NO_TOKENS,
            journal=self.site.journal,
            clips=self.recorder.reader,
            snapshots=self.site.writer,
            awaits_clip=self.recorder.awaits,
        )
        self.server = HttpServer(Http(port=0), app)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return http.get(self.url(path), headers=headers, timeout=20)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}/api/v1/events{path}"

    def error(self, path: str) -> tuple[int, str]:
        answer = self.get(path)
        return answer.status_code, answer.json()["error"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service(tmp_path)
    with one.site:
        one.server.start()
        yield one
        one.recorder.close()
        one.server.close()


def test_an_event_is_read_by_its_id(service: Service) -> None:
    service.site.start().analysed(1, events=[event(1, "zone.dwell")])
    service.site.settle(1)
    found = service.get("/1").json()
    assert found == service.get("?after=0").json()[0]
    assert found["snapshot"] == "/api/v1/events/1/snapshot.jpg"
    assert found["clip"] is None
    assert service.error("/2") == (404, "Event 2 does not exist or is no longer stored.")
    assert service.get("/0").status_code == 422
    for beyond in (10**30, 2**63, 2**63 - 1, "9" * 5000):
        for path in ("", "/snapshot.jpg", "/clean.jpg", "/clip.mp4"):
            assert service.get(f"/{beyond}{path}").status_code == 422


def test_both_pictures_of_an_event_are_served(service: Service) -> None:
    service.site.start().analysed(1, events=[event(1, "zone.dwell"), event(1, "other.kind")])
    service.site.settle(2)
    folder = service.site.folder / "gate"
    for name, file in (("snapshot.jpg", "1.jpg"), ("clean.jpg", "1-clean.jpg")):
        answer = service.get(f"/1/{name}")
        assert (answer.headers["content-type"], answer.content) == ("image/jpeg", (folder / file).read_bytes())
        head = httpx.head(service.url(f"/1/{name}"), timeout=20)
        assert (head.status_code, head.headers["content-type"], head.content) == (200, "image/jpeg", b"")
        assert service.error(f"/2/{name}") == (404, "Event 2 has no snapshot.")
        assert service.error(f"/3/{name}") == (404, "Event 3 does not exist or is no longer stored.")


def test_a_request_waits_for_a_snapshot_that_is_being_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, add = threading.Event(), SnapshotStore.add
    monkeypatch.setattr(SnapshotStore, "add", lambda *values: going.wait(60) and add(*values))
    monkeypatch.setattr(routes_event_media, "_PATIENCE", 0.1)
    service.site.start().analysed(1, events=[event(1, "zone.dwell")])
    eventually(lambda: service.site.journal.last_id == 1, 10)
    answer = service.get("/1/snapshot.jpg")
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert "is being written" in answer.json()["error"]
    monkeypatch.setattr(routes_event_media, "_PATIENCE", 60.0)
    threading.Timer(0.2, going.set).start()
    assert service.get("/1/snapshot.jpg").status_code == 200


def test_a_snapshot_that_is_gone_says_why(service: Service) -> None:
    site = service.site.start()
    old = PendingEvent("zone.dwell", time.time() - 40 * 86400, "gate", facts={"track": 1})
    with site.of_frame(Frame.of(frame(1).host(), wall_time=old.at)):
        site.recorded(old)
    site.analysed(2, events=[event(2, "zone.dwell")])
    site.settle(2)
    for path in site.folder.glob("gate/*.jpg"):
        path.unlink()
    assert service.error("/1/snapshot.jpg")[0] == 404
    assert "because of its age" in service.error("/1/snapshot.jpg")[1]
    assert "for lack of space" in service.error("/2/clean.jpg")[1]


def test_the_clip_of_an_event_is_served_once_it_is_finished(service: Service) -> None:
    service.site.start()
    service.recorder.start()
    service.tap.stream_opened("h264")
    begin = time.monotonic() - 1
    for packet in encoded()[:50]:
        service.tap.packet_received(packet._replace(received_at=begin + packet.received_at))
    for kind in ("line.crossed", "zone.dwell"):
        service.site.journal.record(PendingEvent(kind, time.time(), "gate"))
    eventually(lambda: service.site.journal.last_id == 2, 10)
    assert service.get("/1").json()["clip"] == "/api/v1/events/1/clip.mp4"
    assert service.error("/2/clip.mp4") == (404, "No clip of event 2 was recorded.")
    answer = service.get("/1/clip.mp4")
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "5")
    assert answer.json()["error"] == "The clip of event 1 is being recorded."
    service.tap.stream_closed()
    eventually(lambda: service.get("/1/clip.mp4").status_code == 200, 20)
    whole = service.get("/1/clip.mp4")
    assert whole.headers["content-type"] == "video/mp4"
    part = service.get("/1/clip.mp4", Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    for path in service.recorder.reader.folder.glob("gate/*.mp4"):
        path.unlink()
    assert "deleted because of its age or size" in service.error("/1/clip.mp4")[1]


def test_an_event_that_the_recorder_has_not_seen_yet_has_no_clip_yet(service: Service) -> None:
    service.site.start()
    service.site.journal.record(PendingEvent("line.crossed", time.time(), "gate"))
    service.site.settle(1)
    assert service.get("/1/clip.mp4").status_code == 409


def test_an_event_of_a_camera_whose_codec_cannot_be_recorded_links_to_no_clip(service: Service) -> None:
    service.site.start()
    service.tap.stream_opened("mjpeg")
    service.site.journal.record(PendingEvent("line.crossed", time.time(), "gate"))
    service.site.settle(1)
    assert service.get("/1").json()["clip"] is None


def test_a_clip_of_an_earlier_journal_which_had_the_same_id_is_not_shown(service: Service) -> None:
    folder = service.recorder.reader.folder
    with closing(ClipIndex(folder)) as index:
        number, path = index.begin("gate", time.time() - 3600, "gate/old", "h264", [1])
        index.finish(number, time.time() - 3580, 3, [])
    (folder / "gate").mkdir()
    (folder / path).write_bytes(b"old")
    service.site.start()
    service.site.journal.record(PendingEvent("line.crossed", time.time(), "gate"))
    eventually(lambda: service.site.journal.last_id == 1, 10)
    assert service.get("/1").json()["clip"] == "/api/v1/events/1/clip.mp4"
    assert service.get("/1/clip.mp4").status_code == 409


def test_an_event_of_a_camera_that_is_not_recorded_links_to_no_clip(service: Service) -> None:
    service.site.start()
    service.recorder.remove("gate")
    service.site.journal.record(PendingEvent("line.crossed", time.time(), "gate"))
    service.site.settle(1)
    assert service.get("/1").json()["clip"] is None
