"""One view of one camera for all its WebRTC viewers: each frame is made into packets once."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.serve.live_inbox import LiveInbox
from sightd.daemon.serve.live_video import LiveVideo
from sightd.daemon.serve.webrtc.rtp import Frame, frame_of
from sightd.daemon.serve.webrtc.session import MOST_PAYLOAD, Session

_MOST_GROUP = 4 << 20


class WebRtcStream:
    """Runs on the loop of the WebRTC server. Takes packets from the video while it has viewers."""

    def __init__(self, video: LiveVideo, loop: AbstractEventLoop, over: Callable[[WebRtcStream], None]) -> None:
        """`over` is called when the video ends for all viewers."""
        self.video = video
        self._over = over
        self._inbox = LiveInbox(loop, self)
        self._sessions: dict[str, Session] = {}
        self._group: list[Frame] | None = [] if video.view == "clean" else None
        """Frames since the last key frame, which cannot be requested from a camera."""
        self._group_bytes = 0

    @property
    def is_watched(self) -> bool:
        return bool(self._sessions)

    def join(self, session: Session) -> None:
        """Adds a connected viewer, who gets a key frame at once."""
        if not self._sessions:
            for packet in self.video.add(self._inbox):
                self.distribute(packet)
        else:
            self.video.request_keyframe()
        self._sessions[session.id] = session
        self.video.joined("webrtc")
        session.begin(self._group or ())

    def leave(self, session: Session) -> None:
        """Ignores sessions that have not joined."""
        if self._sessions.pop(session.id, None) is None:
            return
        self.video.joined("webrtc", -1)
        if not self._sessions:
            self.video.remove(self._inbox)
            self.restarted()

    def distribute(self, packet: ReceivedPacket) -> None:
        assert packet.pts is not None
        if self.video.codec != "h264" or self.video.reordered:
            self.ended()
            return
        frame = frame_of(packet.data, packet.pts, packet.key, MOST_PAYLOAD)
        self._keep(frame)
        for session in list(self._sessions.values()):
            session.send(frame)

    def restarted(self) -> None:
        if self._group is not None:
            self._group, self._group_bytes = [], 0
        for session in self._sessions.values():
            session.restart()

    def ended(self) -> None:
        self._over(self)

    def _keep(self, frame: Frame) -> None:
        if self._group is None:
            return
        if frame.key or self._group_bytes > _MOST_GROUP:
            self._group, self._group_bytes = [], 0
        if frame.key or self._group:
            self._group.append(frame)
            self._group_bytes += frame.size
