"""`bench.turned_faces` counts wrong names, and a result worse than for upright faces counts as missed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.turned_faces import Face, Figure, measure, no_worse
from sightd.plugins.api import FloatArray, Image
from tests.plugins.face.gallery.faces import vector

pytestmark = pytest.mark.computing


def test_pairs_of_different_people_are_counted_once_each() -> None:
    scene = np.zeros((480, 480, 3), np.uint8)
    faces = [Face(person, scene, vector(seed)) for person, seed in (("a", 1), ("a", 2), ("b", 3))]
    given: list[FloatArray | None] = [vector(1), None, vector(1)]  # b is mistaken for a

    def looks_at(_: Image) -> FloatArray | None:
        return given.pop(0)

    assert measure(looks_at, faces, 180, 0.5) == Figure(180, 3, 2, 0.5, 1, 3, 1, 1)


def test_more_wrong_names_than_upright_are_a_miss() -> None:
    before = Figure(0, 30, 30, 1.0, 2, 1000, 1, 450)
    assert no_worse(before, before)
    assert no_worse(Figure(180, 30, 20, 1.0, 2, 700, 1, 190), before)
    assert not no_worse(Figure(180, 30, 20, 0.1, 1, 700, 63, 117), before)
    assert not no_worse(Figure(180, 30, 20, 0.1, 90, 700, 0, 117), before)
    assert no_worse(Figure(90, 30, 0, 0.0, 0, 0, 0, 0), before), "nobody is looked at, nobody is named"
