"""The number of free file descriptors; without any, nobody can connect and nothing can be opened."""

from __future__ import annotations

import os
import resource

RESERVE = 16
"""Reserved for feeds to reconnect and for libraries, some of which abort the process without one."""


def free() -> int:
    """Number of descriptors that this process may still open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 — names suffice; one is this listing's own
    except OSError:
        return 0  # no descriptor left for the listing
    return max(0, soft - used)


def fault() -> str | None:
    """Returns an error message if too few descriptors are left, else None."""
    left = free()
    if left >= RESERVE:
        return None
    return f"only {left} file descriptors left: raise the limit (LimitNOFILE of the service, ulimit -n)"
