"""The 26 styles of the published style network."""

from __future__ import annotations

STYLES: tuple[str, ...] = (
    "watercolour", "yellow-ink", "gouache", "carnival", "poster", "impasto", "honeycomb",
    "bold-oil", "pastel-sketch", "terrazzo", "rust", "engraving", "haze", "jungle",
    "frost", "stained-glass", "crayon", "weave", "parchment", "starry", "ember",
    "cutout", "fresco", "soft-oil", "delft", "mosaic",
)  # fmt: skip
"""In the network's order; named for how they look (docs/styles.jpg)."""

WITH_OWN = "style26-own"
"""The network that knows the styles that were learnt on this machine besides."""
