"""Notifications reach real services through Apprise: words, picture and links, and no secret in any message."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("apprise", reason="apprise is not installed: make setup")

from sightd.daemon.config.notifications import NotifyOptions
from sightd.daemon.delivery import notify
from sightd.daemon.delivery.kinds import SinkContext, open_sink
from sightd.daemon.delivery.notification import Notification
from sightd.daemon.delivery.notify import Notify, TokenBucket
from sightd.daemon.delivery.sink import RefusedError, UnavailableError
from sightd.daemon.events.event import Event
from tests.support.mail_server import MailServer
from tests.support.webhook_receiver import WebhookReceiver, status

pytestmark = pytest.mark.waiting

ENTERED = Event(812, "zone.entered", 1.5e9, "gate", "zones", {"class": "person", "zone": "drive"}, snapshot=True,
                clip=True)  # fmt: skip
PICTURE = b"\xff\xd8 a JPEG file"


@pytest.fixture
def service() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as one:
        one.usual = status(200)
        yield one


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Callable[..., Notify]]:
    """Creates sinks whose events have a picture; they are closed at the end."""
    (tmp_path / "812.jpg").write_bytes(PICTURE)
    context = SinkContext("yard", "https://sightd.example.com/", lambda event: tmp_path / f"{event.id}.jpg")
    opened: list[Notify] = []

    def create(*urls: str, **options: Any) -> Notify:
        given = NotifyOptions.model_validate({"type": "notify", "urls": list(urls), **options})
        one = open_sink("phone", given, context)
        assert isinstance(one, Notify)
        opened.append(one)
        return one

    yield create
    for one in opened:
        one.close()


def json_url(service: WebhookReceiver, path: str = "hook") -> str:
    return service.url.replace("http://", "json://").replace("/hook", f"/{path}")


def test_ntfy_and_a_mail_server_get_words_picture_and_links(
    service: WebhookReceiver, sink: Callable[..., Notify]
) -> None:
    host = service.url.removeprefix("http://").partition("/")[0]
    with MailServer() as mail:
        address = f"mailto://127.0.0.1:{mail.port}/?from=sightd@example.com&to=ann@example.com&mode=insecure"
        sink(f"ntfy://{host}/alarms", address).send(ENTERED)
        [message] = mail.mails
    first = service.requests[0]
    assert "alarms" in first.path or json.loads(first.body)["topic"] == "alarms"
    assert any(PICTURE in one.body for one in service.requests)
    assert message["subject"] == "Person entered drive (camera gate)"
    text = "".join(str(part.get_content()) for part in message.walk() if part.get_content_type() == "text/plain")
    assert len(text.splitlines()) == 3, "lines stay lines"
    assert "Picture: https://sightd.example.com/api/v1/events/812/snapshot.jpg" in text
    assert "Clip: https://sightd.example.com/api/v1/events/812/clip.mp4" in text
    assert any(part.get_payload(decode=True) == PICTURE for part in message.walk())


def test_templates_replace_the_words_and_pictures_may_be_left_out(
    service: WebhookReceiver, sink: Callable[..., Notify]
) -> None:
    one = sink(json_url(service), title="{camera}: {text}", body="{clip} {facts.zone}", picture=False)
    one.send(ENTERED)
    [request] = service.requests
    assert request.event["title"] == "gate: Person entered drive (camera gate)"
    assert request.event["message"] == "https://sightd.example.com/api/v1/events/812/clip.mp4 drive"
    assert request.event["attachments"] == []
    assert "github" not in str(request), "Apprise adds no address of its own"


def test_a_service_that_has_accepted_a_notification_does_not_get_it_again(
    service: WebhookReceiver, sink: Callable[..., Notify]
) -> None:
    service.answers = [status(200), status(503), status(302, Location="/elsewhere"), status(200)]
    one = sink(json_url(service, "first"), json_url(service, "second/canary"))
    for code in (503, 302):
        with pytest.raises(UnavailableError, match=rf"urls\[1\] \(json\) answered with status {code}") as told:
            one.send(ENTERED)
        assert "canary" not in str(told.value)
    one.send(ENTERED)
    paths = [request.path.split("/")[1] for request in service.requests]
    assert paths == ["first", "second", "second", "second"], "no redirect is followed"
    attached = service.requests[0].event["attachments"][0]
    assert base64.b64decode(attached["base64"]) == PICTURE


def test_what_a_service_finds_invalid_is_refused_and_a_wrong_login_is_an_outage(
    service: WebhookReceiver, sink: Callable[..., Notify]
) -> None:
    service.answers = [status(400), status(401), status(404), status(429)]
    one, later = sink(json_url(service)), replace(ENTERED, id=813)
    with pytest.raises(RefusedError, match="answered with status 400"):
        one.send(later)
    for code in (401, 404, 429):
        with pytest.raises(UnavailableError, match=f"answered with status {code}"):
            one.send(later)
    assert service.requests[-1].event["attachments"] == [], "its picture was deleted meanwhile"


def test_a_service_that_hangs_is_given_up_and_the_others_get_the_notification(
    service: WebhookReceiver, sink: Callable[..., Notify]
) -> None:
    service.answers = [service.hang]
    one = sink(json_url(service, "hangs"), json_url(service, "works"), timeout="500ms")
    with pytest.raises(UnavailableError, match=r"urls\[0\] \(json\) did not answer within 0\.5 s"):
        one.send(ENTERED)
    assert [request.path.split("?")[0] for request in service.requests] == ["/hangs", "/works"]


def test_no_part_of_a_url_is_in_an_error_or_in_the_log(
    sink: Callable[..., Notify], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(UnavailableError, match=r"\(json\) cannot be reached") as told:
        sink("json://canary:canary@127.0.0.1:1/canary?+X-Key=canary&-canary=canary").send(ENTERED)
    assert "canary" not in f"{told.value}{caplog.text}{capfd.readouterr()}"


class RecordingProcess:
    """Stands for Apprise's process where only what is sent matters."""

    sent: list[Notification]
    fault: notify._FailedError | None

    def __init__(self, _urls: Sequence[str], _timeout: float) -> None:
        RecordingProcess.sent, RecordingProcess.fault = [], None

    def send(self, _target: int, notification: Notification) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append(notification)

    def end(self) -> None:
        pass

    def abort(self) -> None:
        pass


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, sink: Callable[..., Notify]) -> Notify:
    """A sink that may send two notifications at once and then two a minute, on a clock that does not move."""
    monkeypatch.setattr(notify, "_AppriseProcess", RecordingProcess)
    one = sink("json://x", max_per_minute=2, body="{id}")
    one._bucket = TokenBucket(2, lambda: 0.0)
    return one


def test_the_process_ends_after_five_minutes_without_a_notification(
    monkeypatch: pytest.MonkeyPatch, sink: Callable[..., Notify]
) -> None:
    ended = []
    monkeypatch.setattr(notify, "_AppriseProcess", RecordingProcess)
    monkeypatch.setattr(RecordingProcess, "end", lambda _self: ended.append(True))
    now = 0.0
    one = sink("json://x")
    one._clock = lambda: now
    now = one._used_at = 1000.0
    now += 299
    one.keep_alive()
    assert not ended
    now += 2
    one.keep_alive()
    assert ended
    one.send(ENTERED)
    one.keep_alive()
    assert len(ended) == 1, "it has just been used"


def events(*ids: int) -> list[Event]:
    return [Event(number, "camera.up", 1.0, "gate" if number % 2 else "yard", None, {}) for number in ids]


def test_beyond_the_rate_one_notification_summarises_all_events_that_wait(recorded: Notify) -> None:
    acknowledged: list[int] = []
    recorded.send_many(events(1, 2, 3, 4, 5), acknowledged.extend)
    first, last = RecordingProcess.sent
    assert (first.title, first.body) == ("Camera gate is online", "1")
    assert last.title == "Camera yard is online and 3 more"
    assert last.body == "2\n2 × Camera gate is online\n1 × Camera yard is online"
    assert acknowledged == [1, 2, 3, 4, 5]


def test_a_summary_that_failed_is_sent_again_as_it_was(recorded: Notify) -> None:
    acknowledged: list[int] = []
    recorded.send_many(events(1), acknowledged.extend)
    RecordingProcess.fault = notify._FailedError("cannot be reached")
    with pytest.raises(UnavailableError):
        recorded.send_many(events(2, 3), acknowledged.extend)
    assert acknowledged == [1], "nothing of it counts as delivered"
    RecordingProcess.fault = None
    recorded.abort()  # no wait for the rate is needed
    with pytest.raises(UnavailableError, match="is being stopped"):
        recorded.send_many(events(2, 3, 4), acknowledged.extend)
    assert acknowledged == [1, 2, 3]
    assert RecordingProcess.sent[-1].title == "Camera yard is online and 1 more"


def test_the_rate_is_an_average_with_bursts() -> None:
    now = 0.0
    bucket = TokenBucket(6, lambda: now)
    for _ in range(6):
        assert bucket.delay() == 0.0
        bucket.take()
    assert bucket.delay() == pytest.approx(10.0)
    now = 4.0
    assert bucket.available() == 0
    assert bucket.delay() == pytest.approx(6.0)
    now = 10.0
    assert bucket.available() == 1
    now = 1000.0
    assert bucket.available() == 6
