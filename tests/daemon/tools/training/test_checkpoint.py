"""An interrupted training resumes, and is not confused with another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightd.daemon.tools.training.checkpoint import Checkpoint
from sightd.daemon.tools.training.preflight import TrainingError

STATE = {"step": np.array(7), "value-0": np.arange(3, dtype=np.float32)}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {"steps": 9})
    assert checkpoint.load() is None
    checkpoint.save({"step": np.array(1)})
    checkpoint.save(STATE)
    found = Checkpoint(tmp_path, {"steps": 9}).load()
    assert found is not None
    assert found.keys() == STATE.keys()
    np.testing.assert_array_equal(found["value-0"], STATE["value-0"])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.load() is None


def test_one_of_another_training_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path, {"steps": 9}).save(STATE)
    with pytest.raises(TrainingError, match="belongs to other images, other options or another model: remove it"):
        Checkpoint(tmp_path, {"steps": 10}).load()


@pytest.mark.parametrize("length", [0, 100, -40])
def test_a_broken_one_is_reported(length: int, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.save(STATE)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:length])
    with pytest.raises(TrainingError, match=r"checkpoint.npz cannot be read .* remove it to start over"):
        checkpoint.load()
