"""Persons are stored, found by name, changed, and deleted for good."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightd.plugins.face.gallery.file import GalleryError, NameTakenError, UnknownPersonError, default_gallery
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best, Sighting, Sightings, UnknownStore
from sightd.plugins.face.matching.calibration import calibration_of
from tests.plugins.face.gallery.faces import crop, face, vector

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(params=[None, "a long secret"], ids=["plain", "encrypted"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "state" / "faces.db", request.param)
    yield opened
    opened.close()


def everything(gallery: Gallery) -> bytes:
    """Returns all bytes of the gallery's files."""
    return b"".join(path.read_bytes() for path in gallery.database.path.parent.iterdir())


def test_what_is_added_is_there(gallery: Gallery) -> None:
    person = gallery.add("  Ada   Lovelace ", [face(1), face(2, with_crop=False), face(3, model="other")])
    assert (person.name, person.faces) == ("Ada Lovelace", {"sface": 2, "other": 1})
    first, second, third = gallery.faces(gallery.person("ADA lovelace"))
    np.testing.assert_array_equal(first.embedding, vector(1))
    assert first.crop is not None
    np.testing.assert_array_equal(first.crop, crop(1))
    assert (second.crop, second.source, third.model) == (None, "photo-2.jpg", "other")


def test_a_second_program_sees_it_and_is_told_of_changes(gallery: Gallery) -> None:
    other = Gallery(gallery.database.path, "a long secret" if b"lock" in everything(gallery) else None)
    before = other.generation
    gallery.add("Ada", [face(1)])
    assert other.generation > before
    assert [person.name for person in other.persons()] == ["Ada"]
    other.close()


def test_the_faces_of_one_network_alone_are_compared(gallery: Gallery) -> None:
    gallery.add("Ada", [face(1), face(2, model="other")])
    gallery.add("Grace", [face(3)])
    gallery.add("Ada", [face(4)])
    enrolled = gallery.enrolled("sface")
    assert enrolled.owners.tolist() == [1, 1, 2]
    np.testing.assert_array_equal(enrolled.embeddings, [vector(1), vector(4), vector(3)])
    assert enrolled.names == {1: "Ada", 2: "Grace"}
    assert enrolled.generation == gallery.generation


def test_names_are_changed_and_persons_joined(gallery: Gallery) -> None:
    gallery.add("Ada", [face(1)])
    gallery.add("Grace", [face(2)])
    assert gallery.rename("Ada", "Ada Lovelace").name == "Ada Lovelace"
    assert gallery.rename("Ada Lovelace", "ADA LOVELACE").name == "ADA LOVELACE"
    with pytest.raises(NameTakenError, match='already is a person "grace": `sightd faces merge'):
        gallery.rename("ADA LOVELACE", "grace")
    assert gallery.merge("ada lovelace", "Grace").faces == {"sface": 2}
    assert [person.name for person in gallery.persons()] == ["Grace"]
    with pytest.raises(GalleryError, match="already the same person"):
        gallery.merge("Grace", "grace")


def test_nobody_of_that_name_is_told(gallery: Gallery) -> None:
    for attempt in (gallery.person, gallery.remove, gallery.forget):
        with pytest.raises(UnknownPersonError, match='nobody is enrolled as "Ada": see `sightd faces list`'):
            attempt("Ada")


@pytest.mark.parametrize("name", ["", "   ", "a" * 81, "new\nline", "bell\a"])
def test_what_is_no_name_is_refused(name: str, gallery: Gallery) -> None:
    if name == "new\nline":
        assert gallery.add(name, [face(1)]).name == "new line"
        return
    with pytest.raises(GalleryError, match="a name must have 1 to 80 printable characters"):
        gallery.add(name, [face(1)])
    assert not gallery.persons()


def test_who_is_forgotten_is_in_no_file_any_more(gallery: Gallery) -> None:
    gallery.add("Grace", [face(9)])
    gallery.add("Ada Lovelace", [face(1), face(2)])
    person = gallery.person("Ada Lovelace").id
    Sightings(gallery).add(Sighting("hall", 1.0, 2.0, person, None, 0.7, 0.5, "similar"))
    plain = b"Ada Lovelace" in everything(gallery)
    assert plain == (b"lock" not in everything(gallery)), "encrypted, or to be read"
    gallery.forget("ada lovelace")
    left = everything(gallery)
    for trace in (b"Ada Lovelace", vector(1).tobytes()[:32], b"photo-1.jpg"):
        assert trace not in left
    assert not list(Sightings(gallery).latest())
    assert [one.name for one in gallery.persons()] == ["Grace"]


def test_forgetting_that_a_reader_disturbs_is_finished_later(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    gallery.database.rows("PRAGMA busy_timeout = 50")
    gallery.add("Ada", [face(1)])
    face_embedder = sqlite3.connect(gallery.database.path, isolation_level=None)
    face_embedder.execute("BEGIN")
    face_embedder.execute("SELECT count(*) FROM persons").fetchall()
    with pytest.raises(GalleryError, match="not yet erased from the file, because another program is reading it"):
        gallery.forget("Ada")
    assert not gallery.persons()
    assert gallery.database.to_be_wiped
    assert vector(1).tobytes()[:32] in everything(gallery)
    face_embedder.close()
    with pytest.raises(UnknownPersonError):
        gallery.forget("Ada")
    assert not gallery.database.to_be_wiped
    assert vector(1).tobytes()[:32] not in everything(gallery)
    gallery.close()


def test_with_a_person_unknown_ones_who_look_like_them_are_forgotten(tmp_path: Path) -> None:
    gallery, table = Gallery(tmp_path / "faces.db"), calibration_of("sface")
    assert table is not None
    store, sightings = UnknownStore(gallery, "sface"), Sightings(gallery)
    for seed in (1, 2):
        number = store.with_visit(vector(seed), 1.0, float(seed), Best(0.9, crop(seed)), table, 10)
        sightings.add(Sighting("hall", 1.0, float(seed), None, number, None, None, "nobody"))
    gallery.add("Ada", [face(1)])
    gallery.forget("Ada")
    assert [one.number for one in store.load().persons] == [2]
    assert [one.unknown for one in sightings.latest()] == [2]
    assert vector(1).tobytes()[:32] not in everything(gallery)
    gallery.close()


def test_a_full_disk_is_told_as_that(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    gallery.add("Ada", [face(1)])
    gallery.database.rows(f"PRAGMA max_page_count = {gallery.database.rows('PRAGMA page_count')[0][0]}")
    with pytest.raises(GalleryError, match="free disk space"):
        gallery.add("Grace", [face(seed) for seed in range(20)])
    assert [one.name for one in gallery.persons()] == ["Ada"]
    gallery.close()


def test_faces_of_another_version_of_the_network_are_compared_no_more(gallery: Gallery) -> None:
    gallery.add("Ada", [face(1), face(2, model="other")])
    assert gallery.keep_apart("sface", "a" * 64) == 0, "no version was recorded: it is assumed to be this one"
    assert gallery.keep_apart("sface", "a" * 64) == 0
    before = gallery.generation
    assert gallery.keep_apart("sface", "b" * 64) == 1
    assert gallery.generation > before, "a daemon that runs takes it up"
    assert len(gallery.enrolled("sface").owners) == 0
    assert gallery.person("Ada").faces == {"sface (aaaaaaaa)": 1, "other": 1}
    gallery.add("Ada", [face(3)])
    assert len(gallery.enrolled("sface").owners) == 1


def test_a_damaged_face_is_told(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    gallery.add("Ada", [face(1)])
    gallery.database.rows("UPDATE embeddings SET vector = X'0000'")
    with pytest.raises(GalleryError, match="a face in it is damaged"):
        gallery.enrolled("sface")
    gallery.close()


def test_it_is_its_users_alone(gallery: Gallery) -> None:
    gallery.add("Ada", [face(1)])
    folder = gallery.database.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_an_encrypted_one_needs_its_key_and_shows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    sealed = Gallery(path, "right")
    sealed.add("Ada Lovelace", [face(1)])
    content = everything(sealed)
    sealed.close()
    for secret in (b"Ada", b"photo-1", vector(1).tobytes()[:16]):
        assert secret not in content
    with pytest.raises(GalleryError, match="encrypted: provide its key"):
        Gallery(path)
    with pytest.raises(GalleryError, match="with another key"):
        Gallery(path, "wrong")
    again = Gallery(path, "right")
    assert [person.name for person in again.persons()] == ["Ada Lovelace"]
    again.close()
    Gallery(tmp_path / "plain.db").close()
    with pytest.raises(GalleryError, match="not encrypted: remove the key"):
        Gallery(tmp_path / "plain.db", "right")


def test_files_that_are_no_gallery_are_told(tmp_path: Path) -> None:
    (tmp_path / "photo.db").write_bytes(b"\xff\xd8" * 4096)
    with pytest.raises(GalleryError, match=r"photo\.db: it is not a database, or damaged"):
        Gallery(tmp_path / "photo.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE cats (name TEXT)")
    other.close()
    with pytest.raises(GalleryError, match="a database of another program"):
        Gallery(tmp_path / "other.db")
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.executescript("CREATE TABLE meta (key); CREATE TABLE persons (id); PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(GalleryError, match=r"by a newer sightd \(format 99"):
        Gallery(tmp_path / "newer.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(GalleryError, match="set another file"):
        Gallery(tmp_path / "file" / "faces.db")


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"SIGHTD_STATE_DIR": "/own", "STATE_DIRECTORY": "/systemd"}, "/own/faces.db"),
        ({"STATE_DIRECTORY": "/var/lib/sightd:/other", "HOME": "/home/me"}, "/var/lib/sightd/faces.db"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/sightd/faces.db"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/sightd/faces.db"),
    ],
)
def test_where_it_lies_where_nobody_says_otherwise(environ: dict[str, str], place: str) -> None:
    assert default_gallery(environ) == Path(place)


_ENROLS_FOR_EVER = """
import sys
from pathlib import Path
from sightd.plugins.face.gallery.gallery import Gallery
from tests.plugins.face.gallery.faces import face
gallery, first = Gallery(Path(sys.argv[1])), int(sys.argv[2])
for n in range(first, first + 10_000):
    gallery.add(f"person {n}", [face(n), face(n + 1)])
    print(n, flush=True)
"""


def test_whoever_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    """The process is killed three times while it enrols."""
    path, acknowledged = tmp_path / "faces.db", set[int]()
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _ENROLS_FOR_EVER, str(path), str(round_ * 10_000)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        for _ in range(15):
            acknowledged.add(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        acknowledged |= {int(line) for line in process.stdout.read().splitlines()}
        process.wait()
        process.stdout.close()
    gallery = Gallery(path)
    persons = {person.name: person for person in gallery.persons()}
    assert {f"person {n}" for n in acknowledged} <= set(persons)
    assert {tuple(person.faces.items()) for person in persons.values()} == {(("sface", 2),)}, "nobody is half there"
    gallery.close()
