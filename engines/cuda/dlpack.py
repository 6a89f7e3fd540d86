"""Shares device memory without a copy with libraries that support DLPack (dlpack.h 0.8)."""

from __future__ import annotations

import ctypes
from typing import Any

CUDA = 2
"""DLPack's kDLCUDA."""
_UNSIGNED = 1
_NAME = b"dltensor"

_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Tensor(ctypes.Structure):
    """DLPack's DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    """DLPack's DLManagedTensor."""

    _fields_ = (("tensor", _Tensor), ("manager", ctypes.c_void_p), ("deleter", _Deleter))


_lent: dict[int, tuple[_Managed, object]] = {}
"""Structures held by consumers, by address, with the owner of the memory."""

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


def _give_back(address: int) -> None:
    _lent.pop(address, None)


_deleter = _Deleter(_give_back)


class BytePlane:
    """Rows of bytes on a device. `owner` is kept alive as long as a consumer holds the plane; a capsule must be
    consumed."""

    def __init__(
        self, owner: object, address: int, rows: int, columns: int, pitch: int, device: tuple[int, int]
    ) -> None:
        """`pitch` is the number of bytes between rows; `device` is DLPack's device type and id, such as (CUDA, 0)."""
        self._owner, self._address, self._device = owner, address, device
        self._shape, self._strides = (rows, columns), (pitch, 1)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self) -> Any:
        """Returns a DLPack capsule. The memory must be completely written, because no stream is synchronised."""
        two = ctypes.c_int64 * 2
        shape, strides = two(*self._shape), two(*self._strides)
        tensor = _Tensor(self._address, *self._device, 2, _UNSIGNED, 8, 1, shape, strides, 0)
        managed = _Managed(tensor, None, _deleter)
        address = ctypes.addressof(managed)
        _lent[address] = managed, self._owner
        return _new_capsule(address, _NAME, None)


def lent() -> int:
    """Returns the number of planes held by consumers."""
    return len(_lent)
