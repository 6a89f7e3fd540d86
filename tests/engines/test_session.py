"""Outputs of several runs are joined to one batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.session import by_rows, joined


def above_zero(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A model for one image, whose outputs are as long as there are values above zero."""
    (row,) = inputs["values"]
    (places,) = np.nonzero(row > 0)
    return {"dets": np.stack([row[places]] * 5, axis=1)[None], "labels": places[None]}


def test_images_with_different_numbers_of_boxes_make_one_batch_filled_up_with_zeros() -> None:
    values = np.array([[1, -1, 2, 3], [-1, -1, -1, -1], [-1, 7, -1, -1]], np.float32)
    outputs = by_rows(above_zero, {"values": values})
    np.testing.assert_array_equal(outputs["labels"], [[0, 2, 3], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(outputs["dets"][..., 4], [[1, 2, 3], [0, 0, 0], [7, 0, 0]])
    assert outputs["dets"].shape == (3, 3, 5)
    assert outputs["dets"].dtype == np.float32
    assert outputs["labels"].dtype == np.int64


def test_batches_of_one_size_are_joined_as_they_are() -> None:
    parts = [{"output": np.full((rows, 2), rows, np.float16)} for rows in (2, 1)]
    outputs = joined(parts)
    np.testing.assert_array_equal(outputs["output"], [[2, 2], [2, 2], [1, 1]])
    assert outputs["output"].dtype == np.float16
