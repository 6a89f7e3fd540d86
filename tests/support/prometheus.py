"""A real Prometheus that scrapes one daemon every second, with the rules of `config/prometheus`."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from tests.support import http
from tests.support.debian import program

RULES = Path(__file__).parents[2] / "config" / "prometheus"


class Prometheus:
    """Runs Prometheus; a context manager. Alerts fire at once because their `for` is removed."""

    def __init__(self, folder: Path, target: str, *, hurried: bool = False) -> None:
        """`target` is the daemon's "host:port". `hurried`: rules look back ten seconds instead of minutes or hours, and
        wait only that long after a start."""
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        for file in ("sightd.rules.yml", "sightd.alerts.yml"):
            text = re.sub(r"^ +for: .*\n", "", (RULES / file).read_text(), flags=re.MULTILINE)
            (folder / file).write_text(_hurried(text) if hurried else text)
        configuration = yaml.safe_load((RULES / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._process: subprocess.Popen[bytes] | None = None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the samples of an instant query. Raises httpx.HTTPStatusError if Prometheus is not ready, and
        AssertionError if the query fails."""
        response = http.get(f"http://{self.address}/api/v1/query", params={"query": expression}, timeout=10)
        if response.status_code == 503:  # its answer while it starts is no JSON
            response.raise_for_status()
        answer = response.json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def query_range(self, expression: str, since: float, until: float) -> list[dict[str, Any]]:
        """Returns the series of a range query, one sample per second; `since` and `until` are Unix times in s. Raises
        AssertionError if the query fails."""
        asked = {"query": expression, "start": str(since), "end": str(until), "step": "1"}
        answer = http.get(f"http://{self.address}/api/v1/query_range", params=asked, timeout=10).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Returns the names of the firing alerts."""
        return {sample["metric"]["alertname"] for sample in self.query('ALERTS{alertstate="firing"}')}

    @property
    def up(self) -> bool:
        try:
            return bool(self.query("up == 1"))
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Prometheus:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus", "prometheus"),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'tsdb'}",
                    f"--web.listen-address={self.address}",
                ],
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(15)


def _hurried(rules: str) -> str:
    return re.sub(r"\[\d+[mh]\]", "[10s]", rules).replace("> 7200", "> 10")
