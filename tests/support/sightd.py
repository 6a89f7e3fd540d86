"""`sightd` commands in the process of the test: one that starts a process for each takes a second more."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from sightd.daemon.cli import main


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def sightd(*arguments: object) -> Finished:
    """Runs a command to its end. Paths are taken as arguments, too."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stop:  # argparse's
            code = stop.code if isinstance(stop.code, int) else 1
    return Finished(code, out.getvalue(), err.getvalue())
