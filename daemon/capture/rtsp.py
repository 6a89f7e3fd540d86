"""RTSP cameras, read by GStreamer: a picture is complete with its last packet, not with the next picture's first."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from daemon.capture import gst
from daemon.capture.decoding import CpuDecoding, Decoded
from daemon.capture.errors import Reason, SourceError
from daemon.capture.picture import MOST_PIXELS
from daemon.capture.rtsp_dialogue import Address, Dialogue, GstFault, address_of, meaning_of
from daemon.capture.source import Source
from daemon.capture.stream import Gap, Playback, Shot

_NANOSECONDS = Fraction(1, 10**9)
_POLL = 0.05
"""Seconds until a wait looks whether the feed was stopped."""
_REORDERING = 200
"""Milliseconds for which a missing UDP packet is waited for. Packets in order are never held back."""
_QUEUED = 64
"""Pictures that wait for the decoder at most; what comes then waits in the jitter buffer, which holds 10000 packets."""
_LOWER_TRANSPORTS = {"udp": 1, "tcp": 4}
"""GstRTSPLowerTrans."""
_ONLY_RTP_TIME = 0
"""GstRTSPSrcBufferMode: times are the camera's own, whenever the packets arrive."""


class RtspStream:
    """A camera's stream, read by GStreamer and decoded by FFmpeg.

    `Shot.pts` counts from the first picture on and is the camera's RTP time: it knows no jitter of the network.
    """

    recorded = False
    interval = 0.0

    def __init__(self, source: Source, playback: Playback, limit: float) -> None:
        """Blocks until the camera plays, for `limit` s at most. Raises SourceError, or GStreamerError if GStreamer is
        missing."""
        self._playback = playback
        self._timeout = source.timeout
        self._gst = gst.load()
        self._session = _Session(self._gst, address_of(source.address), source.transport, limit)
        try:
            self._await_playing(limit)
            self._context = _decoder_of(self._session.dialogue)
        except BaseException:
            self._session.close()
            raise
        self._decoding = CpuDecoding(self._context, deinterlace=source.deinterlace)

    def shots(self) -> Iterator[Shot | Gap]:
        clock = self._playback.clock
        heard_at, begun = clock.monotonic(), False
        while not self._playback.wait(0.0):
            sample = self._session.pull(_POLL)
            now = clock.monotonic()
            if sample is None:
                if self._session.ended():
                    return
                if self._timeout is not None and now - heard_at > self._timeout:
                    raise SourceError(Reason.TIMEOUT)
                continue
            arrival = heard_at, _ = (now, clock.wall())
            packet, discontinuous = self._packet(sample)
            if discontinuous and begun:
                yield Gap.DAMAGED
            begun = True
            yield from self._decoded(packet, arrival)

    def close(self) -> None:
        self._session.close()

    def _decoded(self, packet: av.Packet[Any], arrival: tuple[float, float]) -> Iterator[Shot | Gap]:
        try:
            frames = self._decoding.decode(packet)
        except av.error.InvalidDataError:
            yield Gap.DAMAGED
            return
        if not frames:
            yield Gap.NOTHING
        for frame in frames:
            yield _shot(frame, arrival)

    def _packet(self, sample: Any) -> tuple[av.Packet[Any], bool]:
        """The picture's data, and whether something was lost before it."""
        flags = self._gst.gst.BufferFlags
        buffer = sample.get_buffer()
        mapped, content = buffer.map(self._gst.gst.MapFlags.READ)
        if not mapped:
            raise SourceError(Reason.OTHER, "GStreamer's buffer cannot be read")
        try:
            packet = av.Packet(content.data)
        finally:
            buffer.unmap(content)
        if buffer.pts != self._gst.gst.CLOCK_TIME_NONE:
            packet.pts = _signed(buffer.pts)
            packet.time_base = _NANOSECONDS
        return packet, buffer.has_flags(flags.DISCONT) or buffer.has_flags(flags.CORRUPTED)

    def _await_playing(self, limit: float) -> None:
        """Returns once the camera has agreed to play; the connection itself must stand within the silence limit."""
        began = self._playback.clock.monotonic()
        while not self._session.playing():
            elapsed = self._playback.clock.monotonic() - began
            if elapsed > limit or (self._timeout is not None and not self._connected_in_time(elapsed)):
                raise SourceError(Reason.TIMEOUT)
            if self._playback.wait(0.0):
                raise SourceError(Reason.OTHER, "the feed was stopped")

    def _connected_in_time(self, elapsed: float) -> bool:
        return self._session.dialogue.connected or self._timeout is None or elapsed <= self._timeout


def _shot(frame: Decoded, arrival: tuple[float, float]) -> Shot:
    return Shot(
        frame.size,
        frame.decode,
        *arrival,
        pts=frame.time,
        key=frame.key,
        corrupt=frame.corrupt,
        on_device=frame.on_device,
    )


def _signed(time: int) -> int:
    """A camera that sets its clock back gives times before its first picture; GStreamer has them modulo 2^64."""
    return time - (1 << 64) if time >> 63 else time


def _decoder_of(dialogue: Dialogue) -> av.VideoCodecContext:
    assert dialogue.codec is not None, "a camera that plays has a stream that was chosen"
    context = av.VideoCodecContext.create(dialogue.codec.decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(MOST_PIXELS)}
    return context


class _Session:
    """A pipeline: rtspsrc, a depayloader once the stream is known, and a sink that holds pictures for us."""

    def __init__(self, gstreamer: gst.GStreamer, address: Address, transport: str, limit: float) -> None:
        self._gst = gstreamer
        self.dialogue = Dialogue(address, gstreamer.has)
        self._pipeline = gstreamer.gst.Pipeline.new(None)
        self._sink = gstreamer.element("appsink", sync=False, max_buffers=_QUEUED, enable_last_sample=False)
        self._source = _rtspsrc(gstreamer, address, transport, limit)
        self._pipeline.add(self._source)
        self._pipeline.add(self._sink)
        self._handlers = [
            self._source.connect("before-send", _before_send, self.dialogue),
            self._source.connect("select-stream", _select_stream, self.dialogue),
            self._source.connect("pad-added", functools.partial(_link, gstreamer), self.dialogue, self._sink),
        ]
        self._bus = self._pipeline.get_bus()
        self._playing = False
        self._pipeline.set_state(gstreamer.gst.State.PLAYING)

    def playing(self) -> bool:
        """Whether the camera plays; waits a little for news of it. Raises SourceError if it will not."""
        message = self._bus.timed_pop(round(_POLL * self._gst.gst.SECOND))
        if message is not None:
            self._take(message)
        return self._playing

    def pull(self, timeout: float) -> Any | None:
        """The next picture's sample; None if none comes within `timeout` s, and at once at the stream's end. Raises
        SourceError if there was an error."""
        sample = self._sink.try_pull_sample(round(timeout * self._gst.gst.SECOND))
        if sample is None or self._bus.have_pending():
            while (message := self._bus.pop()) is not None:
                self._take(message)
        return sample

    def ended(self) -> bool:
        """Whether the stream came to its end."""
        return bool(self._sink.is_eos())

    def close(self) -> None:
        """Says good-bye to the camera and waits 0.1 s at most for its answer."""
        for handler in self._handlers:
            self._source.disconnect(handler)
        self._handlers = []
        self._pipeline.set_state(self._gst.gst.State.NULL)
        self._bus.set_flushing(True)

    def _take(self, message: Any) -> None:
        kind = self._gst.gst.MessageType
        if message.type == kind.ERROR:
            self.dialogue.check(self._source.get_property("location"))
            if self.dialogue.fault is not None:
                raise self.dialogue.fault
            raise meaning_of(_fault_of(message), self.dialogue)
        if message.type == kind.PROGRESS:
            progress = message.parse_progress()
            if progress.code == "request" and progress.type == self._gst.gst.ProgressType.COMPLETE:
                self._playing = True


def _rtspsrc(gstreamer: gst.GStreamer, address: Address, transport: str, limit: float) -> Any:
    element = gstreamer.element(
        "rtspsrc",
        location=address.location,
        protocols=_LOWER_TRANSPORTS[transport],
        latency=_REORDERING if transport == "udp" else 0,
        buffer_mode=_ONLY_RTP_TIME,
        do_retransmission=False,
        timeout=0,
        tcp_timeout=round(limit * 1e6),
        udp_buffer_size=4 << 20,
        tls_validation_flags=0,
        user_agent="sightd",
    )
    if address.user is not None:
        element.set_property("user-id", address.user)
        element.set_property("user-pw", address.password)
    return element


def _before_send(source: Any, request: Any, dialogue: Dialogue) -> bool:
    _, method, _, _ = request.parse_request()
    return dialogue.allows(method.first_value_nick.upper(), source.get_property("location"))


def _select_stream(_source: Any, number: int, caps: Any, dialogue: Dialogue) -> bool:
    described = caps.get_structure(0)
    return dialogue.selects(number, described.get_string("media") or "", described.get_string("encoding-name") or "")


def _link(gstreamer: gst.GStreamer, source: Any, pad: Any, dialogue: Dialogue, sink: Any) -> None:
    """Puts the depayloader between a new stream and the sink; once per pipeline."""
    codec = dialogue.codec
    if codec is None or sink.get_static_pad("sink").is_linked():
        return
    sink.set_property("caps", gstreamer.gst.Caps.from_string(codec.caps))
    depayloader = gstreamer.element(codec.depayloader)
    source.get_parent().add(depayloader)
    depayloader.link(sink)
    depayloader.sync_state_with_parent()
    pad.link(depayloader.get_static_pad("sink"))


def _fault_of(message: Any) -> GstFault:
    error, text = message.parse_error()
    details = message.parse_error_details()
    status, status_text = None, ""
    if details is not None and details.has_field("rtsp-status-code"):
        _, status = details.get_uint("rtsp-status-code")
        status_text = details.get_string("rtsp-status-reason") or ""
    return GstFault(error.domain, error.code, text or "", status, status_text)
