"""Raises the file descriptor limit and checks that it suffices."""

from __future__ import annotations

import resource

from sightd.daemon.config.model import Config
from sightd.daemon.serve.control_socket import MOST

_OF_RTSP, _OF_HTTP, _OF_CAMERA, _OF_PROCESS = 2, 1, 16, 128
"""File descriptors per RTSP connection (GStreamer's and ours), per HTTP connection, per camera (source, event
descriptors of its threads, the stream's four UDP sockets), and for everything else."""


def raise_limit() -> int:
    """Raises the soft limit to the hard limit, which the administrator set. Returns the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def shortage(config: Config, limit: int) -> str | None:
    """Returns advice if the configuration may need more descriptors than the limit, else None."""
    rtsp = _OF_RTSP * config.rtsp.max_connections if config.rtsp.enabled else 0
    http = _OF_HTTP * config.http.max_connections if config.http.enabled else 0
    control = _OF_HTTP * MOST if config.control.enabled else 0
    most = rtsp + http + control + _OF_CAMERA * len(config.cameras) + _OF_PROCESS
    if limit == resource.RLIM_INFINITY or most <= limit:
        return None
    return (
        f"rtsp.max_connections, http.max_connections and {len(config.cameras)} camera(s) together may "
        f"need {most} file descriptors, but the limit is {limit}: lower them, or raise the limit "
        "(LimitNOFILE= in `systemctl edit sightd`, or `ulimit -Hn`)."
    )
