"""A gallery goes from one machine to another, whole and once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from plugins.face.gallery.errors import GalleryError
from plugins.face.gallery.exchange import exported, imported
from plugins.face.gallery.gallery import Gallery
from tests.plugins.face.gallery.faces import crop, face, vector


def test_all_of_it_arrives_and_a_second_time_nothing_more(tmp_path: Path) -> None:
    here, there = Gallery(tmp_path / "here.db", "secret"), Gallery(tmp_path / "there.db")
    here.add("Ada", [face(1), face(2, with_crop=False, model="other")])
    here.add("Grace", [face(3)])
    there.add("ADA", [face(4)])
    text = exported(here)
    assert imported(there, text) == (1, 3)
    assert imported(there, text) == (0, 0)
    first, second, third = there.faces(there.person("Ada"))
    np.testing.assert_array_equal(second.embedding, vector(1))
    assert second.crop is not None
    np.testing.assert_array_equal(second.crop, crop(1))
    assert (third.model, third.crop, first.source) == ("other", None, "photo-4.jpg")
    here.close()
    there.close()


def test_all_of_it_comes_or_nothing(tmp_path: Path) -> None:
    here, there = Gallery(tmp_path / "here.db"), Gallery(tmp_path / "there.db")
    for seed in range(3):
        here.add(f"person {seed}", [face(seed)])
    there.database.rows(
        "CREATE TRIGGER full AFTER INSERT ON persons WHEN NEW.id = 3 BEGIN SELECT RAISE(ABORT, 'x'); END"
    )
    with pytest.raises(GalleryError):
        imported(there, exported(here))
    assert not there.persons()
    here.close()
    there.close()


def changed(**fields: object) -> str:
    entry = {"model": "sface", "quality": 1, "source": "a", "added_at": 0, "embedding": "AAAA", "crop": None, **fields}
    return json.dumps({"form": "sightd faces 1", "persons": [{"name": "A", "faces": [entry]}]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"form": "sightd faces 9", "persons": []}',
        changed(),
        changed(embedding="!"),
        changed(crop="AA=="),
        changed(quality="nan"),
        changed(source=5),
        changed().replace('"A"', "5"),
        "[" * 100_000,
    ],
)
def test_another_file_is_refused_and_nothing_is_added(text: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    with pytest.raises(GalleryError, match=r"not a file of `sightd faces export`|update sightd|cannot be read"):
        imported(gallery, text)
    assert not gallery.persons()
    gallery.close()
