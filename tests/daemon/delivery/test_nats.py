"""Events are stored by JetStream of a real NATS server; without it, or without a stream, the report says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nats", reason="nats-py is not installed: make setup")

from sightd.daemon.config.event_streams import NatsOptions
from sightd.daemon.delivery.nats import Nats
from sightd.daemon.delivery.sink import RefusedError, UnavailableError
from sightd.daemon.events.event import Event
from tests.support.certificates import self_signed
from tests.support.nats_server import NatsServer

pytestmark = pytest.mark.waiting

EVENT = Event(812, "camera.down", 1.0, "gate", None, {"reason": "timeout"})
ADMIN = {"user": "admin", "password": "admin"}
USERS = """
jetstream {}
authorization { users: [
  {user: admin, password: admin}
  {user: sightd, password: right, permissions: {publish: ["sightd.*.events.camera.up"], subscribe: ["_INBOX.>"]}}
] }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as one:
        yield one


def sink(server: NatsServer, **others: Any) -> Nats:
    given = {"type": "nats", "servers": [f"127.0.0.1:{server.port}"], **others}
    return Nats("out", NatsOptions.model_validate(given), "yard")


def test_an_event_is_stored_under_a_subject_of_its_kind_with_its_id(server: NatsServer) -> None:
    one = sink(server)
    one.send(EVENT)
    one.close()
    [message] = server.messages()
    assert message.subject == "sightd.yard.events.camera.down"
    assert message.event == EVENT.for_json()
    assert (message.headers["Nats-Msg-Id"], message.headers["Sightd-Kind"]) == ("yard-812", "camera.down")


def test_a_repeated_event_is_stored_once(server: NatsServer) -> None:
    for _ in range(2):
        one = sink(server, subject="sightd.{camera}")
        one.send(EVENT)
        one.close()
    assert [one.subject for one in server.messages()] == ["sightd.gate"]


def test_an_event_of_no_camera_has_an_underscore_in_its_place(server: NatsServer) -> None:
    one = sink(server, subject="sightd.{camera}.{kind}")
    one.send(Event(813, "daemon.started", 1.0, None, None, {}))
    one.close()
    assert [one.subject for one in server.messages()] == ["sightd._.daemon.started"]


def test_a_server_without_jetstream_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with NatsServer(tmp_path, settings="") as server:
        one = sink(server)
        with pytest.raises(UnavailableError, match="has no JetStream: enable it in the server's configuration"):
            one.send(EVENT)
        one.close()


def test_a_subject_without_a_stream_is_reported_with_what_to_do(server: NatsServer) -> None:
    one = sink(server, subject="elsewhere.{kind}")
    with pytest.raises(UnavailableError, match=r"has no stream with the subject elsewhere\.camera\.down: create one"):
        one.send(EVENT)
    one.close()


def test_what_is_too_large_is_refused(server: NatsServer) -> None:
    one = sink(server)
    with pytest.raises(RefusedError, match="accepts messages of 1048576 bytes at most"):
        one.send(Event(813, "camera.up", 1.0, "gate", None, {"text": "x" * 1_100_000}))
    one.send(EVENT)
    one.close()
    assert [one.event["id"] for one in server.messages()] == [812]


def test_what_the_server_does_not_permit_is_refused(tmp_path: Path) -> None:
    with NatsServer(tmp_path, USERS, ADMIN) as server:
        one = sink(server, username="sightd", password="right")
        with pytest.raises(RefusedError, match="not authorised for the subject"):
            one.send(EVENT)
        one.send(Event(813, "camera.up", 1.0, "gate", None, {}))
        one.close()
        assert [one.event["id"] for one in server.messages()] == [813]


def test_a_wrong_password_is_an_outage_and_is_not_shown(tmp_path: Path) -> None:
    with NatsServer(tmp_path, USERS, ADMIN) as server:
        one = sink(server, username="sightd", password="canary")
        with pytest.raises(UnavailableError, match=r"[Aa]uthorization") as told:
            one.send(EVENT)
        one.close()
    assert "canary" not in str(told.value)


def test_a_token_is_a_login(tmp_path: Path) -> None:
    with NatsServer(tmp_path, "jetstream {}\nauthorization { token: right }", {"token": "right"}) as server:
        one = sink(server, token="right")
        one.send(EVENT)
        one.close()
        assert [one.event["id"] for one in server.messages()] == [812]


def test_a_client_certificate_is_shown_to_the_server(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    files = f'cert_file: "{pair["certificate"]}", key_file: "{pair["key"]}", ca_file: "{pair["certificate"]}"'
    with NatsServer(tmp_path, f"tls {{ {files}, verify: true }}") as server:
        stranger = sink(server, tls=True, ca=pair["certificate"])
        with pytest.raises(UnavailableError) as told:
            stranger.send(EVENT)
        stranger.close()
        assert "JetStream" not in str(told.value), "it is not connected"
        one = sink(server, tls=True, ca=pair["certificate"], **pair)
        with pytest.raises(UnavailableError, match="has no JetStream"):  # it is connected
            one.send(EVENT)
        one.close()


def test_tls_verifies_the_server(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    tls = f'tls {{ cert_file: "{pair["certificate"]}", key_file: "{pair["key"]}" }}'
    with NatsServer(tmp_path, tls) as server:
        stranger = sink(server, tls=True)
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            stranger.send(EVENT)
        stranger.close()
        one = sink(server, tls=True, ca=pair["certificate"])
        with pytest.raises(UnavailableError, match="has no JetStream"):  # it is connected
            one.send(EVENT)
        one.close()
