"""The catalogue of models that are known by name."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from sightd.engines.errors import UnknownModelError
from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_LABELS, IMAGENET_LABELS, STYLES
from sightd.engines.model import ColourOrder, InputSpec, MirrorSource, Model, PackageSource, Resize, Source, UrlSource
from sightd.engines.text import did_you_mean

_LABELS: Mapping[str, tuple[str, ...]] = {
    "coco": COCO_LABELS,
    "coco-ids": COCO_IDENTIFIER_LABELS,
    "imagenet": IMAGENET_LABELS,
    "face": ("face",),
    "styles": STYLES,
    "none": (),
}


AUTO = "auto"
"""Stands for `CPU_DETECTORS` or `GPU_DETECTORS`, according to what runs the model."""
CPU_DETECTORS = ("deimv2-femto", "yolox-tiny", "ssd-mobilenet-v2")
"""The most accurate per CPU time first; the last is available wherever PyPI is."""
GPU_DETECTORS = ("deim-dfine-m", "dfine-n", *CPU_DETECTORS)
"""The most accurate that leaves time for several cameras first."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Models by name, iterated in the order of `catalog.yaml`."""

    models: Mapping[str, Model]

    @classmethod
    @functools.cache
    def load(cls) -> Catalog:
        """Returns the catalogue shipped with sightd. The file is read only once."""
        return cls.parse(resources.files("sightd.engines.models").joinpath("catalog.yaml").read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> Catalog:
        """Parses a catalogue from YAML text. Raises KeyError, TypeError or ValueError if it is malformed."""
        return cls({name: _model(name, entry) for name, entry in yaml.safe_load(text)["models"].items()})

    def get(self, name: str) -> Model:
        """Returns the model of that name. Raises UnknownModelError, which suggests the closest name, if there is
        none."""
        if model := self.models.get(name):
            return model
        hint = did_you_mean(name, self.models) or f". Known models: {', '.join(self.models)}."
        raise UnknownModelError(f"unknown model {name!r}{hint} (`sightd models list` shows all models)")

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())


def _model(name: str, entry: Mapping[str, Any]) -> Model:
    known = dict(entry)
    known["labels"] = _LABELS[known.get("labels", "none")]
    known["input"] = _input(known["input"])
    known["sources"] = tuple(_source(source) for source in known["sources"])
    return Model(name=name, **known)


def _input(entry: Mapping[str, Any]) -> InputSpec:
    known = dict(entry)
    known["colour"] = ColourOrder(known["colour"])
    known["resize"] = Resize(known["resize"])
    for triple in known.keys() & {"mean", "std"}:
        known[triple] = tuple(known[triple])
    return InputSpec(**known)


def _source(entry: Mapping[str, Any]) -> Source:
    if "url" in entry:
        return UrlSource(**entry)
    if "package" in entry:
        return PackageSource(**entry)
    return MirrorSource(file=entry["mirror"], sha256=entry["sha256"], size=entry["size"])
