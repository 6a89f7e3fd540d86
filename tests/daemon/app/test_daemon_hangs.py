"""A start or a reload that hangs blocks neither signals nor health checks nor running cameras."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from onnx import TensorProto, helper

from tests.support import http
from tests.support.daemon import DaemonProcess
from tests.support.faulty_plugin import installed
from tests.support.hostile_networks import endless
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

ENDS_WITHIN = 15.0
"""Seconds; finite, with a margin for a loaded machine."""
HANGS = [{"checking": "hangs"}, {"opening": "hangs"}, {"opening": "spins"}, {"opening": "hangs", "isolate": True}]


def configuration(folder: Path) -> dict[str, Any]:
    return {
        "cameras": {"a": {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}},
        "chain": ["faulty"],
        "plugins": {"faulty": {"orders": str(folder / "orders")}},
    }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, configuration(tmp_path), installed(tmp_path / "site")) as process:
        eventually(lambda: bool(process.readiness()["ready"]), 20)
        yield process


def rewrite(daemon: DaemonProcess, **options: object) -> None:
    settings = yaml.safe_load(daemon.path.read_text())
    settings["plugins"]["faulty"].update(options)
    daemon.path.write_text(yaml.safe_dump(settings))


def reloading(daemon: DaemonProcess) -> bool:
    return str(daemon.readiness()["configuration"]["state"]) == "reloading"


@pytest.mark.parametrize("options", [*HANGS[::2], *(pytest.param(one, marks=pytest.mark.slow) for one in HANGS[1::2])])
def test_while_a_reload_hangs_everything_else_answers_and_sigterm_ends_it(
    options: dict[str, Any], daemon: DaemonProcess
) -> None:
    rewrite(daemon, **options)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: reloading(daemon), 20)
    captured = daemon.metric("sightd_frames_total", camera="a", stage="captured")
    for _ in range(20):
        daemon.signal(signal.SIGHUP)
    health = daemon.get("/healthz")
    assert health.status_code == 200
    assert "a reload has been in progress since" in health.json()["detail"]
    eventually(lambda: daemon.metric("sightd_frames_total", camera="a", stage="captured") > captured + 5, 20)
    code, seconds = daemon.terminate(ENDS_WITHIN)
    assert code == 0
    assert seconds < ENDS_WITHIN


@pytest.mark.parametrize("options", [*HANGS[1::2], pytest.param(HANGS[2], marks=pytest.mark.slow)])
def test_while_a_start_hangs_the_daemon_says_so_and_sigterm_ends_it(options: dict[str, Any], tmp_path: Path) -> None:
    settings = configuration(tmp_path)
    settings["plugins"]["faulty"].update(options)
    process = DaemonProcess(tmp_path, settings, installed(tmp_path / "site"))
    process.spawn()
    try:
        eventually(lambda: "HTTP is listening on" in process.log, 30)
        port = process.log.split("HTTP is listening on 127.0.0.1:")[1].split('"')[0].split()[0]
        url = f"http://127.0.0.1:{port}"
        starting = "starting: opening plug-in faulty"
        eventually(lambda: starting in http.get(f"{url}/healthz", timeout=10).json()["detail"], 20)
        answer = http.get(f"{url}/readyz", timeout=10)
        assert (answer.status_code, answer.json()["reasons"]) == (503, [starting])
        code, seconds = process.terminate(ENDS_WITHIN)
        assert code == 0
        assert seconds < ENDS_WITHIN
        assert "stopped during start-up" in process.log
    finally:
        process.close()


def test_a_thread_that_a_plugin_leaves_behind_does_not_keep_the_process(tmp_path: Path) -> None:
    settings = configuration(tmp_path)
    settings["plugins"]["faulty"]["opening"] = "leaves a thread"
    with DaemonProcess(tmp_path, settings, installed(tmp_path / "site")) as daemon:
        eventually(lambda: bool(daemon.readiness()["ready"]), 20)
        assert daemon.terminate(ENDS_WITHIN)[0] == 0


def test_a_named_pipe_in_place_of_a_file_is_refused_and_the_daemon_goes_on(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    kept = daemon.path.read_text()
    daemon.path.write_text(kept.replace("testpattern://", "${file:pipe}"))
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.readiness()["configuration"]["state"] == "refused", 20)
    assert "a named pipe, not a regular file" in daemon.readiness()["configuration"]["detail"]
    assert daemon.readiness()["ready"]
    daemon.path.unlink()
    os.mkfifo(daemon.path)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: "cannot be read: a named pipe" in str(daemon.readiness()["configuration"]), 20)
    daemon.path.unlink()
    daemon.path.write_text(kept)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.readiness()["configuration"]["state"] == "current", 20)


@pytest.fixture
def cyclic(tmp_path: Path) -> Path:
    """A classifier whose only node feeds itself."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["y"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    path = tmp_path / "cycle.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_network_with_a_cycle_is_refused_by_every_command(cyclic: Path, daemon: DaemonProcess) -> None:
    settings = yaml.safe_load(daemon.path.read_text())
    settings["chain"] = ["classifier"]
    settings["plugins"] = {"classifier": {"model": {"file": str(cyclic), "labels": ["a", "b"]}}}
    other = cyclic.with_name("other.yaml")
    other.write_text(yaml.safe_dump(settings))
    done = subprocess.run(
        [sys.executable, "-m", "sightd", "run", "-c", str(other)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SIGHTD_STATE_DIR": str(cyclic.parent / "other")},
    )
    assert done.returncode == 2
    assert "its nodes form a cycle" in done.stderr
    daemon.path.write_text(yaml.safe_dump(settings))
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.readiness()["configuration"]["state"] == "refused", 20)
    assert "its nodes form a cycle" in daemon.readiness()["configuration"]["detail"]
    assert daemon.terminate(ENDS_WITHIN)[0] == 0


def processes_with(word: str) -> int:
    """Returns how many processes have the word in their command line."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has ended
            found += word.encode() in file.read_bytes().split(b"\0")
    return found


def test_while_a_network_that_never_ends_is_tried_sigterm_ends_the_daemon_and_the_trial(
    tmp_path: Path, daemon: DaemonProcess
) -> None:
    bomb = endless(tmp_path / "bomb.onnx")
    settings = yaml.safe_load(daemon.path.read_text())
    settings["chain"] = ["classifier"]
    settings["plugins"] = {"classifier": {"model": {"file": str(bomb), "labels": ["a", "b"]}}}
    daemon.path.write_text(yaml.safe_dump(settings))
    daemon.signal(signal.SIGHUP)
    eventually(lambda: processes_with(str(bomb)) == 1, 20)
    assert daemon.readiness()["ready"]
    assert daemon.terminate(ENDS_WITHIN)[0] == 0
    eventually(lambda: processes_with(str(bomb)) == 0, 5)
