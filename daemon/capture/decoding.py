"""From packets to pictures: on the CPU by FFmpeg, or on the GPU by NVDEC."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from daemon.capture.errors import Reason, SourceError
from daemon.capture.picture import lazily, to_bgr
from engines.cuda.device_image import DeviceImage
from engines.cuda.launch.picture import Matrix
from engines.cuda.nvdec import Nvdec
from engines.errors import EngineError
from plugins.types import Image

_REORDERED = 64
"""Packets that are remembered until their pictures come: more than any stream reorders (16 pictures of two fields)."""
_AVCC = 1
"""First byte of parameter sets as MP4 holds them; those of Annex B begin with a start code."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as the decoder gave it. `size` is (width, height); `time` is s in the source's own time; `decode` makes
    the BGR image, downloading it first where the picture is `on_device`."""

    size: tuple[int, int]
    decode: Callable[[], Image]
    time: float | None
    key: bool
    corrupt: bool
    on_device: DeviceImage | None = None


class Decoding(Protocol):
    """A stream's decoder; one thread."""

    def decode(self, packet: av.Packet[Any]) -> list[Decoded]:
        """The pictures that come of a packet, often none. InvalidDataError where it is damaged, SourceError where the
        source must be opened anew."""
        ...

    def close(self) -> None: ...


class CpuDecoding:
    """FFmpeg's decoder, in the caller's thread: frame threads would add delay."""

    def decode(self, packet: av.Packet[Any]) -> list[Decoded]:
        return [
            Decoded((frame.width, frame.height), lazily(frame), frame.time, frame.key_frame, frame.is_corrupt)
            for frame in packet.decode()
        ]

    def close(self) -> None:
        """The container owns the decoder."""


@dataclass(frozen=True, slots=True)
class _Packet:
    """What a packet says of its picture, which may come several packets later."""

    time: float | None
    key: bool
    corrupt: bool


class GpuDecoding:
    """NVDEC's decoder; pictures stay on the GPU. It conceals what was lost on the way: of damage only what the packets
    themselves tell is known. SourceError where it cannot go on.
    """

    def __init__(self, nvdec: Nvdec, video: av.VideoStream) -> None:
        """SourceError where it cannot decode this stream."""
        codec = video.codec_context.name
        self._video = video
        self._told: dict[int, _Packet] = {}
        self._numbers = itertools.count()
        try:
            self._decoder = nvdec.decoder(codec)
        except EngineError as error:
            raise SourceError(Reason.NO_VIDEO, str(error)) from error
        self._filter = av.BitStreamFilterContext(_filters(codec, video.codec_context.extradata), video)

    def decode(self, packet: av.Packet[Any]) -> list[Decoded]:
        colours = self._video.codec_context
        matrix = Matrix.BT709 if colours.colorspace == Colorspace.ITU709 else Matrix.BT601
        full_range = colours.color_range == ColorRange.JPEG
        number, ends = self._note(packet), packet.size == 0  # before the filter, which empties the packet
        found: list[Decoded] = []
        for unit in [*map(bytes, self._filter.filter(None if ends else packet)), *([b""] if ends else [])]:
            try:
                pictures = self._decoder.decode(unit, number, matrix, full_range)
            except EngineError as error:
                raise SourceError(Reason.DECODE, str(error)) from error
            for image, of_packet in pictures:
                size = (image.picture.width, image.picture.height)
                decode = partial(downloaded, image, matrix, full_range)
                told = self._told.get(of_packet, _Packet(None, False, False))
                found.append(Decoded(size, decode, told.time, told.key, told.corrupt, image))
        return found

    def _note(self, packet: av.Packet[Any]) -> int:
        """The packet's number, which the decoder gives back with its picture: some streams have no times."""
        number = next(self._numbers)
        time = None if packet.pts is None or packet.time_base is None else float(packet.pts * packet.time_base)
        self._told[number] = _Packet(time, packet.is_keyframe, packet.is_corrupt)
        self._told.pop(number - _REORDERED, None)
        return number

    def close(self) -> None:
        self._decoder.close()


def downloaded(image: DeviceImage, matrix: Matrix, full_range: bool) -> Image:
    """The BGR picture of one on a GPU: the very numbers of one that FFmpeg decodes."""
    nv12 = image.nv12()
    height, width = image.picture.height, image.picture.width
    frame = av.VideoFrame(nv12.shape[1], height + height % 2, "yuv420p")
    chroma = nv12[height:]
    for plane, rows in zip(frame.planes, (nv12[:height], chroma[:, 0::2], chroma[:, 1::2]), strict=True):
        _fill(plane, rows)
    frame.colorspace = Colorspace.ITU709 if matrix is Matrix.BT709 else Colorspace.ITU601
    frame.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    return np.ascontiguousarray(to_bgr(frame)[:height, :width])


def _fill(plane: av.video.plane.VideoPlane, rows: Image) -> None:
    """A plane that has a row more than there are has the last one twice: PyAV's pictures are of even sides."""
    room = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    room[: len(rows), : rows.shape[1]] = rows
    room[len(rows) :, : rows.shape[1]] = rows[-1]


def _filters(codec: str, extradata: bytes | None) -> str:
    """Annex B for NVDEC, with the parameter sets in front of each key frame: many cameras tell them once, in SDP."""
    convert = f"{codec}_mp4toannexb," if extradata and extradata[0] == _AVCC else ""
    return f"{convert}dump_extra=freq=keyframe"
