"""A package of somebody else brings a service, its routes and a command, with a running daemon and without one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support import packages
from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

ROOT = Path(__file__).parents[3]
PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 5}
TOKENS = {role: f"the-token-of-one-who-may-{role}" for role in ("view", "operate")}

NO_TALLY = {"error": "the daemon runs no tally plug-in: add tally to a chain, then `sightd reload`"}


class Site:
    """A configuration, and the package where its daemon and commands see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PYTHONPATH": str(packages.tally(folder / "packages"))}

    def configuration(self, chain: list[str], **plugins: dict[str, Any]) -> dict[str, Any]:
        return {
            "cameras": {"door": PATTERN},
            "chain": chain,
            "plugins": plugins,
            "rtsp": {"enabled": False},
            "access": {"tokens": {role: {"role": role, "token": token} for role, token in TOKENS.items()}},
        }

    def sightd(self, *words: str | Path, code: int = 0) -> str:
        """Runs a command and returns its output."""
        done = subprocess.run(
            [sys.executable, "-m", "sightd", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[DaemonProcess]:
    with DaemonProcess(site.folder, site.configuration(["tally"], tally={}), site.environ) as process:
        eventually(lambda: bool(ask(process, "GET", "view", "/readyz").json()["ready"]), 30, "daemon ready")
        yield process


def ask(daemon: DaemonProcess, method: str, role: str, path: str = "/api/v1/tally", **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKENS[role]}"}
    return httpx.request(method, daemon.url(path), headers=headers, timeout=20, **options)


def test_the_daemon_serves_it_to_those_who_may_and_the_command_asks_the_daemon(
    site: Site, daemon: DaemonProcess
) -> None:
    assert ask(daemon, "POST", "operate", json={"by": 2}).json() == {"count": 2}
    assert site.sightd("tally", "3", "-c", daemon.path) == "5 so far\n", "and says nothing of files"
    assert ask(daemon, "GET", "view").json() == {"count": 5}
    assert ask(daemon, "POST", "view", json={"by": 1}).status_code == 403
    assert httpx.get(daemon.url("/api/v1/tally")).status_code == 401
    assert (site.folder / "tally.txt").read_text() == "5"


def test_what_it_refuses_has_its_own_status_and_ends_the_command_with_1(site: Site, daemon: DaemonProcess) -> None:
    refused = ask(daemon, "POST", "operate", json={"by": 101})
    assert (refused.status_code, refused.json()) == (409, {"error": "101 is too much at once: add at most 100"})
    assert site.sightd("tally", "101", "-c", daemon.path, code=1) == (
        "sightd: 101 is too much at once: add at most 100\n"
    )
    wrong = ask(daemon, "POST", "operate", json={"by": "many"})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "by"])


def test_the_daemon_reports_where_it_keeps_its_state_and_watches_it(site: Site, daemon: DaemonProcess) -> None:
    stores = ask(daemon, "GET", "view", "/api/v1/status").json()["storage"]
    file = str(site.folder / "tally.txt")
    assert stores["plugins"] == {"tally": {"path": file, "size": None, "fault": None, "kind": "tally"}}
    assert stores["galleries"] == {}
    assert f"tally     {file} (tally)" in site.sightd("status", "-c", daemon.path)
    assert 'sightd_state_writable{store="tallies"} 1.0' in ask(daemon, "GET", "view", "/metrics").text
    assert "/api/v1/tally" in ask(daemon, "GET", "view", "/api/v1/openapi.json").json()["paths"]


def test_without_a_daemon_the_command_works_on_the_files_of_the_configuration(site: Site) -> None:
    config = site.folder / "site.yaml"
    config.write_text(yaml.safe_dump(site.configuration(["tally"], tally={})))
    working = f"sightd: no daemon is running; working on {site.folder / 'tally.txt'}\n"
    assert site.sightd("tally", "2", "-c", config) == f"2 so far\n{working}"
    assert site.sightd("tally", "-c", config) == f"2 so far\n{working}"
    assert site.sightd("tally", "101", "-c", config, code=1) == (
        f"{working}sightd: 101 is too much at once: add at most 100\n"
    )


def test_of_several_instances_one_is_chosen(site: Site) -> None:
    config = site.folder / "site.yaml"
    two = {"front": {"use": "tally", "file": "front.txt"}, "back": {"use": "tally", "file": "back.txt"}}
    config.write_text(yaml.safe_dump(site.configuration([], **two)))
    assert "the configuration has several tally plug-ins: choose with --plugin back | front" in site.sightd(
        "tally", "-c", config, code=1
    )
    assert "1 so far" in site.sightd("tally", "1", "--plugin", "back", "-c", config)
    assert (site.folder / "back.txt").read_text() == "1"
    assert "has no tally plug-in 'side', only: back, front" in site.sightd(
        "tally", "--plugin", "side", "-c", config, code=1
    )


def test_a_reload_brings_its_routes_and_takes_its_service_away(site: Site) -> None:
    with DaemonProcess(site.folder, site.configuration([]), site.environ) as daemon:
        eventually(lambda: bool(ask(daemon, "GET", "view", "/readyz").json()["ready"]), 30, "daemon ready")
        without = ask(daemon, "GET", "view")
        assert (without.status_code, without.json()) == (409, NO_TALLY)
        servers = {"rtsp": {"port": 0, "enabled": False}, "http": {"port": 0}}
        daemon.path.write_text(yaml.safe_dump({**site.configuration(["tally"], tally={}), **servers}))
        daemon.signal(signal.SIGHUP)
        eventually(lambda: ask(daemon, "GET", "view").status_code == 200, 30)
        daemon.path.write_text(yaml.safe_dump({**site.configuration([]), **servers}))
        daemon.signal(signal.SIGHUP)
        eventually(lambda: ask(daemon, "GET", "view").status_code == 409, 30)
        assert ask(daemon, "GET", "view").json() == NO_TALLY


def test_the_list_of_commands_has_it(site: Site) -> None:
    assert "\n  tally      show a number, or add to it\n" in site.sightd("--help")
    assert "usage: sightd tally [-h]" in site.sightd("tally", "--help")


def test_a_plugin_of_sightd_that_does_not_run_says_so(site: Site) -> None:
    with DaemonProcess(site.folder, site.configuration([]), site.environ) as daemon:
        answer = {"error": "the daemon runs no face plug-in: add face to a chain, then `sightd reload`"}
        eventually(lambda: ask(daemon, "GET", "operate", "/api/v1/faces").status_code == 409, 30)
        for method, path in (
            ("GET", "/api/v1/faces"),
            ("DELETE", "/api/v1/unknown-faces/7"),
            ("POST", "/api/v1/compare-faces"),
        ):
            refused = ask(daemon, method, "view", path)
            assert (refused.status_code, refused.json()) == (409, answer)
        assert httpx.get(daemon.url("/api/v1/faces")).status_code == 401
        assert ask(daemon, "GET", "operate", "/api/v1/face").status_code == 404
        assert answer["error"] in site.sightd("faces", "list", "-c", daemon.path, code=1)


def test_the_daemon_imports_only_configured_plugins(site: Site) -> None:
    environ = {**site.environ, "PYTHONPROFILEIMPORTTIME": "1"}  # logs what is imported by an import statement
    with DaemonProcess(site.folder, site.configuration(["tally"], tally={}, tracker={}), environ) as daemon:
        eventually(lambda: ask(daemon, "GET", "operate", "/api/v1/faces").status_code == 409, 30)
        imported = set(re.findall(r"\| +([\w.]+)$", daemon.log, re.MULTILINE))
    assert {"sightd.daemon.app.daemon", "sightd.plugins.tracker.motion"} <= imported
    others = tuple(f"sightd.plugins.{name}." for name in ("classifier", "detector", "face", "style"))
    assert not {module for module in imported if module.startswith(others)}
