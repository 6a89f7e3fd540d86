"""The Containerfile builds, and its image runs as documented: not as root, with a read-only root file system and a
health check. The compose example matches it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.config.load import load
from sightd.daemon.config.plugin_entries import installed_plugins
from tests.support.containerfile import Image, NoBaseError, built, instructions
from tests.support.debian import program
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "config" / "compose"
NEEDS = ("debootstrap", "setpriv", "unshare", "chroot", "mount")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() != 0:
        pytest.skip("needs root, for chroot and mount")
    if missing := [name for name in NEEDS if shutil.which(name) is None]:
        pytest.skip(f"needs {' and '.join(missing)}")
    try:
        with built(ROOT, tmp_path_factory.mktemp("image")) as made:
            yield made
    except NoBaseError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1800)
def test_the_image_serves_without_root_from_a_read_only_root(image: Image) -> None:
    (image.root / "etc/sightd/sightd.yaml").write_text("cameras: {test: {source: 'testpattern://'}}\n")
    assert image.user == "10001:10001"
    subprocess.run(["mount", "-o", "remount,ro", str(image.root)], check=True)
    writable = [*image.volumes, "/tmp", "/run/sightd"]
    try:
        for folder in writable:
            path = str(image.root / folder.lstrip("/"))
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,uid=10001,gid=10001", "tmpfs", path], check=True)
        serve(image)
    finally:
        for folder in writable:
            subprocess.run(["umount", "--lazy", str(image.root / folder.lstrip("/"))], check=False)
        subprocess.run(["mount", "-o", "remount,rw", str(image.root)], check=True)


def serve(image: Image) -> None:
    """Runs the image in its own network namespace, where all ports are free, and checks that it becomes healthy and
    stops cleanly."""
    own_network = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    daemon = subprocess.Popen([*own_network, *image.process([*image.entrypoint, *image.command])])

    def succeeds(command: list[str]) -> bool:
        assert daemon.poll() is None, "the daemon has ended"
        entered = ["nsenter", f"--net=/proc/{daemon.pid}/ns/net", *image.process(command)]
        return subprocess.run(entered, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    try:
        eventually(lambda: succeeds(image.health), 120, "the health check fails", every=1.0)
        eventually(lambda: succeeds(["sightd", "status"]), 60, "it is not ready", every=1.0)
        owners = Path(f"/proc/{daemon.pid}/status").read_text().split("Uid:")[1].split()[:4]
        assert owners == ["10001"] * 4
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_every_file_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [words for name, arguments in instructions((ROOT / "Containerfile").read_text()) if name == "COPY"
              for words in arguments.split()[:-1]]  # fmt: skip
    assert copied
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source.partition('/')[0]}" in ignored


@pytest.fixture
def services() -> dict[str, Any]:
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    for service in document["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in document["volumes"] or (COMPOSE / source).exists(), volume
        assert set(service.get("secrets", [])) <= set(document["secrets"])
    services: dict[str, Any] = document["services"]
    return services


def test_the_compose_example_gives_sightd_what_the_image_needs(services: dict[str, Any]) -> None:
    service = services["sightd"]
    lines = list(instructions((ROOT / "Containerfile").read_text()))
    volumes = next(arguments for name, arguments in lines if name == "VOLUME").split()
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    assert service["read_only"]
    assert {*volumes, "/etc/sightd/sightd.yaml"} <= mounted
    assert {entry.partition(":")[0] for entry in service["tmpfs"]} == {"/tmp", "/run/sightd"}
    exposed = next(arguments for name, arguments in lines if name == "EXPOSE")
    assert {port.split(":")[1] for port in service["ports"]} <= {port.partition("/")[0] for port in exposed.split()}


def test_its_configuration_is_valid_and_lets_the_network_in(tmp_path: Path) -> None:
    (tmp_path / "view.token").write_text("0123456789" * 5)
    file = tmp_path / "sightd.yaml"
    file.write_text((COMPOSE / "sightd.yaml").read_text().replace("/run/secrets", str(tmp_path)))
    config = load(file, environ={}, plugins=installed_plugins()).config
    assert config.http.host == config.rtsp.host == "0.0.0.0"
    assert config.access.tokens["view"].role == "view"
    assert (config.http.port, config.rtsp.port) == (8080, 8554)


def test_its_prometheus_reads_the_rules_and_knows_where_sightd_is(tmp_path: Path, services: dict[str, Any]) -> None:
    promtool = program("promtool", "prometheus")
    for volume in services["prometheus"]["volumes"]:
        source, target, *_ = volume.split(":")
        if target.startswith("/etc/prometheus/"):
            shutil.copy(COMPOSE / source, tmp_path / Path(target).name)
    file = tmp_path / "prometheus.yml"
    checked = subprocess.run(
        [promtool, "check", "config", "--syntax-only", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    document = yaml.safe_load(file.read_text())
    assert all((tmp_path / rules).exists() for rules in document["rule_files"])
    (job,) = document["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["sightd:8080"]}]


def test_grafana_shows_the_dashboard_and_asks_nobody_for_news(services: dict[str, Any]) -> None:
    environment = services["grafana"]["environment"]
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    assert environment["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"
    (provider,) = yaml.safe_load((COMPOSE / "grafana" / "dashboards.yaml").read_text())["providers"]
    assert f"../grafana:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    (source,) = yaml.safe_load((COMPOSE / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
