"""The daemon as users start it: its own process, with a configuration file and free ports."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import numpy as np
import yaml

from tests.support import http
from tests.support.exposition import samples, total
from tests.support.onnx_models import constant_network

_ROOT = Path(__file__).resolve().parents[2]


def one_object_network(
    folder: Path, box: tuple[float, float, float, float] = (0.25, 0.25, 0.75, 0.75)
) -> dict[str, Any]:
    """Returns detector options for a custom SSD-shaped model that finds one "thing" at `box` (xyxy, 0-1) everywhere."""
    outputs = {"boxes": np.array([box], np.float32), "scores": np.array([[0.9]], np.float32)}
    path = constant_network(folder / "one_object.onnx", (64, 64), outputs)
    return {"model": {"file": str(path), "head": "ssd", "labels": ["thing"]}}


class DaemonProcess:
    """Runs `sightd run` with a configuration; a context manager. Servers listen on free ports of the loopback."""

    def __init__(
        self,
        folder: Path,
        configuration: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        *,
        before: Sequence[str] = (),
    ) -> None:
        """`before`: a command that wraps the daemon, such as a tracer."""
        self.errors = folder / "sightd.log"
        self.path = folder / "sightd.yaml"
        """The configuration file."""
        self.path.write_text(
            yaml.safe_dump({"rtsp": {"port": 0}, "http": {"port": 0}, "webrtc": {"port": 0}, **configuration})
        )
        self._before = before
        self._environ = {**os.environ, "SIGHTD_STATE_DIR": str(folder / "state"), **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._rtsp = self._http = ""

    def spawn(self) -> None:
        """Starts the process without waiting for it to be ready."""
        with self.errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*self._before, sys.executable, "-m", "sightd", "run", "-c", str(self.path)],
                cwd=_ROOT,
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def start(self, within: float = 90.0) -> None:
        """Starts the daemon; returns when it has printed its addresses. Raises AssertionError with its log if it does
        not."""
        self.spawn()
        assert self._process is not None
        assert self._process.stdout is not None
        told, deadline = "", time.monotonic() + within
        while "/metrics" not in told:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._process.stdout.fileno(), 4096) if ready else b""
            assert data, f"the daemon did not start:\n{self.log}"
            told += data.decode()
        self._http = _first(r"http://[\d.]+:\d+", told)
        self._rtsp = _first(r"rtsp://[\d.]+:\d+", told)

    @property
    def log(self) -> str:
        return self.errors.read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def rtsp(self, camera: str) -> str:
        return f"{self._rtsp}/{camera}"

    def get(self, path: str) -> httpx.Response:
        return http.get(f"{self._http}{path}", timeout=10.0)

    def url(self, path: str) -> str:
        return f"{self._http}{path}"

    def readiness(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/readyz").json()
        return answer

    def metric(self, name: str, **labels: str) -> float:
        """Returns the sum of a metric's samples with these labels. Raises KeyError if there are none."""
        return total(self.get("/metrics").text, name, **labels)

    def values(self, name: str, by: str, **labels: str) -> dict[str, float]:
        """Returns a metric's samples with these labels, by the value of the label `by`."""
        return {one.labels[by]: one.value for one in samples(self.get("/metrics").text, name, **labels)}

    def metrics_of_now(self, within: float = 10.0) -> str:
        """Returns metrics text generated after this call. The daemon caches the text for frequent requests; each new
        text reports more CPU time. Raises AssertionError if the text does not change `within` s."""
        known, deadline = self._cpu_seconds(self.get("/metrics").text), time.monotonic() + within
        while self._cpu_seconds(text := self.get("/metrics").text) == known:
            assert time.monotonic() < deadline, f"the same metrics for {within:g} s"
            time.sleep(0.05)
        return text

    @staticmethod
    def _cpu_seconds(text: str) -> float:
        return total(text, "process_cpu_seconds_total")

    def terminate(self, within: float = 30.0) -> tuple[int, float]:
        """Sends SIGTERM. Returns the exit code and the seconds until the process ended."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.exit_code(within), time.monotonic() - begun

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def exit_code(self, within: float = 30.0) -> int:
        """Waits for the process to end and returns its exit code. Raises AssertionError with its log and the stacks of
        its threads if it does not."""
        assert self._process is not None
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)  # faulthandler prints the stacks
            self._process.wait(10)
            raise AssertionError(f"the daemon still ran after {within:g} s:\n{self.log}") from None

    def __enter__(self) -> DaemonProcess:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[0] if match else ""
