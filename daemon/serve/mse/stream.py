"""One view of one camera for all its viewers over WebSockets: muxed once, with a bounded queue for each viewer. A frame
is sent when the next one arrives."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from sightd.daemon.capture.packets import ReceivedPacket, parameter_sets
from sightd.daemon.recording.clock import ClipClock
from sightd.daemon.serve.live_inbox import LiveInbox
from sightd.daemon.serve.live_video import LiveVideo
from sightd.daemon.serve.mse.fragments import TICKS, Header, UnplayableError, fragment, header

_MOST_BEHIND = TICKS
"""Ticks of video that wait for a viewer; beyond that, the viewer skips to the next key frame."""
_MOST_WAITING = 8 << 20
"""Bytes that wait for a viewer."""
_REORDERED = 2
"""Frames that an encoder with B-frames usually reorders."""

Message = str | bytes


class MseViewer:
    """One viewer's queue. Used on the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, int]] = deque()
        self._bytes = 0
        self._header: Header | None = None
        self._needs_key = True
        self._ended = False
        self._arrived = asyncio.Event()

    async def next(self) -> Message | None:
        """Returns the next message: text with the type of what follows, or bytes; None once the video has ended."""
        while not self._waiting and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        if not self._waiting:
            return None
        message, _ = self._waiting.popleft()
        self._bytes -= len(message)
        return message

    def put(self, head: Header, data: bytes, at: int, *, key: bool, epoch: float) -> None:
        """Adds a fragment, or several that begin with a key frame. `at`: time of the last, in ticks; `epoch`: the
        wall-clock time of the time 0, in s since the epoch."""
        if self._needs_key and not key:
            return
        if self._waiting and (at - self._waiting[0][1] > _MOST_BEHIND or self._bytes + len(data) > _MOST_WAITING):
            self._skip()
            if not key:
                return
        self._needs_key = False
        if self._header is not head:
            self._header = head
            self._append(json.dumps({"type": head.type, "epoch": round(epoch, 6)}), at)
            self._append(head.init, at)
        self._append(data, at)
        self._arrived.set()

    def restart(self) -> None:
        """Waits for a key frame."""
        self._needs_key = True

    def end(self) -> None:
        self._ended = True
        self._arrived.set()

    def _skip(self) -> None:
        """Drops what waits; what was dropped may include a header, which is sent again."""
        self._waiting.clear()
        self._bytes = 0
        self._needs_key, self._header = True, None

    def _append(self, message: Message, at: int) -> None:
        self._waiting.append((message, at))
        self._bytes += len(message)


class MseStream:
    """Runs on the web server's event loop. Takes packets from the video while it has viewers."""

    def __init__(self, video: LiveVideo, loop: asyncio.AbstractEventLoop, empty: Callable[[LiveVideo], None]) -> None:
        """`empty` is called when the last viewer has left."""
        self._video, self._empty = video, empty
        self._inbox = LiveInbox(loop, self)
        self._viewers: set[MseViewer] = set()
        self._group: list[bytes] = []
        self._group_bytes = 0
        self._keeps_group = video.view == "clean"
        self._clock: ClipClock | None = None
        self._codec = ""
        self._sets = b""
        self._header: Header | None = None
        self._number = 0
        self._origin: int | None = None
        self._epoch = 0.0
        self._last: int | None = None
        self._held: tuple[ReceivedPacket, tuple[int, int]] | None = None
        """The newest frame, and its pts and dts."""
        self._sent = 0

    def join(self, viewer: MseViewer) -> None:
        """Adds a viewer, who gets a key frame at once."""
        if not self._viewers:
            backlog = self._video.add(self._inbox)
            self._clock = ClipClock(backlog, self._reordered)
            for packet in backlog:
                self.distribute(packet)
        else:
            self._video.request_keyframe()
        self._viewers.add(viewer)
        self._video.joined("mse")
        if self._group and self._header is not None:
            viewer.put(self._header, b"".join(self._group), self._sent, key=True, epoch=self._epoch)

    def leave(self, viewer: MseViewer) -> None:
        self._viewers.discard(viewer)
        self._video.joined("mse", -1)
        if not self._viewers:
            self._video.remove(self._inbox)
            self._empty(self._video)

    def distribute(self, packet: ReceivedPacket) -> None:
        codec = self._video.codec
        if codec is None:
            return
        times = self._times(packet)
        self._release(times[1])
        if packet.key:
            with suppress(UnplayableError):
                self._begin_group(codec, packet.data)
        if self._header is not None and codec == self._codec:
            self._held = packet, times

    def _release(self, next_dts: int) -> None:
        """Sends the frame before the one that has arrived: only now its duration is known, and without that browsers
        drop what follows a frame that was late."""
        if self._held is None or self._header is None:
            return
        packet, (pts, dts) = self._held
        self._held = None
        data = fragment(self._codec, packet.data, self._number, (pts, dts), next_dts - dts, packet.key)
        self._number, self._sent = self._number + 1, dts
        self._keep(data, packet.key)
        for viewer in self._viewers:
            viewer.put(self._header, data, dts, key=packet.key, epoch=self._epoch)

    def restarted(self) -> None:
        self._held = None
        self._group, self._group_bytes = [], 0
        self._clock = ClipClock((), self._reordered)
        for viewer in self._viewers:
            viewer.restart()

    def ended(self) -> None:
        for viewer in self._viewers:
            viewer.end()

    @property
    def _reordered(self) -> int:
        return _REORDERED if self._video.reordered else 0

    def _begin_group(self, codec: str, key_frame: bytes) -> None:
        """Makes a new header if the parameters, such as the frame size, have changed."""
        sets = parameter_sets(codec, key_frame)
        if (codec, sets) != (self._codec, self._sets) or self._header is None:
            self._header = None
            self._header = header(codec, key_frame)
            self._codec, self._sets = codec, sets

    def _times(self, packet: ReceivedPacket) -> tuple[int, int]:
        """Returns pts and dts since the first frame."""
        assert self._clock is not None
        pts, dts = self._clock.times(packet)
        if self._origin is None:
            self._origin = dts
            self._epoch = time.time() - time.monotonic() + dts / TICKS
        pts, dts = pts - self._origin, dts - self._origin
        if self._last is not None:
            dts = max(dts, self._last + 1)
        self._last = dts
        return max(pts, dts), dts

    def _keep(self, data: bytes, key: bool) -> None:
        if not self._keeps_group:
            return
        if key or self._group_bytes > _MOST_WAITING // 2:
            self._group, self._group_bytes = [], 0
        if key or self._group:
            self._group.append(data)
            self._group_bytes += len(data)


class MseStreams:
    """The streams that are watched. Used on the event loop."""

    def __init__(self) -> None:
        self._streams: dict[LiveVideo, MseStream] = {}

    def stream(self, video: LiveVideo) -> MseStream:
        """Returns the view's stream; a viewer must join it before the loop runs anything else."""
        if video not in self._streams:
            self._streams[video] = MseStream(video, asyncio.get_running_loop(), self._forget)
        return self._streams[video]

    def _forget(self, video: LiveVideo) -> None:
        del self._streams[video]
