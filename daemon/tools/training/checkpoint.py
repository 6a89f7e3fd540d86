"""Checkpoints of a training on disk."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.training.preflight import TrainingError


class Checkpoint:
    """The file `checkpoint.npz` in a folder. `settings` must be the same for a training to resume."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path = folder / "checkpoint.npz"
        self._settings = json.dumps(settings, sort_keys=True)

    def load(self) -> dict[str, NDArray[Any]] | None:
        """Returns None if there is none. Raises TrainingError if it has other settings or is broken."""
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                state = {name: stored[name] for name in stored.files}
            settings = str(state.pop("settings"))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise TrainingError(f"{self.path} cannot be read ({error}): remove it to start over") from error
        if settings != self._settings:
            raise TrainingError(
                f"{self.path} belongs to other images, other options or another model: remove it to start "
                "over, or choose another folder with --work"
            )
        return state

    def save(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Replaces the file atomically: a truncated one is never seen. Raises OSError if it cannot be written."""
        new = self.path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                np.savez(file, allow_pickle=False, settings=np.array(self._settings), **state)
            new.replace(self.path)
        except OSError:
            new.unlink(missing_ok=True)  # it takes up space that the next attempt needs
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
