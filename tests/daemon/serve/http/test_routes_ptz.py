"""Cameras are moved over HTTP: looked at by all, moved by operators, their presets changed by administrators."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Config, Http
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.onvif_camera import OnvifCamera

pytestmark = pytest.mark.waiting

ROLES = ("view", "operate", "admin")
PTZ = "/api/v1/cameras/gate/ptz"


class Site:
    """A web server with a camera "gate" that moves, "yard" that does not, "dead" that does not answer, and a token for
    each role, named like the role."""

    def __init__(self, camera: OnvifCamera) -> None:
        self.camera = camera
        onvif = {"address": f"127.0.0.1:{camera.port}", "username": camera.username, "password": camera.password}
        cameras = {"gate": {"onvif": onvif}, "yard": {}, "dead": {"onvif": {"address": "127.0.0.1:9"}}}
        self.manager = PtzManager()
        self.manager.apply(
            Config.model_validate(
                {"cameras": {name: {"source": "testpattern://", **one} for name, one in cameras.items()}}
            )
        )
        tokens = {role: {"token": role * 16, "role": role} for role in ROLES}
        access = Access(Options.model_validate({"tokens": tokens}))
        app = create_app(View(), lambda _: (b"", "text/plain"), 8, access, ptz=self.manager)
        self.server = HttpServer(Http(port=0), app)
        self.server.start()
        self.web = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=40)

    def ask(self, method: str, path: str, body: object = None, role: str = "admin") -> httpx.Response:
        headers = {"Authorization": f"Bearer {role * 16}", "X-Sightd": "1"}
        return self.web.request(method, f"http://127.0.0.1:{self.server.port}{path}", json=body, headers=headers)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with OnvifCamera() as camera:
        site = Site(camera)
        yield site
        site.server.close()
        site.web.close()
        site.manager.close()
    assert camera.wrong == []


@pytest.fixture
def site(shared: Site) -> Site:
    """With a camera at rest, in its home position, with the preset that it came with."""
    shared.camera.reset()
    return shared


def test_a_camera_says_where_it_looks_and_what_it_can_do(site: Site) -> None:
    assert site.ask("GET", PTZ, role="view").json() == {
        "supported": {
            "pan_tilt": ["absolute", "continuous", "relative"],
            "zoom": ["absolute", "continuous"],
            "home": True,
            "presets": 16,
        },
        "presets": [{"token": "1", "name": "Gate"}],
        "position": {"pan": 0.0, "tilt": 0.0, "zoom": 0.0},
        "moving": False,
        "following": {"enabled": False, "track": None, "paused": 0.0},
    }


def test_an_operator_moves_it_and_it_stops_by_itself(site: Site) -> None:
    assert site.ask("POST", f"{PTZ}/move", {"pan": 0.5, "seconds": 0.2}, "operate").status_code == 204
    assert site.camera.view.speed == [0.5, 0.0, 0.0]
    assert site.camera.stops.wait(10)
    assert site.ask("POST", f"{PTZ}/move", {"zoom": -1, "seconds": 10}, "operate").status_code == 204
    assert site.camera.moving
    assert site.ask("POST", f"{PTZ}/stop", role="operate").status_code == 204
    assert not site.camera.moving


def test_an_operator_sends_it_to_positions_presets_and_home(site: Site) -> None:
    def position() -> Any:
        return site.ask("GET", PTZ, role="view").json()["position"]

    site.ask("POST", f"{PTZ}/position", {"pan": -0.5, "tilt": 0.25, "zoom": 1}, "operate")
    assert position() == {"pan": -0.5, "tilt": 0.25, "zoom": 1.0}
    site.ask("POST", f"{PTZ}/step", {"pan": 0.25, "tilt": 0}, "operate")
    assert position()["pan"] == -0.25
    site.ask("POST", f"{PTZ}/preset", {"preset": "1"}, "operate")
    assert position()["pan"] == 0.5
    site.ask("POST", f"{PTZ}/home", role="operate")
    assert position()["pan"] == 0.0


def test_an_administrator_changes_presets_and_home(site: Site) -> None:
    site.ask("POST", f"{PTZ}/position", {"pan": -0.5})
    made = site.ask("POST", f"{PTZ}/presets", {"name": "Drive/way"})
    assert (made.status_code, made.json()) == (201, {"token": "2", "name": "Drive/way"})
    assert site.ask("PUT", f"{PTZ}/home").status_code == 204
    assert site.camera.home[0] == -0.5
    assert site.ask("PUT", f"{PTZ}/presets/1", {"name": "Corner"}).status_code == 204
    assert site.camera.presets["1"][0] == "Corner"
    assert site.ask("DELETE", f"{PTZ}/presets/1").status_code == 204
    assert list(site.camera.presets) == ["2"]


@pytest.mark.parametrize(
    ("method", "path", "body", "refused"),
    [
        ("GET", "", None, []),
        ("POST", "/move", {"pan": 0.1, "seconds": 0.1}, ["view"]),
        ("POST", "/step", {"pan": 0.1}, ["view"]),
        ("POST", "/position", {"pan": 0.1}, ["view"]),
        ("POST", "/stop", None, ["view"]),
        ("POST", "/preset", {"preset": "1"}, ["view"]),
        ("POST", "/home", None, ["view"]),
        ("PUT", "/home", None, ["view", "operate"]),
        ("POST", "/presets", {"name": "a"}, ["view", "operate"]),
        ("PUT", "/presets/1", {"name": "a"}, ["view", "operate"]),
        ("DELETE", "/presets/1", None, ["view", "operate"]),
    ],
)
def test_who_may_do_what(site: Site, method: str, path: str, body: object, refused: list[str]) -> None:
    assert [role for role in ROLES if site.ask(method, PTZ + path, body, role).status_code == 403] == refused


@pytest.mark.parametrize("camera", ["yard", "nobody", "x" * 64])
def test_a_camera_that_does_not_move_says_so(site: Site, camera: str) -> None:
    answer = site.ask("POST", f"/api/v1/cameras/{camera}/ptz/home")
    assert answer.status_code in (404, 422)
    assert "cannot be moved" in answer.text or "at most 63" in answer.text


def test_a_camera_that_does_not_answer_or_refuses_says_why(site: Site) -> None:
    dead = site.ask("GET", "/api/v1/cameras/dead/ptz")
    assert (dead.status_code, dead.json()["reason"]) == (409, "refused")
    refused = site.ask("POST", f"{PTZ}/preset", {"preset": "99"})
    assert (refused.status_code, refused.json()["reason"]) == (409, "other")
    assert "token does not exist" in refused.json()["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("move", {"pan": 1.1}),
        ("move", {"pan": 0.1, "seconds": 10.1}),
        ("move", {"pan": 0.1, "seconds": 0}),
        ("move", {"roll": 0.1}),
        ("step", {"pan": -2}),
        ("preset", {}),
        ("presets", {"name": ""}),
        ("presets", {"name": "x" * 65}),
    ],
)
def test_what_is_out_of_range_does_not_reach_the_camera(site: Site, path: str, body: dict[str, Any]) -> None:
    assert site.ask("POST", f"{PTZ}/{path}", body).status_code == 422
    assert site.camera.requests == []
