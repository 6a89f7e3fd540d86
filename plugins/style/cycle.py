"""Selects the mixture of styles shown at a given time: a fixed one, or one after the other with a cross-fade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightd.plugins.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """`weights` float32 [n, styles]; each row is shown for `every` s and fades into the next in its last `fade` s."""

    weights: FloatArray
    every: float = 30.0
    fade: float = 2.0

    @classmethod
    def of(cls, weights: Sequence[FloatArray], every: float, fade: float) -> Cycle:
        return cls(np.stack(weights), every, min(fade, every))

    def at(self, seconds: float) -> FloatArray:
        """Returns the weights float32 [styles] at a time (s); they sum to 1."""
        count = len(self.weights)
        if count == 1:
            return np.asarray(self.weights[0], np.float32)
        turns = seconds / self.every
        now = int(turns // 1) % count
        into_fade = (turns % 1) * self.every - (self.every - self.fade)
        share = np.float32(max(0.0, into_fade / self.fade)) if self.fade > 0 else np.float32(0)
        smooth = share * share * (3 - 2 * share)
        mixed = (1 - smooth) * self.weights[now] + smooth * self.weights[(now + 1) % count]
        return np.asarray(mixed, np.float32)
