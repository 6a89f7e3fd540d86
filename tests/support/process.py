"""Resource usage of a process, as reported by the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """`memory` is anonymous resident memory in MiB, without file mappings."""

    memory: float
    threads: int
    descriptors: int


def sample(pid: int) -> Sample:
    """Returns the current usage of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    memory = int(fields["RssAnon"].split()[0]) / 1024
    return Sample(memory, int(fields["Threads"]), len(list(Path(f"/proc/{pid}/fd").iterdir())))
