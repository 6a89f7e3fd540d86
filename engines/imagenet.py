"""The 1,000 classes of the ImageNet recognition challenge (Russakovsky et al. 2015, arXiv 1409.0575)."""

from __future__ import annotations

from importlib import resources

LABELS: tuple[str, ...] = tuple(
    resources.files("sightd.engines").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()
)
"""Indexed by class_id, 0 to 999, in WordNet id order, as in published models."""
