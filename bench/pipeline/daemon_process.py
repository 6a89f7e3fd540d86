"""A daemon in its own process, on free ports of the loopback interface."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.pipeline.exposition import Counters

ROOT = Path(__file__).resolve().parents[2]
_READY_WITHIN = 60.0
_STOP_WITHIN = 10.0


class DaemonError(RuntimeError):
    """The daemon ended or did not become ready; the message contains the end of its log."""


class DaemonProcess:
    """Runs `sightd run` with the cameras at `sources`, named cam0, cam1 …; a context manager that does not wait until
    it is ready."""

    def __init__(self, folder: Path, sources: Sequence[str], chain: Sequence[str], detector: dict[str, Any]) -> None:
        self.rtsp_port, self.http_port = free_ports(2)
        self.began = 0.0
        self._log = folder / "daemon.log"
        self._config = folder / "daemon.yaml"  # JSON is YAML
        self._config.write_text(
            json.dumps(
                {
                    "cameras": {f"cam{n}": {"source": source} for n, source in enumerate(sources)},
                    "plugins": {name: detector if name == "detector" else {} for name in chain},
                    "chain": list(chain),
                    "rtsp": {"port": self.rtsp_port},
                    "http": {"port": self.http_port},
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def address(self, camera: int = 0) -> str:
        """Returns the RTSP address of a camera."""
        return f"rtsp://127.0.0.1:{self.rtsp_port}/cam{camera}"

    def counters(self) -> Counters:
        return Counters.read(f"http://127.0.0.1:{self.http_port}/metrics")

    def wait_until_analysing(self, cameras: int) -> None:
        """Returns when each camera has been analysed at least once. Raises DaemonError if that takes too long."""
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            try:
                analysed = self.counters().by_labels("sightd_frames_total", "stage", "camera")
            except OSError:
                analysed = {}
            if sum(stage == "analysed" for stage, _ in analysed) >= cameras:
                return
            time.sleep(0.1)
        raise DaemonError(f"not every camera was analysed within {_READY_WITHIN:.0f} s:\n{self._last_lines()}")

    def check(self) -> None:
        """Raises DaemonError if the daemon has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise DaemonError(f"the daemon ended with exit code {code}:\n{self._last_lines()}")

    def __enter__(self) -> DaemonProcess:
        command = [sys.executable, "-m", "sightd", "run", "-c", str(self._config)]
        state = str(self._config.with_name("state"))  # separate, because another daemon of this user may be running
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SIGHTD_STATE_DIR": state}
        self.began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self._process)

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def stop(process: subprocess.Popen[Any] | None) -> None:
    """Terminates a process, and kills it if it does not end in time."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Returns TCP ports that are free at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
