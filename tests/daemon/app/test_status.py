"""Messages to systemd over a whole run: no status of the start or of the stop remains."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

PATTERN = {"cameras": {"a": {"source": "testpattern://", "width": 320, "height": 240, "fps": 5}}, "chain": []}


class Notifications:
    """Collects all messages."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver, self._messages = receiver, list[str]()

    @property
    def messages(self) -> list[str]:
        while True:
            try:
                self._messages += self._receiver.recv(4096, socket.MSG_DONTWAIT).decode().splitlines()
            except BlockingIOError:
                return self._messages

    @property
    def status(self) -> str:
        return next((one for one in reversed(self.messages) if one.startswith("STATUS=")), "")


@pytest.fixture
def notifications(tmp_path: Path) -> Iterator[Notifications]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        yield Notifications(receiver)


def test_the_status_says_how_it_fares_and_in_the_end_that_it_stopped(
    notifications: Notifications, tmp_path: Path
) -> None:
    with DaemonProcess(tmp_path, PATTERN, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
        eventually(lambda: "READY=1" in notifications.messages)
        before_ready = notifications.messages[: notifications.messages.index("READY=1")]
        assert before_ready[-1].startswith("STATUS="), (
            "what a download said is replaced before the service counts as up"
        )
        assert "of 1 cameras live" in before_ready[-1]
        eventually(lambda: notifications.status.startswith("STATUS=1 of 1 cameras live"), 20)
        assert daemon.terminate()[0] == 0
        assert "STOPPING=1" in notifications.messages
        assert notifications.status == "STATUS=stopped"


def test_a_start_that_fails_says_why(notifications: Notifications, tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        daemon = DaemonProcess(tmp_path, {**PATTERN, "http": {"port": port}}, environ)
        daemon.spawn()
        try:
            assert daemon.exit_code(60) == 1
        finally:
            daemon.close()
    assert str(port) in notifications.status
    assert "READY=1" not in notifications.messages
