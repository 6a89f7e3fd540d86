"""The UDP port of all sessions."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from sightd.daemon.serve.webrtc import udp
from sightd.daemon.serve.webrtc.udp import Route, UdpPort

pytestmark = pytest.mark.waiting


def received(peer: socket.socket, count: int) -> list[bytes]:
    peer.settimeout(5)
    return [peer.recv(2048) for _ in range(count)]


@pytest.fixture
def peer() -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    return found


def test_datagrams_of_any_sizes_arrive_whole_and_in_order(peer: socket.socket) -> None:
    port = UdpPort("127.0.0.1", 0)
    sent = [bytes([number]) * size for number, size in enumerate((50, 50, 50, 20, 70, 70, 10, 80, 1, 900, 900))]
    assert port.send(port.route(peer.getsockname()), sent)
    assert received(peer, len(sent)) == sent
    port.close()
    peer.close()


def test_a_network_that_does_not_split_gets_them_one_by_one(
    peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = UdpPort("127.0.0.1", 0)
    monkeypatch.setattr(udp, "_UDP_SEGMENT", 0x7FFF)  # which the kernel refuses
    sent = [b"a" * 50, b"b" * 50, b"c" * 20]
    assert port.send(port.route(peer.getsockname()), sent)
    assert received(peer, 3) == sent
    port.close()
    peer.close()


def test_an_answer_leaves_from_the_address_that_was_asked(peer: socket.socket) -> None:
    async def exchange() -> tuple[bytes, tuple[str, int]]:
        port = UdpPort("0.0.0.0", 0)

        def echo(datagram: bytes, route: Route) -> None:
            port.send(route, [datagram * 2])

        port.attach(asyncio.get_running_loop(), echo)
        peer.settimeout(5)
        peer.sendto(b"ping", ("127.0.0.2", port.port))
        answer = await asyncio.to_thread(peer.recvfrom, 100)
        port.close()
        return answer

    answer, (host, _) = asyncio.run(exchange())
    assert (answer, host) == (b"pingping", "127.0.0.2")
    peer.close()


class FullSocket(socket.socket):
    """A socket whose buffer is full."""

    def sendmsg(self, *_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "full")


def test_what_waits_for_the_network_is_bounded(peer: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    port = UdpPort("127.0.0.1", 0)
    route = port.route(peer.getsockname())
    monkeypatch.setattr(port, "_socket", FullSocket(socket.AF_INET, socket.SOCK_DGRAM))
    frame = [bytes(1000)] * 1000
    assert [port.send(route, frame) for _ in range(6)] == [True] * 4 + [False] * 2
    port.close()
    peer.close()
