"""The GStreamer pipeline that reads one RTSP camera."""

from __future__ import annotations

import functools
import threading
from typing import Any

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.rtsp_dialogue import Address, Dialogue, GstFault, meaning_of
from sightd.daemon.capture.rtsp_gstreamer import GStreamer, RtspConnection, own_connection
from sightd.daemon.capture.rtsp_login import OwnLogin

POLL = 0.05
"""Seconds that one wait for a message or a frame lasts at most."""
_REORDERING = 200
"""Milliseconds to wait for a missing UDP packet. Packets in order are never held back."""
_QUEUED = 16
"""Maximum frames queued for the decoder; later ones wait in the jitter buffer, which holds 10000 packets."""
_QUEUED_AUDIO = 500
"""Maximum audio frames that wait until the next video frame is taken; the oldest are dropped."""
_FAREWELL = 0.5
"""Seconds allowed for ending a session cleanly."""
_LOWER_TRANSPORTS = {"udp": 1, "tcp": 4}
"""GstRTSPLowerTrans."""
_ONLY_RTP_TIME = 0
"""GstRTSPSrcBufferMode: times are the camera's own, regardless of when packets arrive."""


class RtspSession:
    """A pipeline: rtspsrc, a depayloader once the stream is known, and a sink that holds frames for us. Used and closed
    by one thread; GStreamer calls the functions below from threads of its own."""

    def __init__(
        self,
        gstreamer: GStreamer,
        address: Address,
        transport: str,
        limit: float,
        login: OwnLogin | None = None,
        *,
        audio: bool = False,
    ) -> None:
        """Starts opening `address`, for at most `limit` s; `transport` is tcp or udp. `audio`: also reads audio."""
        self._gst = gstreamer
        self.dialogue = Dialogue(address, gstreamer.has, audio=audio)
        self.dialogue.login = login
        self._pipeline = gstreamer.gst.Pipeline.new(None)
        self._sink = gstreamer.element("appsink", sync=False, max_buffers=_QUEUED, enable_last_sample=False)
        self._audio_sink: Any | None = None
        self._source = _rtspsrc(gstreamer, address, transport, limit, own_login=login is None)
        self._pipeline.add(self._source)
        self._pipeline.add(self._sink)
        if audio:
            self._audio_sink = gstreamer.element(
                "appsink",
                **{
                    "sync": False,
                    "async": False,
                    "max_buffers": _QUEUED_AUDIO,
                    "drop": True,
                    "enable_last_sample": False,
                },
            )
            self._pipeline.add(self._audio_sink)
        self._handlers = [
            self._source.connect("before-send", functools.partial(_before_send, gstreamer), self.dialogue),
            self._source.connect("select-stream", _select_stream, self.dialogue),
            self._source.connect(
                "pad-added", functools.partial(_link, gstreamer), self.dialogue, self._sink, self._audio_sink
            ),
        ]
        self._bus = self._pipeline.get_bus()
        self._playing = False
        self._pipeline.set_state(gstreamer.gst.State.PLAYING)

    def playing(self) -> bool:
        """Returns whether the camera plays; waits for a message for up to `POLL` s, and takes all that have arrived:
        this thread may not have run for a while. Raises SourceError if the camera cannot be opened."""
        message = self._bus.timed_pop(round(POLL * self._gst.gst.SECOND))
        while message is not None:
            self._take(message)
            message = None if self._playing else self._bus.pop()
        return self._playing

    def pull(self, timeout: float) -> Any | None:
        """Returns the next frame's sample; None if none arrives within `timeout` s, and at once at the stream's end.
        Raises SourceError if the pipeline reported an error."""
        sample = self._sink.try_pull_sample(round(timeout * self._gst.gst.SECOND))
        if sample is None or self._bus.have_pending():
            while (message := self._bus.pop()) is not None:
                self._take(message)
        return sample

    def pull_audio(self) -> Any | None:
        """Returns the next audio frame's sample, if one has arrived."""
        return None if self._audio_sink is None else self._audio_sink.try_pull_sample(0)

    def keep_alive(self) -> None:
        """Sends a request without content, if the camera supports it, and does not wait for the answer."""
        self._source.emit("get-parameters", [], None, self._gst.gst.Promise.new())

    def received(self) -> int:
        """Returns the bytes that the camera has sent over TCP so far."""
        return self.dialogue.received()

    def ended(self) -> bool:
        """Returns whether the stream has ended."""
        return bool(self._sink.is_eos())

    def close(self, *, well: bool = False) -> None:
        """Ends the session and waits for the camera's answer for at most 0.1 s.

        GStreamer would read to the end of a message that has begun, however slowly it arrives. Its connection is
        therefore cut if that takes too long, and at once if the camera failed (not `well`).
        """
        if self.dialogue.login is not None:
            self.dialogue.login.cancel()
        cutting = threading.Timer(_FAREWELL, self.dialogue.cut)
        if well:
            cutting.start()
        else:
            self.dialogue.cut()
        self._pipeline.set_state(self._gst.gst.State.NULL)
        cutting.cancel()
        for handler in self._handlers:
            self._source.disconnect(handler)
        self._handlers = []
        self._bus.set_flushing(True)
        self.dialogue.close()

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


def _rtspsrc(gstreamer: GStreamer, address: Address, transport: str, limit: float, *, own_login: bool) -> Any:
    """Returns the rtspsrc element. `own_login`: it answers login challenges itself."""
    element = gstreamer.element(
        "rtspsrc",
        location=address.location,
        protocols=_LOWER_TRANSPORTS[transport],
        latency=_REORDERING if transport == "udp" else 0,
        buffer_mode=_ONLY_RTP_TIME,
        do_retransmission=False,
        max_ts_offset=1,  # ns: does not move the times of one stream to match another
        timeout=0,
        tcp_timeout=round(limit * 1e6),
        udp_buffer_size=4 << 20,
        tls_validation_flags=0,
        user_agent="sightd",
    )
    if own_login and address.user is not None:
        element.set_property("user-id", address.user)
        element.set_property("user-pw", address.password)
    return element


def _before_send(gstreamer: GStreamer, source: Any, request: Any, dialogue: Dialogue) -> bool:
    """Returns whether rtspsrc may send `request`; adds our credentials if rtspsrc has none."""
    _, flag, uri, _ = request.parse_request()
    method, location = flag.first_value_nick.upper().replace("-", "_"), source.get_property("location")
    allowed = dialogue.allows(method, location)
    if (made := own_connection()) is not None:
        try:
            dialogue.connected(RtspConnection(made))
        except OSError as error:
            dialogue.fault = SourceError(Reason.OTHER, f"its connection cannot be watched: {error.strerror}")
            return False
        if allowed and dialogue.login is not None:
            allowed = _asked(gstreamer, dialogue.login, made, location, dialogue)
    header = None if dialogue.login is None else dialogue.login.authorization(method, uri)
    if allowed and header is not None:
        field = gstreamer.rtsp.RTSPHeaderField.AUTHORIZATION
        request.remove_header(field, -1)
        request.add_header(field, header)
    return allowed


def _asked(gstreamer: GStreamer, login: OwnLogin, connection: Any, location: str, dialogue: Dialogue) -> bool:
    """Asks the camera for its challenge and returns whether the login may continue."""
    try:
        login.ask(connection, location)
    except SourceError as fault:
        login.fault = fault
    except gstreamer.glib.Error:
        login.fault = SourceError(Reason.REFUSED)
    dialogue.fault = dialogue.fault or login.fault
    return dialogue.fault is None


def _select_stream(_source: Any, number: int, caps: Any, dialogue: Dialogue) -> bool:
    described = caps.get_structure(0)
    _, payload = described.get_int("payload")
    return dialogue.selects(number, payload, described.get_string)


def _link(
    gstreamer: GStreamer, source: Any, pad: Any, dialogue: Dialogue, video_sink: Any, audio_sink: Any | None
) -> None:
    """Links a new stream to its sink through a depayloader. A stream that continues under another SSRC, after the
    camera's encoder restarted, arrives on a new pad and replaces the old one."""
    if dialogue.codec is None:
        return
    sink, depayloader, caps = video_sink, dialogue.codec.depayloader, dialogue.codec.caps
    if audio_sink is not None and _media_of(pad) == "audio":
        sink, depayloader, caps = audio_sink, dialogue.audio_depayloader, dialogue.audio_caps
    input_of_sink = sink.get_static_pad("sink")
    if input_of_sink.is_linked():
        entry = input_of_sink.get_peer().get_parent_element().get_static_pad("sink")
        if (old := entry.get_peer()) is not None and dialogue.may_replace_stream():
            old.unlink(entry)
            pad.link(entry)
        return
    sink.set_property("caps", gstreamer.gst.Caps.from_string(caps))
    element = gstreamer.element(depayloader)
    source.get_parent().add(element)
    element.link(sink)
    element.sync_state_with_parent()
    pad.link(element.get_static_pad("sink"))


def _media_of(pad: Any) -> str:
    caps = pad.get_current_caps() or pad.query_caps(None)
    return "" if caps.get_size() == 0 else caps.get_structure(0).get_string("media") or ""


def _fault_of(message: Any) -> GstFault:
    error, text = message.parse_error()
    details = message.parse_error_details()
    status, status_text = None, ""
    if details is not None and details.has_field("rtsp-status-code"):
        _, status = details.get_uint("rtsp-status-code")
        status_text = details.get_string("rtsp-status-reason") or ""
    return GstFault(error.domain, error.code, text or "", status, status_text)
