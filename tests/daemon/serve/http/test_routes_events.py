"""The journal over HTTP, by request and as a live stream; a client that reconnects misses nothing."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sightd.daemon.config.model import Http
from sightd.daemon.events import journal_reader
from sightd.daemon.events.event import Event, EventKind, PendingEvent, event_of
from sightd.daemon.events.journal import Journal
from sightd.daemon.serve.http import routes_events as served
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.api import Phase
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.event_counts import EventCounts
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "events.db", 86400.0, 100, EventCounts())
    one.start()
    yield one
    one.close()


@pytest.fixture
def base(journal: Journal) -> Iterator[str]:
    app = create_app(View(), lambda _: (b"", "text/plain"), 8, NO_TOKENS, journal=journal)
    server = HttpServer(Http(port=0), app)
    server.start()
    yield f"http://127.0.0.1:{server.port}/api/v1/events"
    server.close()


def note(journal: Journal, *cameras: str) -> None:
    """Records an event for each camera; all are stored when this returns."""
    before = newest(journal)
    for camera in cameras:
        journal.note(EventKind.CAMERA_UP, camera=camera, away=1.5)
    eventually(lambda: newest(journal) == before + len(cameras))


def newest(journal: Journal) -> int:
    return journal.reader.span()[1]


class Listener:
    """A client of the stream, in its own thread, until it has `count` messages."""

    def __init__(self, url: str, count: int, headers: dict[str, str] | None = None) -> None:
        self.messages: list[dict[str, str]] = []
        self.comments: list[str] = []
        self.began = threading.Event()
        self._arguments = url, count, headers or {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.began.wait(10)

    def _run(self) -> None:
        url, count, headers = self._arguments
        with httpx.stream("GET", url, headers=headers, timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            message: dict[str, str] = {}
            for line in answer.iter_lines():
                if line.startswith(":"):
                    self.comments.append(line)
                    self.began.set()
                elif line:
                    field, _, value = line.partition(": ")
                    message[field] = value
                elif message:
                    self.messages.append(message)
                    message = {}
                    if len(self.messages) == count:
                        return

    def wait(self) -> list[Any]:
        self._thread.join(20)
        assert not self._thread.is_alive(), f"only {self.messages}"
        return [json.loads(message["data"]) for message in self.messages]


def test_events_are_asked_for_from_an_id_on_and_by_camera(journal: Journal, base: str) -> None:
    note(journal, "a", "b", "a")
    assert [one["id"] for one in httpx.get(base).json()] == [1, 2, 3]
    assert [one["id"] for one in httpx.get(base, params={"limit": 1}).json()] == [3], "the newest"
    assert [one["id"] for one in httpx.get(base, params={"after": 1, "limit": 1}).json()] == [2]
    [one] = httpx.get(base, params={"camera": "b", "kind": "camera.up"}).json()
    assert one["time"].endswith("Z")
    assert one == event_of(one).for_json()
    assert (one["schema"], one["id"], one["kind"], one["camera"]) == (1, 2, "camera.up", "b")
    assert one["facts"] == {"away": 1.5}
    assert httpx.get(base, params={"limit": 5000}).status_code == 422


def test_the_stream_brings_what_comes(journal: Journal, base: str) -> None:
    note(journal, "before")
    listener = Listener(f"{base}/stream", 2)
    note(journal, "a", "b")
    assert [one["camera"] for one in listener.wait()] == ["a", "b"]


def test_a_client_that_comes_back_misses_nothing(journal: Journal, base: str) -> None:
    note(journal, "a")
    first = Listener(f"{base}/stream?after=0", 1)
    first.wait()
    note(journal, "b", "c")
    second = Listener(f"{base}/stream", 3, {"Last-Event-ID": first.messages[0]["id"]})
    note(journal, "d")
    assert [one["camera"] for one in second.wait()] == ["b", "c", "d"]


def test_a_client_that_was_away_for_too_long_is_notified_of_a_gap(journal: Journal, base: str) -> None:
    note(journal, *("a" for _ in range(150)))
    listener = Listener(f"{base}/stream", 3, {"Last-Event-ID": "7"})
    assert listener.wait()[0] == {"oldest": 51}
    assert listener.messages[0]["event"] == "gap"
    assert [message["id"] for message in listener.messages[1:]] == ["51", "52"]


def test_a_client_that_knows_ids_of_another_journal_is_notified_and_gets_all(journal: Journal, base: str) -> None:
    note(journal, "a")
    listener = Listener(f"{base}/stream", 2, {"Last-Event-ID": "4711"})
    assert listener.wait()[0] == {"oldest": 1}
    assert listener.messages[1]["id"] == "1"


@pytest.mark.parametrize("known", ["9" * 19, "9" * 20, "9" * 5000])
def test_an_id_that_no_journal_has_is_no_fault_of_ours(journal: Journal, base: str, known: str) -> None:
    note(journal, "a")
    assert Listener(f"{base}/stream", 2, {"Last-Event-ID": known}).wait()[0] == {"oldest": 1}
    assert httpx.get(f"{base}?after={known}").status_code == 422


def test_silence_is_broken_by_comments(journal: Journal, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "HEARTBEAT", 0.1)
    note(journal, "a")
    listener = Listener(f"{base}/stream", 1)
    eventually(lambda: len(listener.comments) > 3)
    note(journal, "b")
    assert [one["camera"] for one in listener.wait()] == ["b"]


def test_a_foreign_page_reads_nothing(journal: Journal, base: str) -> None:
    note(journal, "a")
    for path in ("", "/stream"):
        assert httpx.get(base + path, headers={"Host": "evil.example"}).status_code == 403


def test_where_it_cannot_be_read_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("a file where its folder should be")
    journal = Journal(tmp_path / "none" / "events.db", 86400.0, 100, EventCounts())
    journal.start()
    app = create_app(View(), lambda _: (b"", "text/plain"), 8, NO_TOKENS, journal=journal)
    server = HttpServer(Http(port=0), app)
    server.start()
    try:
        for path in ("", "/stream"):
            answer = httpx.get(f"http://127.0.0.1:{server.port}/api/v1/events{path}")
            assert answer.status_code == 503
            assert "does not exist or is empty" in answer.json()["error"]
    finally:
        server.close()
        journal.close()


def record(journal: Journal, *events: PendingEvent) -> None:
    """Records the events; all are stored when this returns."""
    before = newest(journal)
    for event in events:
        journal.record(event)
    eventually(lambda: newest(journal) == before + len(events))


def entered(at: float, zone: str, **facts: object) -> PendingEvent:
    return PendingEvent("zone.entered", at, "yard", "zones", {"zone": zone, **facts}, phase=Phase.BEGAN)


@pytest.fixture
def filled(journal: Journal, base: str) -> str:
    """The address of a journal with the events 1 to 4."""
    record(
        journal,
        entered(time.time() - 7200, "drive", track=7, person="Ann"),
        entered(time.time() - 3600, "lawn", **{"class": "dog"}),
        PendingEvent(
            "line.crossed",
            time.time() - 60,
            "gate",
            "zones",
            {"line": "fence", "note": "50% of it"},
            rules=("intruder",),
        ),
        PendingEvent(EventKind.CAMERA_DOWN, time.time() - 30, "gate", None, {"reason": "timeout"}),
    )
    return base


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"zone": "drive"}, [1]),
    ({"line": "fence"}, [3]),
    ({"class": "dog"}, [2]),
    ({"track": 7, "person": "Ann"}, [1]),
    ({"phase": "began"}, [1, 2]),
    ({"kind": ["zone.*", "camera.down"]}, [1, 2, 4]),
    ({"text": "50% OF"}, [3]),
    ({"before": 3}, [1, 2]),
    ({"after": 1, "before": 4, "limit": 1}, [2]),
    ({"began": 1}, []),
    ({"rule": "intruder"}, [3]),
]


def test_events_are_filtered_by_every_field(filled: str) -> None:
    with httpx.Client() as client:
        for query, expected in FILTERS:
            assert [one["id"] for one in client.get(filled, params=query).json()] == expected, query


def test_events_are_filtered_by_a_time_range(filled: str) -> None:
    query = {"since": time.time() - 4000, "until": time.time() - 600}
    assert [one["id"] for one in httpx.get(filled, params=query).json()] == [2]


def test_one_event_is_found_by_its_id(filled: str) -> None:
    assert httpx.get(f"{filled}/3").json()["line"] == "fence"
    answer = httpx.get(f"{filled}/5")
    assert (answer.status_code, answer.json()) == (404, {"error": "Event 5 does not exist or is no longer stored."})


def test_events_are_counted(filled: str) -> None:
    query: dict[str, Any] = {"per": "day", "by": ["zone", "camera", "zone"], "timezone": "UTC", "kind": "zone.*"}
    found = httpx.get(f"{filled}/statistics", params=query).json()
    assert found["by"] == ["zone", "camera"]
    assert sorted((one["zone"], one["camera"], one["count"]) for one in found["counts"]) == [
        ("drive", "yard", 1), ("lawn", "yard", 1),
    ]  # fmt: skip
    assert {one["time"][10:] for one in found["counts"]} == {"T00:00:00+00:00"}


INVALID: list[tuple[str, dict[str, Any], int, str]] = [
    ("", {"since": 5, "until": 5}, 400, "since is not before until"),
    ("/statistics", {"timezone": "Nowhere"}, 400, "the time zone 'Nowhere' is unknown"),
    ("/statistics", {"per": "hour", "since": 0}, 400, "more than 2000 periods"),
    ("/statistics", {"per": "minute"}, 422, "'hour' or 'day'"),
    ("/statistics", {"by": "facts"}, 422, "'kind', 'camera'"),
    ("", {"kind": "zone.[a-z]"}, 422, "should match pattern"),
    ("", {"kind": ["a.b"] * 21}, 422, "at most 20"),
    ("", {"phase": "over"}, 422, "'once', 'began'"),
    ("", {"track": 2**63}, 422, "less than or equal"),
    ("/export", {"format": "parquet"}, 422, "'csv' or 'jsonl'"),
    ("/0", {}, 422, "greater than or equal"),
]


def test_an_invalid_query_is_refused_with_what_to_change(base: str) -> None:
    with httpx.Client() as client:
        for path, query, status, message in INVALID:
            answer = client.get(base + path, params=query)
            assert (answer.status_code, message in answer.text) == (status, True), answer.text


def test_a_query_that_takes_too_long_is_refused(journal: Journal, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "_STEPS", 1)
    monkeypatch.setattr(journal.reader, "_budget", 0.0)
    answer = httpx.get(filled, params={"text": "nowhere"})
    assert answer.status_code == 400
    assert "takes longer than 0 s: narrow it" in answer.json()["error"]


def test_queries_wait_for_their_turn_and_are_refused_if_it_does_not_come(
    filled: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, asked = threading.Event(), threading.Semaphore(0)
    real = journal.reader.latest

    def held(*arguments: Any) -> list[Event]:
        asked.release()
        assert go.wait(20)
        return real(*arguments)

    monkeypatch.setattr(journal.reader, "latest", held)
    monkeypatch.setattr(served, "_WAITS", 0.05)
    with ThreadPoolExecutor(4) as others:
        answers = [others.submit(httpx.get, filled, timeout=20) for _ in range(4)]
        for _ in answers:
            assert asked.acquire(timeout=20)
        refused = httpx.get(filled)
        assert (refused.status_code, "other queries of events are running" in refused.text) == (503, True)
        go.set()
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert httpx.get(filled).status_code == 200


def test_all_events_are_exported_as_a_file(filled: str) -> None:
    answer = httpx.get(f"{filled}/export", params={"format": "csv", "kind": "zone.*"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="events.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["id"], row["zone"]) for row in rows] == [("1", "drive"), ("2", "lawn")]
    lines = httpx.get(f"{filled}/export", params={"format": "jsonl", "after": 2}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [3, 4]


def test_the_stream_brings_only_what_the_filter_selects(journal: Journal, base: str) -> None:
    note(journal, "before")
    listener = Listener(f"{base}/stream?zone=drive&kind=zone.*", 2)
    now = time.time()
    record(journal, entered(now, "lawn"), entered(now, "drive"), entered(now, "lawn"), entered(now, "drive"))
    assert [one["id"] for one in listener.wait()] == [3, 5]
