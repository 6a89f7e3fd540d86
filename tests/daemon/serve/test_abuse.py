"""Whatever viewers do, honest viewers lose no frame, and no resources leak."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sightd.daemon.serve.http.connection import PATIENCE
from sightd.daemon.serve.rtsp.viewers import TO_PLAY
from tests.support.abuse import connect, flood, is_open, pour, random_messages, sources
from tests.support.abuse_harness import STALL_TIMEOUT, AbuseHarness
from tests.support.camera import need_rtsp_server
from tests.support.waiting import eventually

MESSAGES = 10_000
VIEWERS = 6
StartViewer = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AbuseHarness]:
    need_rtsp_server()
    with AbuseHarness(tmp_path_factory.mktemp("abuse")) as one:
        yield one


def rtsp_messages(harness: AbuseHarness) -> list[bytes]:
    address = harness.daemon.rtsp("back")
    told = [
        f"OPTIONS {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n",
        f"SETUP {address}/stream=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
        f"SETUP {address}/stream=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n",
        f"PLAY {address} RTSP/1.0\r\nCSeq: 4\r\nSession: 0123456789abcdef\r\nRange: npt=0.000-\r\n\r\n",
        f"PAUSE {address} RTSP/1.0\r\nCSeq: 5\r\nSession: 0123456789abcdef\r\n\r\n",
        f"GET_PARAMETER {address} RTSP/1.0\r\nCSeq: 6\r\nContent-Length: 8\r\n\r\nposition",
        f"SET_PARAMETER {address} RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 4\r\n\r\na: b",
        f"TEARDOWN {address} RTSP/1.0\r\nCSeq: 8\r\nSession: 0123456789abcdef\r\n\r\n",
        f"ANNOUNCE {address} RTSP/1.0\r\nCSeq: 9\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
        "GET /back HTTP/1.0\r\nx-sessioncookie: 1\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n",
    ]
    return [*(message.encode() for message in told), b"$\x00\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x00"]


def http_messages(harness: AbuseHarness) -> list[bytes]:
    host = f"Host: 127.0.0.1:{harness.http_port}\r\n"
    told = [
        *(f"GET {path} HTTP/1.1\r\n{host}\r\n" for path in ("/", "/back.jpg", "/no.jpg", "/metrics", "/readyz")),
        f"HEAD /healthz HTTP/1.0\r\n{host}Connection: keep-alive\r\n\r\n",
        f"POST /api/v1/nothing HTTP/1.1\r\n{host}Content-Length: 4\r\n\r\nfour",
        f"POST /readyz HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
        f"GET /back.mjpg HTTP/1.1\r\n{host}Range: bytes=0-1\r\nAccept: */*\r\n\r\n",
        f"PUT /%2e%2e/%00?a=%zz HTTP/1.1\r\n{host}Expect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    ]
    return [message.encode() for message in told]


def test_ten_thousand_random_rtsp_messages(harness: AbuseHarness) -> None:
    with harness.unharmed():
        assert pour(harness.rtsp_port, random_messages(7, MESSAGES, rtsp_messages(harness))) == MESSAGES
    eventually(lambda: harness.clients("back", "rtsp") == 0, TO_PLAY + 10, "nobody counted as a viewer")


def test_ten_thousand_random_http_messages(harness: AbuseHarness) -> None:
    with harness.unharmed():
        assert pour(harness.http_port, random_messages(11, MESSAGES, http_messages(harness))) == MESSAGES
    assert harness.refused("http")["invalid"] > 0


@pytest.mark.parametrize("protocol", ["rtsp", "http"])
def test_a_flood_of_connections_from_one_address(harness: AbuseHarness, protocol: str) -> None:
    port = harness.rtsp_port if protocol == "rtsp" else harness.http_port
    with harness.unharmed(), flood(port, ["127.0.0.2"] * 500):
        assert harness.daemon.get("/front.jpg").status_code == 200, "others are served meanwhile"
        with connect(harness.rtsp_port, "127.0.0.1") as viewer:
            viewer.sendall(f"OPTIONS {harness.daemon.rtsp('front')} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            assert b" 200 " in viewer.recv(4096)
    assert harness.refused(protocol)["address"] > 400


@pytest.mark.parametrize("protocol", ["rtsp", "http"])
def test_a_flood_of_connections_from_everywhere(harness: AbuseHarness, protocol: str) -> None:
    port = harness.rtsp_port if protocol == "rtsp" else harness.http_port
    with harness.unharmed(), flood(port, sources(500)):
        time.sleep(1)  # the honest viewers keep watching
    assert harness.refused(protocol)["total"] > 200


def test_connections_that_come_and_go_as_fast_as_they_can(harness: AbuseHarness) -> None:
    with harness.unharmed():
        for port in (harness.rtsp_port, harness.http_port):
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                connect(port).close()


def mjpeg_process(harness: AbuseHarness) -> subprocess.Popen[bytes]:
    script = (
        f"import urllib.request as u\nr = u.urlopen({harness.daemon.url('/back.mjpg')!r})\nwhile r.read(65536): pass"
    )
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)


@contextmanager
def viewers_that_get(number: signal.Signals, harness: AbuseHarness, start: StartViewer) -> Iterator[None]:
    """Runs viewers of "back" over RTSP and HTTP, each a process that gets this signal once all of them play."""
    with ExitStack() as started:
        rtsp = [start(harness.daemon.rtsp("back"), ("tcp", "udp")[one % 2]) for one in range(VIEWERS)]
        mjpeg = [mjpeg_process(harness) for _ in range(VIEWERS)]
        for process in mjpeg:
            started.callback(process.wait, 5)
            started.callback(process.kill)
        eventually(lambda: harness.clients("back", "mjpeg") == VIEWERS, 20, "MJPEG viewers there")
        assert harness.clients("back", "rtsp") == VIEWERS
        for pid in [viewer.pid for viewer in rtsp] + [viewer.pid for viewer in mjpeg]:
            os.kill(pid, number)
        yield


def all_are_gone(harness: AbuseHarness) -> None:
    eventually(lambda: harness.clients("back", "rtsp") == 0, STALL_TIMEOUT + 40, "RTSP viewers gone")
    eventually(lambda: harness.clients("back", "mjpeg") == 0, 40, "MJPEG viewers gone")
    eventually(lambda: harness.daemon.metric("sightd_encoder_active", camera="back") == 0, 10, "encoder at rest")


def test_viewers_that_are_killed(harness: AbuseHarness, viewer_process: StartViewer) -> None:
    with harness.unharmed(), viewers_that_get(signal.SIGKILL, harness, viewer_process):
        all_are_gone(harness)


@pytest.mark.slow
def test_a_client_that_stops_halfway_or_hardly_moves(harness: AbuseHarness, viewer_process: StartViewer) -> None:
    """All at once, because each takes time: incomplete requests, descriptions that are never played, stopped viewers,
    and viewers that read a byte a second."""
    describe = f"DESCRIBE {harness.daemon.rtsp('back')} RTSP/1.0\r\nCSeq: 1\r\n"
    post = f"POST /api/v1/nothing HTTP/1.1\r\nHost: 127.0.0.1:{harness.http_port}\r\nContent-Length: 9\r\n"
    with harness.unharmed(), ExitStack() as held:
        held.enter_context(viewers_that_get(signal.SIGSTOP, harness, viewer_process))
        rtsp = [
            *held.enter_context(flood(harness.rtsp_port, sources(50), describe.encode())),
            *held.enter_context(flood(harness.rtsp_port, sources(10), f"{describe}\r\n".encode())),
        ]
        http = [
            *held.enter_context(flood(harness.http_port, sources(100), post.encode())),
            *held.enter_context(flood(harness.http_port, sources(100), f"{post}\r\nfour".encode())),
        ]
        read_a_byte_a_second(harness, 12)
        eventually(lambda: not any(map(is_open, http)), PATIENCE + 20, "half requests over HTTP ended")
        eventually(lambda: not any(map(is_open, rtsp)), TO_PLAY + 20, "and over RTSP")
        all_are_gone(harness)


def read_a_byte_a_second(harness: AbuseHarness, seconds: int) -> None:
    with ExitStack() as held:
        slow = [held.enter_context(slow_rtsp(harness, f"127.0.0.{2 + one}")) for one in range(VIEWERS)]
        for one in range(VIEWERS):
            slow.append(held.enter_context(connect(harness.http_port, f"127.0.0.{2 + one}")))
            slow[-1].sendall(b"GET /back.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for _ in range(seconds):
            time.sleep(1)
            for connection in slow:
                connection.settimeout(0)
                try:
                    connection.recv(1)
                except OSError:  # disconnected, or no data
                    continue


def slow_rtsp(harness: AbuseHarness, source: str) -> socket.socket:
    """Plays over TCP with a small receive buffer, which soon fills up."""
    address, connection = harness.daemon.rtsp("back"), connect(harness.rtsp_port, source)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    connection.sendall(f"SETUP {address}/stream=0 RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n".encode())
    answer = connection.recv(4096).decode()
    session = answer.partition("Session: ")[2].partition(";")[0].partition("\r")[0]
    connection.sendall(f"PLAY {address} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode())
    answered = connection.recv(12)
    while b"RTSP/1.0 200" not in answered and len(answered) < 100_000:  # the first packets may come before the response
        answered += connection.recv(4096)
    assert b"RTSP/1.0 200" in answered
    return connection
