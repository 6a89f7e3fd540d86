"""The styles by name, and mixtures of them as what the network is fed."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from plugins.types import FloatArray

STYLES = (
    "watercolour", "yellow-ink", "gouache", "carnival", "poster", "impasto", "honeycomb",
    "bold-oil", "pastel-sketch", "terrazzo", "rust", "engraving", "haze", "jungle",
    "frost", "stained-glass", "crayon", "weave", "parchment", "starry", "ember",
    "cutout", "fresco", "soft-oil", "delft", "mosaic",
)  # fmt: skip
"""In the network's order; named for how they look (docs/styles.jpg)."""


def weights_of(mixture: Mapping[str, float]) -> FloatArray:
    """The network's `style_weights` float32 [26], which sum to 1. ValueError for a style that there is not, or where
    nothing is left of the mixture."""
    weights = np.zeros(len(STYLES), np.float32)
    for name, share in mixture.items():
        weights[index_of(name)] += share
    total = float(weights.sum())
    if not total > 0 or weights.min() < 0:
        raise ValueError(f"the shares of a mixture are above zero, not {dict(mixture)}")
    mixed: FloatArray = weights / np.float32(total)
    return mixed


def index_of(name: str) -> int:
    """ValueError names the nearest and all others."""
    if name in STYLES:
        return STYLES.index(name)
    near = get_close_matches(name.casefold(), STYLES, n=1)
    meant = f'; did you mean "{near[0]}"?' if near else "."
    raise ValueError(f'no style is called "{name}"{meant} There are: {", ".join(STYLES)}')
