"""Looks and identities: what is refused, and whose they are."""

from __future__ import annotations

import numpy as np
import pytest

from sightd.plugins.api import Appearances, Detections, Identities, Results

ROWS = np.arange(2, dtype=np.int64)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.eye(3, 4), r"shape \[3, 4\], expected \[2, d\]"),
        (np.ones(2), r"shape \[2\]"),
        (2 * np.eye(2), "not of unit length"),
        (np.full((2, 2), np.nan), "not of unit length"),
    ],
)
def test_other_than_one_unit_vector_per_object_is_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Appearances(ROWS, vectors.astype(np.float32), "model")


def test_an_identity_belongs_to_one_track() -> None:
    assert Identities(ROWS, ROWS + 5, "site").by_track() == {0: 5, 1: 6}
    with pytest.raises(ValueError, match=r"Identities.numbers has the shape \[1\], expected \[2\]"):
        Identities(ROWS, ROWS[:1], "site")


def test_looks_belong_to_the_detections_before_them() -> None:
    looks = Appearances(ROWS, np.eye(2, dtype=np.float32), "model")
    both = Results(Detections.none()).merged(Results(looks))
    assert both.get(Appearances) is looks
    assert both.merged(Results(Detections.none())).get(Appearances) is None
