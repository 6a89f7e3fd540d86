"""Outputs of detectors on the device, and what a decoder of detect.cu needs to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import EngineError
from sightd.engines.heads import probe_every


class HeadMismatchError(EngineError):
    """The model's outputs do not have the format of its head."""


@dataclass(frozen=True, slots=True)
class DeviceTensor:
    """A contiguous tensor in device memory. Does not own the memory."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


Outputs = Mapping[str, DeviceTensor]


@dataclass(frozen=True, slots=True, eq=False)
class HeadLayout:
    """Input of a decoder for a batch of `batch` images.

    `kernel` is its name and `head` its struct, without the least scores. `threads` is the number per image, for each of
    `blocks_down`. At most `candidates` come from one image. `probed` scores of each image are checked; 0 if the head is
    not judged by its values. Each row of the output has up to `per_row` candidates.
    """

    kernel: str
    head: NDArray[Any]
    batch: int
    threads: int
    candidates: int
    probed: int
    blocks_down: int = 1
    per_row: int = 1


def probed_rows(rows: int) -> int:
    """Returns of how many rows the scores are checked."""
    return -(-rows // probe_every(rows))


def mismatch(name: str, form: str, outputs: Outputs) -> HeadMismatchError:
    """Returns the error for outputs that do not have the `form` that the head `name` reads."""
    return HeadMismatchError(
        f"head {name!r} reads {form}; the model produces {shapes_of(outputs)}: choose another head"
    )


def shapes_of(outputs: Outputs) -> str:
    return ", ".join(f"{name} {list(tensor.shape)} {tensor.dtype}" for name, tensor in outputs.items())
