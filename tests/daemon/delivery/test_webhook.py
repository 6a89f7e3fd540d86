"""Events reach a webhook at least once and in order, whatever the receiver does."""

from __future__ import annotations

import hashlib
import hmac
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.config.delivery import Delivery, WebhookOptions
from sightd.daemon.delivery.sink import Backoff, RefusedError, UnavailableError
from sightd.daemon.delivery.store import SinkStore, dead_letters, mark_for_retry, store_path
from sightd.daemon.delivery.webhook import Webhook
from sightd.daemon.events.event import Event, EventKind
from tests.daemon.delivery.harness import DeliveryHarness
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Handler, WebhookReceiver, cut, status

pytestmark = pytest.mark.waiting

SECRET = "a-secret-of-the-receiver"
EVENT = Event(812, "camera.down", 1.0, "gate", None, {"reason": "timeout"})


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as one:
        yield one


@pytest.fixture
def events(tmp_path: Path) -> Iterator[DeliveryHarness]:
    with DeliveryHarness(tmp_path) as one:
        yield one


def hook(receiver: WebhookReceiver, **options: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": receiver.url, **options}


def webhook(url: str, **options: Any) -> Webhook:
    return Webhook(WebhookOptions.model_validate({"type": "webhook", "url": url, **options}), "yard", lambda: 1700.5)


def test_a_request_has_the_event_its_signature_and_an_idempotency_key(receiver: WebhookReceiver) -> None:
    url = receiver.url.replace("://", "://us%40er:p%3Aw@")
    webhook(url, secret=SECRET, headers={"X-Site": "north"}).send(EVENT)
    [request] = receiver.requests
    assert request.event == EVENT.for_json()
    digest = hmac.new(SECRET.encode(), b"1700." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["Sightd-Signature"] == f"t=1700,v1={digest}"
    assert request.headers["Idempotency-Key"] == "yard-812"
    assert request.headers["Authorization"] == "Basic dXNAZXI6cDp3"
    assert (request.headers["X-Site"], request.path) == ("north", "/hook?key=4711")


@pytest.mark.parametrize("code", [400, 403, 404, 410, 422])
def test_these_statuses_refuse_the_event(receiver: WebhookReceiver, code: int) -> None:
    receiver.usual = status(code)
    with pytest.raises(RefusedError, match=f"status {code}"):
        webhook(receiver.url).send(EVENT)


@pytest.mark.parametrize("code", [301, 408, 425, 429, 500, 503])
def test_after_these_statuses_the_event_is_sent_again(receiver: WebhookReceiver, code: int) -> None:
    receiver.usual = status(code, Location="/elsewhere")
    with pytest.raises(UnavailableError, match=f"status {code}"):
        webhook(receiver.url).send(EVENT)
    assert len(receiver.requests) == 1, "no redirect is followed"


def test_errors_name_host_and_port_and_no_secret_of_the_url() -> None:
    with pytest.raises(UnavailableError) as told:
        webhook("http://user:canary@127.0.0.1:1/canary?key=canary").send(EVENT)
    assert "http://127.0.0.1:1: " in str(told.value)
    assert "canary" not in str(told.value)


def test_an_answer_that_drips_ends_with_the_timeout(receiver: WebhookReceiver) -> None:
    def drip(handler: Handler) -> None:
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.01)

    receiver.usual = drip
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match=r"within 0\.2 s"):
        webhook(receiver.url, timeout="200ms").send(EVENT)
    assert 0.2 <= time.monotonic() - begun < 100


def test_an_answer_without_an_end_acknowledges_the_event_and_is_not_read_on(receiver: WebhookReceiver) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    receiver.answers = [endless]
    sink = webhook(receiver.url)
    sink.send(EVENT)
    sink.send(EVENT)
    assert receiver.ids == [812, 812]


def test_a_connection_that_the_receiver_closed_meanwhile_is_replaced(receiver: WebhookReceiver) -> None:
    def last(handler: Handler) -> None:
        status(204)(handler)
        handler.close_connection = True

    receiver.answers = [last]
    sink = webhook(receiver.url)
    sink.send(EVENT)
    sink.send(EVENT)
    assert len(receiver.requests) == 2


def test_events_arrive_in_order_and_those_of_before_the_sink_do_not(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    events.note(3)
    events.apply(hook=hook(receiver))
    ids = events.note(20)
    receiver.wait_for(lambda: len(receiver.requests) == 20)
    assert receiver.ids == ids


def test_a_sink_gets_only_the_kinds_and_cameras_that_it_names(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    events.apply(hook=hook(receiver, kinds=["camera.*"], cameras=["gate"]))
    events.note(1, EventKind.PLUGIN_UP)
    events.note(1, camera="yard")
    [wanted] = events.note(1)
    events.settled("hook")
    assert receiver.ids == [wanted]
    assert events.count("hook", "filtered") == 2


def test_a_sink_gets_only_what_the_rules_that_it_names_selected(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    events.apply(hook=hook(receiver, rules=["night", "yard"]))
    events.note(1)
    events.note(1, rules=("all",))
    [wanted] = events.note(1, rules=("all", "yard"))
    events.settled("hook")
    assert receiver.ids == [wanted]


def test_nothing_is_lost_or_out_of_order_if_the_receiver_fails_in_every_way(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.answers = [status(503), cut, receiver.hang, status(429), status(204), cut, status(204)]
    events.apply(hook=hook(receiver, timeout="100ms"))
    ids = events.note(5)
    events.settled("hook")
    assert list(dict.fromkeys(receiver.ids)) == ids
    assert receiver.ids == sorted(receiver.ids), "an event is sent again before any later one"
    keys = {one.headers["Idempotency-Key"] for one in receiver.requests}
    assert len(keys) == 5, "a repeated event has the same key"
    assert events.count("hook", "delivered") == 5


def test_an_event_that_is_refused_again_and_again_becomes_a_dead_letter(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.answers = [status(400), status(503), status(400)]
    events.apply(hook=hook(receiver))
    first, second = events.note(2)
    events.settled("hook")
    assert receiver.ids == [first, first, first, second]
    [letter] = events.dead("hook")
    assert letter.event["id"] == first
    assert "status 400" in letter.reason
    assert (events.count("hook", "dead"), events.report("hook").dead) == (1, 1)


def test_only_the_newest_dead_letters_are_kept(receiver: WebhookReceiver, events: DeliveryHarness) -> None:
    receiver.usual = status(400)
    events.apply(hook=hook(receiver, max_dead_letters=3))
    ids = events.note(5)
    events.settled("hook")
    assert [one.event["id"] for one in events.dead("hook")] == ids[2:]
    assert len(receiver.requests) == 10, "each had two attempts"


def test_a_sink_that_hangs_delays_no_other_and_no_stop(receiver: WebhookReceiver, tmp_path: Path) -> None:
    receiver.usual = receiver.hang
    with WebhookReceiver() as other:
        with DeliveryHarness(tmp_path) as events:
            events.apply(hangs=hook(receiver, timeout="1h"), works=hook(other))
            ids = events.note(3)
            receiver.wait_for(lambda: len(receiver.requests) == 1)
            events.settled("works")
            begun = time.monotonic()
            events.delivery.close(1.0)
            assert not events.delivery._workers["hangs"]._thread.is_alive(), "the call was aborted"
            assert time.monotonic() - begun < 30
        assert other.ids == ids


def test_after_a_restart_delivery_goes_on_with_what_was_not_acknowledged(
    receiver: WebhookReceiver, tmp_path: Path
) -> None:
    receiver.usual = status(503)
    with DeliveryHarness(tmp_path) as events:
        events.apply(hook=hook(receiver))
        ids = events.note(3)
        receiver.wait_for(lambda: len(receiver.requests) > 0)
    receiver.usual = status(204)
    with DeliveryHarness(tmp_path) as events:
        events.apply(hook=hook(receiver))
        ids += events.note(1)
        events.settled("hook")
    assert list(dict.fromkeys(receiver.ids)) == ids


def test_what_is_left_is_delivered_before_a_stop(receiver: WebhookReceiver, tmp_path: Path) -> None:
    with DeliveryHarness(tmp_path) as events:
        events.apply(hook=hook(receiver))
        events.journal.note(EventKind.DAEMON_STOPPED)
    assert [one.event["kind"] for one in receiver.requests] == ["daemon.stopped"]


def test_a_changed_or_absent_sink_keeps_its_position(receiver: WebhookReceiver, events: DeliveryHarness) -> None:
    receiver.usual = status(503)
    events.apply(hook=hook(receiver))
    ids = events.note(2)
    receiver.wait_for(lambda: len(receiver.requests) > 0)
    receiver.usual = status(204)
    events.apply()
    ids += events.note(2)
    events.apply(hook=hook(receiver, secret=SECRET))
    ids += events.note(1)
    events.settled("hook")
    assert list(dict.fromkeys(receiver.ids)) == ids
    assert "Sightd-Signature" in receiver.requests[-1].headers


def test_an_acknowledged_event_is_stored_before_the_next_one_is_sent(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.answers = [status(204), receiver.hang]
    events.apply(hook=hook(receiver))
    first, _ = events.note(2)
    receiver.wait_for(lambda: len(receiver.requests) == 2)
    with closing(sqlite3.connect(store_path({"SIGHTD_STATE_DIR": str(events.folder)}, "hook"))) as file:
        assert file.execute("SELECT position FROM progress").fetchone() == (first,)
    receiver.release()


def test_a_changed_sink_begins_when_the_call_of_the_old_one_has_ended(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.answers = [receiver.hang]
    events.apply(hook=hook(receiver))
    first, second = events.note(2)
    receiver.wait_for(lambda: len(receiver.requests) == 1)
    events.delivery.apply(Delivery.model_validate({"sinks": {"hook": hook(receiver)}}))
    events.note(1, camera="other")
    assert events.delivery._workers["hook"].progress.position is None
    assert receiver.ids == [first]
    receiver.release()
    receiver.wait_for(lambda: len(receiver.requests) == 4)
    assert receiver.ids[:3] == [first, first, second]


def test_events_that_the_journal_deleted_before_their_delivery_are_counted_and_logged_once(
    receiver: WebhookReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.usual = status(503)
    with caplog.at_level(logging.ERROR):
        with DeliveryHarness(tmp_path, max_count=10) as events:
            events.apply(hook=hook(receiver))
            events.note(1)
            receiver.wait_for(lambda: len(receiver.requests) > 0)
            ids = events.note(30)
            eventually(lambda: events.report("hook").lost == 21)
            assert events.count("hook", "lost") == 21
        receiver.usual = status(204)
        seen = len(receiver.requests)
        with DeliveryHarness(tmp_path, max_count=10) as events:
            events.apply(hook=hook(receiver))
            receiver.wait_for(lambda: len(receiver.requests) == seen + 10)
            assert events.report("hook").lost == 21
    assert receiver.ids[seen:] == ids[-10:]
    assert len([one for one in caplog.records if "deleted 21 events" in one.message]) == 1


def test_a_new_journal_is_sent_from_its_beginning(receiver: WebhookReceiver, tmp_path: Path) -> None:
    with DeliveryHarness(tmp_path) as events:
        events.apply(hook=hook(receiver))
        events.note(5)
        events.settled("hook")
    for file in tmp_path.glob("events.db*"):
        file.unlink()
    with DeliveryHarness(tmp_path) as events:
        events.note(2)
        events.apply(hook=hook(receiver))
        receiver.wait_for(lambda: len(receiver.requests) == 7)
    assert receiver.ids == [1, 2, 3, 4, 5, 1, 2]


def test_a_sink_that_fails_is_reported_with_what_waits(receiver: WebhookReceiver, events: DeliveryHarness) -> None:
    receiver.usual = status(503)
    events.apply(hook=hook(receiver))
    events.note(2)
    eventually(lambda: events.report("hook").fault is not None)
    report = events.report("hook")
    assert (report.state, report.pending) == ("retrying", 2)
    assert report.oldest is not None
    text = events.metrics.exposition()[0].decode()
    assert 'sightd_delivery_pending{sink="hook"} 2.0' in text
    assert 'sightd_delivery_oldest_pending_seconds{sink="hook"}' in text
    events.apply()
    assert "sink=" not in events.metrics.exposition()[0].decode()


def test_delays_grow_up_to_their_maximum_and_are_random_below_it() -> None:
    highest = Backoff(1.0, 5.0, lambda: 1.0)
    assert [highest.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    highest.reset()
    assert highest.next() == 1.0
    assert Backoff(1.0, 5.0, lambda: 0.25).next() == 0.25


def test_a_template_replaces_the_body_and_is_signed(receiver: WebhookReceiver) -> None:
    body = {"template": '{"text": "{text}", "key": "{instance}-{id}", "why": {facts.reason:json}}'}
    webhook(receiver.url, secret=SECRET, body=body).send(EVENT)
    [request] = receiver.requests
    assert request.event == {
        "text": "Camera gate is offline: no answer",
        "key": "yard-812",
        "why": "timeout",
    }
    digest = hmac.new(SECRET.encode(), b"1700." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["Sightd-Signature"] == f"t=1700,v1={digest}"


def test_a_template_may_be_a_form_or_plain_text(receiver: WebhookReceiver) -> None:
    webhook(receiver.url, body={"template": "a={kind}", "content_type": "text/plain"}).send(EVENT)
    [request] = receiver.requests
    assert (request.headers["Content-Type"], request.body) == ("text/plain", b"a=camera.down")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("999999", 3600.0), ("Thu, 01 Jan 1970 00:28:30 GMT", 9.5), ("-3", 0.0), ("soon", 0.0), ("", 0.0)],
)
def test_a_receiver_may_ask_for_a_pause_of_an_hour_at_most(
    receiver: WebhookReceiver, value: str, seconds: float
) -> None:
    receiver.usual = status(503, **{"Retry-After": value})
    with pytest.raises(UnavailableError) as raised:
        webhook(receiver.url).send(EVENT)
    assert raised.value.retry_after == seconds


def test_the_pause_that_a_receiver_asks_for_is_kept(receiver: WebhookReceiver, events: DeliveryHarness) -> None:
    receiver.answers = [status(429, **{"Retry-After": "1"})]
    begun = time.monotonic()
    events.apply(hook=hook(receiver))
    events.note(1)
    receiver.wait_for(lambda: len(receiver.requests) == 2)
    assert time.monotonic() - begun >= 1.0, "without it, the back-off would be 50 ms at most"


def test_dead_letters_are_sent_again_oldest_first_with_their_ids(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.usual = status(400)
    events.apply(hook=hook(receiver))
    ids = events.note(3)
    events.settled("hook")
    sent = len(receiver.requests)
    receiver.usual = status(204)
    [newer] = events.note(1)
    events.settled("hook")
    assert events.delivery.retry("hook", [ids[2], ids[0]]) == [ids[0], ids[2]]
    eventually(lambda: events.report("hook").dead == 1)
    assert receiver.ids[sent:] == [newer, ids[0], ids[2]]
    assert receiver.requests[-1].headers["Idempotency-Key"] == f"yard-{ids[2]}"
    assert [one.event["id"] for one in events.dead("hook")] == [ids[1]]


def test_a_dead_letter_that_is_refused_again_stays_one(receiver: WebhookReceiver, events: DeliveryHarness) -> None:
    receiver.usual = status(400)
    events.apply(hook=hook(receiver))
    events.note(1)
    events.settled("hook")
    receiver.usual = status(410)
    events.delivery.retry("hook", None)
    eventually(lambda: "status 410" in events.dead("hook")[0].reason)
    assert not events.dead("hook")[0].retry
    assert len(receiver.requests) == 4, "two attempts at first, and two more"


def test_deleted_letters_are_not_sent_and_an_unknown_sink_is_an_error(
    receiver: WebhookReceiver, events: DeliveryHarness
) -> None:
    receiver.usual = status(400)
    events.apply(hook=hook(receiver))
    ids = events.note(2)
    events.settled("hook")
    assert events.delivery.delete("hook", ids[:1]) == ids[:1]
    assert [one.event["id"] for one in events.dead("hook")] == ids[1:]
    with pytest.raises(KeyError):
        events.delivery.retry("../events", None)


def test_a_file_of_the_first_version_is_converted_with_its_dead_letters(tmp_path: Path) -> None:
    path = tmp_path / "hook.db"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(
            "CREATE TABLE progress (position INTEGER NOT NULL, lost INTEGER NOT NULL, deleted INTEGER NOT NULL);"
            "CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, reason TEXT NOT NULL,"
            "                   event TEXT NOT NULL);"
            "INSERT INTO progress VALUES (5, 0, 0);"
            """INSERT INTO dead (at, reason, event) VALUES (1.0, 'status 400', '{"id": 3}');"""
            "PRAGMA user_version = 1;"
        )
    assert [one.retry for one in dead_letters(path)] == [False], "listing does not change the file"
    assert mark_for_retry(path, None) == [3]
    store = SinkStore(path, lambda: 0)
    assert (store.position, store.dead()) == (5, 1)
    assert (letter := store.next_retry()) is not None
    assert letter.event == {"id": 3}
    store.close()
