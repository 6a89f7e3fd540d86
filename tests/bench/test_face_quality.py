"""`bench.face_quality` counts names that the gate costs and strangers that it admits; changes do what they say."""

from __future__ import annotations

import numpy as np
import pytest

from bench.face_quality import CHANGES, Probe, blurred, masked, measure, smaller
from bench.turned_faces import Face
from tests.plugins.face.gallery.faces import vector

pytestmark = pytest.mark.computing

LANDMARKS = np.array([[215, 215], [265, 215], [240, 245], [220, 270], [260, 270]], np.float32)
SCENE = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)


def test_names_and_strangers_are_counted_before_and_after_the_gate() -> None:
    faces = [Face(name, SCENE, vector(seed)) for name, seed in (("a", 1), ("b", 2))]
    seen = [Probe("a", vector(1), 0.9), Probe("b", vector(2), 0.1), Probe("b", vector(1), 0.8)]
    one = measure("blur", faces, seen, (0.5, 0.4), 0.25)
    assert (one.looks, one.named, one.kept) == (3, 2, 1), "one name is lost to the gate"
    assert (one.strangers, one.admitted) == (1, 1), "b is taken for a"
    assert (one.enrolled, one.alike) == (2, 1.0), "and could be enrolled beside a"


def test_changes_shrink_blur_and_cover() -> None:
    small = smaller(10)(SCENE, LANDMARKS)
    assert small.shape == (320, 320, 3)
    assert (small[:100] == 114).all()
    assert small[160, 160].tolist() != [114, 114, 114]
    assert blurred(3)(SCENE, LANDMARKS).std() < SCENE.std() / 4
    covered = masked((1, 2, 3))(SCENE, LANDMARKS)
    assert covered[260, 240].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(covered[:200], SCENE[:200])
    assert all(change(SCENE, LANDMARKS).dtype == np.uint8 for change in CHANGES.values())
