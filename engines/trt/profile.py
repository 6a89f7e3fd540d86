"""The input shapes that an engine is built for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightd.engines.trt.errors import EngineBuildError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Number of images per run: from `least` to `most`, fastest at `usual`. Raises ValueError if they are not in that
    order."""

    least: int = 1
    usual: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.usual <= self.most:
            raise ValueError(f"batch range {self}: must be 1 <= least <= usual <= most")

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """Parses "1:4:16" as least, usual and most, or "8" as 1, 8 and 8. Raises ValueError for anything else."""
        match [int(part) for part in text.split(":")]:
            case [most]:
                return cls(1, most, most)
            case [least, usual, most]:
                return cls(least, usual, most)
        raise ValueError(f"batch range {text!r}: write LEAST:USUAL:MOST, such as 1:4:16")

    def __str__(self) -> str:
        return f"{self.least}:{self.usual}:{self.most}"


def shapes_for(
    name: str, shape: Sequence[int], batch: BatchRange, sizes: Mapping[str, Shape]
) -> tuple[Shape, Shape, Shape] | None:
    """Returns the least, usual and largest shape of an input, or None if no axis is dynamic (-1 in `shape`).

    The first axis is the batch; `sizes[name]` gives the size of the others. Raises EngineBuildError if it is missing or
    does not fit.
    """
    if -1 not in shape:
        return None
    rest = tuple(shape[1:])
    if -1 in rest:
        wanted = sizes.get(name)
        if wanted is None or len(wanted) != len(rest):
            raise EngineBuildError(
                f"input {name} {list(shape)} has dynamic axes other than the batch: give its size, one number for "
                "each axis after the first, or export the model with a fixed size"
            )
        if any(axis not in (-1, size) for axis, size in zip(rest, wanted, strict=True)):
            raise EngineBuildError(f"input {name} {list(shape)} does not accept {list(wanted)}")
        rest = wanted
    if shape[0] != -1:
        return ((shape[0], *rest),) * 3
    return (batch.least, *rest), (batch.usual, *rest), (batch.most, *rest)
