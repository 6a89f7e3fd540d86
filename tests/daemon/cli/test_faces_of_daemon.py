"""`sightd faces` and `sightd events` with a daemon: it does the work, on its own files, for authorised users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.control import discovery
from tests.support import media, other_user
from tests.support.daemon import DaemonProcess
from tests.support.networks import stored
from tests.support.sightd import sightd
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-of-somebody-who-may-all"


class Site:
    """A daemon with a face plug-in, whose state is separate from that of the user who runs the commands."""

    def __init__(self, folder: Path, **sections: object) -> None:
        pattern = {"source": "testpattern://", "width": 320, "height": 240, "fps": 5}
        settings = {
            "cameras": {"door": pattern},
            "chain": ["face"],
            "access": {"tokens": {"owner": {"role": "admin", "token": TOKEN}}},
            **sections,
        }
        self.folder = folder
        self.daemon = DaemonProcess(folder, settings)

    @property
    def config(self) -> Path:
        return self.daemon.path

    def sightd(self, *arguments: str | Path, code: int = 0) -> str:
        """Runs a command for this daemon and returns its output."""
        done = sightd(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    for name in ("yunet", "sface"):
        stored(name)
    made = Site(tmp_path_factory.mktemp("site"))
    with made.daemon:
        eventually(lambda: bool(made.daemon.get("/healthz").status_code == 200), 15)
        yield made


def test_the_daemon_knows_who_was_enrolled_and_its_own_gallery_holds_them(site: Site, tmp_path: Path) -> None:
    of = ("-c", site.config)
    assert site.sightd("faces", "add", "Ada", media.path("astronaut.png"), *of) == (
        "+ astronaut.png: enrolled, quality 1.00\nAda: 1 face\n"
    )
    token = tmp_path / "token"
    token.write_text(TOKEN)
    elsewhere = ("--url", site.daemon.url(""), "--token-file", token)
    listed = json.loads(site.sightd("faces", "list", "--json", *elsewhere))
    assert [(one["name"], one["faces"]) for one in listed] == [("Ada", {"sface": 1})]
    assert (site.folder / "state" / "faces.db").exists()
    assert "astronaut.png  sface" in site.sightd("faces", "show", "ada", *of)
    export = tmp_path / "all.json"
    assert "1 person in" in site.sightd("faces", "export", export, *of)
    assert site.sightd("faces", "remove", "ada", *of) == "removed Ada\n"
    assert site.sightd("faces", "import", export, *elsewhere) == "1 new person, 1 new face\n"
    assert "Ada was forgotten" in site.sightd("faces", "forget", "ADA", *of)
    assert "nobody is enrolled as" in site.sightd("faces", "show", "Ada", *of, code=1)


def test_photographs_of_one_command_are_judged_together(site: Site) -> None:
    photos = [media.path(name) for name in ("astronaut.png", "single_face.jpg", "coffee.png")]
    lines = site.sightd("faces", "add", "Two", *photos, "-c", site.config, code=1).splitlines()
    assert lines[2].startswith("- coffee.png: no face was found")
    unlike = [" does not look like the other photos" in line for line in lines[:2]]
    assert unlike == [True, True], "of two who are unlike nobody can tell who is meant"
    site.sightd("faces", "add", "One", photos[0], "-c", site.config)
    told = site.sightd("faces", "add", "One", photos[1], "-c", site.config, code=1)
    assert "does not look like the 1 enrolled" in told
    site.sightd("faces", "forget", "One", "-c", site.config)


def test_what_is_compared_calibrated_and_unknown(site: Site, tmp_path: Path) -> None:
    of = ("-c", site.config)
    one = media.path("astronaut.png")
    assert "the same person" in site.sightd("faces", "compare", one, one, *of)
    assert "coffee.png: no face found" in site.sightd("faces", "compare", one, media.path("coffee.png"), *of, code=1)
    assert site.sightd("faces", "calibrate", *of).startswith("0 persons, ")
    assert site.sightd("faces", "see-again", *of) == "0 faces re-embedded by sface\n"
    assert "no unknown people were seen" in site.sightd("faces", "unknown", "list", *of)
    assert "there is no unknown person 3" in site.sightd("faces", "unknown", "forget", "3", *of, code=1)
    assert site.sightd("faces", "unknown", "forget", "--all", *of) == "forgot 0\n"
    assert "there is no unknown person 3" in site.sightd(
        "faces", "unknown", "picture", "3", tmp_path / "a.png", *of, code=1
    )
    assert "no face plug-in 'yard', only: face" in site.sightd("faces", "list", "--plugin", "yard", *of, code=1)


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(site: Site, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate((32 << 20) + 1)
    assert "larger than 32 MiB" in site.sightd("faces", "add", "Eve", large, "-c", site.config, code=1)


def test_with_no_daemon_the_files_of_its_configuration_are_used_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "site.yaml"
    config.write_text("plugins: {face: {gallery: mine.db}}\nevents: {path: none.db}\n")
    assert main(["faces", "list", "-c", str(config)]) == 0
    assert f"sightd: no daemon is running; working on {tmp_path / 'mine.db'}\n" in capsys.readouterr().err
    assert main(["events", "-c", str(config)]) == 1
    assert f"journal {tmp_path / 'none.db'}" in capsys.readouterr().err


def test_events_are_followed_also_over_a_restart_of_the_daemon(site: Site, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    command = [sys.executable, "-m", "sightd", "events", "-c", str(site.config), "--json", "--follow"]
    with shown.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL, env=os.environ)
    try:

        def starts() -> int:
            return sum(json.loads(line)["kind"] == "daemon.started" for line in shown.read_text().splitlines())

        eventually(lambda: starts() == 1, 60)
        site.daemon.signal(signal.SIGKILL)
        site.daemon.exit_code()
        site.daemon.close()
        site.daemon.start()
        eventually(lambda: starts() == 2, 60)
        ids = [json.loads(line)["id"] for line in shown.read_text().splitlines()]
        assert ids == sorted(set(ids)), "none twice, none out of order"
    finally:
        process.terminate()
        process.wait(10)


def test_events_of_a_daemon_by_camera_kind_and_time(site: Site) -> None:
    of = ("events", "-c", site.config, "--json")
    lines = site.sightd(*of, "--kind", "camera.up", "--since", "1h").splitlines()
    assert {(json.loads(line)["kind"], json.loads(line)["camera"]) for line in lines} == {("camera.up", "door")}
    assert site.sightd(*of, "--camera", "yard") == ""
    assert site.sightd(*of, "--since", "1us") == ""


class Service:
    """An installed service that is not running."""

    def __init__(self, folder: Path) -> None:
        self.config, self.state = folder / "sightd.yaml", folder / "state"
        self.state.mkdir(mode=0o700)
        self.config.write_text("cameras: {a: {source: 'testpattern://'}}\nplugins: {face: {}}\n")
        (folder / "sightd.service").write_text(
            f'[Service]\nExecStart=/opt/sightd/.venv/bin/sightd run -c "{self.config}"\nDynamicUser=yes\n'
        )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    found = Service(tmp_path)
    monkeypatch.setattr("sightd.daemon.control.discovery.UNIT_FOLDER", tmp_path)
    monkeypatch.setattr("sightd.daemon.control.discovery.STATE", found.state)
    monkeypatch.setattr(discovery, "SERVICE_SOCKET", tmp_path / "control.sock")
    return found


def test_with_the_service_stopped_its_state_is_used_and_stays_its_users(
    installed: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    other_user.need_root()
    os.chown(installed.state, other_user.UID, other_user.GID)
    for which in ([], ["-c", str(installed.config)]):
        assert main(["faces", "list", *which]) == 0
        assert f"no daemon is running; working on {installed.state / 'faces.db'}" in capsys.readouterr().err
    for file in installed.state.iterdir():
        assert (file.stat().st_uid, file.stat().st_gid) == (other_user.UID, other_user.GID), file
    assert main(["events"]) == 1
    assert f"journal {installed.state / 'events.db'}" in capsys.readouterr().err


def test_a_state_directory_that_the_unit_names_wins(
    installed: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sightd.service.d").mkdir()
    (tmp_path / "sightd.service.d" / "override.conf").write_text(
        f'[Service]\nEnvironment="SIGHTD_STATE_DIR={tmp_path / "a b"}" OTHER=1\n'
    )
    assert main(["faces", "list"]) == 0
    assert f"working on {tmp_path / 'a b' / 'faces.db'}" in capsys.readouterr().err
