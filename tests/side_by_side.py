"""All tests in as little time as two cores allow: `python -m tests.side_by_side`.

Tests of cameras, servers and whole daemons mostly wait. Those that look closely at the clock run in the foreground.
Beside them run, one after the other and with less priority, those that only wait for what must come: at the end the
soak, for three minutes. The tests that mostly compute have the lowest priority, and fill the time that is left.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_HERE = Path(__file__).parent
_WAITING = [
    str(_HERE / name)
    for name in (
        "daemon/test_daemon_plugin_faults.py",
        "daemon/state",
        "daemon/isolation",
        "daemon/test_secrecy.py",
        "daemon/test_daemon_mutations.py",
        "daemon/test_daemon_faces.py",
        "daemon/test_daemon_classifier.py",
        "daemon/events",
        "daemon/commands",
        "dashboards/test_alerts.py",
        "dashboards/test_alerts_of_load.py",
        "test_soak.py",
    )
]
_COMPUTING = [
    str(_HERE / name)
    for name in (
        "engines",
        "plugins",
        "support",
        "daemon/commands/test_classifier.py",
        "daemon/commands/test_style_train.py",
        *(f"daemon/{room}" for room in ("analyze", "config", "encode", "quantize", "render", "training")),
    )
]
_WAITING_AT_MOST = "--timeout=300"
_COMPUTING_AT_MOST = "--timeout=900"
"""Seconds that one of these tests may take, since it gives way to the others."""
_PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=12"]
_QUIETLY = [*_PYTEST, "-p", "no:cacheprovider"]


def main() -> int:
    """0 where all tests passed. What those beside say comes after the first have ended."""
    with ExitStack() as files:
        beside = {
            "those that wait": _started(
                ["nice", "-n", "5", *_QUIETLY, _WAITING_AT_MOST, *_ignoring(_COMPUTING), *_WAITING], files
            ),
            "those that compute": _started(["nice", "-n", "19", *_QUIETLY, _COMPUTING_AT_MOST, *_COMPUTING], files),
        }
        try:
            _say(f"tests that look at the clock; beside them run {' and '.join(beside)}")
            seen_to = _ignoring([*_WAITING, *_COMPUTING])
            codes = [subprocess.run([*_PYTEST, *seen_to, str(_HERE)], check=False).returncode]
            for name, (process, told) in beside.items():
                _say(name)
                codes.append(process.wait())
                told.seek(0)
                sys.stdout.write(told.read().decode(errors="replace"))
        finally:
            for process, _ in beside.values():
                process.terminate()
    return verdict(codes)


def verdict(codes: Sequence[int]) -> int:
    """What to exit with; a process that was killed by a signal has a code below 0."""
    return max(map(abs, codes))


def _ignoring(paths: Sequence[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths]


def _started(command: list[str], files: ExitStack) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    told = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 — the stack closes it
    return subprocess.Popen(command, stdout=told, stderr=told), told


def _say(what: str) -> None:
    sys.stdout.write(f"--- {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
