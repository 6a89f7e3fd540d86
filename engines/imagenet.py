"""The 1,000 classes of ImageNet's recognition challenge (Russakovsky et al. 2015, arXiv 1409.0575)."""

from __future__ import annotations

from importlib import resources

LABELS: tuple[str, ...] = tuple(
    resources.files("sightd.engines").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()
)
"""`LABELS[class_id]`, class_id 0 to 999, in the order of WordNet's numbers, as published networks give them."""
