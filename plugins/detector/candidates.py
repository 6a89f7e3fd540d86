"""The output of every decoder: the boxes of one image that reach the least score, before suppression."""

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
    """Boxes xyxy float32 [n, 4] in pixels of the model's input, scores float32 [n], class_ids int64 [n].

    A box that reaches the least score in several classes appears once for each of them.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray


Head = Callable[[Mapping[str, Tensor], InputSpec, FloatArray], list[Candidates]]
"""A decoder: (raw outputs by name, the model's input spec, least score of each class [c]) -> one `Candidates` for each
image of the batch. Pure: modifies none of its arguments. Raises PluginError if the outputs do not match the head."""


def reaching(scores: NDArray[Any], min_score: FloatArray) -> tuple[IntArray, IntArray]:
    """Returns rows and columns of `scores` [n, c] that reach their column's least score; NaN never does.

    One pass over all scores, so that boxes dropped here are never decoded.
    """
    flat = np.flatnonzero(scores >= min_score)
    rows, columns = np.divmod(flat, scores.shape[1])
    return rows, columns
