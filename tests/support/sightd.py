"""Runs `sightd` commands in the test's process, which saves a second per command over starting a process."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from sightd.daemon.cli.main import main


@dataclass(frozen=True, slots=True)
class Finished:
    """A command's output and exit code."""

    returncode: int
    stdout: str
    stderr: str


def sightd(*arguments: object) -> Finished:
    """Runs a command to its end. Arguments are converted to strings, so paths are accepted."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:  # raised by argparse
            code = stop.code if isinstance(stop.code, int) else 1
    return Finished(code, out.getvalue(), err.getvalue())
