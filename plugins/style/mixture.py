"""Mixtures of styles: from names to the model's weights, and the mixture shown at a given time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sightd.engines.text import did_you_mean
from sightd.plugins.api import FloatArray


def weights_of(mixture: Mapping[str, float], styles: Sequence[str]) -> FloatArray:
    """Returns the model's `style_weights` float32 [styles], which sum to 1; `styles` are its names in order. Raises
    ValueError for an unknown style, or if the shares are not positive."""
    weights = np.zeros(len(styles), np.float32)
    for name, share in mixture.items():
        weights[index_of(name, styles)] += share
    total = float(weights.sum())
    if not total > 0 or weights.min() < 0:
        raise ValueError(f"the shares of a mixture must be greater than zero, not {dict(mixture)}")
    mixed: FloatArray = weights / np.float32(total)
    return mixed


def index_of(name: str, styles: Sequence[str]) -> int:
    """Returns the index of a style. Raises ValueError, which suggests the closest name and lists all."""
    if name in styles:
        return list(styles).index(name)
    meant = did_you_mean(name, styles) or "."
    raise ValueError(f'unknown style "{name}"{meant} Known styles: {", ".join(styles)}')


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
