"""Reloading the configuration over HTTP."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.load import load_text
from sightd.daemon.config.model import Http
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.stub_plugins import STUBS


def refused_reload() -> Future[ConfigDiff]:
    outcome: Future[ConfigDiff] = Future()
    text = "cameras: {a: {source: 'testpattern://'}}\nplugins: {picky: {words: [yes, no]}}"
    with pytest.raises(ConfigError) as refused:
        load_text(text, Path("site.yaml"), environ={}, plugins=STUBS)
    outcome.set_exception(refused.value)
    return outcome


def test_a_refused_reload_returns_each_problem_with_its_position_and_option() -> None:
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    app = create_app(View(), metrics.exposition, 1, NO_TOKENS, refused_reload)
    server = HttpServer(Http(port=0), app)
    server.start()
    try:
        reply = httpx.post(f"http://127.0.0.1:{server.port}/api/v1/reload", headers={"X-Sightd": "1"}, timeout=20)
    finally:
        server.close()
    assert reply.status_code == 409
    assert reply.json()["problems"] == [
        {
            "file": "site.yaml",
            "line": 2,
            "column": 32,
            "path": "plugins.picky.words[1]",
            "message": "no is refused",
            "hint": "write another word",
            "name_only": False,
        }
    ]
