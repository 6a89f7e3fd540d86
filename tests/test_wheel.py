"""The wheel is complete: installed into a separate environment, it works without this source tree, and next to packages
that have the names of our folders."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import http
from tests.support.daemon import one_object_network
from tests.support.example import EXAMPLE
from tests.support.waiting import eventually

pytestmark = pytest.mark.computing

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("daemon", "plugins", "engines")
_PYTHON_DAEMON = """\
lockfile==0.12.2 --hash=sha256:6c3cb24f344923d30b2785d5ad75182c8ea7ac1b6171b08657258ec7429d50fa
python-daemon==3.1.2 --hash=sha256:b906833cef63502994ad48e2eab213259ed9bb18d54fa8774dcba2ff7864cec6
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel from a copy of the tree, as pip does, without a network."""
    tree = tmp_path_factory.mktemp("tree")
    for name in (*_PACKAGES, "src", "config"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(_ROOT / name, tree / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(_ROOT / name, tree)
    made = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(made)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(tree)], check=True)
    (path,) = made.glob("sightd-*-py3-none-any.whl")
    return path


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns `sightd` of a fresh environment with the wheel and this environment's packages, but not its sightd."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    paths = {"base": str(environment), "platbase": str(environment)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    theirs = [path for path in sys.path if path.endswith("-packages") and Path(path).is_dir()]
    (site / "packages.pth").write_text("\n".join(theirs))  # path files in these folders are not read
    return environment / "bin" / "sightd"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    there = {
        f"sightd/{path.relative_to(_ROOT)}"
        for package in _PACKAGES
        for path in (_ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there
    assert there <= set(zipfile.ZipFile(wheel).namelist())


def test_nothing_of_ours_is_at_top_level(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.startswith("sightd-")} == {"sightd"}


@pytest.mark.network
def test_it_lives_beside_python_daemon(program: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    """python-daemon's package is called `daemon`."""
    (tmp_path / "pinned").write_text(_PYTHON_DAEMON)
    pip = [sys.executable, "-m", "pip", "--python", str(program.parent / "python"), "install", "--quiet"]
    installed = subprocess.run(
        [*pip, "--require-hashes", "-r", str(tmp_path / "pinned")], capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip(f"python-daemon could not be downloaded: {installed.stderr.splitlines()[-1]}")
    lines = "import daemon, sightd.daemon; print(daemon.DaemonContext.__module__, sightd.daemon.__file__)"
    done = subprocess.run(
        [program.parent / "python", "-c", lines], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    theirs, ours = done.stdout.split()
    assert theirs == "daemon.daemon"
    assert ours.startswith(str(program.parents[1]))


def test_a_plug_in_of_somebody_else_works_with_it(program: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(program.parent / "python"), "install", "--quiet", "--no-deps"]
    example = shutil.copytree(EXAMPLE, tmp_path / "example")
    subprocess.run([*pip, "--no-index", "--no-build-isolation", str(example)], check=True)
    for words in (["plugins", "check", "motion"], ["motion", "--help"]):
        done = subprocess.run([program, *words], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_registered_for_models_comes_with_it(program: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    lines = (
        "from sightd.engines.models.catalog import Catalog\n"
        "from sightd.plugins.configuration.registry import box_reader_for, drift_for\n"
        "readers = [box_reader_for(Catalog.load().get(name)) for name in ('yolox-nano', 'yunet', 'style26')]\n"
        "print(*(one and one.__module__ for one in readers), drift_for('detector').__module__)"
    )
    done = subprocess.run(
        [program.parent / "python", "-c", lines], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "sightd.plugins.detector.heads.registry",
        "sightd.plugins.face.yunet",
        "None",
        "sightd.plugins.detector.agreement",
    ]


def test_examples_rules_and_dashboards_come_with_it(program: Path) -> None:
    share = program.parents[1] / "share" / "sightd"
    for file in (_ROOT / "config").rglob("*.y*ml"):
        if "tests" not in file.name and "compose" not in file.parts:  # the compose example builds from a source tree
            assert (share / file.relative_to(_ROOT / "config")).read_bytes() == file.read_bytes()
    assert (share / "sightd.schema.json").exists()
    assert (share / "event.schema.json").exists()
    assert (share / "grafana" / "sightd.json").exists()


def test_nothing_of_this_tree_is_used(program: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    lines = "from sightd import daemon, plugins, engines; print(daemon.__file__, plugins.__file__, engines.__file__)"
    done = subprocess.run(
        [program.parent / "python", "-c", lines], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(program.parents[1])) for path in done.stdout.split())


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "sightd.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "cameras": {
                    "yard": {"source": "testpattern://?width=320&height=240", "chain": ["detector", "tracker"]}
                },
                "plugins": {"detector": one_object_network(tmp_path)},
                "http": {"port": 0},
                "rtsp": {"port": 0},
            }
        )
    )
    return path


def test_commands_work(program: Path, configuration: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    file = str(configuration)
    commands = (["doctor", "-c", file], ["check", file], ["plugins", "list"], ["models", "list"], ["samples", "list"])
    for arguments in commands:
        done = subprocess.run([program, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


@pytest.fixture
def address(program: Path, configuration: Path, tmp_path: Path, environ: dict[str, str]) -> Iterator[str]:
    """Yields the HTTP address of a daemon that runs from the wheel and must end cleanly."""
    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [program, "run", "-c", configuration], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert daemon.stdout is not None
        printed = iter(daemon.stdout.readline, b"")
        found = next((m for line in printed if (m := re.search(rb"http://[\d.]+:\d+(?=/metrics)", line))), None)
        assert found, (tmp_path / "log").read_text()
        yield found[0].decode()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_the_daemon_serves(address: str) -> None:
    eventually(lambda: http.get(f"{address}/readyz").status_code == 200, 60, "the daemon is not ready")
    assert http.get(f"{address}/yard.jpg").content.startswith(b"\xff\xd8")
