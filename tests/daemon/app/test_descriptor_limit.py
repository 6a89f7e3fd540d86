"""The daemon raises its file descriptor limit to the maximum, and warns if that may not be enough."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from sightd.daemon.app.resources import shortage
from sightd.daemon.config.model import Config

RAISED = """
import resource
from sightd.daemon.app.resources import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert raise_limit() == hard
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
"""


def config(**sections: object) -> Config:
    cameras = {f"camera{number}": {"source": "testpattern://"} for number in range(8)}
    return Config.model_validate({"cameras": cameras, **sections})


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", RAISED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("limit", [1024, 4096, resource.RLIM_INFINITY])
def test_the_defaults_need_less_than_any_system_gives(limit: int) -> None:
    assert shortage(config(), limit) is None


def test_more_connections_than_descriptors_are_reported_with_what_to_do() -> None:
    told = shortage(config(http={"max_connections": 2000}), 1024)
    assert told is not None
    assert "http.max_connections" in told
    assert "1024" in told
    assert "LimitNOFILE=" in told


def test_a_server_that_is_off_needs_none() -> None:
    assert shortage(config(http={"enabled": False, "max_connections": 2000}), 1024) is None
