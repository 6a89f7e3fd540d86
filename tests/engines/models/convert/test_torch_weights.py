"""Weights are read from a PyTorch file, and nothing in it is ever executed."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert.torch_weights import read_weights

MAGIC = 0x1950A86A20F9469CFC6C
NUMBERS = np.arange(6, dtype=np.float32)


class Named:
    """Pickled as a reference to a global name of another module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickled as a call."""

    def __init__(self, what: Named, *arguments: Any) -> None:
        self.what, self.arguments = what, arguments


class Pickler(pickle._Pickler):
    """Writes pickles like PyTorch, without PyTorch."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())  # type: ignore[attr-defined]
        elif isinstance(obj, Changed):
            self.save(obj.what)
            self.save(obj.state)
            self.write(pickle.BUILD)  # type: ignore[attr-defined]
        elif isinstance(obj, Call):
            self.save(obj.what)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)  # type: ignore[attr-defined]
        else:
            super().save(obj, save_persistent_id)  # type: ignore[misc]

    def persistent_id(self, obj: Any) -> Any:
        return obj.content if isinstance(obj, Storage) else None


class Changed:
    """Pickled as an object that is modified after its creation: BUILD."""

    def __init__(self, what: Any, state: Any) -> None:
        self.what, self.state = what, state


class Storage:
    def __init__(self, key: str, length: int, kind: str = "FloatStorage") -> None:
        self.content = ("storage", Named("torch", kind), key, "cpu", length, None)


def tensor(storage: Storage, offset: Any = 0, size: tuple[Any, ...] = (2, 3), stride: tuple[Any, ...] = (3, 1)) -> Call:
    return Call(Named("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, False, OrderedDict())


def written(path: Path, named: Any, storages: bytes, keys: Any = ("0",), magic: Any = MAGIC) -> Path:
    with path.open("wb") as file:
        for part in (magic, 1001, {"little_endian": True}, named, list(keys)):
            Pickler(file, protocol=2).dump(part)
        file.write(storages)
    return path


def of_numbers(count: int = 6) -> bytes:
    return struct.pack("<q", count) + NUMBERS.tobytes()


def test_tensors_come_with_their_names_shapes_and_strides(tmp_path: Path) -> None:
    named = OrderedDict(
        straight=tensor(Storage("0", 6)),
        turned=tensor(Storage("0", 6), 0, (3, 2), (1, 3)),
        later=tensor(Storage("0", 6), 4, (2,), (1,)),
        count=tensor(Storage("1", 1, "LongStorage"), 0, (), ()),
    )
    counts = struct.pack("<qq", 1, 77)
    found = read_weights(written(tmp_path / "w.pth", named, of_numbers() + counts, ("0", "1")))
    np.testing.assert_array_equal(found["straight"], NUMBERS.reshape(2, 3))
    np.testing.assert_array_equal(found["turned"], NUMBERS.reshape(2, 3).T)
    np.testing.assert_array_equal(found["later"], [4, 5])
    assert found["count"] == 77
    assert found["count"].dtype == np.int64


def test_nothing_else_is_admitted(tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    for module, name in (("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "fromfile")):
        evil = OrderedDict(a=Call(Named(module, name), f"touch {marker}"))
        with pytest.raises(ConversionError, match=f"it references {module}.{name}, which is not part of a tensor"):
            read_weights(written(tmp_path / "w.pth", evil, of_numbers()))
    with (tmp_path / "plain.pth").open("wb") as file:
        pickle.dump(Evil(marker), file)
    with pytest.raises(ConversionError, match="is not part of a tensor"):
        read_weights(tmp_path / "plain.pth")
    assert not marker.exists()


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize(
    "one",
    [
        tensor(Storage("0", 6), 1),
        tensor(Storage("0", 6), -1),
        tensor(Storage("0", 6), 0, (2, 3), (3, -1)),
        tensor(Storage("0", 6), 0, (2,), (3, 1)),
        tensor(Storage("0", 6), 0, ("2",), (1,)),
        tensor(Storage("9", 6)),
        "a word",
        Named("torch", "FloatStorage"),
    ],
)
def test_what_does_not_fit_its_storage_is_reported(one: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"w.pth cannot be read as PyTorch weights"):
        read_weights(written(tmp_path / "w.pth", OrderedDict(a=one), of_numbers()))


def test_a_tensor_cannot_be_changed_past_its_checks(tmp_path: Path) -> None:
    """Otherwise a file could make the reader access memory outside its data."""
    for state in (["0", "<f4", 0, (9,), (-1,)], {"stride": (-1,)}, (None, {"offset": -100})):
        changed = OrderedDict(a=Changed(tensor(Storage("0", 6)), state))
        with pytest.raises(ConversionError, match="modifies objects that it created"):
            read_weights(written(tmp_path / "w.pth", changed, of_numbers()))


def test_a_file_that_ends_anywhere_is_reported(tmp_path: Path) -> None:
    whole = written(tmp_path / "w.pth", OrderedDict(a=tensor(Storage("0", 6))), of_numbers()).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(ConversionError, match=r"cut\.pth cannot be read"):
            read_weights(tmp_path / "cut.pth")


@pytest.mark.parametrize("count", [7, -1, 2**62])
def test_a_file_that_was_cut_short_is_reported(count: int, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="truncated"):
        read_weights(written(tmp_path / "w.pth", OrderedDict(a=tensor(Storage("0", 6))), of_numbers(count)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a newer file", b"<html>", b"\x80\x02"])
def test_other_files_are_reported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ConversionError, match=r"w\.pth cannot be read as PyTorch weights in the legacy format"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(ConversionError, match="No such file"):
        read_weights(tmp_path / "none.pth")


def test_another_magic_number_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="wrong magic number"):
        read_weights(written(tmp_path / "w.pth", OrderedDict(a=tensor(Storage("0", 6))), of_numbers(), magic=1))
