from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Http, Rtsp
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import AT_ONCE, Access
from sightd.daemon.serve.errors import ListenError, TlsError
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.rtsp.server import RtspServer
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.numbered import number_in, player, until_the_end, watch
from tests.support.access import NO_TOKENS
from tests.support.certificates import self_signed
from tests.support.process import sample
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.daemon.serve.conftest import Service

Serve = Callable[..., "Service"]
WALL = "a-token-for-the-wall-0123456789"
TOKENS = AccessOptions.model_validate({"tokens": {"wall": {"role": "view", "token": WALL}}})
OVER_TCP = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
AUTH = {"username": "ann", "password": "canary-4711"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_only_those_who_know_the_password_watch(serve: Serve, method: str) -> None:
    service = serve(auth={**AUTH, "method": method})
    assert watch(service.url_for("ann", "canary-4711"), 2)
    for stranger in (service.url, service.url_for("ann", "wrong"), service.url_for("bob", "canary-4711")):
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(stranger, 1)


def test_the_owner_of_a_token_watches_by_its_name(serve: Serve) -> None:
    service = serve(access=Access(TOKENS))
    assert watch(service.url_for("wall", WALL), 2)
    for stranger in (service.url, service.url_for("wall", "wrong"), service.url_for("other", WALL)):
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(stranger, 1)


def test_who_guesses_has_to_wait_and_then_not_even_the_right_password_helps(serve: Serve) -> None:
    counted: list[tuple[str, str]] = []
    access = Access(TOKENS, lambda server, reason: counted.append((server, reason)))
    service = serve(access=access)
    for _ in range(AT_ONCE):
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(service.url_for("wall", "a guess that is wrong"), 1)
    with pytest.raises(av.error.HTTPUnauthorizedError):
        watch(service.url_for("wall", WALL), 1)
    assert counted == [("rtsp", "wrong")] * AT_ONCE + [("rtsp", "limited")]


def described(service: Service, *authorizations: str) -> str:
    """Returns the status line of a DESCRIBE response."""
    lines = "".join(f"Authorization: Basic {base64.b64encode(one.encode()).decode()}\r\n" for one in authorizations)
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        connection.sendall(f"DESCRIBE {service.url} RTSP/1.0\r\nCSeq: 1\r\n{lines}\r\n".encode())
        return connection.recv(4096).decode().partition("\r\n")[0]


def asked(connection: socket.socket, method: str, url: str, *headers: str, content: str = "") -> str:
    """Returns the response; a frame's packets may follow it."""
    lines = "".join(f"{header}\r\n" for header in headers)
    connection.sendall(f"{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{lines}\r\n{content}".encode())
    return connection.recv(4096).decode("latin-1")


def test_another_connections_session_opens_nothing_and_cannot_be_guessed(serve: Serve) -> None:
    """GStreamer's own session IDs can be derived from its nonces, which it shows to everybody."""
    service = serve(Access(AccessOptions()), auth={**AUTH, "method": "basic"})
    known = f"Authorization: Basic {base64.b64encode(b'ann:canary-4711').decode()}"
    place, track = ("127.0.0.1", service.server.port), f"{service.url}/stream=0"
    with socket.create_connection(place, 5) as viewer, socket.create_connection(place, 5) as stranger:
        answer = asked(viewer, "SETUP", track, known, OVER_TCP)
        session = answer.partition("Session: ")[2].partition(";")[0].strip()
        assert len(session) >= 22
        for method, url in (("SETUP", track), ("PLAY", service.url), ("PAUSE", service.url), ("TEARDOWN", service.url)):
            told = asked(stranger, method, url, f"Session: {session}", OVER_TCP)
            assert told.startswith(f"RTSP/1.0 {401 if method == 'SETUP' else 454}"), (method, told)
            told = asked(stranger, method, url, known, f"Session: {session}", OVER_TCP)
            assert told.startswith("RTSP/1.0 454"), (method, told)
        assert asked(viewer, "PLAY", service.url, f"Session: {session}").startswith("RTSP/1.0 200")


def test_a_request_is_one_guess(serve: Serve) -> None:
    service = serve(Access(AccessOptions()), auth={**AUTH, "method": "basic"})
    assert described(service, "ann:canary-4711").endswith("200 OK")
    assert described(service, *(f"ann:guess {n}" for n in range(20)), "ann:canary-4711").endswith("401 Unauthorized")


def test_the_same_wrong_password_again_is_no_guess(serve: Serve) -> None:
    """As over HTTP. With digest, each response differs, and the password cannot be derived from it."""
    service = serve(Access(AccessOptions()), auth={**AUTH, "method": "basic"})
    for _ in range(AT_ONCE + 1):
        assert described(service, "ann:of last year").endswith("401 Unauthorized")
    assert described(service, "ann:canary-4711").endswith("200 OK")


@pytest.mark.parametrize(
    ("method", "headers", "content"),
    [
        ("DESCRIBE", (), ""),
        ("SETUP", (OVER_TCP,), ""),
        ("ANNOUNCE", ("Content-Type: application/sdp", "Content-Length: 5"), "v=0\r\n"),
    ],
)
def test_clients_without_a_password_do_not_learn_which_cameras_there_are(
    serve: Serve, method: str, headers: tuple[str, ...], content: str
) -> None:
    service = serve(Access(AccessOptions()), auth={**AUTH, "method": "basic"})
    known = f"Authorization: Basic {base64.b64encode(b'ann:canary-4711').decode()}"
    nowhere = service.url.replace("front", "nowhere")
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        for url in (service.url, nowhere):
            answer = asked(connection, method, url, *headers, content=content)
            assert answer.startswith("RTSP/1.0 401")
            assert "WWW-Authenticate: Basic" in answer
        assert asked(connection, method, nowhere, known, *headers, content=content).startswith("RTSP/1.0 404")


@pytest.mark.parametrize("method", ["basic", "digest"])
@pytest.mark.parametrize("given", [b"Basic \xff\xfe", b"Digest", b"Digest nonsense", b"Basic", b'Digest \xff="x"'])
def test_a_malformed_login_is_refused_as_a_wrong_one_and_raises_nothing(
    serve: Serve, method: str, given: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    service = serve(Access(AccessOptions()), auth={**AUTH, "method": method})
    known = f"Authorization: Basic {base64.b64encode(b'ann:canary-4711').decode()}\r\n".encode()
    for headers in (b"Authorization: " + given + b"\r\n", known + b"Authorization: \xff\r\n"):
        with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
            connection.sendall(f"DESCRIBE {service.url} RTSP/1.0\r\nCSeq: 1\r\n".encode() + headers + b"\r\n")
            assert connection.recv(4096).startswith(b"RTSP/1.0 401")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_a_request_without_a_password_is_answered_with_the_login_method(serve: Serve, method: str) -> None:
    service = serve(auth={**AUTH, "method": method})
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        connection.sendall(f"DESCRIBE {service.url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        answer = connection.recv(4096).decode()
    assert answer.startswith("RTSP/1.0 401")
    challenges = [line for line in answer.splitlines() if line.startswith("WWW-Authenticate")]
    assert [challenge.split()[1].lower() for challenge in challenges] == [method]
    assert "sightd" in challenges[0]


def test_rtsps_with_and_without_a_password(serve: Serve, certificate: dict[str, str]) -> None:
    service = serve(tls=certificate)
    assert service.url.startswith("rtsps://")
    assert watch(service.url, 3)
    guarded = serve(tls=certificate, auth={**AUTH, "method": "basic"})
    assert watch(guarded.url_for("ann", "canary-4711"), 3)
    with pytest.raises(av.error.HTTPUnauthorizedError):
        watch(guarded.url, 1)


@pytest.mark.parametrize(("version", "accepted"), [("tls1", False), ("tls1_1", False), ("tls1_2", True)])
def test_both_servers_take_tls_1_2_or_newer(
    serve: Serve, certificate: dict[str, str], version: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightd.daemon.serve.rtsp.viewers.TO_AGREE", 1.0)
    app = create_app(View(), Metrics(CollectorRegistry(), "1.2.3").exposition, 1, NO_TOKENS)
    web = HttpServer(Http.model_validate({"port": 0, "tls": certificate}), app)
    web.start()
    try:
        for port in (serve(tls=certificate).server.port, web.port):
            assert speaks(port, version) is accepted
    finally:
        web.close()


def test_rtsps_cuts_off_who_never_begins_to_speak_tls(
    serve: Serve, certificate: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightd.daemon.serve.rtsp.viewers.TO_AGREE", 1.0)
    service = serve(tls=certificate)
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=20) as silent:
        assert silent.recv(1) == b""
    eventually(lambda: service.refused["slow"] == 1)


def connect_and_leave(service: Service, client: ssl.SSLContext | None) -> None:
    """Asks for the options over TLS, or in plain RTSP without a context, which the server refuses."""
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=20) as plain:
        if client is not None:
            with client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                assert connection.recv(1000).startswith(b"RTSP/1.0 200")
        else:
            with contextlib.suppress(ConnectionResetError):
                plain.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
                assert plain.recv(1000) == b""


@pytest.mark.parametrize("speaks_tls", [True, False])
def test_connections_over_tls_leave_nothing_behind(serve: Serve, certificate: dict[str, str], speaks_tls: bool) -> None:
    """Unless GLib's default main context runs, GIO keeps each connection, with its descriptor and 4 MB."""
    service = serve(tls=certificate)
    client = ssl.create_default_context(cafile=certificate["certificate"]) if speaks_tls else None
    connect_and_leave(service, client)  # the first connection of a process opens a descriptor that stays
    before = sample(os.getpid())
    for _ in range(40):
        connect_and_leave(service, client)
    eventually(lambda: sample(os.getpid()).descriptors <= before.descriptors, what="descriptors stay open")
    assert sample(os.getpid()).memory < before.memory + 20


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01"], ids=["silent", "in a handshake"])
def test_connections_over_tls_that_find_no_room_leave_nothing_behind(
    serve: Serve, certificate: dict[str, str], begin: bytes
) -> None:
    service = serve(tls=certificate, max_connections_per_address=2)
    connect_and_leave(service, ssl.create_default_context(cafile=certificate["certificate"]))
    before = sample(os.getpid())
    with contextlib.ExitStack() as connections:
        for _ in range(40):
            address = ("127.0.0.1", service.server.port)
            one = connections.enter_context(socket.create_connection(address, timeout=20))
            with contextlib.suppress(OSError):
                one.sendall(begin)
        eventually(lambda: service.refused["address"] == 38)
    eventually(lambda: sample(os.getpid()).descriptors <= before.descriptors, what="descriptors stay open")
    assert sample(os.getpid()).memory < before.memory + 40


def speaks(port: int, version: str) -> bool:
    """Whether the server accepts this version of TLS from a client that allows any cipher."""
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", f"-{version}", "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(client, input=b"", capture_output=True, timeout=30)
    assert b"no protocols available" not in done.stderr  # otherwise it would be the client that lacks it
    return done.returncode == 0


def test_a_key_that_is_not_the_certificates_is_refused(
    serve: Serve, certificate: dict[str, str], tmp_path: Path
) -> None:
    serve()
    (tmp_path / "key.pem").write_text("no key")
    options = {"port": 0, "tls": {**certificate, "key": str(tmp_path / "key.pem")}}
    with pytest.raises(TlsError, match=r"rtsp\.tls: .*certificate\.pem"):
        RtspServer(Rtsp.model_validate(options), NO_TOKENS)


def test_an_unknown_camera_is_not_found(serve: Serve) -> None:
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(serve().url.replace("front", "nowhere"), 1)


def test_a_port_in_use_is_reported_with_what_to_do(serve: Serve) -> None:
    port = serve().server.port
    with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*rtsp\.port"):
        RtspServer(Rtsp(port=port), NO_TOKENS).start()


def test_a_camera_is_added_once() -> None:
    server = RtspServer(Rtsp(port=0), NO_TOKENS)
    server.add("front")
    with pytest.raises(ValueError, match="front"):
        server.add("front")


def test_a_removed_camera_ends_for_its_viewers_and_may_come_back(serve: Serve) -> None:
    service = serve()
    with player(service.url) as frames:
        next(frames)
        begun = time.monotonic()
        service.server.remove("front")
        until_the_end(frames)
        assert time.monotonic() - begun < 4, "before the player's own timeout"
    eventually(lambda: not service.stream.wanted and service.stream.clients == 0, within=2)
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(service.url, 1)
    service.camera.stream = service.server.add("front")
    assert watch(service.url, 3)


def test_a_viewer_of_another_camera_does_not_notice_a_removal(serve: Serve) -> None:
    service = serve()
    service.server.add("back")
    with player(service.url) as frames:
        first = [number_in(next(frames)) for _ in range(3)][-1]  # earlier ones may be from before PLAY
        service.server.remove("back")
        seen = [number_in(next(frames)) for _ in range(20)]
    assert seen == list(range(first + 1, first + 21))


def test_a_camera_without_pictures_holds_up_no_other(serve: Serve) -> None:
    service = serve()
    service.server.add("dark")
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        dark = service.server.address("dark").url("127.0.0.1")
        connection.sendall(f"DESCRIBE {dark} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        begun = time.monotonic()
        assert watch(service.url, 5)
        assert time.monotonic() - begun < 5, "before the connection's timeout"


def test_closing_with_viewers_takes_no_time_and_leaves_no_thread(serve: Serve) -> None:
    service = serve()
    with player(service.url) as frames:
        next(frames)
        begun = time.monotonic()
        service.server.close()
        assert time.monotonic() - begun < 1.9, "without the deadline's help"
        service.server.close()
        assert "rtsp-server" not in {thread.name for thread in threading.enumerate()}
        until_the_end(frames)
        assert time.monotonic() - begun < 4, "before the player's own timeout"
    assert not service.stream.wanted
