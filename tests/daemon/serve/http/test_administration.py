"""Configuration, cameras, plug-ins, rules, models and jobs over HTTP: who may do what, and what is answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.app.log_ring import LogRing
from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.administration import CANARY, SITE, Site
from tests.support.waiting import eventually

pytestmark = pytest.mark.computing

ROLES = ("view", "operate", "admin")


class Api:
    """A server over a site; the application is that of a daemon. `as_` sends requests with the token of a role."""

    def __init__(self, folder: Path) -> None:
        self.site, self.log = Site(folder), LogRing()
        self.log.attach()
        tokens = {role: {"role": role, "token": f"token-of-the-role-{role}"} for role in ROLES}
        app = create_app(
            View(),
            Metrics(CollectorRegistry(), "1.2.3").exposition,
            1,
            Access(Options.model_validate({"tokens": tokens})),
            lambda: self.site.reloading.ask(),
            self.site.journal,
            administration=self.site.administration,
            log_tail=self.log,
        )
        self.server = HttpServer(Http(port=0), app)
        self.server.start()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}/api/v1", timeout=30)

    def __call__(
        self, method: str, path: str, json: object = None, role: str = "admin", **headers: str
    ) -> httpx.Response:
        sent = {
            "Authorization": f"Bearer token-of-the-role-{role}",
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }
        return self._client.request(method, path, json=json, headers=sent)

    def close(self) -> None:
        self.log.detach()
        self._client.close()
        self.server.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    api = Api(tmp_path_factory.mktemp("site"))
    yield api
    api.close()


@pytest.fixture
def api(shared: Api) -> Api:
    """With the site as it was."""
    if shared.site.path.read_text() != SITE:
        shared.site.path.write_text(SITE)
        shared.site.reloading.ask().result(20)
    return shared


def test_the_configuration_is_read_edited_and_replaced(api: Api) -> None:
    read = api("GET", "/configuration")
    assert CANARY not in read.text
    text = read.json()["text"].replace("'Front'", "Gate")
    check = api("POST", "/configuration/check", {"text": text})
    assert check.json()["changes"]["changed"] == ["front"]
    assert api("PUT", "/configuration", {"text": text}).status_code == 428
    done = api("PUT", "/configuration", {"text": text}, If_Match=read.headers["etag"])
    assert (done.status_code, done.json()["changed"]) == (200, ["front"])
    assert api.site.path.read_text() == SITE.replace("'Front'", "Gate")
    assert api("PUT", "/configuration", {"text": text}, If_Match=read.headers["etag"]).status_code == 412
    newest, before = api("GET", "/configuration/history").json()[:2]
    assert (newest["who"], newest["changes"]) == ("admin", "cameras changed: front")
    assert CANARY not in api("GET", f"/configuration/history/{before['id']}").text
    assert api("POST", f"/configuration/history/{before['id']}/restore").status_code == 200
    assert api.site.path.read_text() == SITE
    assert api("POST", "/configuration/history/9999/restore").status_code == 404


def test_a_text_with_problems_is_refused_with_their_positions(api: Api) -> None:
    text = SITE.replace("title", "tilte")
    problems = api("POST", "/configuration/check", {"text": text}).json()["problems"]
    refused = api("PUT", "/configuration", {"text": text}, If_Match="*")
    assert (refused.status_code, refused.json()["problems"]) == (409, problems)
    (problem,) = problems
    assert (problem["line"], problem["path"]) == (4, "cameras.front.tilte")
    assert 'did you mean "title"' in problem["message"]


def test_the_text_may_be_sent_as_yaml(api: Api) -> None:
    sent = {"content": SITE.encode(), "headers": {"Authorization": "Bearer token-of-the-role-admin"}}
    sent["headers"] |= {"Content-Type": "application/yaml", "If-Match": "*"}  # type: ignore[operator]
    assert api._client.put("/configuration", **sent).status_code == 200  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"text": 1}', b'{"text": "", "x": 1}', b'{"text": "\\ud800"}', b"\xff", b"[" * 300_000]
)
def test_other_bodies_are_refused(api: Api, body: bytes) -> None:
    headers = {"Authorization": "Bearer token-of-the-role-admin", "If-Match": "*"}
    for method, path in (("PUT", "/configuration"), ("POST", "/configuration/check")):
        answer = api._client.request(method, path, content=body, headers=headers)
        assert answer.status_code in (409, 413, 422) or answer.json()["problems"]
    assert api.site.path.read_text() == SITE


def test_the_schema_describes_plugins_too(api: Api) -> None:
    schema = api("GET", "/configuration/schema", role="view").json()
    assert "plugin:detector" in schema["$defs"]


def test_cameras_are_read_with_their_state(api: Api) -> None:
    front, back = api("GET", "/cameras", role="view").json()
    assert (front["name"], front["state"]["state"], front["paused"]) == ("front", "live", False)
    assert (back["source"], back["state"]) == ("rtsp://***@127.0.0.1:1/x", None)
    assert api("GET", "/cameras/front", role="view").json() == front
    assert api("GET", "/cameras/back/options").json()["written"]["chain"] == ["detector", "tracker", "zones"]
    assert api("GET", "/cameras/nothing", role="view").status_code == 404


def test_cameras_are_added_changed_reordered_and_removed(api: Api) -> None:
    added = api("POST", "/cameras?before=back", {"name": "gate", "source": "testpattern://", "fps": 5})
    assert (added.status_code, added.headers["location"]) == (201, "/api/v1/cameras/gate")
    assert api("POST", "/cameras", {"name": "gate", "source": "testpattern://"}).status_code == 409
    assert api("POST", "/cameras", {"name": "GATE", "source": "testpattern://"}).status_code == 422
    revision = api("GET", "/configuration").json()["revision"]
    assert api("PATCH", "/cameras/gate", {"title": "Gate"}, If_Match=revision).json()["changed"] == ["gate"]
    assert api("PATCH", "/cameras/gate", {"title": "Gate 2"}, If_Match=revision).status_code == 412
    refused = api("PATCH", "/cameras/gate", {"timeout": "soon"})
    assert (refused.status_code, refused.json()["problems"][0]["path"]) == (409, "cameras.gate.timeout")
    assert api("PUT", "/cameras/order", {"names": ["gate", "back", "front"]}).status_code == 200
    assert [one["name"] for one in api("GET", "/cameras").json()] == ["gate", "back", "front"]
    assert api("PUT", "/cameras/order", {"names": ["gate"]}).status_code == 409
    assert api("DELETE", "/cameras/gate").json()["removed"] == ["gate"]
    assert api("DELETE", "/cameras/gate").status_code == 404


def test_cameras_are_paused_and_resumed(api: Api) -> None:
    assert api("POST", "/cameras/front/pause", role="operate").json()["paused"] is True
    assert api("POST", "/cameras/front/resume", role="operate").json()["paused"] is False
    assert api("POST", "/cameras/back/pause", role="operate").status_code == 409


def test_options_of_plugins_are_read_and_changed(api: Api) -> None:
    detector = next(one for one in api("GET", "/plugins", role="view").json() if one["name"] == "detector")
    assert detector["options"]["min_score"] == {"value": 0.4, "is_set": True, "adjusted": False, "live": True}
    assert not detector["options"]["model"]["live"]
    assert detector["options_schema"]["properties"]["min_score"]["maximum"] == 1
    assert detector["report"]["seconds"] == 0.01
    assert api("PATCH", "/plugins/detector?persist=false", {"min_score": 0.7}).json()["adjusted"] == ["detector"]
    assert api("GET", "/plugins/detector").json()["options"]["min_score"]["adjusted"]
    assert api("GET", "/configuration").json()["adjusted"] == {"plugins.detector.min_score": 0.7}
    assert api("PATCH", "/plugins/detector", {"min_score": None}).json()["adjusted"] == ["detector"]
    assert "min_score" not in api.site.path.read_text()
    assert api("PATCH", "/plugins/nothing", {}).status_code == 404
    assert api("PATCH", "/plugins/detector", {"min_score": 7}).json()["problems"][0]["line"] > 0


def test_rules_are_read_tried_and_changed(api: Api) -> None:
    api.site.journal.start()
    try:
        assert api("POST", "/rules/trial", {"kinds": ["line.*"]}).json()["selected"] == 0
    finally:
        api.site.journal.close(2.0)
    assert api("PUT", "/rules/night", {"kinds": ["line.*"]}).json()["event_rules"] == ["night"]
    assert api("GET", "/rules", role="view").json() == {"night": {"kinds": ["line.*"]}}
    assert api("GET", "/rules/night", role="view").json() == {"kinds": ["line.*"]}
    assert api("PUT", "/rules/night", {"kind": ["line.*"]}).status_code == 409
    assert api("DELETE", "/rules/night").status_code == 200
    assert api("DELETE", "/rules/night").status_code == 404
    assert api("POST", "/rules/trial", {"kinds": []}).status_code == 422


def test_models_and_engines_are_read_and_models_fetched_by_a_job(api: Api) -> None:
    models = {one["name"]: one for one in api("GET", "/models", role="view").json()}
    assert models["deimv2-femto"]["used_by"] == ["detector"]
    assert {one["name"] for one in api("GET", "/engines", role="view").json()} >= {"onnxruntime", "openvino"}
    assert api("POST", "/models/nothing/fetch").status_code == 404
    api.site.administration.models._fetched = lambda model, progress: "there"  # type: ignore[method-assign]
    started = api("POST", "/models/yunet/fetch")
    assert started.status_code == 202
    path = started.headers["location"].removeprefix("/api/v1")
    eventually(lambda: api("GET", path, role="view").json()["state"] == "done")
    assert api("GET", "/jobs", role="view").json()[0]["result"] == "there"
    assert api("DELETE", path).json()["state"] == "done"
    assert api("GET", "/jobs/999", role="view").status_code == 404


def test_lower_roles_change_nothing(api: Api) -> None:
    changes: list[tuple[str, str, Any]] = [
        ("GET", "/configuration", None),
        ("PUT", "/configuration", {"text": ""}),
        ("POST", "/configuration/check", {"text": ""}),
        ("GET", "/configuration/history", None),
        ("GET", "/cameras/front/options", None),
        ("POST", "/cameras", {"name": "x", "source": "x"}),
        ("PATCH", "/cameras/front", {}),
        ("DELETE", "/cameras/front", None),
        ("PATCH", "/plugins/detector", {}),
        ("PUT", "/rules/x", {}),
        ("POST", "/models/yunet/fetch", None),
        ("DELETE", "/jobs/1", None),
    ]
    for method, path, body in changes:
        for role in ("view", "operate"):
            assert api(method, path, body, role=role).status_code == 403, (method, path)
    assert api("POST", "/cameras/front/pause", role="view").status_code == 403
    assert api.site.path.read_text() == SITE


def test_bodies_are_bounded(api: Api) -> None:
    large = json.dumps({"text": "#" * (4 << 20)})
    answer = api._client.put(
        "/configuration",
        content=large,
        headers={"Authorization": "Bearer token-of-the-role-admin", "If-Match": "*"},
    )
    assert answer.status_code == 413


def test_the_log_is_read_and_followed(api: Api) -> None:
    log = logging.getLogger("sightd.test")
    log.warning("lost rtsp://me:%s@host/x", CANARY)
    (record,) = api("GET", "/log?lines=1").json()
    assert (record["message"], record["level"]) == ("lost rtsp://***@host/x", "warning")
    assert api("GET", "/log?lines=3000").status_code == 422
    headers = {"Authorization": "Bearer token-of-the-role-admin"}
    with api._client.stream("GET", "/log/stream?lines=1", headers=headers) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(lines).removeprefix("data: "))["message"] == "lost rtsp://***@host/x"
        log.warning("once more")
        assert "once more" in next(lines)
    assert api("GET", "/log", role="operate").status_code == 403
