"""Zones over HTTP: everybody who may watch reads them, administrators change them, the configuration wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.zones.config import ZonesConfig
from sightd.plugins.zones.routes import ROUTES
from sightd.plugins.zones.service import ZoneService
from sightd.plugins.zones.store import ZoneStore
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS

pytestmark = pytest.mark.waiting

DOOR = {"corners": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]], "loiter_after": "30s"}
GATE = {"points": [[100, 90], [100, 10]], "size": [200, 100], "classes": ["person"]}
CONFIGURED = {"yard": {"zones": {"pond": DOOR}, "scale": {"points": [[0, 0], [1, 0]], "metres": 9}}}


@pytest.fixture
def service(tmp_path: Path) -> ZoneService:
    config = ZonesConfig.model_validate({"cameras": CONFIGURED})
    return ZoneService(config, ZoneStore(tmp_path / "state" / "zones.json"))


@pytest.fixture
def client(service: ZoneService) -> Iterator[httpx.Client]:
    app = create_app(View(), Metrics(CollectorRegistry(), "1.2.3").exposition, 1, NO_TOKENS)
    PluginRoutes(app, lambda _kind, _plugin: service, NO_TOKENS).add("zones", ROUTES)
    server = HttpServer(Http(port=0), app)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"X-Sightd": "1"}, timeout=20) as client:
        yield client
    server.close()


def refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    said = found.get("error") or found["detail"]
    return said if isinstance(said, str) else " ".join(one["msg"] for one in said)


def test_zones_and_lines_are_stored_replaced_and_removed(client: httpx.Client) -> None:
    stored = client.put("/api/v1/zones/yard/front door", json=DOOR)
    assert (stored.status_code, stored.json()) == (200, {**DOOR, "source": "api"})
    assert client.put("/api/v1/zones/yard/gate", json=GATE).json() == {**GATE, "source": "api"}
    assert client.put("/api/v1/zones/yard/gate", json=DOOR).json()["corners"], "a line may become a zone"
    everything = client.get("/api/v1/zones").json()
    assert {name: one["source"] for name, one in everything["yard"]["zones"].items()} == {
        "front door": "api", "gate": "api", "pond": "configuration",
    }  # fmt: skip
    assert everything["yard"]["scale"]["source"] == "configuration"
    assert client.get("/api/v1/zones/yard/gate").json() == {**DOOR, "source": "api"}
    assert client.delete("/api/v1/zones/yard/gate").status_code == 204
    assert client.get("/api/v1/zones/yard/gate").status_code == 404
    assert client.delete("/api/v1/zones/yard").status_code == 204
    assert list(client.get("/api/v1/zones/yard").json()["zones"]) == ["pond"]


def test_all_zones_of_a_camera_or_of_all_cameras_are_replaced(client: httpx.Client) -> None:
    client.put("/api/v1/zones/street/old", json=DOOR)
    form = client.put("/api/v1/zones/street", json={"lines": {"gate": GATE}}).json()
    assert form == {"zones": {}, "lines": {"gate": {**GATE, "source": "api"}}}
    assert set(client.put("/api/v1/zones", json={"alley": {"zones": {"door": DOOR}}}).json()) == {"yard", "alley"}
    assert client.delete("/api/v1/zones").status_code == 204
    assert set(client.get("/api/v1/zones").json()) == {"yard"}


def test_what_the_configuration_says_is_read_only(client: httpx.Client) -> None:
    for answer in (
        client.put("/api/v1/zones/yard/pond", json=GATE),
        client.put("/api/v1/zones/yard", json={"zones": {"pond": DOOR}}),
        client.put("/api/v1/zones", json={"yard": {"zones": {"pond": DOOR}}}),
        client.delete("/api/v1/zones/yard/pond"),
    ):
        assert refused(answer, 409) == "'pond' of camera 'yard' is in the configuration file: change it there"
    ground = {"scale": {"points": [[0, 0], [0, 1]], "metres": 5}}
    assert "the ground of camera 'yard' is in the configuration" in refused(
        client.put("/api/v1/zones/yard", json=ground), 409
    )
    assert "are changed there" in refused(client.delete("/api/v1/zones/yard"), 404)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/api/v1/zones/yard/door", {"corners": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "edges 1 and 3 cross or touch"),
        ("/api/v1/zones/yard/door", {"points": [[0, 0], [2, 1]]}, "outside 0 to 1"),
        ("/api/v1/zones/yard/door", {**DOOR, "active": "18:00"}, '"18:00" is no range of times'),
        ("/api/v1/zones/yard/door", {}, "Field required"),
        ("/api/v1/zones/yard/a%0Ab", DOOR, "String should match pattern"),
        ("/api/v1/zones/Yard!/door", DOOR, "String should match pattern"),
        ("/api/v1/zones/yard", {"zones": {"a": DOOR}, "lines": {"a": GATE}}, '"a" is a zone and a line'),
        (
            "/api/v1/zones/yard",
            {"zones": {str(number): DOOR for number in range(32)}},
            "would have 33 zones; at most 32",
        ),
    ],
)
def test_what_the_configuration_would_refuse_is_refused(
    client: httpx.Client, path: str, body: dict[str, Any], message: str
) -> None:
    assert message in refused(client.put(path, json=body), 422)
    assert set(client.get("/api/v1/zones").json()) == {"yard"}


def test_reading_needs_the_role_of_a_viewer_and_changing_that_of_an_administrator() -> None:
    assert {(route.method, route.role) for route in ROUTES} == {("GET", "view"), ("PUT", "admin"), ("DELETE", "admin")}


def test_a_disk_that_refuses_is_reported_until_it_accepts(
    client: httpx.Client, service: ZoneService, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file instead of the folder")
    assert "cannot be" in refused(client.put("/api/v1/zones/street/door", json=DOOR), 507)
    assert service.recover() is not None
    assert service.storage().fault is not None
    (tmp_path / "state").unlink()
    assert service.recover() is None
    assert client.put("/api/v1/zones/street/door", json=DOOR).status_code == 200
