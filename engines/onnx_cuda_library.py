"""ONNX Runtime's CUDA part: getting its libraries loaded, and the reason where they cannot be."""

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
    """Why this ONNX Runtime knows nothing of CUDA; None where it does, which is not yet to say that CUDA starts."""
    if PROVIDER in onnxruntime.get_available_providers():
        return None
    return "ONNX Runtime is here without CUDA (onnxruntime-gpu[cuda,cudnn] in its place has it)"


def preload() -> None:
    """Loads CUDA and cuDNN from Python packages (nvidia-*), where the loader of shared libraries does not look."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):  # it prints what it did not find; that may well be in the system's folders
        onnxruntime.preload_dlls()
    logger.debug("CUDA libraries: %s", told.getvalue().strip() or "all preloaded")


def why_not_started(folder: Path | None = None) -> str:
    """What the loader of shared libraries says of the provider's own: ONNX Runtime keeps it from its callers.

    `folder` holds that library; by default where ONNX Runtime is installed.
    """
    path = (folder or Path(onnxruntime.__file__).parent / "capi") / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return "no usable GPU or driver"
