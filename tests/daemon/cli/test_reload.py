"""`sightd reload` reports what changed, or why nothing did."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sightd.daemon.cli.doctor import served_ports
from sightd.daemon.cli.reload import summary
from tests.support.certificates import self_signed
from tests.support.daemon import DaemonProcess
from tests.support.sightd import sightd
from tests.support.waiting import eventually

PATTERN = {"source": "testpattern://", "width": 320, "height": 240, "fps": 5}
TOKEN = "a-token-of-somebody-who-may-all"
OWNER = {"role": "admin", "token": TOKEN}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    settings = {
        "cameras": {"a": PATTERN},
        "access": {"tokens": {"owner": OWNER, "wall": {"role": "view", "token": TOKEN[::-1]}}},
    }
    with DaemonProcess(tmp_path_factory.mktemp("reload"), settings) as process:
        yield process


def test_what_changed_is_reported_and_what_takes_a_restart(daemon: DaemonProcess) -> None:
    settings = yaml.safe_load(daemon.path.read_text())
    daemon.path.write_text(
        yaml.safe_dump({**settings, "cameras": {"a": PATTERN, "b": PATTERN}, "events": {"most": 500}})
    )
    done = sightd("reload", "-c", daemon.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "cameras added: b\ntake effect only after a restart: events\n"
    daemon.path.write_text(yaml.safe_dump(settings))
    assert json.loads(sightd("reload", "-c", daemon.path, "--json").stdout)["removed"] == ["b"]
    assert sightd("reload", "-c", daemon.path).stdout == "nothing changed\n"


def test_renewed_certificates_are_used_for_new_connections(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    settings = {"cameras": {"a": PATTERN}, "rtsp": {"port": 0, "tls": pair}, "http": {"port": 0, "tls": pair}}
    process = DaemonProcess(tmp_path, settings)
    process.spawn()
    try:
        eventually(lambda: sightd("status", "-c", process.path).returncode == 0, 60, every=0.2)
        ports = served_ports(process.path)
        before = {section: ssl.get_server_certificate(("127.0.0.1", port)) for section, port in ports.items()}
        assert sightd("reload", "-c", process.path).stdout == "nothing changed\n"
        old = {name: Path(path).read_bytes() for name, path in pair.items()}
        self_signed(tmp_path)
        Path(pair["key"]).write_bytes(old["key"])
        refused = sightd("reload", "-c", process.path)
        assert refused.returncode == 2
        assert "rtsp.tls.key: does not belong to the certificate" in refused.stderr
        for section, port in ports.items():
            assert ssl.get_server_certificate(("127.0.0.1", port)) == before[section]
        self_signed(tmp_path)
        assert sightd("reload", "-c", process.path).stdout == "certificates renewed: rtsp, http\n"
        for port in ports.values():
            assert ssl.get_server_certificate(("127.0.0.1", port)) == Path(pair["certificate"]).read_text()
        assert sightd("reload", "-c", process.path).stdout == "nothing changed\n"
    finally:
        process.close()


def test_a_certificate_of_another_name_takes_a_restart(tmp_path: Path) -> None:
    pair, moved = self_signed(tmp_path), tmp_path / "moved"
    moved.mkdir()
    settings = {"cameras": {"a": PATTERN}, "rtsp": {"port": 0, "enabled": False}, "http": {"port": 0, "tls": pair}}
    process = DaemonProcess(tmp_path, settings)
    process.spawn()
    try:
        eventually(lambda: sightd("status", "-c", process.path).returncode == 0, 60, every=0.2)
        settings = yaml.safe_load(process.path.read_text())
        settings["http"]["tls"] = self_signed(moved)
        for path in pair.values():
            Path(path).unlink()
        process.path.write_text(yaml.safe_dump(settings))
        done = sightd("reload", "-c", process.path)
        assert (done.returncode, done.stdout) == (0, "take effect only after a restart: http\n")
    finally:
        process.close()


def test_a_file_with_faults_is_refused_with_their_lines(daemon: DaemonProcess) -> None:
    before = daemon.path.read_text()
    daemon.path.write_text(before.replace("fps: 5", "fsp: 5"))
    done = sightd("reload", "-c", daemon.path)
    daemon.path.write_text(before)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(rf'{daemon.path}:\d+:\d+: cameras\.a\.fsp: unknown option; did you mean "fps"', done.stderr)
    assert done.stderr.endswith("sightd: the configuration was rejected; nothing was changed\n")


def test_a_daemon_elsewhere_takes_a_token_with_the_role(daemon: DaemonProcess, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert sightd("reload", "--url", daemon.url(""), "--token-file", file).stdout == "nothing changed\n"
    for token, why in ((TOKEN[::-1], 'requires the role "admin"'), ("x" * 24, "not in access.tokens")):
        file.write_text(token)
        done = sightd("reload", "--url", daemon.url(""), "--token-file", file)
        assert done.returncode == 1
        assert why in done.stderr
        assert token not in done.stderr


def test_without_a_daemon_that_is_said(tmp_path: Path) -> None:
    done = sightd("reload", "-c", tmp_path / "none.yaml")
    assert done.returncode == 3
    assert "no sightd daemon runs with" in done.stderr
    done = sightd("reload", "--url", "http://127.0.0.1:9")
    assert (done.returncode, "no sightd daemon answers at http://127.0.0.1:9" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--url", "http://me:secret@box"], "--token-file"),
        (["--url", "ftp://box"], "--url requires a URL"),
        (["--token-file", "x"], "require --url"),
        (["--url", "http://box", "-c", "x"], "one of -c, --socket and --url"),
        (["--url", "http://box", "--token-file", "/nonexistent"], "No such file"),
        (["--url", "http://box", "--token-file", "/dev/zero"], "contains no token"),
    ],
)
def test_options_that_cannot_be_meant(arguments: list[str], why: str) -> None:
    done = sightd("reload", *arguments)
    assert done.returncode == 2
    assert why in done.stderr
    assert "secret" not in done.stderr


def test_no_list_is_empty() -> None:
    assert summary({"added": [], "changed": ["a", "b"], "restart": []}) == "cameras changed: a, b"
