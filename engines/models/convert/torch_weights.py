"""Reads weights from a PyTorch file without PyTorch, and without executing code that a pickle may contain.

Supports the format of `torch.save` before PyTorch 1.6: five pickles (a magic number, a protocol version, the machine's
sizes, the dictionary of tensors, the keys of their storages), then the storages, each preceded by its length.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError

_MAGIC = 0x1950A86A20F9469CFC6C
_KINDS: Mapping[str, str] = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_LENGTH = np.dtype("<i8")
_FAULTS = (
    OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError,
    MemoryError, RecursionError, SystemError,
)  # fmt: skip
"""Exceptions that Python raises for broken files, or files that are not such a pickle."""


class _Fixed:
    """An object that a pickle can create but not modify: BUILD could otherwise set any field and bypass all checks."""

    __slots__ = ()

    def __setstate__(self, _state: object) -> None:
        raise pickle.UnpicklingError("it modifies objects that it created, which tensors never require")


class _Kind(_Fixed):
    """The element type of a storage."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class _Tensor(_Fixed):
    """The position of a tensor in its storage. `offset`, `size` and `stride` are in elements, not bytes."""

    __slots__ = ("dtype", "offset", "size", "storage", "stride")

    def __init__(self, storage: str, dtype: str, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.dtype, self.offset, self.size, self.stride = storage, dtype, offset, size, stride


def _rebuilt(storage: object, offset: object, size: object, stride: object, *_: object) -> _Tensor:
    """Called by the pickle for each tensor, with the arguments of PyTorch's own function."""
    match storage, offset, size, stride:
        case (str(key), _Kind() as kind), int(start), tuple(sides), tuple(steps):
            if all(isinstance(n, int) and n >= 0 for n in (start, *sides, *steps)) and len(sides) == len(steps):
                return _Tensor(key, kind.dtype, start, sides, steps)
    raise pickle.UnpicklingError("a tensor is not encoded the way PyTorch does it")


class _Unpickler(pickle.Unpickler):
    """Allows only what a dictionary of tensors consists of."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuilt
            case "torch", _ if name in _KINDS:
                return _Kind(_KINDS[name])
        raise pickle.UnpicklingError(f"it references {module}.{name}, which is not part of a tensor")

    def persistent_load(self, pid: Any) -> tuple[str, _Kind]:
        match pid:
            case ("storage", _Kind() as kind, str(key), _, int(), None):
                return key, kind
        raise pickle.UnpicklingError("a storage is not encoded the way PyTorch does it")


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the tensors by name, float32 or int64. Raises ConversionError for any other file. Nothing in the file is
    executed."""
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except _FAULTS as error:
        raise ConversionError(f"{path.name} cannot be read as PyTorch weights in the legacy format: {error}") from error


def _read(file: BinaryIO, size: int) -> dict[str, NDArray[Any]]:
    magic, _, _, named, keys = (_Unpickler(file).load() for _ in range(5))
    if magic != _MAGIC or not isinstance(named, dict) or not isinstance(keys, list):
        raise ValueError("it has the wrong magic number or contains no named tensors")
    tensors = {name: tensor for name, tensor in named.items() if isinstance(tensor, _Tensor)}
    if len(tensors) != len(named):
        raise ValueError("it contains more than tensors")
    dtypes = {tensor.storage: tensor.dtype for tensor in tensors.values()}
    storages = {key: _storage(file, dtypes[key], size) for key in keys}
    return {name: _strided(tensor, storages[tensor.storage]) for name, tensor in tensors.items()}


def _storage(file: BinaryIO, dtype: str, size: int) -> NDArray[Any]:
    """Reads the next storage. Raises ValueError if the file is truncated."""
    length = int(np.frombuffer(file.read(_LENGTH.itemsize), _LENGTH)[0])
    wanted = length * np.dtype(dtype).itemsize
    if not 0 <= wanted <= size - file.tell():
        raise ValueError("it is truncated")
    return np.frombuffer(file.read(wanted), dtype)


def _strided(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if 0 not in tensor.size and last >= len(storage):
        raise ValueError("a tensor extends past the end of its storage")
    item = storage.itemsize
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.size, [step * item for step in tensor.stride], writeable=False
    )
