"""Decodes video with NVDEC, the GPU's hardware decoder, through PyNvVideoCodec. Images stay on the device."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.gpus import Gpus, no_gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.picture import DevicePicture, Matrix
from sightd.engines.errors import EngineError

_CODECS: Mapping[str, str] = {"h264": "H264", "hevc": "HEVC"}
"""FFmpeg's codec name -> the library's."""


class NvdecError(EngineError):
    """NVDEC cannot decode this stream, or has failed."""


class NvdecMissingError(NvdecError):
    """NVDEC cannot be used on this machine. The message says what to install."""


class NvdecDecoder:
    """Decodes one stream. Use from one thread; `close` is idempotent."""

    def __init__(self, device: CudaDevice, library: Any, codec: str, downloads: Downloads) -> None:
        """`codec` is FFmpeg's name. Raises NvdecError if NVDEC, or this card, cannot decode it."""
        if codec not in _CODECS:
            raise NvdecError(f"nvdec supports {' and '.join(_CODECS)}, not {codec}: set `decoder: cpu`")
        self._device, self._library, self._downloads = device, library, downloads
        self._stream = device.stream()
        self._native: Any = None
        try:
            with device.active():
                self._native = library.CreateDecoder(
                    gpuid=device.ordinal,
                    codec=getattr(library.cudaVideoCodec, _CODECS[codec]),
                    cudacontext=device.context_handle,
                    cudastream=self._stream.handle,
                    usedevicememory=True,
                    latency=library.DisplayDecodeLatencyType.LOW,  # NATIVE would hold back four images
                )
        except Exception as error:  # the library's exceptions have no common class
            self._stream.close()
            raise NvdecError(f"cuda:{device.ordinal} cannot decode {codec}: {error}. Set `decoder: cpu`") from error

    def decode(self, data: bytes, pts: int, matrix: Matrix, full_range: bool) -> list[tuple[DeviceImage, int]]:
        """Decodes one access unit (Annex B) and returns the completed images, each with the `pts` of its own unit.

        Usually this is one image; none or several if the stream has B-frames. For b"" it is all that remain. `matrix`
        and `full_range` describe the stream's colours. Raises NvdecError if the data cannot be decoded or is not 8-bit
        4:2:0, and CudaOutOfMemoryError if there is no memory for the images.
        """
        if self._native is None:
            raise NvdecError("the decoder is closed: create a new one")
        held = np.frombuffer(data, np.uint8)  # keep a reference: the packet has only its address
        packet = self._library.PacketData()
        packet.bsl, packet.bsl_data, packet.pts = held.nbytes, held.ctypes.data if data else 0, pts
        packet.decode_flag = self._library.VideoPacketFlag.ENDOFPICTURE
        with self._device.active():
            try:
                surfaces = self._native.Decode(packet)
            except Exception as error:  # as above
                raise NvdecError(f"nvdec could not decode a packet: {error}") from error
            images = [(self._copied(surface, matrix, full_range), int(surface.getPTS())) for surface in surfaces]
            self._stream.synchronize()  # the surfaces go back to the decoder, and any stream may read the copies
        return images

    def close(self) -> None:
        if self._native is not None:
            with self._device.active():
                self._native = None
            self._stream.close()

    def _copied(self, surface: Any, matrix: Matrix, full_range: bool) -> DeviceImage:
        """Copies a surface within the device, because the decoder reuses its few surfaces."""
        if surface.format != self._library.Pixel_Format.NV12:
            raise NvdecError(f"frames are {surface.format}, but only 8-bit 4:2:0 is supported: set `decoder: cpu`")
        luma, chroma = (plane.__cuda_array_interface__ for plane in surface.cuda())
        height, width = luma["shape"][:2]
        pitch = luma["strides"][0]
        if chroma["strides"][0] != pitch:
            raise NvdecError(f"rows of {pitch} and {chroma['strides'][0]} bytes are not supported: set `decoder: cpu`")
        of_luma, of_chroma = pitch * height, pitch * ((height + 1) // 2)
        buffer = self._device.allocate(of_luma + of_chroma)
        buffer.copy_from_address(luma["data"][0], of_luma, 0, self._stream)
        buffer.copy_from_address(chroma["data"][0], of_chroma, of_luma, self._stream)
        picture = DevicePicture(
            buffer.address, pitch, width, height, buffer.address + of_luma, pitch, matrix, full_range
        )
        return DeviceImage(self._device.ordinal, buffer, picture, self._downloads)


class Nvdec:
    """NVDEC of one GPU, created by `open_nvdec`. Creates a decoder for each stream. Thread-safe."""

    def __init__(self, device: CudaDevice, library: Any) -> None:
        self._device, self._library = device, library
        self._downloads = Downloads(device)

    def decoder(self, codec: str) -> NvdecDecoder:
        """See `NvdecDecoder`."""
        return NvdecDecoder(self._device, self._library, codec, self._downloads)

    def close(self) -> None:
        """Call after its decoders are closed and when none of their images will be downloaded any more. The device
        stays open."""
        self._downloads.close()


def open_nvdec(gpus: Gpus, which: str, load: Callable[[], Any] | None = None) -> Nvdec:
    """Returns NVDEC of "cuda:N". Raises NvdecMissingError or CudaUnavailableError, which says what to install.

    `load` returns the PyNvVideoCodec module.
    """
    if problem := no_gpu():
        raise NvdecMissingError(f"nvdec cannot be used: {problem}")
    library = (load or _library)()
    return Nvdec(gpus.device(which), library)


def _library() -> Any:
    try:
        return importlib.import_module("PyNvVideoCodec")
    except ModuleNotFoundError as error:
        raise NvdecMissingError(
            "nvdec requires PyNvVideoCodec: pip install 'sightd[gpu]' (available for x86-64 only)"
        ) from error
    except (ImportError, RuntimeError) as error:  # it raises RuntimeError if the driver's libraries are missing
        reason = str(error).splitlines()[0]
        raise NvdecMissingError(
            f"PyNvVideoCodec cannot be used ({reason}): the driver's libnvcuvid and libnvidia-encode must be "
            "installed (in a container, NVIDIA_DRIVER_CAPABILITIES=compute,utility,video)"
        ) from error
