"""Errors of the CUDA driver. Each message says what was being done, what the driver answered, and what to do."""

from __future__ import annotations

from sightd.engines.errors import EngineError

_MIB = 1024 * 1024
_CONTEXT_LOST = (
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "operation not supported on global/shared address space",
    "hardware stack error",
    "device-side assert",
    "unspecified launch failure",
    "launch timed out",
    "uncorrectable ECC",
    "context is destroyed",
)


class CudaError(EngineError):
    """The CUDA driver rejected a call."""


class CudaUnavailableError(CudaError):
    """This machine or this installation cannot run CUDA. The message says what to install."""


class CudaClosedError(CudaError):
    """A device, or an object that it created, was used after it was closed."""


class CudaContextLostError(CudaError):
    """A kernel corrupted the device's context: this process cannot use the device any more."""


class KernelError(CudaError):
    """A module cannot be loaded, does not contain the kernel, or a launch was rejected."""


class CudaOutOfMemoryError(CudaError):
    """The driver could not allocate memory, or the pool's own limit was reached.

    `requested`, `free` and `total` are in bytes. `free` and `total` are None if they are unknown, as when the host has
    no more page-locked memory.
    """

    def __init__(self, what: str, requested: int, free: int | None = None, total: int | None = None) -> None:
        self.requested, self.free, self.total = requested, free, total
        left = "" if free is None or total is None else f", {_size(free)} of {_size(total)} free"
        super().__init__(
            f"{what}: {_size(requested)} requested{left}. Use fewer plug-ins on this device, smaller batches or "
            "smaller models, or stop other programs that use it"
        )


def translated(doing: str, error: Exception) -> CudaError:
    """Converts a PyCUDA exception that was raised while `doing` to one of our errors.

    PyCUDA provides only the driver's text and no error number, so the text decides.
    """
    text = str(error).strip().removesuffix(" -")
    if any(sign in text for sign in _CONTEXT_LOST):
        return CudaContextLostError(
            f"{doing}: {text}. This process can no longer use the device; restart it. If it happens again, find "
            "the faulty kernel with `compute-sanitizer`"
        )
    if type(error).__name__ == "LaunchError":
        return KernelError(f"{doing}: {text}. The kernel needs more registers or shared memory than a block can have")
    return CudaError(f"{doing}: {text}")


def _size(nbytes: int) -> str:
    return f"{nbytes / _MIB:.1f} MiB" if nbytes >= _MIB else f"{nbytes} bytes"
