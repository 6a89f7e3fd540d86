"""Writes one clip: fragmented MP4, which stays playable up to its last whole group of pictures whatever happens."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.packets import ReceivedPacket, parameter_sets
from sightd.daemon.recording.audio_track import AudioTrack
from sightd.daemon.recording.clock import TIME_BASE, ClipClock
from sightd.engines.files import make_private, sync_folder

PART = ".part"
"""Suffix of a clip that is being written."""
MOVFLAGS = "frag_keyframe+empty_moov+default_base_moof"
MOVFLAGS_WITH_AUDIO = f"{MOVFLAGS}+delay_moov"
"""The streams begin at different times, which only a header can state that is written after their first packets."""
_INTERLEAVED = "500000"
"""Microseconds for which the muxer waits for audio that does not come."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


_WRITTEN_AT_ONCE = 1 << 17
"""Bytes that the muxer passes on in one call: the file system takes a third longer for blocks of 32 KiB."""


class UnplayableError(Exception):
    """No decoder could play a clip that begins with these packets."""


class StreamTemplate:
    """What the header of a file says of its video: frame size and parameter sets. Finding it out takes as long as
    writing ten seconds, so a camera's files share one as long as `fits` says so."""

    def __init__(self, codec: str, key_frame: bytes) -> None:
        """Reads a key frame; `codec` is one of `capture.packets.RECORDABLE`. Raises UnplayableError."""
        self.codec, self.parameters = codec, parameter_sets(codec, key_frame)
        try:
            self._source = av.open(io.BytesIO(key_frame), format=codec)
            self._video = self._source.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            raise UnplayableError(f"its key frame cannot be read: {type(error).__name__}") from None
        if not self._video.width or not self._video.codec_context.extradata:
            raise UnplayableError("its key frame has no parameter sets")

    def fits(self, codec: str, key_frame: bytes) -> bool:
        """Returns whether this also holds for another key frame."""
        return codec == self.codec and parameter_sets(codec, key_frame) == self.parameters != b""

    def add_to(self, container: av.container.OutputContainer) -> av.VideoStream:
        """Adds a stream to a file whose header is not written yet. Raises av.FFmpegError."""
        stream = container.add_stream_from_template(self._video)
        if self.codec == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # the only form of H.265 that Safari plays
        stream.time_base = TIME_BASE
        return stream


class _Output:
    """The file that the muxer writes; it never seeks. If the disk is full, `make_room` is asked before each further
    attempt."""

    def __init__(self, path: Path, make_room: Callable[[], bool]) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        self._make_room = make_room
        self.size = 0

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            try:
                written = self._file.write(left)
            except OSError as error:
                if error.errno in _NO_ROOM and self._make_room():
                    continue
                raise
            self.size += written
            left = left[written:]
        return len(data)

    def close(self) -> None:
        """Closes the file after its content is on the disk. Idempotent. Raises OSError."""
        if self._file.closed:
            return
        with self._file:
            os.fsync(self._file.fileno())


class ClipFile:
    """A clip that is being written, by one thread. `finish` or `abandon` must follow; all methods may raise OSError or
    av.FFmpegError."""

    def __init__(
        self,
        path: Path,
        template: StreamTemplate,
        first: Sequence[ReceivedPacket],
        make_room: Callable[[], bool] = lambda: False,
        reordered: int = 0,
        audio: AudioFormat | None = None,
    ) -> None:
        """Creates the file with the suffix `PART`. `first` are packets from a key frame on that `template` fits, which
        `write` writes. `make_room` frees space on a full disk and returns whether it could. `reordered` is the least
        number of frames that the stream reorders, `audio` the format of its sound."""
        self.path = path
        self._clock = ClipClock(first, reordered)
        self._template = template
        self._origin: int | None = None
        """Time of the first frame, in ticks of the stream."""
        make_private(path.parent)
        self._part = path.with_name(path.name + PART)
        self._output = _Output(self._part, make_room)
        try:
            self._container, self._stream, self._audio = _muxer(self._output, template, audio)
        except BaseException:
            self._output.close()
            self._part.unlink()
            raise

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._output.size

    @property
    def reordered(self) -> int:
        """How many frames at most are sent before one that is shown before them."""
        return self._clock.reordered

    def fits(self, packet: ReceivedPacket) -> bool:
        """Returns whether the packet can be decoded in this clip. If the camera has changed its parameter sets, such as
        the frame size, it needs another."""
        if not packet.key:
            return True
        return parameter_sets(self._template.codec, packet.data) in (b"", self._template.parameters)

    def write(self, packet: ReceivedPacket) -> None:
        if packet.audio:
            self._write_audio(packet)
            return
        out: av.Packet[Any] = av.Packet(packet.data)
        pts, dts = self._clock.times(packet)
        if self._origin is None:
            self._origin = pts
        out.pts, out.dts = pts - self._origin, dts - self._origin
        out.time_base = TIME_BASE
        out.is_keyframe = packet.key
        out.stream = self._stream
        self._container.mux_one(out)

    def _write_audio(self, packet: ReceivedPacket) -> None:
        """Writes audio, unless it belongs to what was before the first frame. Damaged audio is left out."""
        if self._audio is None or self._origin is None:
            return
        at = self._clock.audio_time(packet) - self._origin
        with suppress(av.error.InvalidDataError, av.error.ArgumentError):
            for out in self._audio.packets(packet.data, at):
                self._container.mux_one(out)

    def finish(self) -> None:
        """Completes the clip: when it returns, the whole file is on the disk under its final name."""
        self._container.close()
        self._output.close()
        self._part.rename(self.path)
        sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Closes what has been written so far, without completing it."""
        try:
            self._container.close()
        except (OSError, av.FFmpegError):
            pass  # the same fault again
        finally:
            self._output.close()


def _muxer(
    output: _Output, template: StreamTemplate, audio: AudioFormat | None
) -> tuple[av.container.OutputContainer, av.VideoStream, AudioTrack | None]:
    """Returns a muxer with its video stream and its audio track, if any."""
    options = {
        "movflags": MOVFLAGS if audio is None else MOVFLAGS_WITH_AUDIO,
        "max_interleave_delta": _INTERLEAVED,
    }
    container = av.open(output, "w", format="mp4", container_options=options, buffer_size=_WRITTEN_AT_ONCE)
    stream = template.add_to(container)
    track = None if audio is None else AudioTrack(container, audio)
    container.start_encoding()
    return container, stream, track
