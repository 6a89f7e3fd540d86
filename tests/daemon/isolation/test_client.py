"""A call that must be quick is quick, even if the other side does not read the request."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from sightd.daemon.isolation.channel import Channel
from sightd.daemon.isolation.client import RpcClient
from sightd.plugins.api import FrameOverride, Results


def test_nobody_waits_longer_than_said_for_a_process_that_takes_nothing_in() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)  # as left by the opening, which may take long
        large = Results(FrameOverride(np.zeros((1080, 1920, 3), np.uint8)))
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            RpcClient(Channel(ours)).call("predict", (), [large], patience=0.2)
        assert time.monotonic() - begun < 2
