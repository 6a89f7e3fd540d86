"""What the catalogue states about each of its models."""

from __future__ import annotations

import re

import pytest

from sightd.engines.errors import UnknownModelError
from sightd.engines.labels import COCO_IDENTIFIER_LABELS, COCO_IDENTIFIERS, COCO_LABELS, IMAGENET_LABELS, STYLES
from sightd.engines.model import ColourOrder, MirrorSource, Model, PackageSource, Resize, UrlSource
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert import CONVERTERS

CATALOG = Catalog.load()
SHA256 = re.compile(r"[0-9a-f]{64}")


@pytest.mark.parametrize("model", list(CATALOG), ids=lambda model: model.name)
def test_an_entry_is_complete(model: Model) -> None:
    labels = {
        "detector": COCO_IDENTIFIER_LABELS if model.head == "rf-detr" else COCO_LABELS,
        "face-detector": ("face",),
        "face-embedder": (),
        "embedder": (),
        "style": STYLES if model.head == "styles" else (),
        "classifier": IMAGENET_LABELS,
        "trunk": (),
    }
    assert model.labels == labels[model.role]
    assert model.licence in {"Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0"}
    assert model.summary
    assert model.accuracy
    assert model.sources
    assert model.convert in {"", *CONVERTERS}


@pytest.mark.parametrize("model", list(CATALOG), ids=lambda model: model.name)
def test_a_source_is_pinned_or_says_that_its_hash_is_to_be_learnt(model: Model) -> None:
    for source in model.sources:
        if isinstance(source, UrlSource):
            assert source.url.startswith("https://")
            assert bool(source.sha256) == bool(source.size)
        if source.sha256 or not isinstance(source, UrlSource):
            assert SHA256.fullmatch(source.sha256)
            assert source.size > 0
        if isinstance(source, PackageSource):
            assert SHA256.fullmatch(source.wheel_sha256)


def test_official_addresses_come_before_packages_and_the_mirror_folder_comes_last() -> None:
    order = (UrlSource, PackageSource, MirrorSource)
    for model in CATALOG:
        kinds = [order.index(type(source)) for source in model.sources]
        assert kinds == sorted(kinds)


def test_yolox_is_fed_as_its_authors_do() -> None:
    spec = CATALOG.get("yolox-tiny").input
    assert (spec.width, spec.height, spec.colour, spec.resize) == (
        416, 416, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT,
    )  # fmt: skip
    assert (spec.scale, spec.mean, spec.std, spec.pad) == (1.0, (0, 0, 0), (1, 1, 1), 114)
    assert CATALOG.get("yolox-s").input.width == 640


def test_a_misspelt_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match='; did you mean "yolox-tiny"'):
        CATALOG.get("yolo-tiny")
    with pytest.raises(UnknownModelError, match="Known models: ssd-mobilenet-v2, deimv2-femto"):
        CATALOG.get("transformer")


def test_coco_has_80_classes_whose_identifiers_leave_its_gaps_out() -> None:
    assert len(COCO_LABELS) == len(COCO_IDENTIFIERS) == len(set(COCO_LABELS)) == 80
    identifiers = dict(zip(COCO_LABELS, COCO_IDENTIFIERS, strict=True))
    known = {"person": 1, "stop sign": 13, "cat": 17, "backpack": 27, "dining table": 67, "tv": 72, "toothbrush": 90}
    assert {label: identifiers[label] for label in known} == known
