"""The way from here to the CUDA driver, gone only where a GPU is really wanted."""

from __future__ import annotations

import importlib
from typing import Any, cast

from engines.errors import EngineError
from engines.trt.errors import TensorRtUnavailableError
from engines.trt.seam import Device


def open_device(which: str) -> Device:
    """Opens "cuda:0" or "auto"; TensorRtUnavailableError with the driver's reason where that GPU cannot be used."""
    driver: Any = importlib.import_module("engines.cuda.driver")
    if reason := driver.available():
        raise TensorRtUnavailableError(f"no GPU can be used: {reason}")
    try:
        return cast(Device, driver.open_device(which))
    except EngineError as error:
        raise TensorRtUnavailableError(f"no GPU can be used: {error}") from error
