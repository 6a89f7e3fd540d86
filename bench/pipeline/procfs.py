"""What the kernel says of other processes: CPU time, threads, memory. Linux."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Places in /proc/PID/stat behind the name in brackets; see proc(5)."""


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used with all its threads, ended ones too; to 10 ms."""
    return _cpu_of(Path(f"/proc/{pid}/stat"))


def cpu_by_group(pid: int) -> dict[str, float]:
    """CPU seconds of the threads that live, added up by the first word of their names; see `group_of`."""
    sums: dict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used = (task / "comm").read_text().strip(), _cpu_of(task / "stat")
        except OSError:
            continue  # it ended meanwhile
        sums[group_of(name)] += used
    return dict(sums)


def group_of(name: str) -> str:
    """The group of threads a name belongs to: "output:cam1" and "output:cam2" are both "output"."""
    for place, character in enumerate(name):
        if character in ":-_" or character.isdigit():
            return name[:place] or name
    return name


def used_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each group used from one reading to a later one, the greatest first; groups that used nothing left out."""
    used = {group: seconds - before.get(group, 0.0) for group, seconds in after.items()}
    return dict(sorted(((g, s) for g, s in used.items() if s > 0), key=lambda item: -item[1]))


def resident_mib(pid: int) -> float:
    """Memory that a process holds, MiB (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"process {pid} has no VmRSS: it has ended")


def load_average() -> float:
    """Mean number of runnable tasks of the last minute, of the whole machine."""
    return os.getloadavg()[0]


def _cpu_of(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK
