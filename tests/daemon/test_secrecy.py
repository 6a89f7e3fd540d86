"""A canary is used as every secret that sightd accepts; it never comes out of a daemon that runs, fails or crashes."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import httpx
import pytest

from sightd.daemon.app.logs import Form
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

CANARY = "Kanari3n/vo gel@4711"
TOKEN = "Kanari3nvogel-token-of-the-owner"
SECRETS = (
    CANARY,
    quote(CANARY, safe=""),
    quote(CANARY),
    TOKEN,
    base64.b64encode(f"admin:{CANARY}".encode()).decode(),
    base64.b64encode(f"owner:{TOKEN}".encode()).decode(),
    hashlib.sha256(TOKEN.encode()).hexdigest(),
)
PARTS = ("Kanari3n", "gel@4711", "gel%404711")
OWNER = {"Authorization": f"Bearer {TOKEN}"}


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (*SECRETS, *PARTS) if secret in text]


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSimulator]:
    need_rtsp_server()
    with CameraSimulator(Look(size=(320, 240), fps=25), mounts=1, user="admin", password=CANARY) as simulator:
        yield simulator


def configuration(folder: Path, camera: CameraSimulator, form: str) -> dict[str, Any]:
    """Returns a configuration with secrets as values, from the environment and from a file; some cameras cannot be
    reached."""
    (folder / "password").write_text(CANARY)
    (folder / "token").write_text(TOKEN)
    own, coded = camera.address(0), quote(CANARY, safe="")
    quick = {"timeout": "1s", "reconnect": {"initial_delay": "100ms", "max_delay": "200ms"}}
    sources = {
        "right": own,
        "refused": own.replace("admin:", "adm1n:"),
        "not-found": own.replace("cam0", f"user=admin_password={coded}_channel=1_stream=0.sdp"),
        "from-env": own.replace(coded, "${env:CAMERA_PASSWORD}").replace("admin:", "somebody:"),
        "gone": f"rtsp://admin:{coded}@127.0.0.1:1/live",
        "query": f"http://127.0.0.1:1/video.mjpg?user=admin&password={coded}",
        "no-name": f"rtsp://admin:{coded}@no-such-host.invalid/live",
    }
    return {
        "cameras": {name: {"source": source, **quick} for name, source in sources.items()},
        "chain": ["detector"],
        "plugins": {"detector": one_object_network(folder)},
        "access": {"tokens": {"owner": {"role": "admin", "token": "${file:token}"}}},
        "rtsp": {"port": 0, "auth": {"username": "admin", "password": "${file:password}"}},
        "log": {"level": "debug", "format": form},
    }


def responses_of(daemon: DaemonProcess) -> Iterator[tuple[str, str]]:
    """Yields everything that the daemon returns over HTTP, to its owner and to strangers: the request, headers and
    body."""
    paths = ["/", "/nothing/here", *(path for path in api(daemon) if "{" not in path)]
    paths += ["/right.jpg", "/gone.jpg", f"/right.jpg?token={quote(CANARY, safe='')}", "/api/v1/faces/nobody"]
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    for path in paths:
        for who, headers in (("owner", OWNER), ("wrong", wrong), ("nobody", {})):
            for method in ("GET", "POST"):
                yield f"{method} {path}, {who}", response_to(daemon.url(path), method, headers)


def response_to(url: str, method: str, headers: dict[str, str]) -> str:
    """Returns headers and body; of the endless event stream only its first piece, as /api/v1/events has the same."""
    with httpx.stream(method, url, headers={"X-Sightd": "1", **headers}, timeout=60) as answer:
        pieces = answer.iter_text()
        endless = answer.headers.get("content-type", "").startswith("text/event-stream")
        return f"{answer.headers}{next(pieces) if endless else ''.join(pieces)}"


def api(daemon: DaemonProcess) -> list[str]:
    return list(httpx.get(daemon.url("/api/v1/openapi.json"), headers=OWNER).json()["paths"])


def process_list(pid: int) -> str:
    """Returns what other users see of the process, its threads and its children."""
    children = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and parent(path) == pid]
    texts = []
    for one in (pid, *children):
        texts.append(Path(f"/proc/{one}/cmdline").read_text())
        texts += [(thread / "comm").read_text() for thread in Path(f"/proc/{one}/task").iterdir()]
    return "\n".join(texts)


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has just ended
        return 0


@pytest.mark.parametrize("form", ["json", pytest.param("journald", marks=pytest.mark.slow)])
def test_a_secret_comes_out_nowhere(tmp_path: Path, camera: CameraSimulator, form: Form) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", "")}
    environ = {key: value for key, value in state.items() if value} | {"CAMERA_PASSWORD": quote(CANARY, safe="")}
    with DaemonProcess(tmp_path, configuration(tmp_path, camera, form), environ) as daemon:
        assert secrets_in(daemon.path.read_text()), "the canary goes in, and this looks for it rightly"
        eventually(lambda: state_of(daemon, "right") == "live", 20, "the camera with the right password sends")
        eventually(lambda: all_lost(daemon), 20, "the others were tried in vain")
        told = dict(responses_of(daemon))
        for password in (CANARY, "wrong"):
            address = daemon.rtsp("right").replace("://", f"://admin:{quote(password, safe='')}@")
            watch(address, may_fail=password == "wrong")
        told["processes"] = process_list(daemon.pid)
        daemon.path.write_text(daemon.path.read_text().replace("timeout: 1s", f"timeout: '{CANARY}'"))
        told["reload"] = httpx.post(daemon.url("/api/v1/reload"), headers=OWNER, timeout=20).text
        told["state"] = files_below(tmp_path / "state")
        daemon.signal(signal.SIGABRT)
        assert daemon.exit_code() != 0
        told["log"] = daemon.log
    assert '"right"' in told["GET /readyz, owner"]
    assert len(told) > 60
    assert "password=" in told["log"], "the log speaks of the addresses"
    assert {where: found for where, text in told.items() if (found := secrets_in(text))} == {}


def state_of(daemon: DaemonProcess, camera: str) -> str:
    answer = httpx.get(daemon.url("/readyz"), headers=OWNER, timeout=10).json()
    return str(answer["cameras"].get(camera, {}).get("state"))


def all_lost(daemon: DaemonProcess) -> bool:
    answer = httpx.get(daemon.url("/readyz"), headers=OWNER, timeout=10).json()
    return all(one["reason"] for name, one in answer["cameras"].items() if name != "right")


def watch(address: str, *, may_fail: bool) -> None:
    try:
        with av.open(address, options={"rtsp_transport": "tcp"}, timeout=10) as stream:
            next(stream.decode(video=0))
    except av.error.HTTPUnauthorizedError:
        assert may_fail


def files_below(folder: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


def test_no_command_tells_a_secret(tmp_path: Path, camera: CameraSimulator) -> None:
    daemon = DaemonProcess(tmp_path, configuration(tmp_path, camera, "human"))
    broken = tmp_path / "broken.yaml"
    broken.write_text(daemon.path.read_text().replace("timeout: 1s", f"timeout: '{CANARY}'"))
    environ = {**os.environ, "CAMERA_PASSWORD": quote(CANARY, safe="")}
    commands = [["check", str(daemon.path)], ["check", str(broken)], ["run", "-c", str(broken)]]
    commands += [["service", "install", "-c", str(daemon.path), "--print"], ["doctor"]]
    for command in commands:
        ran = subprocess.run(
            [sys.executable, "-m", "sightd", *command],
            capture_output=True,
            text=True,
            env=environ,
            timeout=120,
        )
        assert ran.stdout + ran.stderr, command
        assert secrets_in(ran.stdout + ran.stderr) == [], command
