"""Decodes packets to frames: on the CPU with FFmpeg, or on the GPU with NVDEC."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.pacing import PresentationTimes
from sightd.daemon.capture.picture import (
    PLAIN,
    Deinterlacer,
    DisplayGeometry,
    lazily,
    luma_of,
    to_bgr,
    turned_alone,
    turned_as,
    with_aspect,
)
from sightd.daemon.config.model import Deinterlace
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.cuda.launch.picture import Matrix
from sightd.engines.cuda.nvdec import Nvdec
from sightd.engines.errors import EngineError
from sightd.plugins.api import Image, LumaPlane
from sightd.plugins.images.formats import MOST_SCANS, SCAN, UPRIGHT, orientation_of, scans, without_compressed_text

_REORDERED = 64
"""Packets that are remembered until their frames are decoded: more than any stream reorders (16 frames of two
fields)."""
_AVCC = 1
"""First byte of parameter sets as stored in MP4; those in Annex B begin with a start code."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A decoded frame, not yet converted. `size` is (width, height) of the BGR image that `decode` returns: upright,
    with square pixels.

    `pts` is in s of the source's own clock. `on_device` is the image on a GPU, if it can be used there as it is; `luma`
    is the decoder's luma plane, if it has one. A stream adds when the frame was captured: `captured_at` in monotonic s,
    `wall_time` in s since the epoch. `began_at` is when the first of its bytes arrived, monotonic s, if known: a large
    frame may take seconds.
    """

    size: tuple[int, int]
    decode: Callable[[], Image]
    pts: float | None
    key: bool
    corrupt: bool
    on_device: DeviceImage | None = None
    luma: LumaPlane | None = None
    captured_at: float = 0.0
    wall_time: float = 0.0
    began_at: float | None = None


class Decoding(Protocol):
    """Decoder of one stream, used by one thread."""

    def decode(self, packet: av.Packet[Any]) -> list[DecodedFrame]:
        """Returns the frames that a packet completes, often none. Raises InvalidDataError if the packet is damaged,
        SourceError if the source must be reopened."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the decoder reports about a frame."""

    time: float | None
    key: bool
    corrupt: bool
    geometry: DisplayGeometry


_JPEG = frozenset({"mjpeg", "mjpegb", "amv", "smvjpeg", "sp5x", "thp"})
"""FFmpeg's JPEG decoders."""
_PNG = frozenset({"png", "apng"})
"""Decoders that report images sent in several passes as interlaced, although all lines were captured at one time."""
_STILL = _JPEG | _PNG | {"webp"}
"""Decoders whose packets are whole image files, which may state their orientation."""


class CpuDecoding:
    """FFmpeg's decoder, run in the caller's thread: frame threads would add delay and lose errors."""

    def __init__(
        self,
        context: av.VideoCodecContext,
        aspect: Fraction | None = None,
        deinterlace: Deinterlace = "auto",
        times: PresentationTimes | None = None,
    ) -> None:
        """`aspect` is the sample aspect ratio stated by the container, if any. It takes precedence over the codec's
        until the codec's changes within the stream. `times` interprets the container's timestamps."""
        self._context = context
        self._aspect = _Aspect(context, aspect)
        self._times = times or PresentationTimes()
        self._geometry = with_aspect(PLAIN, self._aspect.now())
        without_fields = context.name in _PNG and deinterlace == "auto"
        self._codec = context.name
        self._orientation = UPRIGHT
        self._deinterlacer = Deinterlacer[_Facts]("off" if without_fields else deinterlace)

    def decode(self, packet: av.Packet[Any]) -> list[DecodedFrame]:
        if self._codec in _STILL and packet.size:
            packet = self._examined(packet)
        found: list[DecodedFrame] = []
        for frame in self._frames(packet):
            found += _complete(self._deinterlacer.put(frame, self._facts(frame)))
        if packet.size == 0:  # the end of the stream
            found += _complete(self._deinterlacer.flush())
        return found

    def _frames(self, packet: av.Packet[Any]) -> list[av.VideoFrame]:
        try:
            return self._context.decode(packet)
        except av.error.PermissionError:  # HEVC with broken parameter sets; nothing was forbidden
            raise av.error.InvalidDataError(errno.EINVAL, "damaged parameter sets") from None

    def close(self) -> None:
        """Does nothing: the context's owner closes it."""

    def _examined(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        """Records an image file's orientation and returns its packet; a PNG's is returned without compressed text.
        Raises InvalidDataError if a JPEG has too many scans."""
        data = bytes(packet)
        self._orientation = orientation_of(data)
        if self._codec in _JPEG and data.count(SCAN) > MOST_SCANS and scans(data, reads_on=True) > MOST_SCANS:
            raise av.error.InvalidDataError(errno.EINVAL, f"JPEG with more than {MOST_SCANS} scans")
        if self._codec in _PNG and (plain := without_compressed_text(data)) is not data:
            return _replaced(packet, plain)
        return packet

    def _facts(self, frame: av.VideoFrame) -> _Facts:
        if frame.key_frame:
            self._geometry = with_aspect(self._geometry, self._aspect.now())
        if self._codec in _STILL:
            self._geometry = turned_alone(self._geometry, frame, self._orientation)
        else:
            self._geometry = turned_as(self._geometry, frame)
        ticks = self._times.of(frame.pts, frame.dts)
        time = None if ticks is None or frame.time_base is None else float(ticks * frame.time_base)
        return _Facts(time, frame.key_frame, frame.is_corrupt, self._geometry)


def _replaced(packet: av.Packet[Any], data: bytes) -> av.Packet[Any]:
    """Returns a packet with other data but the same times and flags."""
    other: av.Packet[Any] = av.Packet(data)
    other.pts, other.dts = packet.pts, packet.dts
    if packet.time_base is not None:
        other.time_base = packet.time_base
    other.is_keyframe, other.is_corrupt = packet.is_keyframe, packet.is_corrupt
    return other


def _complete(frames: Iterable[tuple[av.VideoFrame, _Facts]]) -> list[DecodedFrame]:
    found: list[DecodedFrame] = []
    for frame, facts in frames:
        size = facts.geometry.size(frame.width, frame.height)
        decode, luma = lazily(frame, facts.geometry), luma_of(frame, facts.geometry)
        found.append(DecodedFrame(size, decode, facts.time, facts.key, facts.corrupt, luma=luma))
    return found


class _Aspect:
    """The sample aspect ratio currently in force."""

    def __init__(self, context: av.VideoCodecContext, stated: Fraction | None) -> None:
        self._context = context
        self._opened, self._stated = context.sample_aspect_ratio, stated

    def now(self) -> Fraction | None:
        of_codec = self._context.sample_aspect_ratio
        return self._stated if self._stated and of_codec == self._opened else of_codec


@dataclass(frozen=True, slots=True)
class _Packet:
    """What a packet states about its frame, which may be decoded several packets later."""

    pts: int | None
    time_base: Fraction | None
    key: bool
    corrupt: bool
    geometry: DisplayGeometry


_NO_PACKET = _Packet(None, None, False, False, PLAIN)


class GpuDecoding:
    """NVDEC's decoder; images stay on the GPU. NVDEC conceals lost data, so only damage that packets are marked with is
    known. Raises SourceError if it cannot continue.

    Frames that must be turned or stretched have no `on_device`: they are downloaded and converted on the CPU.
    """

    def __init__(
        self,
        nvdec: Nvdec,
        context: av.VideoCodecContext,
        aspect: Fraction | None = None,
        times: PresentationTimes | None = None,
        units: av.BitStreamFilterContext | None = None,
    ) -> None:
        """`context` is FFmpeg's decoder of the stream, used to read its colours and geometry. `aspect` and `times` are
        as for CpuDecoding. `units` converts packets to access units in Annex B (None: they already are). Raises
        SourceError if NVDEC cannot decode this stream."""
        self._context, self._aspect, self._units = context, _Aspect(context, aspect), units
        self._packets: dict[int, _Packet] = {}
        self._numbers = itertools.count()
        self._times = times or PresentationTimes()
        self._geometry = PLAIN
        self._headers: bytes | None = None
        """The geometry headers of the last key frame; None before the first one."""
        try:
            self._decoder = nvdec.decoder(context.name)
        except EngineError as error:
            raise SourceError(Reason.NO_VIDEO, str(error)) from error

    def decode(self, packet: av.Packet[Any]) -> list[DecodedFrame]:
        # read before the filter runs, because it empties the packet
        content, key = bytes(packet) if packet.is_keyframe else b"", packet.is_keyframe
        dts, ends = packet.dts, packet.size == 0
        told = _Packet(packet.pts, packet.time_base, key, packet.is_corrupt, PLAIN)
        units = self._annex_b(packet, ends)
        if key:
            self._follow(content, units)
        number = self._note(replace(told, geometry=self._geometry))
        matrix = Matrix.BT709 if self._context.colorspace == Colorspace.ITU709 else Matrix.BT601
        full_range = self._context.color_range == ColorRange.JPEG
        found: list[DecodedFrame] = []
        for unit in units:
            try:
                pictures = self._decoder.decode(unit, number, matrix, full_range)
            except EngineError as error:
                raise SourceError(Reason.DECODE, str(error)) from error
            for image, of_packet in pictures:
                told = self._packets.get(of_packet, _NO_PACKET)
                found.append(self._decoded(image, told, dts, partial(downloaded, image, matrix, full_range)))
        return found

    def _annex_b(self, packet: av.Packet[Any], ends: bool) -> list[bytes]:
        """Returns the access units of a packet; an empty packet makes the decoder return what is left."""
        if self._units is None:
            return [bytes(packet)]
        return [*map(bytes, self._units.filter(None if ends else packet)), *([b""] if ends else [])]

    def _decoded(
        self, image: DeviceImage, told: _Packet, dts: int | None, download: Callable[[DisplayGeometry], Image]
    ) -> DecodedFrame:
        geometry = told.geometry
        ticks = self._times.of(told.pts, dts)
        time = None if ticks is None or told.time_base is None else float(ticks * told.time_base)
        size = geometry.size(image.picture.width, image.picture.height)
        on_device = image if geometry == PLAIN else None
        return DecodedFrame(size, partial(download, geometry), time, told.key, told.corrupt, on_device)

    def _follow(self, content: bytes, units: list[bytes]) -> None:
        """Updates geometry and colours from a key frame, using FFmpeg's decoder, if its headers differ from the last
        one's. `content` is the packet's data, `units` are its access units."""
        headers = b"".join(_geometry_headers(self._context.name, unit) for unit in units)
        if headers == self._headers:
            return
        frame = _decoded_by_cpu(self._context, content)
        if frame is not None:
            self._geometry = turned_as(with_aspect(self._geometry, self._aspect.now()), frame)
            self._headers = headers

    def _note(self, told: _Packet) -> int:
        """Remembers a packet and returns its number, which the decoder returns with the frame: some streams have no
        timestamps."""
        number = next(self._numbers)
        self._packets[number] = told
        self._packets.pop(number - _REORDERED, None)
        return number

    def close(self) -> None:
        self._decoder.close()


def _decoded_by_cpu(context: av.VideoCodecContext, key_frame: bytes) -> av.VideoFrame | None:
    """Returns the decoded key frame; None if it is damaged."""
    try:
        frames = context.decode(av.Packet(key_frame)) or context.decode(None)
    except av.FFmpegError:
        return None
    finally:
        context.flush_buffers()
    return frames[0] if frames else None


_MOST_HEADERS = 64
"""NAL units of an access unit that are examined: only a few precede the image itself."""
_DISPLAY_ORIENTATION = 47
"""Payload type of the SEI message that states the display orientation (ITU-T H.264 D.1, H.265 D.2)."""


def _geometry_headers(codec: str, unit: bytes) -> bytes:
    """Returns the parts of an access unit (Annex B) that state size, aspect, colours and orientation, for comparison:
    sequence parameter sets and display orientation. Empty for codecs other than H.264 and HEVC."""
    if codec not in ("h264", "hevc"):
        return b""
    found = bytearray()
    for part in unit.split(b"\0\0\1", _MOST_HEADERS)[1:_MOST_HEADERS]:
        if not part:
            continue
        kind = part[0] & 31 if codec == "h264" else part[0] >> 1 & 63
        if kind in ((1, 5) if codec == "h264" else range(32)):  # the image itself
            break
        if kind == (7 if codec == "h264" else 33):
            found += part.rstrip(b"\0")
        elif kind == (6 if codec == "h264" else 39):
            found += _orientation(part[1 if codec == "h264" else 2 :].replace(b"\0\0\3", b"\0\0"))
    return bytes(found)


def _orientation(messages: bytes) -> bytes:
    """Returns the display orientation among SEI messages; empty if there is none."""
    at = 0
    while at + 2 < len(messages):
        kind, at = _sei_number(messages, at)
        size, at = _sei_number(messages, at)
        if kind == _DISPLAY_ORIENTATION:
            return messages[at : at + size]
        at += size
    return b""


def _sei_number(messages: bytes, at: int) -> tuple[int, int]:
    """Returns an SEI message's type or size, and the offset after it: bytes of 255 are added to the byte that
    follows."""
    value = 0
    while at < len(messages) and messages[at] == 255:
        value, at = value + 255, at + 1
    return (value + messages[at], at + 1) if at < len(messages) else (value, at)


def downloaded(image: DeviceImage, matrix: Matrix, full_range: bool, geometry: DisplayGeometry = PLAIN) -> Image:
    """Returns an image on a GPU as BGR uint8 [height, width, 3], identical to what FFmpeg's own decoding yields."""
    nv12 = image.nv12()
    height, width = image.picture.height, image.picture.width
    frame = av.VideoFrame(nv12.shape[1], height + height % 2, "yuv420p")
    chroma = nv12[height:]
    for plane, rows in zip(frame.planes, (nv12[:height], chroma[:, 0::2], chroma[:, 1::2]), strict=True):
        _fill(plane, rows)
    frame.colorspace = Colorspace.ITU709 if matrix is Matrix.BT709 else Colorspace.ITU601
    frame.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    picture = np.ascontiguousarray(to_bgr(frame)[:height, :width])
    return geometry.applied(picture)


def _fill(plane: av.video.plane.VideoPlane, rows: Image) -> None:
    """Copies `rows` into a plane. If the plane has one more row, the last row is repeated: PyAV's frames have even
    sides."""
    room = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    room[: len(rows), : rows.shape[1]] = rows
    room[len(rows) :, : rows.shape[1]] = rows[-1]


def annex_b_of(video: av.VideoStream) -> av.BitStreamFilterContext:
    """Returns a filter that makes access units for NVDEC from a container's packets, with the parameter sets before
    each key frame: many cameras send them only once."""
    context = video.codec_context
    convert = f"{context.name}_mp4toannexb," if context.extradata and context.extradata[0] == _AVCC else ""
    return av.BitStreamFilterContext(f"{convert}dump_extra=freq=keyframe", video)
