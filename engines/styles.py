"""The 26 styles of the published style model."""

from __future__ import annotations

STYLES: tuple[str, ...] = (
    "watercolour", "yellow-ink", "gouache", "carnival", "poster", "impasto", "honeycomb",
    "bold-oil", "pastel-sketch", "terrazzo", "rust", "engraving", "haze", "jungle",
    "frost", "stained-glass", "crayon", "weave", "parchment", "starry", "ember",
    "cutout", "fresco", "soft-oil", "delft", "mosaic",
)  # fmt: skip
"""In the model's order, named after their appearance (docs/styles.jpg)."""

WITH_OWN = "style26-own"
"""The model that also includes the styles learnt on this machine."""
