"""Commands end with the right exit code and without a traceback in any environment: closed or full standard streams, an
encoding other than UTF-8, no home directory, an unwritable folder, Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from sightd.daemon.cli.main import COMMANDS
from tests.support import http
from tests.support.waiting import eventually

pytestmark = [pytest.mark.computing, pytest.mark.slow]  # starts many processes

_ROOT = Path(__file__).resolve().parents[3]
_SIGHTD = (sys.executable, "-m", "sightd")
_NOBODY = 54321
"""A user ID that no machine has."""
_NAME = os.fsdecode(b"caf\xe9")
"""A name that is not UTF-8."""

PRINTING: Mapping[str, list[str]] = {
    "run": ["run", "--help"],
    "check": ["check", "sightd.yaml"],
    "status": ["status", "--help"],
    "reload": ["reload", "--help"],
    "service": ["service", "--help"],
    "analyze": ["analyze", "--help"],
    "models": ["models", "list"],
    "engine": ["engine", "list"],
    "events": ["events", "--help"],
    "rules": ["rules", "--help"],
    "clips": ["clips", "list", "-c", "sightd.yaml"],
    "cameras": ["cameras", "--help"],
    "delivery": ["delivery", "list"],
    "faces": ["faces", "list", "--json"],
    "style": ["style", "list"],
    "classifier": ["classifier", "train", "--help"],
    "detector": ["detector", "train", "--help"],
    "label": ["label", "--help"],
    "samples": ["samples", "list"],
    "plugins": ["plugins", "list"],
    "doctor": ["doctor", "--json"],
    "token": ["token"],
    "schema": ["schema"],
}
"""Commands that print to standard output and succeed."""
_SOME = ("check", "models", "plugins", "doctor")
"""Commands that print in different ways: a line, our own table, paragraphs, JSON."""

NAMING: Mapping[str, list[str]] = {
    "run": ["run", "-c", _NAME],
    "check": ["check", _NAME],
    "status": ["status", "--socket", _NAME],
    "reload": ["reload", "--socket", _NAME],
    "analyze": ["analyze", _NAME],
    "models": ["models", "info", _NAME],
    "engine": ["engine", "build", _NAME],
    "events": ["events", "--journal", _NAME],
    "rules": ["rules", "test", _NAME, "-c", _NAME],
    "clips": ["clips", "list", "-c", _NAME],
    "cameras": ["cameras", _NAME],
    "delivery": ["delivery", "list", _NAME],
    "faces": ["faces", "compare", _NAME, _NAME],
    "style": ["style", "sheet", _NAME, "--out", _NAME],
    "classifier": ["classifier", "train", _NAME],
    "detector": ["detector", _NAME],
    "label": ["label", "list", _NAME],
    "samples": ["samples", "fetch", _NAME],
    "plugins": ["plugins", "options", _NAME],
    "doctor": ["doctor", "-c", _NAME],
    "token": [_NAME],
    "schema": [_NAME],
    "service": ["service", "install", "-c", _NAME, "--print"],
}
"""Commands that name something that does not exist."""

_PLAIN_ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    camera = {"source": "testpattern://?width=320&height=240", "title": "Größe – 2"}
    (tmp_path / "sightd.yaml").write_text(
        yaml.safe_dump({"cameras": {"hall": camera}, "rtsp": {"enabled": False}}), encoding="utf-8"
    )
    return tmp_path


def sightd(
    arguments: list[str], folder: Path, redirections: str = "", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs sightd from a shell with `redirections`."""
    command = shlex.join([*_SIGHTD, *arguments])
    return subprocess.run(
        ["sh", "-c", f"{command} {redirections}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "XDG_RUNTIME_DIR": str(folder), **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
    )


def test_every_command_is_in_both_tables() -> None:
    assert {*COMMANDS, "faces"} == set(NAMING) == set(PRINTING), "faces is the command of a plug-in"


@pytest.mark.parametrize("name", _SOME)
@pytest.mark.parametrize(
    ("streams", "reason"),
    [(">/dev/full", "No space left on device"), ("<&- >&-", "Bad file descriptor")],
    ids=["full", "closed"],
)
def test_what_cannot_be_printed_is_a_failure_in_one_line(name: str, streams: str, reason: str, folder: Path) -> None:
    done = sightd(PRINTING[name], folder, streams)
    assert done.stderr.splitlines()[-1] == f"standard output cannot be written: {reason}"
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("name", PRINTING)
def test_without_any_stream_a_command_ends_in_order_and_prints_into_no_file(name: str, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert sightd(PRINTING[name], folder, "<&- >&- 2>&-").returncode == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"], ids=["closed", "full"])
def test_errors_that_cannot_be_printed_leave_output_and_exit_code_as_they_are(streams: str, folder: Path) -> None:
    for arguments in (["models", "list"], ["models", "info", "no-such-model"]):
        done, expected = sightd(arguments, folder, streams), sightd(arguments, folder)
        assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout)


def test_a_reader_who_leaves_is_no_fault_to_report(folder: Path) -> None:
    assert sightd(["schema"], folder, "| true").stderr == ""


@pytest.mark.parametrize("name", NAMING)
def test_a_name_that_is_not_utf_8_is_refused_in_words_in_any_locale(name: str, folder: Path) -> None:
    done = sightd(NAMING[name], folder, environ=_PLAIN_ASCII)
    assert done.returncode in (1, 2, 3)
    assert "Traceback" not in done.stderr
    assert "caf" in done.stderr


@pytest.mark.parametrize("name", _SOME)
def test_characters_that_the_locale_lacks_are_escaped(name: str, folder: Path) -> None:
    done = sightd(PRINTING[name], folder, environ=_PLAIN_ASCII | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
@pytest.mark.parametrize("name", PRINTING)
def test_a_user_without_a_home_is_served_or_gets_a_hint_what_to_set(name: str, folder: Path) -> None:
    done = subprocess.run(
        [*_SIGHTD, *PRINTING[name]],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.returncode == 2
        assert "has no home directory; set SIGHTD_" in done.stderr or "sightd.yaml: cannot be read" in done.stderr


@pytest.mark.parametrize(
    "moment",
    [
        "sightd.daemon.common.streams",
        "argparse",
        "sightd.daemon.cli.main",
        "sightd.daemon.tools.doctor.checks",
        "numpy",
        "cv2",
    ],
)
def test_ctrl_c_in_the_first_moments_ends_it_without_a_traceback(moment: str, folder: Path) -> None:
    """Each imported module is reported to standard error, which shows how far the start has got."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-X", "importtime", "-m", "sightd", "doctor"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "XDG_RUNTIME_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as reports:
        for report in reports:
            if report.split("|")[-1].strip() == moment:
                break
        else:
            pytest.fail(f"{moment} was never imported")
        process.send_signal(signal.SIGINT)
        rest = reports.read()
    assert "Traceback" not in rest
    assert process.wait(30) in (130, -signal.SIGINT)


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "</dev/null >/dev/full 2>/dev/full"], ids=["closed", "full"])
def test_the_daemon_serves_without_standard_streams(streams: str, folder: Path) -> None:
    file, port = folder / "sightd.yaml", free_port()
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text("utf-8")), "http": {"port": port}}))
    command = shlex.join([*_SIGHTD, "run", "-c", str(file)])
    environ = {
        **os.environ,
        "PYTHONPATH": str(_ROOT),
        "SIGHTD_STATE_DIR": str(folder / "state"),
        "XDG_RUNTIME_DIR": str(folder),
    }
    daemon = subprocess.Popen(["sh", "-c", f"exec {command} {streams}"], env=environ)
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/readyz"), 60, "the daemon is not ready")
        daemon.terminate()
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()


def answers(url: str) -> bool:
    try:
        return http.get(url, timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    """A fixed port is needed because the daemon cannot print the one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
