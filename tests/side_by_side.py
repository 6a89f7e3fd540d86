"""Runs the whole suite in three lanes at once: `python -m tests.side_by_side`.

Tests of cameras, servers and whole daemons mostly wait, so two cores can do more than one thing. A test's marks choose
its lane; a new test needs none unless it belongs to a lane other than the first:

- no mark: the test may measure time precisely. It runs in the foreground, one at a time.
- `waiting`: it waits for events, however long they take. Runs next to the foreground, at a lower priority.
- `computing`: it needs CPU and measures no time. Runs at the lowest priority. A test with both marks runs here.

A folder marks its tests in its conftest.py, a module by `pytestmark`: each lane imports only the files that name its
mark (`tests.support.lane_files`). Tests marked `slow` or `systemd` are left out.
At the end one table lists everything that did not run, and the run fails if any other test was not run exactly once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.lane_files import FOREGROUND
from tests.support.outcomes import Outcomes

TESTS = Path(__file__).parent
LEFT_OUT: Mapping[str, str] = {
    "slow": "`.ci/run`, or `.venv/bin/python -m pytest -m slow`",
    "systemd": "`make test-systemd`, as root",
}
"""Marks of the tests that this command does not run, and the commands that run them."""


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    marks: str
    """Expression that selects its tests."""
    niceness: int
    timeout: int
    """Seconds a test may take; lanes with lower priority need more."""

    def command(self, folder: Path, outcomes: Path) -> list[str]:
        marks = " and ".join([*(f"not {mark}" for mark in LEFT_OUT), self.marks])
        plugins = ["-p", "tests.support.outcomes", "-p", "tests.support.lane_files", "-p", "no:cacheprovider"]
        options = [f"--outcomes={outcomes}", f"--lane={self.name}", f"--timeout={self.timeout}", "--durations=12"]
        pytest = [sys.executable, "-m", "pytest", "-q", *plugins, *options, "-m", marks, str(folder)]
        return ["nice", "-n", str(self.niceness), *pytest]


LANES = (
    Lane(FOREGROUND, "not waiting and not computing", niceness=0, timeout=120),
    Lane("waiting", "waiting and not computing", niceness=5, timeout=300),
    Lane("computing", "computing", niceness=19, timeout=900),
)


def main(folder: Path = TESTS) -> int:
    """Returns 0 if all tests passed. Prints the output of the background lanes after that of the foreground."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as files:
        written = [Path(scratch) / f"{lane.name}.json" for lane in LANES]
        commands = [lane.command(folder, path) for lane, path in zip(LANES, written, strict=True)]
        environ = with_compiled_modules(os.environ, Path(scratch))
        background = [_start(command, environ, files) for command in commands[1:]]
        try:
            _print(f"--- {LANES[0].name}; {' and '.join(lane.name for lane in LANES[1:])} run beside it")
            codes = [subprocess.run(commands[0], env=environ, check=False).returncode]
            for lane, (process, output) in zip(LANES[1:], background, strict=True):
                _print(f"--- {lane.name}")
                codes.append(process.wait())
                output.seek(0)
                sys.stdout.write(output.read().decode(errors="replace"))
        finally:
            for process, _ in background:
                process.terminate()
        outcomes = [Outcomes.read(path) for path in written]
    for lane, outcome in zip(LANES, outcomes, strict=True):
        _print(f"{lane.name}: {', '.join(f'{count} {name}' for name, count in outcome.counts.items()) or 'died'}")
    _print(table_of_skips(outcomes))
    wrong = not_run_once(outcomes)
    for line in wrong:
        _print(f"ERROR: {line}")
    return verdict([*codes, int(bool(wrong))])


def verdict(codes: Sequence[int]) -> int:
    """Returns the exit code of the whole run. A process killed by a signal has a negative code."""
    return max(map(abs, codes))


def not_run_once(outcomes: Iterable[Outcomes]) -> list[str]:
    """Returns a message for each test that no lane ran, or that ran more than once."""
    collected: dict[str, list[str]] = {}
    ran = Counter[str]()
    for outcome in outcomes:
        collected.update(outcome.collected)
        ran.update(outcome.ran)
    wanted = {test for test, marks in collected.items() if not LEFT_OUT.keys() & set(marks)}
    return [
        *(f"no lane ran {test}" for test in sorted(wanted - ran.keys())),
        *(f"{test} ran {times} times" for test, times in sorted(ran.items()) if times > 1),
    ]


def table_of_skips(outcomes: Iterable[Outcomes]) -> str:
    """Returns a table of all tests that did not run, grouped by reason."""
    reasons: dict[str, str] = {}
    collected: dict[str, list[str]] = {}
    for outcome in outcomes:
        reasons.update(outcome.skipped)
        collected.update(outcome.collected)
    rows = Counter(reasons.values())
    for mark, how in LEFT_OUT.items():
        if count := sum(mark in marks for marks in collected.values()):
            rows[f"marked {mark}: run by {how}"] = count
    lines = [f"--- not run here: {sum(rows.values())} tests"]
    for reason, count in rows.most_common():
        lines += textwrap.wrap(reason, 112, initial_indent=f"{count:5}  ", subsequent_indent=" " * 7)
    return "\n".join(lines)


def with_compiled_modules(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Returns the environment of the tests. If Python may not write bytecode next to the sources, it goes to `folder`:
    the tests start hundreds of processes, and each of them would compile every module again."""
    changed = dict(environ)
    if changed.pop("PYTHONDONTWRITEBYTECODE", ""):
        changed.setdefault("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
    return changed


def _start(
    command: list[str], environ: Mapping[str, str], files: ExitStack
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    output = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 — the stack closes it
    return subprocess.Popen(command, env=environ, stdout=output, stderr=output), output


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
