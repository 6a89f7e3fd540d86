"""Recordings over HTTP: queries and videos for viewers, protection for operators, deletion for administrators."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import pytest

from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Http
from sightd.daemon.recording.index import ClipReader
from sightd.daemon.recording.preview import Preview
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http import routes_recordings
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.recording.packets import FPS, GOP
from tests.daemon.recording.test_joined import write
from tests.daemon.serve.http.test_app import View

pytestmark = pytest.mark.waiting

_BEGIN = 1_700_000_000.0
_ROLES = ("view", "operate", "admin")


class Site:
    """A web server with two segments of 2 s and a token for each role, named like the role."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def ask(self, method: str, path: str, role: str = "view", known: str = "") -> httpx.Response:
        token = role * 16
        headers = {"Authorization": f"Bearer {token}", "X-Sightd": "1", "If-None-Match": known}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=20)

    def refused(self, method: str, path: str) -> list[str]:
        """Returns the roles that may not do that."""
        return [role for role in _ROLES if self.ask(method, path, role).status_code == 403]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    write(tmp_path, 0.0, 0, GOP)
    write(tmp_path, 2.0, GOP, 2 * GOP)
    tokens = {role: {"token": role * 16, "role": role} for role in _ROLES}
    access = Access(Options.model_validate({"tokens": tokens}))
    app = create_app(View(), lambda _: (b"", "text/plain"), 8, access, clips=ClipReader(tmp_path))
    server = HttpServer(Http(port=0), app)
    server.start()
    yield Site(f"http://127.0.0.1:{server.port}", tmp_path)
    server.close()


def test_segments_are_listed_by_themselves_and_each_can_be_asked_for(site: Site) -> None:
    assert site.ask("GET", "/api/v1/clips").json() == []
    found = site.ask("GET", "/api/v1/clips?kind=segment&camera=gate").json()
    assert [one["id"] for one in found] == [2, 1]
    assert site.ask("GET", "/api/v1/clips/1").json() == found[1]
    assert site.ask("GET", "/api/v1/clips/9").status_code == 404
    assert site.ask("GET", "/api/v1/clips/1.mp4").headers["content-type"] == "video/mp4"


def test_any_time_of_a_camera_is_one_video(site: Site) -> None:
    answer = site.ask("GET", f"/api/v1/recordings/gate.mp4?since={_BEGIN}&until={_BEGIN + 3}")
    assert answer.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(answer.content), "r") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3 * FPS
    assert site.ask("GET", f"/api/v1/recordings/door.mp4?since={_BEGIN}&until={_BEGIN + 3}").status_code == 404
    assert site.ask("GET", f"/api/v1/recordings/gate.mp4?since={_BEGIN}&until={_BEGIN + 90_000}").status_code == 422
    assert site.ask("GET", f"/api/v1/recordings/gate.mp4?since={_BEGIN}&until={_BEGIN}").status_code == 422


def test_few_are_joined_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, going = threading.Semaphore(0), threading.Event()

    def join(*_: object) -> Iterator[bytes]:
        begun.release()
        going.wait(30)
        yield b"video"

    monkeypatch.setattr(routes_recordings, "joined", join)
    path = f"/api/v1/recordings/gate.mp4?since={_BEGIN}&until={_BEGIN + 3}"
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(site.ask, "GET", path) for _ in range(4)]
        for _ in asked:
            assert begun.acquire(timeout=30)
        busy = site.ask("GET", path)
        going.set()
        assert [one.result().content for one in asked] == [b"video"] * 4
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    assert site.ask("GET", path).status_code == 200


def test_a_change_of_format_is_answered_with_what_to_do(site: Site) -> None:
    write(site.folder, 4.0, 0, GOP, size=(640, 360))
    answer = site.ask("GET", f"/api/v1/recordings/gate.mp4?since={_BEGIN}&until={_BEGIN + 5}")
    assert answer.status_code == 409
    assert "separately" in answer.json()["error"]


def test_the_times_that_segments_show_are_listed_without_what_is_between(site: Site) -> None:
    write(site.folder, 10.0, 0, GOP)
    answer = site.ask("GET", f"/api/v1/recordings/gate/times?since={_BEGIN - 50}&until={_BEGIN + 11}")
    assert answer.json()["times"] == [
        {"begin": "2023-11-14T22:13:20.000Z", "end": "2023-11-14T22:13:23.960Z"},
        {"begin": "2023-11-14T22:13:30.000Z", "end": "2023-11-14T22:13:31.000Z"},
    ]
    assert site.ask("GET", "/api/v1/recordings/door/times?since=0&until=5").json()["times"] == []
    assert site.ask("GET", f"/api/v1/recordings/gate/times?since=0&until={_BEGIN}").status_code == 422


def test_a_preview_says_its_time_and_is_not_sent_again(site: Site) -> None:
    path = f"/api/v1/recordings/gate/preview.jpg?width=64&time={_BEGIN + 3.5}"
    answer = site.ask("GET", path)
    assert (answer.headers["content-type"], answer.headers["x-sightd-time"]) == ("image/jpeg", f"{_BEGIN + 2:.3f}")
    assert answer.content.startswith(b"\xff\xd8")
    again = site.ask("GET", path, known=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert site.ask("GET", f"{path}1", known=answer.headers["etag"]).status_code == 200
    assert site.ask("GET", f"/api/v1/recordings/gate/preview.jpg?time={_BEGIN + 9}").status_code == 404
    assert site.ask("GET", f"{path}&width=5000").status_code == 422


def test_few_previews_are_decoded_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, going = threading.Semaphore(0), threading.Event()

    def decode(*_: object) -> Preview:
        begun.release()
        going.wait(30)
        return Preview(b"picture", 1.0)

    monkeypatch.setattr(routes_recordings, "preview", decode)
    path = f"/api/v1/recordings/gate/preview.jpg?time={_BEGIN}"
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(site.ask, "GET", path) for _ in range(2)]
        for _ in asked:
            assert begun.acquire(timeout=30)
        busy = site.ask("GET", path)
        going.set()
        assert [one.result().content for one in asked] == [b"picture"] * 2
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


def test_a_segment_that_cannot_be_decoded_has_no_preview(site: Site) -> None:
    (segment,) = ClipReader(site.folder).segments("gate", _BEGIN, _BEGIN + 1)
    (site.folder / segment.path).write_bytes(b"damaged")
    answer = site.ask("GET", f"/api/v1/recordings/gate/preview.jpg?time={_BEGIN}")
    assert (answer.status_code, answer.json()["error"]) == (503, "Recording 1 cannot be read.")


def test_operators_protect_and_only_administrators_delete_what_is_not_protected(site: Site) -> None:
    assert site.refused("POST", "/api/v1/clips/1/protect") == ["view"]
    assert site.ask("GET", "/api/v1/clips/1").json()["protected"]
    assert site.refused("DELETE", "/api/v1/clips/1") == ["view", "operate"]
    assert site.ask("DELETE", "/api/v1/clips/1", "admin").status_code == 409
    assert site.refused("POST", "/api/v1/clips/1/unprotect") == ["view"]
    (segment,) = [one for one in ClipReader(site.folder).segments("gate", 0.0, 1e12) if one.id == 1]
    assert site.ask("DELETE", "/api/v1/clips/1", "admin").json()["id"] == 1
    assert not (site.folder / segment.path).exists()
    assert site.ask("DELETE", "/api/v1/clips/1", "admin").status_code == 404
    assert site.ask("POST", "/api/v1/clips/1/protect", "admin").status_code == 404
