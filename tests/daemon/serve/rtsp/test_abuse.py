"""Requests to gst-rtsp-server that no viewer makes: each is rejected, and costs next to nothing."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sightd.daemon.serve.rtsp.viewers import SESSIONS
from tests.daemon.serve.numbered import watch
from tests.support.abuse import connect, flood, is_open, sources
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.daemon.serve.conftest import Service

Serve = Callable[..., "Service"]


def request(service: Service, method: str, *headers: str, path: str = "") -> bytes:
    return "\r\n".join([f"{method} {service.url}{path} RTSP/1.0", "CSeq: 1", *headers, "", ""]).encode()


def ask(connection: socket.socket, sent: bytes) -> str:
    connection.sendall(sent)
    answer = b""
    while b"\r\n\r\n" not in answer and (more := connection.recv(4096)):
        answer += more
    return answer.decode()


def status(service: Service, sent: bytes) -> int:
    with connect(service.server.port) as connection:
        return int(ask(connection, sent).split()[1])


def is_served(service: Service, source: str) -> bool:
    with connect(service.server.port, source) as connection:
        try:
            return " 200 " in ask(connection, request(service, "OPTIONS"))
        except OSError:
            return False


def session_of(answer: str) -> str:
    return next(line.split(": ")[1].split(";")[0] for line in answer.split("\r\n") if line.startswith("Session"))


@pytest.mark.parametrize("header", ["Transport: RTP/AVP;multicast", "Transport: RTP/AVP/TCP;unicast;mode=RECORD"])
def test_neither_multicast_nor_recording_can_be_set_up(serve: Serve, header: str) -> None:
    service = serve()
    assert status(service, request(service, "SETUP", header, path="/stream=0")) == 461


@pytest.mark.parametrize("method", ["ANNOUNCE", "RECORD"])
def test_nobody_sends_a_stream_here(serve: Serve, method: str) -> None:
    service = serve()
    sent = request(service, method, "Content-Type: application/sdp", "Content-Length: 0")
    assert status(service, sent) in (405, 454)


@pytest.mark.parametrize("length", ["5000", "2147483647", "99999999999"])
def test_a_content_that_no_viewer_has_is_refused_before_it_comes(serve: Serve, length: str) -> None:
    service = serve()
    assert status(service, request(service, "SET_PARAMETER", f"Content-Length: {length}")) == 413


def test_packets_go_to_who_asked_and_nowhere_else(serve: Serve) -> None:
    """With `destination=`, anybody could make the server flood another host."""
    service = serve()
    with udp("127.0.0.2") as mine, udp("127.0.0.3", mine.getsockname()[1]) as victim:
        port = mine.getsockname()[1]
        transport = f"Transport: RTP/AVP;unicast;destination=127.0.0.3;client_port={port}-{port + 1}"
        with connect(service.server.port, "127.0.0.2") as connection:
            session = session_of(ask(connection, request(service, "SETUP", transport, path="/stream=0")))
            assert " 200 " in ask(connection, request(service, "PLAY", f"Session: {session}"))
            for _ in range(20):
                mine.recv(2048)
            assert select.select([victim], [], [], 0) == ([], [], [])


def udp(address: str, port: int = 0) -> socket.socket:
    receiver = socket.socket(type=socket.SOCK_DGRAM)
    receiver.bind((address, port))
    receiver.settimeout(10)
    return receiver


@pytest.mark.waiting
def test_headers_without_end_are_cut_off(serve: Serve) -> None:
    service = serve()
    with connect(service.server.port) as connection:
        connection.sendall(request(service, "OPTIONS")[:-2])
        with suppress(OSError):
            for _ in range(100_000):
                connection.sendall(b"X-Header: without end\r\n" * 100)
        eventually(lambda: not is_open(connection), what="cut off")
    eventually(lambda: service.refused["flood"] == 1)


def test_sessions_without_end_are_cut_off(serve: Serve) -> None:
    service = serve()
    sent = request(service, "SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", path="/stream=0")
    with connect(service.server.port) as connection:
        with suppress(OSError):
            for _ in range(10 * SESSIONS):
                ask(connection, sent)
        eventually(lambda: not is_open(connection), what="cut off")
    eventually(lambda: service.refused["flood"] == 1)
    eventually(lambda: not service.stream.wanted, what="nobody there")


def test_a_tunnel_through_http_is_cut_off(serve: Serve) -> None:
    service = serve()
    head = " /front HTTP/1.0\r\nx-sessioncookie: 1\r\n"
    with connect(service.server.port) as get, connect(service.server.port) as post:
        assert " 200 " in ask(get, f"GET{head}\r\n".encode())
        post.sendall(f"POST{head}Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n".encode())
        eventually(lambda: not is_open(get) and not is_open(post), what="both halves cut off")


@pytest.mark.parametrize("sent", ["", "DESCRIBE rtsp://x/fr", "OPTIONS", "DESCRIBE"])
def test_who_does_not_come_to_play_is_cut_off_and_nothing_is_encoded_for_him(
    serve: Serve, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightd.daemon.serve.rtsp.viewers.TO_PLAY", 1.0)
    service = serve()
    with connect(service.server.port) as connection:
        connection.sendall(request(service, sent) if sent.isalpha() else sent.encode())
        eventually(lambda: not is_open(connection), what="cut off")
    eventually(lambda: service.refused["slow"] == 1)
    eventually(lambda: not service.stream.wanted, what="nobody there")


def test_a_viewer_who_plays_is_not_among_them(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.serve.rtsp.viewers.TO_PLAY", 1.0)
    service = serve()
    assert len(watch(service.url, 100)) == 100
    assert not service.refused


def test_one_address_has_its_share_and_another_finds_room(serve: Serve) -> None:
    service = serve(max_connections_per_address=3)
    with flood(service.server.port, ["127.0.0.2"] * 20) as connections:
        eventually(lambda: sum(map(is_open, connections)) == 3, what="all but three closed")
        assert watch(service.url, 3)
    eventually(lambda: service.refused["address"] == 17)
    eventually(lambda: is_served(service, "127.0.0.2"))


def test_no_more_than_all_places_are_taken_and_each_is_given_back(serve: Serve) -> None:
    service = serve(max_connections=5)
    with flood(service.server.port, sources(20)) as connections:
        eventually(lambda: sum(map(is_open, connections)) == 5, what="all but five closed")
    eventually(lambda: service.refused["total"] == 15)
    eventually(lambda: is_served(service, "127.0.0.9"))
