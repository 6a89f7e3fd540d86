"""Which viewers play which stream, by the signals of their connections; no network, no GStreamer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve.rtsp.viewers import RtspViewers


class Stream:
    """Records its viewers; replaces `RtspStream`."""

    def __init__(self) -> None:
        self.viewers: set[int] = set()

    def viewer_plays(self, viewer: int) -> None:
        self.viewers.add(viewer)

    def viewer_left(self, viewer: int) -> None:
        self.viewers.discard(viewer)


class BrokenConnection:
    """A client whose connection is closed before its limits can be set."""

    def __init__(self) -> None:
        self.signals: dict[str, Any] = {}

    def connect(self, signal: str, call: Any) -> None:
        self.signals[signal] = call

    def set_property(self, name: str, value: object) -> None:
        pass

    def get_connection(self) -> Any:
        return SimpleNamespace(get_ip=lambda: "192.0.2.1", get_write_socket=lambda: SimpleNamespace(get_fd=lambda: -1))


def viewers_of(stream_of: Callable[[str], Any]) -> RtspViewers:
    return RtspViewers(Rtsp(), stream_of, lambda _: None)


def playing(path: str) -> Any:
    return SimpleNamespace(uri=SimpleNamespace(abspath=path))


def test_a_connection_that_breaks_at_once_is_not_kept() -> None:
    viewers, client = viewers_of(lambda _: None), BrokenConnection()
    viewers.connected(None, client)
    assert viewers.count == 1
    client.signals["closed"](client)
    assert viewers.count == 0


def test_a_connection_that_turns_to_another_camera_leaves_the_first() -> None:
    streams = {"/front": Stream(), "/back": Stream()}
    viewers, client = viewers_of(streams.get), BrokenConnection()
    viewers.connected(None, client)
    client.signals["play-request"](client, playing("/front"))
    client.signals["play-request"](client, playing("/back"))
    assert (len(streams["/front"].viewers), len(streams["/back"].viewers)) == (0, 1)
    client.signals["closed"](client)
    assert not streams["/back"].viewers
