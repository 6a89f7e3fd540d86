"""Rules, alerts and dashboard in a real Prometheus that monitors a real daemon."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.camera import need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.debian import program
from tests.support.prometheus import RULES, Prometheus
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

WITHIN = 60.0
"""Seconds for Prometheus to notice anything: it scrapes every second, on a machine that may be loaded."""
DASHBOARD = RULES.parent / "grafana" / "sightd.json"


def rules_of(file: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((RULES / file).read_text())["groups"] for rule in group["rules"]]


ALERTS = rules_of("sightd.alerts.yml")
ZONES = {
    "zones": {"all": {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]]}},
    "lines": {"middle": {"points": [[0.5, 1], [0.5, 0]]}},
}
NONE = {"enabled": False}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, Prometheus]]:
    """A daemon with one working and one unreachable camera, a viewer, and Prometheus."""
    program("prometheus", "prometheus")
    need_rtsp_server()
    folder = tmp_path_factory.mktemp("watched")
    configuration = {
        "cameras": {
            "well": {"source": "testpattern://", "width": 320, "height": 240, "fps": 25, "recording": NONE},
            "gone": {"source": "rtsp://127.0.0.1:9/x", "reconnect": {"initial_delay": "100ms", "max_delay": "100ms"}},
        },
        "chain": ["detector", "tracker", "zones"],
        "plugins": {"detector": one_object_network(folder), "zones": {"cameras": {"well": ZONES}}},
        "events": {"snapshots": {"kinds": ["zone.entered"]}},
        "recording": {"clips": {"kinds": ["zone.entered"]}, "segments": {}},
        "delivery": {"sinks": {"lines": {"type": "jsonl", "path": str(folder / "events.jsonl")}}},
    }
    with DaemonProcess(folder, configuration) as daemon:
        target = daemon.url("").removeprefix("http://")
        with Prometheus(folder, target) as prometheus, Viewer(daemon.rtsp("well")) as viewer:
            viewer.wait_for(25)
            eventually(lambda: prometheus.up, WITHIN, "the daemon scraped")
            eventually(lambda: has_data(prometheus, "sightd:frame_latency_seconds:p95"), WITHIN, "rules reckoned")
            yield daemon, prometheus


def has_data(prometheus: Prometheus, expression: str) -> bool:
    return any(not math.isnan(float(sample["value"][1])) for sample in prometheus.query(expression))


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [program("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False, cwd=RULES
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_no_fault() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "sightd.rules.yml", "sightd.alerts.yml")


@pytest.mark.slow
def test_each_alert_fires_on_made_up_series() -> None:
    tested = yaml.safe_load((RULES / "sightd.tests.yml").read_text())["tests"]
    shown = {case["alertname"] for one in tested for case in one["alert_rule_test"] if case["exp_alerts"]}
    assert shown == {rule["alert"] for rule in ALERTS}
    promtool("test", "rules", "sightd.tests.yml")


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in ALERTS:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def dashboard_queries() -> list[tuple[str, str]]:
    """Returns title and expression of each query, with the variables at "All"."""
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$instance", ".*").replace("$camera", ".*")
            found.append((panel["title"], expression.replace("$__rate_interval", "15s")))
    return found


def test_each_query_of_the_dashboard_returns_data(watched: tuple[DaemonProcess, Prometheus]) -> None:
    _, prometheus = watched
    queries = dashboard_queries()
    assert len(queries) > 25

    def without() -> list[str]:
        return [f"{title}: {expression}" for title, expression in queries if not has_data(prometheus, expression)]

    eventually(lambda: not without(), WITHIN, "data for each query")
    assert without() == []


def test_each_metric_of_rules_and_alerts_is_there(watched: tuple[DaemonProcess, Prometheus]) -> None:
    _, prometheus = watched
    text = " ".join(rule["expr"] for rule in [*rules_of("sightd.rules.yml"), *ALERTS])
    names = set(re.findall(r"\b(?:sightd|process)_[a-z_]+", text)) | {"up"}
    assert len(names) > 10
    missing = [name for name in names if not prometheus.query(name)]
    assert not missing


def test_the_dashboard_names_no_data_source_of_its_own() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    used: set[Any] = set()
    for panel in dashboard["panels"]:
        used |= {source["uid"] for one in [panel, *panel.get("targets", ())] if (source := one.get("datasource"))}
    assert used == {"${datasource}"}, "it can be imported as it is"
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_alerts_fire_on_their_faults_and_no_others(watched: tuple[DaemonProcess, Prometheus]) -> None:
    """A camera that is offline from the start; then a configuration that is rejected; then a daemon that is gone."""
    daemon, prometheus = watched
    away = {"SightdCameraDown", "SightdCameraFlapping"}
    eventually(lambda: prometheus.firing() >= away, WITHIN)
    assert prometheus.firing() - {"SightdFramesDropped"} == away, "a busy machine may leave frames out"
    [down] = prometheus.query('ALERTS{alertname="SightdCameraDown", alertstate="firing"}')
    assert down["metric"]["camera"] == "gone"
    good = daemon.path.read_text()
    daemon.path.write_text("cameras: {}\n")
    daemon.signal(signal.SIGHUP)
    eventually(lambda: "SightdConfigurationRefused" in prometheus.firing(), WITHIN)
    daemon.path.write_text(good)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: "SightdConfigurationRefused" not in prometheus.firing(), WITHIN)
    daemon.signal(signal.SIGKILL)
    eventually(lambda: "SightdDown" in prometheus.firing(), WITHIN)
