"""Looks up styles by name, and turns mixtures into the model's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sightd.engines.suggest import did_you_mean
from sightd.plugins.types import FloatArray


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
    raise ValueError(f'no style is called "{name}"{meant} There are: {", ".join(styles)}')
