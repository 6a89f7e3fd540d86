from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.errors import GStreamerMissingError
from sightd.daemon.serve.rtsp import gstreamer
from sightd.daemon.serve.rtsp.server import RtspServer
from sightd.daemon.serve.rtsp.stream import RtspStream
from tests.daemon.serve.numbered import NumberedCamera
from tests.support.access import NO_TOKENS

REPOSITORY = Path(__file__).parents[3]


class Service:
    """A running server with one camera, "front"."""

    def __init__(self, options: Rtsp, access: Access) -> None:
        self.refused: Counter[str] = Counter()
        """Connections that were rejected or closed, by reason."""
        self.server = RtspServer(options, access, lambda reason: self.refused.update([reason]))
        self.server.start()
        self.stream: RtspStream = self.server.add("front")
        self.camera = NumberedCamera(self.stream)
        self.url = self.server.address("front").url("127.0.0.1")

    def url_for(self, user: str, password: str) -> str:
        return self.url.replace("://", f"://{user}:{password}@")


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Starts a server with these options on a free port."""
    try:
        gstreamer.load()
    except GStreamerMissingError as error:
        pytest.skip(str(error))
    services: list[Service] = []

    def start(access: Access = NO_TOKENS, **options: object) -> Service:
        services.append(service := Service(Rtsp.model_validate({"port": 0, **options}), access))
        service.camera.__enter__()
        return service

    yield start
    for service in services:
        service.camera.__exit__()
        service.server.close()


@pytest.fixture
def viewer_process() -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Starts a viewer in its own process and returns once it plays."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str, transport: str = "tcp") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.daemon.serve.viewer_process", url, transport]
        started.append(process := subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True))
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()
