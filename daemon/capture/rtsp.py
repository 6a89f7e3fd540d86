"""RTSP cameras, read by GStreamer: a frame is complete with its own last packet, not with the next frame's first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from sightd.daemon.capture import rtsp_gstreamer
from sightd.daemon.capture.decoding import CpuDecoding, DecodedFrame, Decoding, GpuDecoding
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.packets import RECORDABLE, KeyFrames, PacketObserver, ReceivedPacket
from sightd.daemon.capture.picture import MOST_PIXELS
from sightd.daemon.capture.rtsp_dialogue import Address, Dialogue, address_of, is_key
from sightd.daemon.capture.rtsp_login import OwnLogin
from sightd.daemon.capture.rtsp_session import POLL, RtspSession
from sightd.daemon.capture.stream import Gap, Playback
from sightd.daemon.capture.web_auth import Authenticator
from sightd.daemon.config.source import Source
from sightd.engines.cuda.nvdec import Nvdec

KEEP_ALIVE = 8.0
"""Seconds between two keep-alive requests: cameras end a session after 60 s, some after 10 s. rtspsrc sends none over
TCP as long as packets arrive."""
_PER_SECOND = 10**9
_NANOSECONDS = Fraction(1, _PER_SECOND)
_MOST_TO_OPEN = 1 << 20
"""Maximum bytes that a camera may send before it plays; its description has a few hundred."""
_MOST_TO_A_PICTURE = 32 << 20
"""Maximum bytes without a complete frame. A key frame in 8K has less, and so has a JPEG with the maximum of pixels."""
_MOST_BESIDES = 1 << 20
"""Maximum bytes per second over TCP while the frames arrive over UDP."""
_SLOWEST = 4096
"""Minimum bytes per second of a frame in transit; less counts as silence."""
_WINDOW = 0.5
"""Seconds over which that rate is measured."""
_REFUSALS_OF_AUDIO = (Reason.OTHER, Reason.NOT_FOUND)
"""Faults after which the camera is asked again without audio."""
_MORE_THAN_REPORTS = 512
"""Bytes above which a frame must be arriving, and not only RTCP reports."""


class RtspCapture:
    """A camera's stream, read by GStreamer and decoded by FFmpeg or NVDEC.

    `DecodedFrame.pts` counts from the first frame and is the camera's RTP time, so network jitter does not affect it.
    """

    recorded = False
    interval = 0.0

    def __init__(self, source: Source, playback: Playback, limit: float) -> None:
        """Blocks until the camera plays, for at most `limit` s. Raises SourceError, or GStreamerError if GStreamer is
        missing."""
        self._playback, self._source = playback, source
        self._keys_of: str | None = None
        self._had_audio = False
        self._gst = rtsp_gstreamer.load()
        address, until = address_of(source.address), playback.clock.monotonic() + limit
        self._session = self._logged_in(address, until)
        try:
            self._decoding = self._decoding_of(playback.nvdec)
        except BaseException:
            self._session.close(well=True)
            raise
        self._watch = _Watch(self._session, source, playback.clock.monotonic())
        observer, audio = playback.packets, self._session.dialogue.audio
        if observer is not None:
            observer.stream_opened(self._codec, audio)
        self._recorder = observer if self._codec in RECORDABLE else None
        self._has_audio = audio is not None
        self._key_frames = KeyFrames(self._codec, self._session.dialogue.configuration)

    def frames(self) -> Iterator[DecodedFrame | Gap]:
        clock, begun = self._playback.clock, False
        while not self._playback.wait(0.0):
            sample = self._session.pull(POLL)
            now = clock.monotonic()
            if self._recorder is not None and self._has_audio:
                self._pass_audio_on(self._recorder, now)
            if sample is None:
                if self._session.ended():
                    return
                if self._watch.nothing_came(now):
                    yield Gap.NOTHING
                continue
            arrival, began_at = (now, clock.wall()), None if begun else self._watch.first_began_at
            self._watch.picture_came(now)
            packet, data, discontinuous = self._packet(sample)
            if discontinuous and begun:
                yield Gap.DAMAGED
            begun = True
            if self._recorder is not None:
                self._recorder.packet_received(self._received(packet, data, now))
            yield from self._decoded(packet, arrival, began_at)

    def close(self) -> None:
        try:
            self._decoding.close()
        finally:
            self._session.close(well=self._watch.well)

    def _decoding_of(self, nvdec: Nvdec | None) -> Decoding:
        context = _decoder_of(self._session.dialogue, by_gpu=nvdec is not None)
        self._codec = context.name
        if nvdec is not None or self._playback.packets is not None:
            self._keys_of = context.name
        if nvdec is None:
            return CpuDecoding(context, deinterlace=self._source.deinterlace)
        return GpuDecoding(nvdec, context)

    def _logged_in(self, address: Address, until: float) -> RtspSession:
        """Returns a session whose camera plays. rtspsrc logs in, unless the camera asks for a scheme that only
        `OwnLogin` supports."""
        memory = self._playback.login
        if not memory.own:
            try:
                return self._opened(address, until)
            except SourceError as fault:
                if fault.reason is not Reason.UNAUTHORISED or address.user is None:
                    raise
        authenticator = Authenticator(address.user or "", address.password)
        return self._opened(address, until, OwnLogin(authenticator, self._gst.gio, memory))

    def _opened(self, address: Address, until: float, login: OwnLogin | None = None) -> RtspSession:
        """Returns a session whose camera plays, with audio if the observer asks for it and the camera allows it."""
        observer = self._playback.packets
        audio = observer is not None and observer.wants_audio
        try:
            return self._playing(address, until, login, audio=audio)
        except SourceError as fault:
            if not self._had_audio or fault.reason not in _REFUSALS_OF_AUDIO:
                raise
        return self._playing(address, until, login, audio=False)

    def _playing(self, address: Address, until: float, login: OwnLogin | None, *, audio: bool) -> RtspSession:
        """Returns a session whose camera plays. The TCP connection must be established within the source's timeout."""
        began, timeout = self._playback.clock.monotonic(), self._source.timeout
        session = RtspSession(self._gst, address, self._source.transport, until - began, login, audio=audio)
        try:
            while not session.playing():
                now = self._playback.clock.monotonic()
                connected = session.dialogue.has_connected
                if now > until or (not connected and timeout is not None and now - began > timeout):
                    raise SourceError(Reason.TIMEOUT)
                if session.received() > _MOST_TO_OPEN:
                    raise SourceError(Reason.TOO_LARGE, "its answers")
                if self._playback.wait(0.0):
                    raise SourceError(Reason.OTHER, "the feed was stopped")
        except BaseException:
            self._had_audio = session.dialogue.audio is not None
            session.close()
            raise
        return session

    def _packet(self, sample: Any) -> tuple[av.Packet[Any], bytes, bool]:
        """Returns the frame's data for the decoder and as received, and whether something was lost before it."""
        flags, (buffer, data) = self._gst.gst.BufferFlags, self._content(sample)
        packet = av.Packet(data)
        if self._keys_of is not None:
            packet.is_keyframe = is_key(self._keys_of, data)
        if (time := buffer.pts) != self._gst.gst.CLOCK_TIME_NONE:
            packet.pts, packet.time_base = _signed(time), _NANOSECONDS
        return packet, data, buffer.has_flags(flags.DISCONT) or buffer.has_flags(flags.CORRUPTED)

    def _content(self, sample: Any) -> tuple[Any, bytes]:
        """Returns a sample's buffer and its data."""
        buffer = sample.get_buffer()
        mapped, content = buffer.map(self._gst.gst.MapFlags.READ)
        if not mapped:
            raise SourceError(Reason.OTHER, "GStreamer's buffer cannot be read")
        try:
            return buffer, content.data
        finally:
            buffer.unmap(content)

    def _pass_audio_on(self, observer: PacketObserver, now: float) -> None:
        while (sample := self._session.pull_audio()) is not None:
            buffer, data = self._content(sample)
            known = buffer.pts != self._gst.gst.CLOCK_TIME_NONE
            pts = _signed(buffer.pts) / _PER_SECOND if known else None
            observer.packet_received(ReceivedPacket(data, pts, None, False, now, audio=True))

    def _received(self, packet: av.Packet[Any], data: bytes, now: float) -> ReceivedPacket:
        pts, key = packet.pts, packet.is_keyframe
        complete = self._key_frames.complete(data) if key else data
        return ReceivedPacket(complete, None if pts is None else pts / _PER_SECOND, None, key, now)

    def _decoded(
        self, packet: av.Packet[Any], arrival: tuple[float, float], began_at: float | None
    ) -> Iterator[DecodedFrame | Gap]:
        try:
            frames = self._decoding.decode(packet)
        except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.ArgumentError):
            yield Gap.DAMAGED
            return
        if not frames:
            yield Gap.NOTHING
        captured_at, wall_time = arrival
        for frame in frames:
            yield replace(frame, captured_at=captured_at, wall_time=wall_time, began_at=began_at)


class _Watch:
    """Ends a stream that is silent or sends too much, and keeps its session alive. Times are monotonic s."""

    def __init__(self, session: RtspSession, source: Source, now: float) -> None:
        self._session, self._timeout, self._over_udp = session, source.timeout, source.transport == "udp"
        self._heard_at = self._kept_at = self._counted_at = now
        self._counted: int | None = None
        self._window: tuple[float, int] | None = None
        self._at_first = session.received()
        self.first_began_at: float | None = None
        """When the first frame began to arrive over TCP, to a tenth of a second; None if it has not."""
        self.well = True
        """Whether the camera can be expected to answer when the session ends."""

    def picture_came(self, now: float) -> None:
        self._heard_at, self.well = now, True
        self._window = None
        if not self._over_udp:
            self._counted = None
        elif now - self._counted_at > 1.0:
            self._count(_MOST_BESIDES * (now - self._counted_at), "in addition to its frames")
            self._counted, self._counted_at = self._session.received(), now
        self._keep_alive(now)

    def nothing_came(self, now: float) -> bool:
        """Returns whether a frame is in transit, which takes seconds on a slow network. Raises SourceError if the
        camera is silent for too long, or if it sends too much without completing a frame."""
        on_its_way = not self._over_udp and self._is_on_its_way(now)
        if on_its_way:
            self._heard_at = now
        silence = now - self._heard_at
        if self._timeout is not None:
            self.well = silence < self._timeout / 2
            if silence > self._timeout:
                raise SourceError(Reason.TIMEOUT)
        self._count(_MOST_TO_A_PICTURE, "a picture")
        self._keep_alive(now)
        return on_its_way

    def _is_on_its_way(self, now: float) -> bool:
        received = self._session.received()
        if self.first_began_at is None and received - self._at_first > _MORE_THAN_REPORTS:
            self.first_began_at = now
        began, before = self._window or (now, received)
        if now - began < _WINDOW:
            self._window = began, before
            return False
        self._window = now, received
        return received - before >= _SLOWEST * (now - began)

    def _count(self, most: float, what: str) -> None:
        received = self._session.received()
        if self._counted is None:
            self._counted = received
        elif received - self._counted > most:
            self.well = False
            raise SourceError(Reason.TOO_LARGE, what)

    def _keep_alive(self, now: float) -> None:
        if now - self._kept_at > KEEP_ALIVE:
            self._kept_at = now
            self._session.keep_alive()


def _signed(time: int) -> int:
    """Converts GStreamer's time to a signed one: a camera that sets its clock back states times before its first frame,
    which GStreamer holds modulo 2^64."""
    return time - (1 << 64) if time >> 63 else time


def _decoder_of(dialogue: Dialogue, *, by_gpu: bool) -> av.VideoCodecContext:
    assert dialogue.codec is not None, "a camera that plays has a stream that was chosen"
    context = av.VideoCodecContext.create(dialogue.codec.decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_type = "NONE"
    if by_gpu or dialogue.codec.needs_configuration:  # otherwise the stream itself contains it, possibly a newer one
        context.extradata = dialogue.configuration
    context.options = {"max_pixels": str(MOST_PIXELS)}
    return context
