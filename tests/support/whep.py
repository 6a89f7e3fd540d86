"""A WebRTC viewer for tests: aiortc, which shares no code with the daemon's WebRTC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import av
import httpx
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.support import http

SDP = {"Content-Type": "application/sdp", "X-Sightd": "1"}


async def offer() -> tuple[RTCPeerConnection, str]:
    """Returns a peer that wants to receive video, and its offer (SDP)."""
    peer = RTCPeerConnection()
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    return peer, peer.localDescription.sdp


def offered() -> str:
    """Returns an offer of a peer that is gone."""

    async def made() -> str:
        peer, text = await offer()
        await peer.close()
        return text

    return asyncio.run(made())


@dataclass(frozen=True, slots=True)
class Watching:
    """A connected viewer. `session` is the path of its session."""

    peer: RTCPeerConnection
    track: MediaStreamTrack
    session: str

    async def frame(self, within: float = 10.0) -> av.VideoFrame:
        found = await asyncio.wait_for(self.track.recv(), within)
        assert isinstance(found, av.VideoFrame)
        return found


@asynccontextmanager
async def watching(url: str, camera: str = "front", query: str = "") -> AsyncIterator[Watching]:
    """Connects a viewer to the web server at `url`. Raises httpx.HTTPStatusError if it refuses."""
    peer, text = await offer()
    try:
        answer = await asyncio.to_thread(http.post, f"{url}/api/v1/whep/{camera}{query}", content=text, headers=SDP)
        answer.raise_for_status()
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        peer.on("track", tracks.put_nowait)
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        yield Watching(peer, await asyncio.wait_for(tracks.get(), 10), answer.headers["Location"])
    finally:
        await peer.close()


def post(url: str, text: str | bytes, camera: str = "front", query: str = "", **headers: str) -> httpx.Response:
    """Posts an offer."""
    return http.post(f"{url}/api/v1/whep/{camera}{query}", content=text, headers={**SDP, **headers})
