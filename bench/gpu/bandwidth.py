"""Memory bandwidth of the kernels: bytes read and written per second, compared to a copy on the device."""

from __future__ import annotations

import numpy as np

from bench.gpu.desk import Desk, noise
from bench.gpu.row import Row, within
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.launch.resize import Resize
from sightd.engines.cuda.launch.style import Style
from sightd.engines.model import ColourOrder, InputSpec
from sightd.engines.model import Resize as Fit

_LEAST = 0.7
_REPEATS = 20


def rows(gpu: Gpu, size: tuple[int, int] = (1920, 1080), batch: int = 16) -> list[Row]:
    """Measures with images of the model's own `size` (width, height), so that each byte is touched exactly once."""
    width, height = size
    pixels = width * height * batch
    with Desk(gpu) as desk:
        copy = _copy(desk, 6 * pixels)
        found = [Row("copy on the device", f"{copy / 1e9:.0f} GB/s read and written")]
        image, tensor = noise(width, height), desk.take(12 * pixels)
        bgr, nv12 = ([make(image)[0] for _ in range(batch)] for make in (desk.bgr, desk.nv12))
        for name, pictures, each in (("BGR", bgr, 3.0), ("NV12", nv12, 1.5)):
            for dtype in (np.dtype(np.float32), np.dtype(np.float16)):
                spec = InputSpec("images", width, height, ColourOrder.RGB, Fit.STRETCH)
                launcher = Preprocess(desk.device, desk.kernels, spec, batch, dtype)
                desk.callback(launcher.close)
                seconds = desk.seconds(lambda: launcher.launch(pictures, tensor, desk.stream), _REPEATS)  # noqa: B023
                moved = pixels * (each + 3 * dtype.itemsize)
                found.append(_against(f"preprocess {name} {dtype}", moved / seconds, copy))
        resize = Resize(desk.device, desk.kernels, batch)
        desk.callback(resize.close)
        shown = [desk.nv12(image)[0] for _ in range(batch)]
        pairs = list(zip(nv12, shown, strict=True))
        seconds = desk.seconds(lambda: resize.launch(pairs, desk.stream), _REPEATS)
        found.append(_against("resize NV12 to NV12", 3.0 * pixels / seconds, copy))
        tensor.fill(0, desk.stream)
        planes = DeviceTensor(tensor.address, (batch, 3, height, width), np.dtype(np.float32))
        style = Style(desk.device, desk.kernels, batch, ColourOrder.RGB)
        desk.callback(style.close)
        for name, frames, each in (("BGR", bgr, 3.0), ("NV12", nv12, 1.5)):
            seconds = desk.seconds(lambda: style.launch(planes, frames, desk.stream), _REPEATS)  # noqa: B023
            found.append(_against(f"style output to {name}", pixels * (12 + each) / seconds, copy))
    return found


def _copy(desk: Desk, nbytes: int) -> float:
    """Returns the bytes read and written per second by a copy."""
    source, target = desk.take(nbytes), desk.take(nbytes)
    return 2 * nbytes / desk.seconds(lambda: target.copy_from(source, desk.stream), _REPEATS)


def _against(what: str, rate: float, copy: float) -> Row:
    figure = f"{rate / 1e9:.0f} GB/s, {100 * rate / copy:.0f} % of the copy"
    return within(what, figure, f"{100 * _LEAST:.0f} %", rate >= _LEAST * copy)
