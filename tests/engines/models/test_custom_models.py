"""Models made on this machine are listed after the catalogue's, and found like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sightd.engines.model import ColourOrder, InputSpec, Model, Resize, UrlSource
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put, with_custom_models
from sightd.engines.models.store import ModelStore
from tests.support.networks import write_double

SPEC = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)
BASE = Model("net", "detector", "yolox", "MIT", SPEC, ("thing",), sources=(UrlSource("https://models.test", "", 0),))
CATALOG = Catalog({"net": BASE})
ORIGIN = CustomModelMetadata(
    "net", "0" * 64, "int8 calibrated on 9 pictures", "lost nothing", "2026-01-01T00:00:00+00:00"
)


@pytest.fixture
def own(tmp_path: Path) -> Model:
    folder = file_of("net-int8", tmp_path).parent
    return put(BASE, "net-int8", write_double(folder / "made.onnx"), ORIGIN, tmp_path)


def test_it_is_found_by_its_name_with_what_its_base_is_fed(own: Model, tmp_path: Path) -> None:
    found = with_custom_models(CATALOG, tmp_path).get("net-int8")
    assert (
        found
        == own
        == replace(
            BASE,
            name="net-int8",
            summary="net, int8 calibrated on 9 pictures, on this machine",
            accuracy="lost nothing",
            sources=(),
            path=own.path,
        )
    )
    assert ModelStore(tmp_path).find(found) == found.path
    assert [model.name for model in with_custom_models(CATALOG, tmp_path)] == ["net", "net-int8"]


def test_one_with_classes_of_its_own_says_so_itself(tmp_path: Path) -> None:
    folder = file_of("parts", tmp_path).parent
    origin = replace(ORIGIN, made="2 classes learnt from 40 pictures", labels=["bolt", "nut"])
    made = put(BASE, "parts", write_double(folder / "made.onnx"), origin, tmp_path)
    assert with_custom_models(CATALOG, tmp_path).get("parts") == made
    assert made.labels == ("bolt", "nut")


def test_one_made_from_another_custom_model_has_its_classes(tmp_path: Path) -> None:
    """Also if its name comes first: an int8 version of a model that was trained here."""
    folder = file_of("parts", tmp_path).parent
    trained = put(BASE, "parts", write_double(folder / "made.onnx"), replace(ORIGIN, labels=["bolt", "nut"]), tmp_path)
    origin = replace(ORIGIN, base="parts")
    made = put(trained, "a-parts-int8", write_double(folder / "made.onnx"), origin, tmp_path)
    found = with_custom_models(CATALOG, tmp_path).get("a-parts-int8")
    assert found == made
    assert found.labels == ("bolt", "nut")


def test_readers_see_the_old_one_or_the_new_one_and_no_mixture(own: Model, tmp_path: Path) -> None:
    """A file is never changed, so a reader of the old metadata finds the old file until a third version comes."""
    folder, labels = tmp_path / "own", [("a",), ("a", "b"), ("a", "b", "c")]
    put(BASE, "net-int8-more", write_double(folder / "made.onnx"), ORIGIN, tmp_path)
    made = [
        put(
            BASE,
            "net-int8",
            write_double(folder / "made.onnx", output=f"output{len(names)}"),
            replace(ORIGIN, labels=names),
            tmp_path,
        )
        for names in labels
    ]
    files = [model.path for model in made]
    assert len(set(files)) == 3
    assert [file is not None and file.exists() for file in files] == [False, True, True]
    assert own.path is not None
    assert not own.path.exists()
    found = with_custom_models(CATALOG, tmp_path)
    assert found.get("net-int8") == made[-1]
    other = found.get("net-int8-more").path
    assert other is not None
    assert other.exists()


def test_without_any_the_catalogue_is_as_it_was(tmp_path: Path) -> None:
    assert with_custom_models(CATALOG, tmp_path / "absent") == CATALOG


@pytest.mark.parametrize("note", ["{", "{}", '{"base": "net", "what": 1}'])
def test_a_note_that_cannot_be_used_is_left_out_and_reported(
    own: Model, tmp_path: Path, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own" / "net-int8.json").write_text(note)
    assert with_custom_models(CATALOG, tmp_path) == CATALOG
    assert "net-int8.json" in caplog.text


def test_one_whose_base_is_gone_is_left_out_and_reported(
    own: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(with_custom_models(Catalog({}), tmp_path)) == []
    assert "net-int8.json" in caplog.text
