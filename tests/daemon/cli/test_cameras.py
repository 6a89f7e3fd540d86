"""`sightd cameras` finds and tries cameras, without a daemon in its own process, and moves them by the daemon's API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.onvif import discovery
from sightd.daemon.onvif.discovery import FoundDevice
from tests.daemon.serve.http.test_routes_ptz import Site
from tests.support.onvif_camera import OnvifCamera

pytestmark = pytest.mark.waiting

FOUND = FoundDevice("10.0.0.7", "http://10.0.0.7/onvif/device_service", "Front door", "", "")


@pytest.fixture(autouse=True)
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[list[str]]:
    """Yields the options that select a daemon with the camera "gate"."""
    (tmp_path / "token").write_text("admin" * 16)
    with OnvifCamera() as camera:
        site = Site(camera)
        yield ["--url", f"http://127.0.0.1:{site.server.port}", "--token-file", str(tmp_path / "token")]
        site.server.close()
        site.manager.close()


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(discovery, "discover", lambda seconds, names: [FOUND] if names == ["lo"] else [])
    assert main(["cameras", "discover", "--interface", "lo"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["10.0.0.7", "Front", "door", "-", "-", FOUND.address]
    assert main(["cameras", "discover", "--interface", "lo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "Front door"
    assert main(["cameras", "discover"]) == 1
    assert "no ONVIF camera answered" in capsys.readouterr().out


def test_an_interface_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "discover", "--interface", "eth77"]) == 2
    assert "no interface 'eth77'" in capsys.readouterr().err


def test_an_onvif_device_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OnvifCamera(clock_offset=-3600.0) as camera:
        (tmp_path / "pw").write_text(camera.password + "\n")
        options = ["--user", camera.username, "--password-file", str(tmp_path / "pw")]
        assert main(["cameras", "probe", f"127.0.0.1:{camera.port}", *options]) == 0
        shown = capsys.readouterr().out
        assert main(["cameras", "probe", f"127.0.0.1:{camera.port}"]) == 1
    assert re.match(r"Example Dome 4, firmware 1\.2\nits clock differs by -(3599|360[01]) s\n", shown)
    assert "rtsp://127.0.0.1:554/cam0?profile=main" in shown
    assert camera.password not in shown
    assert "login refused: the camera rejected user and password" in capsys.readouterr().err


def test_a_stream_is_described_and_its_picture_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "seen.jpg"
    assert main(["cameras", "probe", "testpattern://", "--picture", str(picture)]) == 0
    assert capsys.readouterr().out.startswith("video 1280x720, 2")
    image = cv2.imread(str(picture))
    assert image is not None
    assert image.shape == (720, 1280, 3)


def test_a_camera_is_moved(site: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "ptz", *site, "gate", "preset", "Gate"]) == 0
    assert main(["cameras", "ptz", *site, "gate", "add-preset", "Corner"]) == 0
    assert main(["cameras", "ptz", *site, "gate"]) == 0
    shown = capsys.readouterr().out
    assert "position: pan 0.50, tilt 0.00, zoom 0.00" in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [["1", "Gate"], ["2", "Corner"]]
    for words in (
        ["move", "--pan", "0.5", "--seconds", "0.1"],
        ["stop"],
        ["home"],
        ["set-home"],
        ["remove-preset", "1"],
    ):
        assert main(["cameras", "ptz", *site, "gate", *words]) == 0
    assert main(["cameras", "ptz", *site, "gate", "preset", "Gate"]) == 2
    assert "there is no preset 'Gate'; there are: Corner" in capsys.readouterr().err


def test_without_a_daemon_nothing_moves(site: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "ptz", "gate", "stop"]) == 3
    assert main(["cameras", "ptz", *site, "yard", "stop"]) == 1
    assert "cannot be moved" in capsys.readouterr().err
