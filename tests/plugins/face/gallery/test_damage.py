"""A damaged gallery is reported and left unchanged; a file that is not a gallery is not touched."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sightd.plugins.face.gallery.exchange import exported
from sightd.plugins.face.gallery.file import DamagedError, GalleryError, UnwritableError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Sightings, UnknownStore
from tests.plugins.face.gallery.faces import face

ROOT = Path(__file__).resolve().parents[4]


def gallery_at(path: Path, count: int = 300) -> None:
    """Creates a gallery of several hundred pages, all of them in its main file."""
    gallery = Gallery(path)
    with gallery.database.changing() as run:
        for number in range(count):
            gallery.add_within(run, f"person {number}", [face(number, with_crop=number % 50 == 0)])
    gallery.database.settle()
    gallery.close()


def changed(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def page_lost(path: Path) -> None:
    """Overwrites pages of the table of faces, as a disk fault would; the first page stays intact."""
    data = bytearray(path.read_bytes())
    data[4096 * 8 : 4096 * 60] = np.random.default_rng(0).bytes(4096 * 52)
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def text_instead(path: Path) -> None:
    path.write_text("this is no gallery\n")


def face_too_short(path: Path) -> None:
    changed(path, "UPDATE embeddings SET vector = ? WHERE id = (SELECT max(id) FROM embeddings)", b"short")


def name_no_text(path: Path) -> None:
    changed(path, "UPDATE persons SET name = ? WHERE id = (SELECT max(id) FROM persons)", b"\xff\xfe")


DAMAGES = [zeroed, page_lost, cut, text_instead, face_too_short, name_no_text]


def state_of(path: Path) -> tuple[bytes, int, int]:
    found = path.stat()
    return path.read_bytes(), found.st_mode, found.st_mtime_ns


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_empty_one_stands_in_for_a_damaged_one_which_stays_as_it_is(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "faces.db"
    gallery_at(path)
    damage(path)
    before = state_of(path)
    gallery = Gallery(path, may_stand_in=True)
    fault = gallery.database.fault
    assert fault is not None
    assert "damaged" in fault
    assert "The file was not changed: replace it with a backup, or move it away to start a new gallery" in fault
    for question in (gallery.persons, UnknownStore(gallery, "sface").load, lambda: exported(gallery)):
        with pytest.raises(UnwritableError, match="was not changed"):
            question()
    assert len(gallery.enrolled("sface").owners) == 0, "nobody is recognised, and video goes on"
    assert not list(Sightings(gallery).latest())
    for change in (
        lambda: gallery.add("Ada", [face(1)]),
        lambda: gallery.database.settle(),
        lambda: gallery.database.scrub(),
    ):
        with pytest.raises(GalleryError, match="damaged"):
            change()
    assert gallery.database.recover() == fault
    gallery.close()
    assert state_of(path) == before


@pytest.mark.parametrize("damage", [zeroed, page_lost, cut, text_instead])
def test_who_changes_a_damaged_one_is_told_and_it_stays_as_it_is(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "faces.db"
    gallery_at(path)
    damage(path)
    before = state_of(path)
    with pytest.raises(DamagedError, match="not changed: replace it with a backup, or move it away"):
        Gallery(path)
    assert state_of(path) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_that_is_moved_away_is_begun_anew_and_a_copy_is_taken_back(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "faces.db"
    gallery_at(path, 200)
    copy = path.read_bytes()
    damage(path)
    gallery = Gallery(path, may_stand_in=True)
    path.rename(tmp_path / "damaged.db")
    assert gallery.database.recover() is None
    assert gallery.add("Ada", [face(1)]).name == "Ada"
    gallery.close()
    damage(path)
    gallery = Gallery(path, may_stand_in=True)
    assert gallery.database.recover() is not None
    path.write_bytes(copy)
    assert gallery.database.recover() is None
    assert len(gallery.persons()) == 200
    gallery.close()


def test_damage_while_it_is_open_is_reported_and_nothing_is_written_any_more(tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    gallery_at(path)
    gallery = Gallery(path, may_stand_in=True)
    copy = path.read_bytes()
    page_lost(path)
    with pytest.raises(DamagedError):
        gallery.database.rows("SELECT * FROM embeddings")
    damaged = path.read_bytes()
    assert gallery.database.recover() is not None
    with pytest.raises(UnwritableError):
        gallery.add("Ada", [face(1)])
    assert path.read_bytes() == damaged
    path.write_bytes(copy)
    os.utime(path, ns=(1, 1))
    assert gallery.database.recover() is None
    assert gallery.add("Ada", [face(1)]).name == "Ada"
    gallery.close()


def other_database(path: Path) -> None:
    changed(path, "CREATE TABLE photos (id INTEGER)")
    changed(path, "PRAGMA user_version = 1")


def written_ahead(path: Path) -> None:
    other_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def empty(path: Path) -> None:
    path.touch(0o644)


@pytest.mark.parametrize("make", [text_instead, other_database, written_ahead, empty])
def test_what_is_no_gallery_is_not_touched(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "something"
    make(path)
    path.chmod(0o644)
    os.utime(path, ns=(10**18, 10**18))
    before = state_of(path)
    with pytest.raises(GalleryError):
        Gallery(path)
    assert state_of(path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["something"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "something")
    with pytest.raises(GalleryError, match="it is not a file: specify another"):
        Gallery(tmp_path / "something")


def test_an_empty_file_of_one_that_was_killed_is_taken(tmp_path: Path) -> None:
    (tmp_path / "faces.db").touch(0o600)
    gallery = Gallery(tmp_path / "faces.db")
    assert gallery.add("Ada", [face(1)]).name == "Ada"
    gallery.close()


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_no_umask_lets_others_in(tmp_path: Path) -> None:
    path = tmp_path / "home" / "state" / "sightd" / "faces.db"
    gallery = Gallery(path)
    gallery.add("Ada", [face(1)])
    made = [one for one in tmp_path.rglob("*") if one != tmp_path]
    assert len(made) == 6, "three folders, the file, and two beside it"
    assert not [one for one in made if one.stat().st_mode & 0o077]
    gallery.close()


_ADD = """
import sys
from pathlib import Path
from sightd.plugins.face.gallery.gallery import Gallery
from tests.plugins.face.gallery.faces import face
sys.stdin.readline()
gallery = Gallery(Path(sys.argv[1]))
gallery.add(sys.argv[2], [face(int(sys.argv[3]))])
gallery.close()
"""


def test_many_at_once_make_one_gallery_together(tmp_path: Path) -> None:
    path = tmp_path / "faces.db"
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _ADD, str(path), f"person {number}", str(number)],
            cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(6)
    ]  # fmt: skip
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:
        _, errors = program.communicate(timeout=60)
        assert (program.returncode, errors) == (0, "")
    gallery = Gallery(path)
    assert len(gallery.persons()) == 6
    gallery.close()
