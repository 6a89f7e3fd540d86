"""Commands of packages: found without importing anything else, and never in the way of sightd's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import packages

ROOT = Path(__file__).parents[3]
HELLO = """
from sightd.plugins.api import ApiError, Command, PluginError, UsageError
def add(parser):
    parser.add_argument("how", nargs="?", default="")
def run(args, context):
    if args.how == "usage":
        raise UsageError("that cannot be combined")
    if args.how == "plugin":
        raise PluginError("it went wrong")
    if args.how == "api":
        raise ApiError(404, "there is no such thing")
    if args.how == "missing":
        raise ApiError(503, "the model is missing")
    context.print("hello \\x1b[2J")
    context.print_json({"a": 1})
    context.print_table(("A", "B"), [("1", "2")])
    return 7
COMMAND = Command("say hello", add, run)
"""


def sightd(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sightd", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    return packages.package(tmp_path, "greeting", {"sightd.commands": {"hello": "greeting:COMMAND"}}, greeting=HELLO)


def test_a_command_prints_and_returns_its_exit_code(hello: Path) -> None:
    done = sightd(hello, "hello")
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines() == ["hello \\x1b[2J", '{"a": 1}', "A  B", "1  2"]


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("usage", 2, "that cannot be combined"),
        ("plugin", 1, "it went wrong"),
        ("api", 1, "there is no such thing"),
        ("missing", 3, "the model is missing"),
    ],
)
def test_an_error_is_reported_and_decides_the_exit_code(hello: Path, how: str, code: int, told: str) -> None:
    done = sightd(hello, "hello", how)
    assert (done.returncode, done.stderr) == (code, f"sightd: {told}\n")


def test_a_command_that_cannot_be_loaded_says_why_and_spoils_no_other(hello: Path) -> None:
    commands = {"broken": "broken:COMMAND", "gone": "gone:COMMAND", "wrong": "wrong:COMMAND"}
    packages.package(hello, "others", {"sightd.commands": commands}, broken="1 / 0", wrong="COMMAND = 3")
    listed = sightd(hello, "--help")
    told = 'command "broken" (broken:COMMAND of others 1.0) cannot be loaded: ZeroDivisionError: division by zero\n'
    assert listed.returncode == 0
    assert "  hello      say hello\n" in listed.stdout
    assert f"  broken     not available: {told}" in listed.stdout
    done = sightd(hello, "broken")
    assert (done.returncode, done.stderr) == (3, f"sightd: {told}")
    assert "ModuleNotFoundError: No module named 'gone'" in sightd(hello, "gone").stderr
    assert "is not a sightd.plugins.api.Command" in sightd(hello, "wrong").stderr
    assert sightd(hello, "hello").returncode == 7
    assert sightd(hello, "schema").returncode == 0


def test_a_command_that_cannot_declare_its_arguments_says_so(tmp_path: Path) -> None:
    source = "from sightd.plugins.api import Command\nCOMMAND = Command('fail', lambda parser: 1 / 0, None)"
    packages.package(tmp_path, "failing", {"sightd.commands": {"failing": "failing:COMMAND"}}, failing=source)
    done = sightd(tmp_path, "failing")
    assert (done.returncode, done.stderr) == (
        3,
        'sightd: command "failing" cannot declare its arguments: ZeroDivisionError: division by zero\n',
    )


def test_sightds_own_command_wins_and_the_clash_is_reported(hello: Path) -> None:
    packages.package(
        hello, "thief", {"sightd.commands": {"token": "thief:COMMAND"}}, thief="raise SystemExit('stolen')"
    )
    assert sightd(hello, "token").returncode == 0
    listed = sightd(hello, "--help")
    assert 'command "token" of thief 1.0 is not used: sightd has a command of that name' in listed.stdout


def test_of_two_packages_with_one_name_neither_is_used(hello: Path) -> None:
    packages.package(hello, "other", {"sightd.commands": {"hello": "other:COMMAND"}}, other=HELLO)
    told = 'two packages have a command "hello": greeting 1.0 and other 1.0; uninstall one of them'
    done = sightd(hello, "hello")
    assert (done.returncode, done.stderr) == (3, f"sightd: {told}\n")
    assert told in sightd(hello, "--help").stdout


def test_the_list_of_commands_imports_nothing_heavy(tmp_path: Path) -> None:
    """Not even what a package's own command module leaves for its run: everybody waits for this list."""
    code = (
        "import contextlib, sys\nfrom sightd.daemon.cli.main import main\n"
        "with contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        "print([m for m in ('numpy', 'cv2', 'pydantic', 'rich', 'sightd.plugins.face.plugin') if m in sys.modules])"
    )
    paths = {"PYTHONPATH": str(packages.tally(tmp_path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **paths}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "  tally " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
