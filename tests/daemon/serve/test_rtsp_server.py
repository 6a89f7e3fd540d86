from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from daemon.config.model import Rtsp
from daemon.serve.errors import ListenError, TlsError
from daemon.serve.rtsp_server import RtspServer
from tests.daemon.serve.numbered import player, until_the_end, watch
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.daemon.serve.conftest import Service

Serve = Callable[..., "Service"]
AUTH = {"username": "ann", "password": "canary-4711"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on the PATH: no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    pair = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", pair["key"], "-out", pair["certificate"]], check=True, capture_output=True)
    return pair


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_only_those_who_know_the_password_watch(serve: Serve, method: str) -> None:
    service = serve(auth={**AUTH, "method": method})
    assert watch(service.url_for("ann", "canary-4711"), 2)
    for stranger in (service.url, service.url_for("ann", "wrong"), service.url_for("bob", "canary-4711")):
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(stranger, 1)


@pytest.mark.parametrize("method", ["basic", "digest"])
def test_a_request_without_a_password_is_told_which_method_is_asked(serve: Serve, method: str) -> None:
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


def test_a_key_that_is_not_the_certificates_is_refused(
    serve: Serve, certificate: dict[str, str], tmp_path: Path
) -> None:
    serve()
    (tmp_path / "key.pem").write_text("no key")
    options = {"port": 0, "tls": {**certificate, "key": str(tmp_path / "key.pem")}}
    with pytest.raises(TlsError, match=r"rtsp\.tls: .*certificate\.pem"):
        RtspServer(Rtsp.model_validate(options))


def test_an_unknown_camera_is_not_found(serve: Serve) -> None:
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(serve().url.replace("front", "nowhere"), 1)


def test_a_port_in_use_is_told_with_what_to_do(serve: Serve) -> None:
    port = serve().server.port
    with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*rtsp\.port"):
        RtspServer(Rtsp(port=port)).start()


def test_a_camera_is_added_once() -> None:
    server = RtspServer(Rtsp(port=0))
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
        assert time.monotonic() - begun < 2
    eventually(lambda: not service.stream.wanted and service.stream.clients == 0, within=2)
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(service.url, 1)
    service.camera.stream = service.server.add("front")
    assert watch(service.url, 3)


def test_a_viewer_of_another_camera_does_not_notice_a_removal(serve: Serve) -> None:
    service = serve()
    service.server.add("back")
    with player(service.url) as frames:
        next(frames)
        service.server.remove("back")
        for _ in range(20):
            next(frames)


def test_a_camera_without_pictures_holds_up_no_other(serve: Serve) -> None:
    service = serve()
    service.server.add("dark")
    with socket.create_connection(("127.0.0.1", service.server.port), timeout=5) as connection:
        dark = service.server.address("dark").url("127.0.0.1")
        connection.sendall(f"DESCRIBE {dark} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        begun = time.monotonic()
        assert watch(service.url, 5)
        assert time.monotonic() - begun < 2


def test_closing_with_viewers_takes_no_time_and_leaves_no_thread(serve: Serve) -> None:
    service = serve()
    with player(service.url) as frames:
        next(frames)
        begun = time.monotonic()
        service.server.close()
        assert time.monotonic() - begun < 1
        service.server.close()
        assert "rtsp-server" not in {thread.name for thread in threading.enumerate()}
        until_the_end(frames)
        assert time.monotonic() - begun < 2
    assert not service.stream.wanted
