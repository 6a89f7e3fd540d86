"""CPU time, threads and memory of other processes, from /proc. Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Field indices in /proc/PID/stat after the name in brackets; see proc(5)."""


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time in s used by a process with all its threads, including ended ones; resolution 10 ms."""
    return _cpu_of(Path(f"/proc/{pid}/stat"))


def cpu_by_group(pid: int) -> dict[str, float]:
    """Returns CPU seconds of the live threads, summed by the first word of their names; see `group_of`."""
    sums: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used = (task / "comm").read_text().strip(), _cpu_of(task / "stat")
        except OSError:
            continue  # the thread has ended
        sums[group_of(name)] += used
    return dict(sums)


def group_of(name: str) -> str:
    """Returns the group of a thread name: "output:cam1" and "output:cam2" are both "output"."""
    for place, character in enumerate(name):
        if character in ":-_" or character.isdigit():
            return name[:place] or name
    return name


def used_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Returns the CPU seconds each group used between two readings, largest first, without groups that used none."""
    used = {group: seconds - before.get(group, 0.0) for group, seconds in after.items()}
    return dict(sorted(((g, s) for g, s in used.items() if s > 0), key=lambda item: -item[1]))


def resident_mib(pid: int) -> float:
    """Returns the resident memory of a process in MiB (VmRSS). Raises OSError if the process has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"process {pid} has no VmRSS: it has ended")


def load_average() -> float:
    """Returns the mean number of runnable tasks of the whole machine over the last minute."""
    return os.getloadavg()[0]


def _cpu_of(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK
