"""Messages to systemd, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.daemon.app.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path.name}-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        receiver.settimeout(2)
        yield receiver, {"NOTIFY_SOCKET": name}


def test_each_message_is_a_datagram(listening: tuple[socket.socket, dict[str, str]]) -> None:
    receiver, environ = listening
    notifier = Notifier(environ, clock_ns=lambda: 12_345_678_999)
    assert notifier.listened_to
    for call, expected in (
        (notifier.ready, b"READY=1"),
        (notifier.reloading, b"RELOADING=1\nMONOTONIC_USEC=12345678"),
        (notifier.stopping, b"STOPPING=1"),
        (notifier.alive, b"WATCHDOG=1"),
        (lambda: notifier.requires(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
        (lambda: notifier.status("3 of 4\ncameras live"), b"STATUS=3 of 4 cameras live"),
    ):
        call()
        assert receiver.recv(4096) == expected


def test_where_nobody_listens_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({})
    assert not notifier.listened_to
    notifier.ready()
    assert not caplog.text


def test_a_supervisor_that_went_away_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    notifier.alive()
    assert caplog.text.count("cannot notify systemd of the service state: No such file") == 1
