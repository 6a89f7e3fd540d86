"""The `sightd` command explains its use and returns exit codes that scripts can rely on."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from sightd.daemon.cli.main import COMMANDS, build_parser, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert all(f"  {name}" in told for name in COMMANDS)


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert all(f"  {name}" in told.out for name in COMMANDS)
    assert told.err == ""


@pytest.mark.parametrize("command", sorted([*COMMANDS, "faces"]))
def test_each_command_explains_itself_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert "example" in told
    assert f"sightd {command}" in told


def test_an_unknown_command_is_refused_with_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["rum"])
    assert stop.value.code == 2
    assert "run" in capsys.readouterr().err


def test_the_usage_line_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["rum"], ["token", "surplus"]):
        with contextlib.suppress(SystemExit):
            main(words)
        told = capsys.readouterr()
        assert "usage: sightd [-h] [--version] COMMAND ..." in told.out + told.err


def test_every_command_has_its_runner() -> None:
    parser = build_parser()
    for command, arguments in {
        "run": ["-c", "x"],
        "check": ["x"],
        "analyze": ["x"],
        "schema": [],
        "doctor": [],
    }.items():
        assert callable(parser.parse_args([command, *arguments]).run)


def test_help_does_not_load_the_heavy_libraries() -> None:
    code = (
        "import sys; from sightd.daemon.cli.main import build_parser; build_parser(['run', 'analyze', 'check']);"
        "print([m for m in ('onnxruntime', 'gi', 'av', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_clients_of_the_daemon_do_not_load_numpy() -> None:
    """They start in a tenth of a second, where NumPy and what uses it would take half of one."""
    code = (
        "import sys, sightd.plugins.face.command; from sightd.daemon.cli import command_context, reload, status;"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
