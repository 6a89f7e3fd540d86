"""All tests on as little time as two cores allow: `python -m tests.side_by_side`.

Tests that look at the clock (cameras, servers, whole daemons) mostly wait, and must not be disturbed. The others mostly
compute, and do not mind: they run beside them at the lowest priority, and fill the time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_COMPUTE = ("engines", "plugins", "support", *(f"daemon/{name}" for name in (
    "analyze", "commands", "config", "doctor", "encode", "metrics", "quantize", "render", "training",
)))  # fmt: skip
_PATIENCE = 600
"""Seconds that one of them may take, since it waits for the others."""
_PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    """0 where all tests of both kinds passed. What the second kind says comes after the first has ended."""
    computing = [str(_HERE / folder) for folder in _COMPUTE]
    beside = [*_PYTEST, f"--timeout={_PATIENCE}", "-p", "no:cacheprovider", *computing]
    with tempfile.TemporaryFile() as told:
        second = subprocess.Popen(beside, stdout=told, stderr=told, preexec_fn=lambda: os.nice(19))
        try:
            sys.stderr.write("tests that look at the clock (the others run beside them):\n")
            first = subprocess.run([*_PYTEST, *(f"--ignore={folder}" for folder in computing), str(_HERE)], check=False)
            sys.stderr.write("the others:\n")
            second.wait()
        finally:
            second.terminate()
        told.seek(0)
        sys.stdout.write(told.read().decode(errors="replace"))
    return first.returncode or second.returncode


if __name__ == "__main__":
    raise SystemExit(main())
