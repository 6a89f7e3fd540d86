"""A real daemon's events reach its sinks, also after it was killed between storing and delivering them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver, status

pytestmark = pytest.mark.waiting


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as one:
        yield one


def configuration(**sinks: Any) -> dict[str, Any]:
    return {
        "cameras": {"gate": {"source": "testpattern://", "width": 64, "height": 48, "fps": 5}},
        "rtsp": {"enabled": False},
        "delivery": {"instance": "yard", "sinks": sinks},
    }


def kinds(receiver: WebhookReceiver) -> list[str]:
    return [one.event["kind"] for one in list(receiver.requests)]


def test_events_survive_a_kill_before_their_delivery_and_a_reload_adds_a_sink(
    receiver: WebhookReceiver, tmp_path: Path
) -> None:
    receiver.usual = status(503)
    hook: dict[str, Any] = {"type": "webhook", "url": receiver.url, "kinds": ["config.*", "daemon.*"], "timeout": "60s"}
    hook["retry"] = {"initial_delay": "50ms", "max_delay": "50ms"}
    daemon = DaemonProcess(tmp_path, configuration(hook=hook))
    daemon.start()
    eventually(lambda: daemon.get("/api/v1/status").json()["sinks"][0]["pending"] >= 0)
    daemon.signal(signal.SIGHUP)
    receiver.wait_for(lambda: len(receiver.requests) > 0)
    eventually(lambda: daemon.get("/api/v1/events?kind=config.reloaded").json() != [])
    [sink] = daemon.get("/api/v1/status").json()["sinks"]
    assert (sink["name"], sink["type"], sink["state"]) == ("hook", "webhook", "retrying")
    assert "answered with status 503" in sink["fault"]
    assert "hook" not in str(daemon.readiness()), "a sink does not affect /readyz"
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    receiver.usual = status(204)
    with daemon:
        receiver.wait_for(lambda: kinds(receiver)[-3:] == ["daemon.started", "config.reloaded", "daemon.started"])
        lines = tmp_path / "events.jsonl"
        added = configuration(hook=hook, lines={"type": "jsonl", "path": str(lines)})
        daemon.path.write_text(yaml.safe_dump({"http": {"port": 0}, **added}))
        daemon.signal(signal.SIGHUP)
        eventually(lambda: lines.exists() and "config.reloaded" in lines.read_text())
        assert '"sinks":["lines"]' in lines.read_text()
        assert daemon.metric("sightd_delivery_events_total", sink="lines", outcome="delivered") >= 1
        assert daemon.get("/api/v1/delivery/hook/dead").json() == []
        retried = httpx.post(daemon.url("/api/v1/delivery/hook/retry"), json={"ids": [1]}, headers={"X-Sightd": "1"})
        assert retried.json() == {"ids": []}
        assert daemon.get("/api/v1/delivery/nowhere/dead").status_code == 404
        daemon.terminate()
    assert kinds(receiver)[-1] == "daemon.stopped"
    assert receiver.ids == sorted(receiver.ids)
    log = daemon.log
    assert "4711" not in log, "no part of the URL's query is logged"
