"""A stand-in for PyNvVideoCodec: FFmpeg decodes, and the frames are in memory of the stand-in CUDA driver."""

from __future__ import annotations

import ctypes
from enum import Enum
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

SURFACES = 4
"""Number of surfaces of a decoder; then it overwrites the first."""
_ROW = 256


class Codec(Enum):
    H264 = "h264"
    HEVC = "hevc"


class PixelFormat(Enum):
    NV12 = 1
    P016 = 2


class PacketData:
    """Like the library's; `bsl_data` is an address."""

    bsl = bsl_data = pts = decode_flag = 0


class Decoder:
    """Reuses its surfaces: code that keeps one without copying it sees later frames appear in it."""

    def __init__(self, codec: Codec, pixel_format: PixelFormat) -> None:
        self._format = pixel_format
        self._context = av.CodecContext.create(codec.value, "r")
        self._context.thread_count = 1
        self._surfaces: list[Any] = []
        self._turn = 0

    def Decode(self, packet: PacketData) -> list[Any]:  # noqa: N802 - the library's name
        data = ctypes.string_at(packet.bsl_data, packet.bsl) if packet.bsl else b""
        if data == b"broken":
            raise RuntimeError("CUDA_ERROR_UNKNOWN")
        unit = None
        if data:
            unit = av.Packet(data)
            unit.pts = packet.pts
        return [self._shown(frame) for frame in self._context.decode(unit)]

    def _shown(self, frame: av.VideoFrame) -> Any:
        planes = np.asarray(frame.reformat(format="nv12").to_ndarray(), np.uint8)
        luma, chroma = _pitched(planes[: frame.height]), _pitched(planes[frame.height :])
        memory = self._surface(luma.nbytes + chroma.nbytes)
        whole = np.concatenate((luma, chroma))
        ctypes.memmove(int(memory), whole.ctypes.data, whole.nbytes)  # the stand-in's memory is host memory
        shapes = ((frame.height, frame.width, 1), (frame.height // 2, frame.width // 2, 2))
        addresses = (int(memory), int(memory) + luma.nbytes)
        views = [
            SimpleNamespace(
                __cuda_array_interface__={
                    "shape": shape,
                    "strides": (luma.shape[1], shape[2], 1),
                    "data": (address, False),
                }
            )
            for shape, address in zip(shapes, addresses, strict=True)
        ]
        return SimpleNamespace(format=self._format, cuda=lambda: views, getPTS=lambda: frame.pts)

    def _surface(self, nbytes: int) -> Any:
        self._turn += 1
        if len(self._surfaces) < SURFACES:
            self._surfaces.append(_driver().mem_alloc(nbytes))
        return self._surfaces[(self._turn - 1) % SURFACES]


class Library:
    """The module. `made` holds the options that decoders were created with."""

    cudaVideoCodec = Codec  # noqa: N815 - the library's names
    Pixel_Format = PixelFormat
    DisplayDecodeLatencyType = SimpleNamespace(NATIVE=0, LOW=1, ZERO=2)
    VideoPacketFlag = SimpleNamespace(ENDOFPICTURE=8)
    PacketData = PacketData

    def __init__(self, pixel_format: PixelFormat = PixelFormat.NV12) -> None:
        self.made: list[dict[str, Any]] = []
        self._format = pixel_format

    def CreateDecoder(self, **options: Any) -> Decoder:  # noqa: N802
        self.made.append(options)
        return Decoder(options["codec"], self._format)


def _driver() -> Any:
    import pycuda.driver

    return pycuda.driver


def _pitched(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pads rows to a multiple of 256 bytes, like the pitch on a device."""
    wide = np.zeros((len(rows), -(-rows.shape[1] // _ROW) * _ROW), np.uint8)
    wide[:, : rows.shape[1]] = rows
    return wide
