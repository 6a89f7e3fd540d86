"""How many file descriptors are left: where there are none, nobody can connect and nothing can be opened."""

from __future__ import annotations

import os
import resource

RESERVE = 16
"""What is kept for the feeds to reconnect, and for the libraries, some of which abort the process without one."""


def free() -> int:
    """How many more this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 — names alone; one is that of looking
    except OSError:
        return 0  # there is none to look with
    return max(0, soft - used)


def fault() -> str | None:
    """In words, where too few are left; None where there are enough."""
    left = free()
    if left >= RESERVE:
        return None
    return f"{left} file descriptors are left: raise the limit (LimitNOFILE of the service, ulimit -n)"
