"""What every decoder gives: the boxes of one picture that reach the least score, before any of them is suppressed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.session import Tensor
from sightd.engines.spec import InputSpec
from sightd.plugins.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes xyxy float32 [n, 4] in pixels of the network's input, scores float32 [n], class_ids int64 [n].

    A box that reaches the least score in several classes is there once for each of them.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray


Head = Callable[[Mapping[str, Tensor], InputSpec, FloatArray], list[Candidates]]
"""A decoder: (raw outputs by name, what the network was fed, least score of each class [c]) -> one `Candidates` for
each picture of the batch. Pure: writes into nothing. PluginError where the outputs are not of the head's form.
"""


def reaching(scores: NDArray[Any], min_score: FloatArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of `scores` [n, c] that reach their column's least score; NaN never does.

    One pass over all scores: nothing that is dropped here is decoded.
    """
    flat = np.flatnonzero(scores >= min_score)
    rows, columns = np.divmod(flat, scores.shape[1])
    return rows, columns
