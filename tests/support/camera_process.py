"""The process of the camera simulator: an RTSP server (gst-rtsp-server) whose mounts all show one stream.

Started by `tests.support.camera`. Settings come as JSON in the first argument; the port is printed on the first line.
The process ends when its standard input closes, so it does not outlive its parent.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

from tests.support.clips import LiveEncoder, Scene  # noqa: E402

# The access units contain their parameter sets: with config-interval=-1 the payloader would put them before every slice
# of a key frame, and FFmpeg would take each slice for a frame of its own.
_LAUNCH = (
    "( appsrc name=source is-live=true format=time do-timestamp={stamped} max-buffers=60 max-bytes=0 "
    "leaky-type=downstream caps={caps} ! {payloader} name=pay0 {audio} )"
)
_AUDIO = (
    "appsrc name=sound is-live=true format=time max-bytes=0 max-buffers=60 leaky-type=downstream "
    "caps=audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved ! audioconvert ! audioresample ! {} "
    "name=pay1"
)
_SOUNDS = {
    "aac": "voaacenc ! audio/mpeg,rate=16000 ! aacparse ! rtpmp4gpay pt=97",
    "opus": "opusenc ! rtpopuspay pt=97",
    "alaw": "alawenc ! rtppcmapay pt=8",
    "mulaw": "mulawenc ! rtppcmupay pt=0",
}
_BEEP_EVERY = 50
"""A beep begins with each frame whose number is a multiple of this, and lasts for two frames."""
_BYTE_STREAM = "stream-format=byte-stream,alignment=au"
_TOGETHER = "pt=96 config-interval=0 aggregate-mode=zero-latency"
_CODECS = {  # FFmpeg encoder, caps, payloader
    "h264": ("libx264", f"video/x-h264,{_BYTE_STREAM}", f"rtph264pay {_TOGETHER}"),
    "h265": ("libx265", f"video/x-h265,{_BYTE_STREAM}", f"rtph265pay {_TOGETHER}"),
    "jpeg": ("mjpeg", "image/jpeg,width={},height={}", "rtpjpegpay"),
}


class Mounts:
    """The pipelines of the mounts that have viewers, one per mount. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, Any] = {}
        self._sounds: dict[str, Any] = {}
        self._begun: dict[str, float] = {}
        self._started: set[str] = set()
        self.newcomer = threading.Event()
        """Set when a mount gets its first viewer; the live encoder then makes a key frame."""

    def attach(self, path: str, media: Any) -> None:
        with self._lock:
            self._sources[path] = media.get_element().get_child_by_name("source")
            if (sound := media.get_element().get_child_by_name("sound")) is not None:
                self._sounds[path] = sound
        media.connect("unprepared", lambda _: self._detach(path))
        self.newcomer.set()

    def _detach(self, path: str) -> None:
        with self._lock:
            self._sources.pop(path, None)
            self._sounds.pop(path, None)
            self._begun.pop(path, None)
            self._started.discard(path)

    def push(self, data: bytes, at: float, *, key: bool) -> None:
        """Pushes an access unit to every mount, shown `at` s. A mount that has just started gets nothing before a key
        frame."""
        with self._lock:
            if key:
                self._started |= {path for path, source in self._sources.items() if self._is_ready(path, source)}
            sources = [(path, self._sources[path]) for path in self._started & self._sources.keys()]
        for path, source in sources:
            source.emit("push-buffer", self._timed(data, at, path, source))

    def _is_ready(self, path: str, source: Any) -> bool:
        """Returns whether a mount can be given buffers; with sound, their times need its clock."""
        return path not in self._sounds or source.get_clock() is not None

    def sound(self, samples: bytes, at: float) -> None:
        """Pushes what is heard from `at` s on, S16LE at 8 kHz, to every mount that has started."""
        with self._lock:
            sounds = [(path, self._sounds[path]) for path in self._started & self._sounds.keys()]
        for path, one in sounds:
            one.emit("push-buffer", self._timed(samples, at, path, one))

    def _timed(self, data: bytes, at: float, path: str, source: Any) -> Any:
        """Returns a buffer whose time is that of the film: sound and image stay together on a slow machine."""
        buffer = Gst.Buffer.new_wrapped(data)
        if path in self._sounds:
            now = (source.get_clock().get_time() - source.get_base_time()) / Gst.SECOND
            buffer.pts = round((at + self._begun.setdefault(path, now - at)) * Gst.SECOND)
        return buffer


def file_units(paths: list[str]) -> Iterator[tuple[bytes, bool, float]]:
    """Yields the files' H.264 access units in an endless loop: data, key, seconds until the next."""
    clips_read = []
    for path in paths:
        with av.open(path) as container:
            stream = container.streams.video[0]
            to_annexb = av.BitStreamFilterContext("h264_mp4toannexb", in_stream=stream)
            packets = [
                p for packet in container.demux(stream) if packet.dts is not None for p in to_annexb.filter(packet)
            ]
            clips_read.append(([(bytes(p), p.is_keyframe) for p in packets], 1 / float(stream.average_rate or 25)))
    while True:
        for units, interval in clips_read:
            for data, key in units:
                yield data, key, interval


def live_units(settings: dict[str, Any], mounts: Mounts) -> Iterator[tuple[bytes, bool, float]]:
    """Yields bar-coded frames, encoded on demand and only once for all mounts: data, key, seconds until the next."""
    (width, height), fps = settings["size"], settings["fps"]
    scene = Scene(width, height, Path(settings["background"]) if settings["background"] else None)
    encoder = LiveEncoder(width, height, fps, _CODECS[settings["codec"]][0])
    for number in itertools.count():
        key = mounts.newcomer.is_set()
        mounts.newcomer.clear()
        for packet in encoder.encode(scene.frame(number), number, key=key):
            yield bytes(packet), packet.is_keyframe, 1 / fps


def play(units: Iterator[tuple[bytes, bool, float]], mounts: Mounts, faults: dict[str, float]) -> None:
    """Sends the units in real time; some are cut in half (as by lost packets) or left out."""
    chance = random.Random(1)  # the same faults in every run
    due = time.monotonic()
    for number, (data, key, interval) in enumerate(units):
        cut, left_out = chance.random() < faults["corruption"], chance.random() < faults["loss"]
        if key or not left_out:
            mounts.push(data[: len(data) // 2] if cut and not key else data, number * interval, key=key)
        mounts.sound(beep(number, interval), number * interval)
        due += interval
        late = time.monotonic() - due
        if late > 1:  # after SIGSTOP: do not catch up in a burst
            due = time.monotonic()
        elif late < 0:
            time.sleep(-late)


def beep(number: int, interval: float) -> bytes:
    """Returns what is heard during a frame: silence, or a square wave of 500 Hz."""
    level = 8000 if number % _BEEP_EVERY < 2 else 0
    samples = (level if sample // 8 % 2 else -level for sample in range(round(8000 * interval)))
    return array("h", samples).tobytes()


def serve(settings: dict[str, Any]) -> None:
    Gst.init(None)
    mounts = Mounts()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(settings["port"]))
    if settings["user"]:
        server.set_auth(basic_auth(settings["user"], settings["password"]))
    for index in range(settings["mounts"]):
        add_mount(server, f"/cam{index}", mounts, settings)
    if not server.attach(None):
        sys.exit(f"port {settings['port']} cannot be listened on")
    units = file_units(settings["files"]) if settings["files"] else live_units(settings, mounts)
    threading.Thread(target=play, args=(units, mounts, settings["faults"]), name="play", daemon=True).start()
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), name="parent", daemon=True).start()
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


def add_mount(server: Any, path: str, mounts: Mounts, settings: dict[str, Any]) -> None:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_latency(0)
    _, caps, payloader = _CODECS[settings["codec"]]
    audio = _AUDIO.format(_SOUNDS[settings["audio"]]) if settings["audio"] else ""
    factory.set_launch(
        _LAUNCH.format(caps=caps.format(*settings["size"]), payloader=payloader, audio=audio, stamped=not audio)
    )
    factory.connect("media-configure", lambda _, media: mounts.attach(path, media))
    if settings["user"]:
        permissions = GstRtspServer.RTSPPermissions()
        for permission in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("viewer", permission, True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)


def basic_auth(user: str, password: str) -> Any:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
