"""The control socket: who may use it, and which daemon owns it."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Control, Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import Access, PeerRoles
from sightd.daemon.serve.control_address import default_socket
from sightd.daemon.serve.http import control_socket
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.control_socket import AlreadyRunningError, ControlSocketError, open_control
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.live_results import LiveResults
from tests.daemon.serve.http.test_app import View
from tests.support import other_user
from tests.support.certificates import self_signed
from tests.support.websocket import WebSocketClient

pytestmark = pytest.mark.waiting

ROOT = Path(__file__).parents[4]
CONFIG = Path("/etc/sightd/sightd.yaml")
TOKEN = "a-token-of-somebody-to-view"
OPENS_AND_WAITS = """
import sys, signal
from pathlib import Path
from sightd.daemon.config.model import Control
from sightd.daemon.serve.auth import PeerRoles
from sightd.daemon.serve.http.control_socket import open_control
opened = open_control(Control(), Path(sys.argv[1]), PeerRoles(), {"RUNTIME_DIRECTORY": sys.argv[2]}, print)
print("open", flush=True)
signal.pause()
"""


def reloaded() -> Future[ConfigDiff]:
    done: Future[ConfigDiff] = Future()
    done.set_result(ConfigDiff())
    return done


Serve = Callable[..., Path]


@pytest.fixture
def folder() -> Iterator[Path]:
    with other_user.open_folder() as opened:
        yield opened


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts a web server with a control socket, and returns the socket's path."""
    servers: list[HttpServer] = []

    def start(http: Http | None = None, **groups: str) -> Path:
        metrics = Metrics(CollectorRegistry(), "1.2.3")
        tokens = AccessOptions.model_validate({"tokens": {"wall": {"role": "view", "token": TOKEN}}})
        access = Access(tokens, metrics.refused, PeerRoles(groups))
        control = open_control(Control(), CONFIG, access.peers, {"RUNTIME_DIRECTORY": str(folder)}, print)
        assert control is not None
        app = create_app(View(), metrics.exposition, 1, access, reloaded, live=LiveResults())
        server = HttpServer(http or Http(enabled=False), app, print, control)
        servers.append(server)
        server.start()
        return control.path

    yield start
    for server in servers:
        server.close()


def client(path: Path) -> httpx.Client:
    return httpx.Client(base_url="http://localhost", transport=httpx.HTTPTransport(uds=str(path)), timeout=10)


def test_the_daemons_own_user_is_admin_without_a_token_also_if_the_web_server_is_off(serve: Serve) -> None:
    path = serve()
    assert path.stat().st_mode & 0o777 == 0o600
    with client(path) as own:
        assert own.post("/api/v1/reload").status_code == 200
        assert own.get("/readyz").json()["ready"]


def test_a_web_socket_needs_no_token_there_either_and_no_proxy_may_open_one(serve: Serve) -> None:
    path = serve()
    with WebSocketClient(path, "/api/v1/stream") as own:
        assert own.status == 101
    with WebSocketClient(path, "/api/v1/stream", [("X-Forwarded-For", "192.0.2.1")]) as forwarded:
        assert forwarded.status == 403
        assert "through a proxy" in forwarded.refusal()["detail"]


def test_no_other_user_reaches_it(serve: Serve) -> None:
    other_user.need_root()
    assert other_user.asked(serve(), "GET", "/readyz") == (0, "PermissionError")


def test_members_of_a_group_get_its_role_and_others_none(serve: Serve) -> None:
    other_user.need_root()
    path = serve(**{"4711": "view", "4712": "admin"})
    status, told = other_user.asked(path, "GET", "/readyz")
    assert (status, "user 64501 has no role" in told) == (403, True)
    assert other_user.asked(path, "GET", "/readyz", [4711])[0] == 200
    status, told = other_user.asked(path, "POST", "/api/v1/reload", [4711])
    assert (status, "user 64501 has the role" in told) == (403, True)
    assert other_user.asked(path, "POST", "/api/v1/reload", [4711, 4712])[0] == 200, "the highest role of all groups"


def test_the_primary_group_counts(serve: Serve) -> None:
    other_user.need_root()
    assert other_user.asked(serve(**{str(other_user.GID): "view"}), "GET", "/readyz")[0] == 200


def test_a_header_cannot_claim_a_peer_and_a_proxy_lends_nobody_its_role(serve: Serve) -> None:
    path = serve(Http(port=0, proxies=["127.0.0.1"]))
    with client(path) as own:
        assert own.get("/readyz", headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 403


def test_tls_and_tokens_are_for_the_network_and_not_for_the_socket(serve: Serve, tmp_path: Path) -> None:
    http = Http.model_validate({"port": 0, "tls": self_signed(tmp_path)})
    with client(serve(http)) as own:
        assert own.get("/readyz").status_code == 200


def test_a_second_daemon_of_the_same_configuration_is_refused_and_the_first_goes_on(serve: Serve, folder: Path) -> None:
    path = serve()
    with pytest.raises(
        AlreadyRunningError, match=rf"is already running .*process {os.getpid()}, control socket {path}"
    ):
        open_control(Control(), CONFIG, PeerRoles(), {"RUNTIME_DIRECTORY": str(folder)}, print)
    with client(path) as own:
        assert own.get("/readyz").status_code == 200


def test_the_socket_of_a_daemon_that_was_killed_is_replaced_and_one_that_ends_removes_it(folder: Path) -> None:
    command = [sys.executable, "-c", OPENS_AND_WAITS, str(CONFIG), str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGKILL)
    opened = open_control(Control(), CONFIG, PeerRoles(), {"RUNTIME_DIRECTORY": str(folder)}, print)
    assert opened is not None
    assert opened.path.is_socket()
    opened.close()
    opened.close()
    assert not opened.path.exists()


def test_who_ends_late_leaves_the_file_of_the_next_one_alone(folder: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(folder)}
    late = open_control(Control(), CONFIG, PeerRoles(), environ, print)
    assert late is not None
    late.path.unlink()
    following = open_control(Control(), CONFIG, PeerRoles(), environ, print)
    late.close()
    assert following is not None
    assert following.path.is_socket()
    following.close()


def test_daemons_of_one_user_have_sockets_of_their_own_and_clear_away_those_of_the_dead(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    dead = tmp_path / "sightd" / "control-0123456789ab.sock"
    dead.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(dead))
        listening.listen()
    opened = [open_control(Control(), tmp_path / name, PeerRoles(), environ, print) for name in ("a.yaml", "b.yaml")]
    paths = [one.path for one in opened if one is not None]
    assert paths == [default_socket(tmp_path / name, environ) for name in ("a.yaml", "b.yaml")]
    assert sorted(dead.parent.glob("*.sock")) == sorted(paths)
    for one in opened:
        assert one is not None
        one.close()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_that_others_can_write_to_is_not_used(
    mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sightd").mkdir()
    (tmp_path / "sightd").chmod(mode)
    assert open_control(Control(), CONFIG, PeerRoles(), {"XDG_RUNTIME_DIR": str(tmp_path)}, print) is None
    assert "can be written to by other users" in caplog.text
    assert "control.socket" in caplog.text


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sightd").symlink_to(tmp_path / "elsewhere")
    assert open_control(Control(), CONFIG, PeerRoles(), {"XDG_RUNTIME_DIR": str(tmp_path)}, print) is None
    assert "is not a directory" in caplog.text


def test_a_path_of_ones_own_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "not-a-socket"
    file.write_text("precious")
    for path, why in ((file, "not a socket"), (tmp_path / "none" / "a.sock", "No such file")):
        with pytest.raises(ControlSocketError, match=why):
            open_control(Control(socket=path), CONFIG, PeerRoles(), {}, print)
    assert file.read_text() == "precious"


def test_a_path_longer_than_an_address_holds(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("s" * 60)
    path.parent.mkdir()
    opened = open_control(Control(socket=path), CONFIG, PeerRoles(), {}, print)
    assert opened is not None
    with pytest.raises(AlreadyRunningError):
        open_control(Control(socket=path), CONFIG, PeerRoles(), {}, print)
    opened.close()
    assert not path.exists()


def test_switched_off_there_is_none(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert open_control(Control(enabled=False), CONFIG, PeerRoles(), environ, print) is None
    assert not list(tmp_path.iterdir())


def test_a_group_that_is_not_there_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert not PeerRoles({"no-such-group-here": "admin"}).admits_groups
    assert "no group 'no-such-group-here'" in caplog.text


def test_users_without_a_role_keep_nobody_out(serve: Serve) -> None:
    other_user.need_root()
    path = serve(**{"4711": "view"})
    with other_user.holding(path, 40, 32) as held:
        assert held == 32, "all of them together have the places of one user"
        assert other_user.asked(path, "GET", "/readyz", [4711])[0] == 200
        with client(path) as own:
            assert own.get("/readyz").status_code == 200


def test_a_named_socket_in_a_folder_that_everybody_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    options = Control(socket=folder / "s.sock")
    with pytest.raises(ControlSocketError, match=r"every user can write to .*open \(mode 777\); set control\.socket"):
        open_control(options, CONFIG, PeerRoles(), {}, print)
    folder.chmod(0o1777)  # like /tmp: nobody can remove another user's files
    control = open_control(options, CONFIG, PeerRoles(), {}, print)
    assert control is not None
    control.close()


def test_a_lock_that_is_never_released_does_not_keep_the_start_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_LOCK_TIMEOUT", 0.2)
    with (tmp_path / ".sightd.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ControlSocketError, match=r"another process has locked .*\.sightd\.lock"):
            open_control(Control(socket=tmp_path / "s.sock"), CONFIG, PeerRoles(), {}, print)
