"""A gallery is transferred from one machine to another, completely and without duplicates."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightd.plugins.face.gallery.exchange import exported, imported
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from tests.plugins.face.gallery.faces import crop, face, vector
from tests.support.hostile_images import huge_images


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


EMBEDDING = base64.b64encode(vector(1).astype("<f4").tobytes()).decode()


def changed(**fields: object) -> str:
    entry = {
        "model": "sface", "quality": 1, "source": "a", "added_at": 0, "embedding": EMBEDDING, "crop": None, **fields,
    }  # fmt: skip
    return json.dumps({"form": "sightd faces 1", "persons": [{"name": "A", "faces": [entry]}]})


def test_a_file_that_says_what_it_should_is_taken(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    assert imported(gallery, changed()) == (1, 1)
    gallery.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"form": "sightd faces 9", "persons": []}',
        changed(embedding="!"),
        changed(embedding="AAAA"),
        changed(crop="AA=="),
        changed(quality="nan"),
        changed(quality=1e300),
        changed(added_at=1e300),
        changed(quality=10**400),
        changed(model="m" * 1000),
        changed(source=5),
        changed().replace('"A"', "5"),
        "[" * 100_000,
        *(changed(crop=base64.b64encode(image).decode()) for image in huge_images().values()),
    ],
)
def test_another_file_is_refused_and_nothing_is_added(text: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    with pytest.raises(GalleryError, match=r"not a file written by `sightd faces export`|update sightd|is damaged"):
        imported(gallery, text)
    assert not gallery.persons()
    gallery.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged: line 1, column 1: Expecting value"),
        ('{"form": "sightd faces 1",\n "persons": [', "damaged: line 2, column 14: "),
        ("{}", "damaged: the entry 'form' is missing"),
        ("[]", "damaged: a value has the wrong type"),
        (changed(quality=-1), "damaged: quality must be 0 to 1"),
        ("[" * 100_000, "damaged: its values are nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(text: str, words: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    with pytest.raises(GalleryError) as refused:
        imported(gallery, text)
    assert words in str(refused.value)
    assert "Error" not in str(refused.value)
    gallery.close()


@pytest.mark.parametrize(
    "text",
    [
        changed(quality="x" * 1_000_000),
        changed().replace('"A"', f'"{"n" * 1_000_000}"'),
        json.dumps({"form": "f" * 1_000_000, "persons": []}),
    ],
)
def test_a_message_repeats_little_of_a_file_that_is_refused(text: str, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    with pytest.raises(GalleryError) as refused:
        imported(gallery, text)
    assert len(str(refused.value)) < 500
    gallery.close()


UNPRINTABLE = [
    "a\u202eb.jpg",
    "\x1b[2J\x07.jpg",
    "line\nbreak",
    "\udce9.jpg",
    "zero\u200bwidth",
    "\x00",
    "\x9b31m",
    "\u2028",
]


@pytest.mark.parametrize("source", [*UNPRINTABLE, "x" * 5000, "naïve 写真.jpg"])
def test_whatever_is_stored_as_a_source_prints_and_travels(source: str, tmp_path: Path) -> None:
    here, there = Gallery(tmp_path / "here.db"), Gallery(tmp_path / "there.db")
    here.add("Ada", [replace(face(1), source=source)])
    (kept,) = here.faces(here.person("Ada"))
    assert kept.source.isprintable()
    assert len(kept.source) <= 255
    assert kept.source == source or source in UNPRINTABLE or len(source) > 255
    assert imported(there, exported(here)) == (1, 1)
    assert there.faces(there.person("Ada"))[0].source == kept.source
    here.close()
    there.close()


@pytest.mark.parametrize("text", UNPRINTABLE[:3])
def test_a_gallery_of_an_earlier_version_with_texts_that_do_not_print_travels(text: str, tmp_path: Path) -> None:
    here, there = Gallery(tmp_path / "here.db"), Gallery(tmp_path / "there.db")
    here.add("Ada", [face(1)])
    here.database.rows("UPDATE embeddings SET source = ?", text.encode())
    here.database.rows("UPDATE persons SET name = ?", text.encode())
    assert imported(there, exported(here)) == (1, 1)
    (person,) = there.persons()
    assert person.name.isprintable()
    assert there.faces(person)[0].source.isprintable()
    here.close()
    there.close()


def test_an_export_of_an_earlier_version_is_imported(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    assert imported(gallery, changed(source="a\u202eb")) == (1, 1)
    assert gallery.faces(gallery.person("A"))[0].source == r"a\u202eb"
    gallery.close()
