"""Opens the GPU for an engine, and converts errors to those of TensorRT."""

from __future__ import annotations

from sightd.engines.cuda import driver
from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.errors import EngineError
from sightd.engines.trt.errors import TensorRtUnavailableError


def open_device(which: str) -> CudaDevice:
    """Opens "cuda:0" or "auto". Raises TensorRtUnavailableError with the driver's reason if that GPU cannot be used."""
    if reason := driver.available():
        raise TensorRtUnavailableError(f"no usable GPU: {reason}")
    try:
        return driver.open_device(which)
    except EngineError as error:
        raise TensorRtUnavailableError(f"no usable GPU: {error}") from error
