"""Packets on their way from a camera's thread to an event loop."""

from __future__ import annotations

import asyncio

import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.serve.live_inbox import LiveInbox

pytestmark = pytest.mark.waiting


class Distributor:
    def __init__(self) -> None:
        self.seen: list[float | str] = []
        self.done = asyncio.Event()

    def distribute(self, packet: ReceivedPacket) -> None:
        self.seen.append(packet.received_at)

    def restarted(self) -> None:
        self.seen.append("restart")

    def ended(self) -> None:
        self.seen.append("end")
        self.done.set()


def packet(number: int) -> ReceivedPacket:
    return ReceivedPacket(b"x", number, None, False, number)


def passed(count: int) -> list[float | str]:
    """Returns what a distributor sees of `count` packets and a restart, sent while its loop is busy."""

    async def run() -> list[float | str]:
        distributor = Distributor()
        inbox = LiveInbox(asyncio.get_running_loop(), distributor)
        for number in range(count):
            inbox.receive(packet(number))
        inbox.restart()
        inbox.receive(packet(count))
        inbox.end()
        assert distributor.seen == [], "only the loop distributes"
        await distributor.done.wait()
        return distributor.seen

    return asyncio.run(run())


def test_packets_arrive_in_order() -> None:
    assert passed(3) == [0, 1, 2, "restart", 3, "end"]


def test_a_loop_that_is_busy_for_too_long_gets_a_restart_instead_of_a_backlog() -> None:
    seen = passed(1000)
    assert seen[0] == "restart"
    assert len(seen) <= 68
    assert seen[-2:] == [1000, "end"]


def test_a_loop_that_is_closed_costs_nothing() -> None:
    async def made() -> LiveInbox:
        return LiveInbox(asyncio.get_running_loop(), Distributor())

    inbox = asyncio.run(made())
    for number in range(1000):
        inbox.receive(packet(number))
    assert len(inbox._waiting) <= 66
