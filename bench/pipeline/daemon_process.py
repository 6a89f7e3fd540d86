"""A daemon in its own process, on free ports of the loopback interface, and its own counters, read from /metrics."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]

ROOT = Path(__file__).resolve().parents[2]
_READY_WITHIN = 60.0
_STOP_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Counters:
    """All samples of one reading, by name and labels."""

    values: Mapping[Series, float]

    @classmethod
    def parse(cls, text: str) -> Counters:
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    @classmethod
    def read(cls, url: str) -> Counters:
        """Reads the counters from `url`. Raises OSError if the server does not respond."""
        request = urllib.request.Request(url, headers={"Accept": "text/plain"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return cls.parse(answer.read().decode())

    def total(self, name: str, **labels: str) -> float:
        """Returns the sum of all series of that name that have at least these labels."""
        wanted = set(labels.items())
        return sum(value for (series, given), value in self.values.items() if series == name and wanted <= given)

    def since(self, earlier: Counters) -> Counters:
        """Returns how much each counter grew. A series that did not exist before grew from 0."""
        return Counters({series: value - earlier.values.get(series, 0.0) for series, value in self.values.items()})

    def by_labels(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Returns sums of the series of that name by the values of the given labels, without sums of 0."""
        sums: dict[tuple[str, ...], float] = {}
        for given, value in self._named(name):
            key = tuple(given.get(label, "") for label in labels)
            sums[key] = sums.get(key, 0.0) + value
        return {key: value for key, value in sums.items() if value}

    def _named(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        return ((dict(given), value) for (series, given), value in self.values.items() if series == name)


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
                    "webrtc": {"port": 0},
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

    def web(self) -> str:
        """Returns the address of the web server."""
        return f"http://127.0.0.1:{self.http_port}"

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
