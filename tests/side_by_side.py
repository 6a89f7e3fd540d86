"""All tests in as little time as two cores allow: `python -m tests.side_by_side`.

Tests that look at the clock (cameras, servers, whole daemons) mostly wait, and must not be disturbed. Beside them runs
what does not mind: first the soak, which goes on for its three minutes whatever happens, then, at the lowest priority,
the tests that mostly compute and fill the time that is left.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_HERE = Path(__file__).parent
_SOAK = str(_HERE / "test_soak.py")
_COMPUTING = [
    str(_HERE / name)
    for name in (
        "engines",
        "plugins",
        "support",
        *(f"daemon/{room}" for room in ("analyze", "commands", "config", "encode", "quantize", "render", "training")),
    )
]
_PATIENCE = "--timeout=900"
"""Seconds that one of the computing tests may take, since it waits for the others."""
_PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=12"]
_QUIETLY = [*_PYTEST, "-p", "no:cacheprovider"]


def main() -> int:
    """0 where all tests passed. What those beside say comes after the first have ended."""
    with ExitStack() as files:
        beside = {
            "the soak": _started([*_QUIETLY, _SOAK], files),
            "tests that compute": _started(["nice", "-n", "19", *_QUIETLY, _PATIENCE, *_COMPUTING], files),
        }
        try:
            _say(f"tests that look at the clock; beside them run {' and '.join(beside)}")
            ignored = [f"--ignore={path}" for path in (_SOAK, *_COMPUTING)]
            codes = [subprocess.run([*_PYTEST, *ignored, str(_HERE)], check=False).returncode]
            for name, (process, told) in beside.items():
                _say(name)
                codes.append(process.wait())
                told.seek(0)
                sys.stdout.write(told.read().decode(errors="replace"))
        finally:
            for process, _ in beside.values():
                process.terminate()
    return max(codes)


def _started(command: list[str], files: ExitStack) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    told = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 — the stack closes it
    return subprocess.Popen(command, stdout=told, stderr=told), told


def _say(what: str) -> None:
    sys.stdout.write(f"--- {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
