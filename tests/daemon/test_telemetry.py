"""No program sends anything to a destination that was not configured, or writes outside our own folders.

By default some libraries do: ONNX Runtime uploads usage data as soon as it is imported, and so does OpenVINO.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml

from sightd.daemon.events.journal import Journal
from tests.support.camera import CameraSimulator, need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.event_counts import EventCounts
from tests.support.networks import stored
from tests.support.openvino import openvino_importable
from tests.support.system_calls import Recording
from tests.support.waiting import eventually

pytestmark = [pytest.mark.computing, pytest.mark.slow]  # starts many processes

_ROOT = Path(__file__).resolve().parents[2]
_HARMLESS = ("/dev/", "/proc/")
_PYTHON = [sys.executable]
_SIGHTD = [*_PYTHON, "-m", "sightd"]


@dataclass(frozen=True, slots=True)
class User:
    """A user with an empty home directory and a separate working directory."""

    home: Path
    work: Path
    record: Recording

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        return kept | {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.work),
            "TMPDIR": str(self.work),
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            [*self.record.command(), *command],
            cwd=self.work,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = process.communicate(timeout=100)
        self.record.wait(process.pid)
        return subprocess.CompletedProcess(command, process.returncode, output)

    def strange_files(self) -> set[str]:
        """Returns what was changed outside our own folders."""
        own = (self.work, *(self.home / part for part in (".cache/sightd", ".local/state/sightd", ".config/sightd")))
        above = {parent for folder in own for parent in folder.parents}
        return {
            str(path)
            for path in self.record.changed()
            if not str(path).startswith(_HARMLESS)
            and path not in above
            and not any(path == folder or folder in path.parents for folder in own)
        }


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.delenv("GST_REGISTRY", raising=False)  # set by commands run in this process; children choose their own
    home, work, record = (tmp_path / name for name in ("home", "work", "record"))
    for folder in (home, work, record):
        folder.mkdir()
    return User(home, work, Recording(record, work))


@pytest.fixture
def configuration(user: User) -> Path:
    file = user.work / "sightd.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "cameras": {"hall": {"source": "testpattern://?width=320&height=240", "chain": ["detector"]}},
                "plugins": {"detector": one_object_network(user.work)},
                "rtsp": {"port": 0},
                "http": {"port": 0},
            }
        )
    )
    return file


COMMANDS: dict[str, tuple[list[str], int]] = {
    "check": (["check", "sightd.yaml"], 0),
    "doctor": (["doctor", "-c", "sightd.yaml"], 0),
    "status": (["status"], 3),
    "reload": (["reload"], 3),
    "models list": (["models", "list"], 0),
    "models quantize": (["models", "quantize", "ssd-mobilenet-v2", "--calibrate", "stills", "--pictures", "8"], 0),
    "engine list": (["engine", "list"], 0),
    "engine build": (["engine", "build", "yolox-tiny"], 3),
    "plugins list": (["plugins", "list"], 0),
    "plugins check": (["plugins", "check", "tracker"], 0),
    "style list": (["style", "list"], 0),
    "classifier train": (["classifier", "train", "stills"], 0),
    "samples list": (["samples", "list"], 0),
    "faces list": (["faces", "list"], 0),
    "events": (["events", "--journal", "events.db"], 0),
    "rules": (["rules", "list", "-c", "sightd.yaml"], 2),
    "clips": (["clips", "list", "-c", "sightd.yaml"], 0),
    "delivery": (["delivery", "list"], 0),
    "schema": (["schema"], 0),
    "analyze": (["analyze", "-c", "sightd.yaml", "stills", "--chain", "detector", "--annotated", "copy"], 0),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_keeps_to_itself(name: str, user: User, configuration: Path) -> None:
    arguments, code = COMMANDS[name]
    prepare(name, user)
    done = user.run([*_SIGHTD, *arguments])
    assert done.returncode == code, done.stdout
    assert not user.record.addresses()
    assert not user.strange_files()


def prepare(command: str, user: User) -> None:
    """Creates what the command works on: images of two classes, models, a journal."""
    requires = {"models quantize": ["ssd-mobilenet-v2"], "classifier train": ["mobilenet-v2"]}
    store = user.home / ".cache/sightd/models"
    store.mkdir(parents=True)
    for file in map(stored, requires.get(command, [])):
        shutil.copy(file, store)
        shutil.copy(file.with_suffix(".json"), store)
    random = np.random.default_rng(0)
    for label, level in {"dark": 60, "light": 200}.items():
        folder = user.work / "stills" / label
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = random.normal(level, 20, (96, 128, 3)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), pixels)
    journal = Journal(user.work / "events.db", retention=3600.0, max_count=10, observer=EventCounts())
    journal.start()
    journal.close()


def test_the_daemon_keeps_to_itself_with_a_camera_an_isolated_plugin_and_viewers(user: User) -> None:
    need_rtsp_server()
    detector = {"use": "detector", "isolate": True, **one_object_network(user.work)}
    with CameraSimulator() as camera:
        configuration = {
            "cameras": {
                "hall": {"source": camera.address(), "chain": ["detector"]},
                "yard": {"source": "testpattern://", "chain": ["beside", "tracker"]},
            },
            "plugins": {"detector": one_object_network(user.work), "beside": detector},
        }
        with DaemonProcess(user.work, configuration, user.environ, before=user.record.command()) as daemon:
            eventually(lambda: daemon.get("/readyz").status_code == 200, 60, "the daemon is not ready")
            assert daemon.get("/hall.jpg").status_code == 200
            assert daemon.get("/metrics").status_code == 200
            with av.open(daemon.rtsp("yard"), options={"rtsp_transport": "tcp"}) as viewer:
                assert next(viewer.decode(video=0))
            code, _ = daemon.terminate(30)
            user.record.wait(daemon.pid)
    assert code == 0
    assert not user.record.addresses()
    assert not user.strange_files()


@pytest.mark.parametrize("package", ["daemon", "sightd.plugins.api", "sightd.engines.session"])
@pytest.mark.parametrize("library", ["onnxruntime", "openvino"])
def test_a_program_that_imports_a_package_of_ours_first_is_safe_with_the_libraries(
    package: str, library: str, user: User
) -> None:
    """A plug-in may use the libraries directly."""
    if library == "openvino":
        openvino_importable()
    lines = f"import sys; sys.path[:] = {sys.path!r}; import {package}, {library}"
    done = user.run([*_PYTHON, "-c", lines])
    assert done.returncode == 0, done.stdout
    assert not user.record.addresses()
    assert not user.strange_files()


def test_onnx_runtime_by_itself_would_be_noticed(user: User) -> None:
    """If this fails, ONNX Runtime has changed: check that its telemetry is still off, and fix this test."""
    assert user.run([*_PYTHON, "-c", "import onnxruntime"]).returncode == 0
    assert any("Microsoft" in path for path in user.strange_files())


def test_looking_up_a_name_would_be_noticed(user: User) -> None:
    lines = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('127.0.0.1', 53))"
    assert user.run([*_PYTHON, "-c", lines]).returncode == 0
    assert user.record.addresses() == {"127.0.0.1:53"}


def test_a_word_to_another_machine_would_be_noticed(user: User) -> None:
    lines = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('192.0.2.1', 443))"
    user.run([*_PYTHON, "-c", lines])
    assert user.record.addresses() == {"192.0.2.1:443"}
