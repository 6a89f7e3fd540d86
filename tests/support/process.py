"""What a process takes, as the kernel tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """`memory` in MiB that are resident, without what is mapped from files."""

    memory: float
    threads: int
    descriptors: int


def sample(pid: int) -> Sample:
    """Of this moment."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    memory = int(fields["RssAnon"].split()[0]) / 1024
    return Sample(memory, int(fields["Threads"]), len(list(Path(f"/proc/{pid}/fd").iterdir())))
