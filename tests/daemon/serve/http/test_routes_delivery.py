"""Dead letters over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.delivery.store import SinkStore, store_path
from sightd.daemon.events.event import Event
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.app_client import AppClient
from tests.support.event_counts import EventCounts

pytestmark = pytest.mark.computing


@pytest.fixture
def client(tmp_path: Path) -> Iterator[AppClient]:
    """Of a sink "alarm" with dead letters of the events 7 and 9."""
    environ, metrics = {"SIGHTD_STATE_DIR": str(tmp_path)}, Metrics(CollectorRegistry(), "1.2.3")
    store = SinkStore(store_path(environ, "alarm"), lambda: 0)
    for number in (7, 9):
        store.bury(Event(number, "camera.up", 1.0, "gate", None, {}), "status 404", 10)
    store.close()
    journal = Journal(tmp_path / "events.db", 86400.0, 100, EventCounts())
    delivery = EventDelivery(journal, environ, metrics.delivery)
    app = create_app(View(), metrics.exposition, 1, NO_TOKENS, delivery=delivery)
    with AppClient(app, address="127.0.0.1") as one:
        one.headers["X-Sightd"] = "1"
        yield one


def letters(client: AppClient) -> list[int]:
    return [letter["event"]["id"] for letter in client.get("/api/v1/delivery/alarm/dead").json()]


def test_they_are_listed_marked_and_deleted(client: AppClient) -> None:
    assert letters(client) == [7, 9]
    assert client.post("/api/v1/delivery/alarm/retry", json={"ids": [9]}).json() == {"ids": [9]}
    assert client.post("/api/v1/delivery/alarm/delete", json={"ids": [7]}).json() == {"ids": [7]}
    assert letters(client) == [9]
    assert client.post("/api/v1/delivery/alarm/delete", json={"ids": None}).json() == {"ids": [9]}
    assert letters(client) == []


@pytest.mark.parametrize(("method", "what"), [("GET", "dead"), ("POST", "retry"), ("POST", "delete")])
def test_an_unknown_sink_is_reported(client: AppClient, method: str, what: str) -> None:
    answer = client.request(method, f"/api/v1/delivery/nothing/{what}", json={"ids": []})
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no sink 'nothing'."})
