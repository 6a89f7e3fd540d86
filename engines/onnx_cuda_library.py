"""Loads the CUDA libraries of ONNX Runtime, and finds out why they cannot be loaded."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
from pathlib import Path

import onnxruntime

logger = logging.getLogger(__name__)

PROVIDER = "CUDAExecutionProvider"


def missing() -> str | None:
    """Returns why this ONNX Runtime has no CUDA support, or None if it has. CUDA may still fail to start."""
    if PROVIDER in onnxruntime.get_available_providers():
        return None
    return "this ONNX Runtime has no CUDA support (install onnxruntime-gpu[cuda,cudnn] instead)"


def preload() -> None:
    """Loads CUDA and cuDNN from Python packages (nvidia-*), which the dynamic loader does not search."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):  # it prints libraries it did not find, which the system may have
        onnxruntime.preload_dlls()
    logger.debug("CUDA libraries: %s", told.getvalue().strip() or "all preloaded")


def why_not_started(folder: Path | None = None) -> str:
    """Returns the dynamic loader's error for the CUDA provider library, which ONNX Runtime does not report.

    `folder` contains that library; the default is ONNX Runtime's own folder.
    """
    path = (folder or Path(onnxruntime.__file__).parent / "capi") / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return "no usable GPU or driver"
