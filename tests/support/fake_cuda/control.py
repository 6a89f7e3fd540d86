"""Controls of the stand-in, for code that runs in a process of `StandIn.run`."""

from __future__ import annotations

import ctypes
import functools

KINDS = ("device memory", "pinned", "streams", "events", "modules", "graphs", "executables", "contexts")
OUT_OF_MEMORY, ILLEGAL_ADDRESS = 2, 700


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libcuda.so.1")
    library.fake_alive.restype = library.fake_calls.restype = ctypes.c_long
    return library


def alive() -> dict[str, int]:
    """Returns how many objects of each kind exist now, without kinds that have none."""
    counts = {kind: int(_library().fake_alive(kind.encode())) for kind in (*KINDS, "current contexts")}
    return {kind: number for kind, number in counts.items() if number}


def calls(function: str) -> int:
    """Returns how often a driver function was called, by its full name (cuMemAlloc_v2)."""
    return int(_library().fake_calls(function.encode()))


def fail(function: str, nth: int = 1, result: int = 1) -> None:
    """Makes the nth call of `function` from now on return the CUresult `result`; 700 loses the context for good."""
    _library().fake_fail(function.encode(), nth, result)


def fail_no_more() -> None:
    _library().fake_fail(b"", 0, 0)
