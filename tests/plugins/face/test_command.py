"""`sightd faces` enrols, lists and deletes faces, and reports what is wrong."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.cli.main import main
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best, UnknownStore
from sightd.plugins.face.matching.calibration import calibration_of
from tests.support import media
from tests.support.hostile_images import huge_images
from tests.support.networks import stored
from tests.support.small_disk import SmallDisk


@pytest.fixture(autouse=True)
def _networks() -> None:
    for name in ("yunet", "sface"):
        stored(name)


class Sightd:
    """Runs `sightd faces` on one gallery."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.gallery = folder / "faces.db"
        self._capsys = capsys

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        place = ["--gallery", str(self.gallery)]
        words = [str(argument) for argument in arguments]
        after = 2 if words[0] == "unknown" else 1
        assert main(["faces", *words[:after], *place, *words[after:]]) == code
        out, err = self._capsys.readouterr()
        return out + err

    def json(self, *arguments: str) -> object:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def sightd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Sightd:
    return Sightd(tmp_path, capsys)


def test_from_one_photograph_to_forgotten(sightd: Sightd) -> None:
    assert "nobody is enrolled" in sightd("list")
    assert sightd("add", "Ada", media.path("astronaut.png")) == "+ astronaut.png: enrolled, quality 1.00\nAda: 1 face\n"
    assert sightd("add", "Ada", media.path("astronaut.png")) == "- astronaut.png: is already enrolled\n"
    assert sightd.json("list") == [
        {"name": "Ada", "added_at": pytest.approx(1e9, rel=2), "faces": {"sface": 1}, "usable": 1}
    ]
    assert "astronaut.png  sface" in sightd("show", "ada")
    assert sightd("rename", "Ada", "Ada Lovelace") == "renamed Ada to Ada Lovelace\n"
    sightd("add", "Tom", media.path("single_face.jpg"))
    assert sightd("merge", "Tom", "Ada Lovelace") == "Ada Lovelace: 2 faces\n"
    assert "Ada Lovelace was forgotten: no trace is left" in sightd("forget", "ada lovelace")
    assert sightd.json("list") == []


def test_commands_that_only_read_create_no_gallery(sightd: Sightd, tmp_path: Path) -> None:
    sightd.gallery = tmp_path / "new" / "faces.db"
    assert "nobody is enrolled" in sightd("list")
    assert sightd.json("list") == []
    assert sightd.json("unknown", "list") == []
    sightd("show", "Ada", code=1)
    sightd("export", tmp_path / "export.json")
    sightd("unknown", "picture", "1", tmp_path / "one.png", code=1)
    assert not sightd.gallery.parent.exists()


def test_photographs_upside_down_are_compared_as_upright_ones(sightd: Sightd, tmp_path: Path) -> None:
    names = ("biden", "obama", "obama3")
    for name in names:
        image = cv2.imread(str(media.path(f"{name}.jpg")))
        assert image is not None
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), image[::-1, ::-1])
    biden, obama, obama3 = (tmp_path / f"{name}.jpg" for name in names)
    assert "not proven to be the same person" in sightd("compare", obama3, biden)
    assert ": the same person" in sightd("compare", obama3, obama)
    assert ": the same person" in sightd("compare", biden, media.path("biden.jpg"))


@pytest.mark.parametrize("content", [b"my notes\n", b"", b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_gallery_is_not_touched(sightd: Sightd, content: bytes) -> None:
    sightd.gallery.write_bytes(content)
    sightd.gallery.chmod(0o644)
    before = sightd.gallery.stat()
    for words in (("list",), ("add", "Ada", media.path("astronaut.png")), ("import", media.path("astronaut.png"))):
        said = sightd(*words, code=1)
        assert str(sightd.gallery) in said
        assert "move it away" in said or "specify another" in said
    after = sightd.gallery.stat()
    assert (after.st_mode, after.st_mtime_ns, sightd.gallery.read_bytes()) == (
        before.st_mode,
        before.st_mtime_ns,
        content,
    )


def test_what_is_refused_is_reported_and_the_rest_is_taken(sightd: Sightd) -> None:
    told = sightd("add", "Ada", media.path("coffee.png"), media.path("astronaut.png"), code=1)
    assert told.splitlines()[0].startswith("- coffee.png: no face was found")
    assert told.splitlines()[1] == "+ astronaut.png: enrolled, quality 1.00"
    assert "nobody was enrolled as Eve" in sightd("add", "Eve", media.path("multi_face.jpg"), code=1)
    assert "nothing.jpg cannot be read: No such file" in sightd("add", "Eve", "nothing.jpg", code=1)


def test_two_photographs_are_compared(sightd: Sightd) -> None:
    one, other = media.path("astronaut.png"), media.path("single_face.jpg")
    assert "the same person" in sightd("compare", one, one)
    assert "not proven to be the same person" in sightd("compare", one, other)
    assert sightd.json("compare", str(one), str(other))["same"] is False  # type: ignore[index]
    assert "coffee.png: no face found" in sightd("compare", one, media.path("coffee.png"), code=1)


def test_to_another_machine_and_back(sightd: Sightd, tmp_path: Path) -> None:
    sightd("add", "Ada", media.path("astronaut.png"))
    file = tmp_path / "faces.json"
    assert "1 person in" in sightd("export", file)
    assert file.stat().st_mode & 0o077 == 0
    assert "name a new file in an existing folder" in sightd("export", file, code=1)
    sightd("forget", "Ada")
    assert sightd("import", file) == "1 new person, 1 new face\n"
    assert "cannot be read" in sightd("import", tmp_path / "none", code=1)


def test_an_export_that_fails_leaves_nothing(sightd: Sightd, tmp_path: Path) -> None:
    sightd("add", "Ada", media.path("astronaut.png"))
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        assert "No space left" in sightd("export", disk.path / "faces.json", code=1)
        assert [one.name for one in disk.path.iterdir()] == ["filler"]
    assert "No such file" in sightd("export", tmp_path / "none" / "faces.json", code=1)
    before = os.umask(0)
    try:
        sightd("export", tmp_path / "faces.json")
    finally:
        os.umask(before)
    assert (tmp_path / "faces.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("why", ["full", "read-only"])
def test_what_can_be_read_is_shown_and_exported_though_nothing_can_be_written(
    sightd: Sightd, tmp_path: Path, why: str
) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        sightd.gallery = disk.path / "faces.db"
        sightd("add", "Ada", media.path("astronaut.png"))
        before = sightd.gallery.read_bytes()
        if why == "full":
            disk.fill()
        else:
            disk.read_only(True)
        assert "Ada   1 face" in sightd("list")
        assert "astronaut.png" in sightd("show", "Ada")
        assert "1 person in" in sightd("export", tmp_path / "kept.json")
        assert "disk" in sightd("add", "Tom", media.path("single_face.jpg"), code=1) or why == "read-only"
        assert sightd.gallery.read_bytes() == before
        if why == "read-only":
            disk.read_only(False)
    assert [person["name"] for person in json.loads((tmp_path / "kept.json").read_text())["persons"]] == ["Ada"]


def test_what_is_no_photograph_is_refused_at_once_and_nothing_is_enrolled(sightd: Sightd, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "huge.gif").write_bytes(huge_images()["screen.gif"])
    for path, said in (
        (Path("/dev/zero"), "a character device"),
        (tmp_path / "pipe.jpg", "a named pipe"),
        (tmp_path, "a directory"),
        (tmp_path / "empty.jpg", "is empty"),
        (tmp_path / "huge.gif", "more than 80 million pixels"),
    ):
        assert said in sightd("add", "Ada", path, code=1)
        assert said in sightd("compare", path, media.path("astronaut.png"), code=1)
    assert sightd.json("list") == []


def test_a_photograph_with_a_name_that_does_not_print_is_taken(sightd: Sightd, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\x1b[2J\xe9\xe2\x80\xae.png")
    path.write_bytes(media.path("astronaut.png").read_bytes())
    for said in (sightd("add", "Ada", path), sightd("show", "Ada"), sightd("show", "Ada", "--json")):
        assert all(line.isprintable() for line in said.split("\n"))
    sightd("export", tmp_path / "faces.json")
    sightd("forget", "Ada")
    assert sightd("import", tmp_path / "faces.json") == "1 new person, 1 new face\n"


def test_calibrating_says_on_what_it_rests(sightd: Sightd) -> None:
    sightd("add", "Ada", media.path("astronaut.png"))
    sightd("add", "Tom", media.path("single_face.jpg"))
    told = sightd("calibrate", "--apply")
    assert told.splitlines()[0] == "2 persons, 1 pairs of different and 0 of the same person"
    assert "thresholds are" in told


def test_nobody_unknown(sightd: Sightd) -> None:
    assert sightd("unknown", "list") == "no unknown people were seen\n"
    assert "there is no unknown person 3" in sightd("unknown", "name", "3", "Ada", code=1)


def test_an_encrypted_gallery_needs_its_key_file(sightd: Sightd, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    sightd("add", "Ada", media.path("astronaut.png"), "--key-file", key)
    assert "encrypted: provide its key" in sightd("list", code=1)
    key.write_text("other")
    told = sightd("list", "--key-file", key, code=1)
    assert "with another key" in told
    assert "other" not in told.replace("another", "")


def test_a_configuration_names_the_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("plugins:\n  door: {use: face, gallery: door.db}\n  hall: {use: face, gallery: hall.db}\n")
    assert main(["faces", "list", "-c", str(site)]) == 1
    assert "choose with --plugin door | hall" in capsys.readouterr().err
    assert main(["faces", "list", "-c", str(site), "--plugin", "hall"]) == 0
    assert f"working on {tmp_path / 'hall.db'}" in capsys.readouterr().err
    assert main(["faces", "list", "-c", str(site), "--plugin", "yard"]) == 1
    assert "no face plug-in 'yard', only: door, hall" in capsys.readouterr().err
    site.write_text("plugins:\n  face: {sise: 3}\n")
    assert main(["faces", "list", "-c", str(site)]) == 2


def test_the_nearest_unknown_people_are_listed(sightd: Sightd) -> None:
    table = calibration_of("sface")
    assert table is not None
    axes = np.eye(128, dtype=np.float32)
    with closing(Gallery(sightd.gallery)) as gallery:
        store = UnknownStore(gallery, "sface")
        for cosine, axis in ((1.0, 0), (0.0, 1), (0.25, 2)):
            mean = cosine * axes[0] + np.sqrt(np.float32(1 - cosine**2)) * axes[axis]
            store.with_visit(mean, 1.0, 1e9, Best(0.9, None), table, 10)
    lines = sightd("unknown", "nearest", "1").splitlines()
    assert [line.split()[:2] for line in lines] == [["ID", "SIMILARITY"], ["3", "0.250"], ["2", "0.000"]]
    found = sightd.json("unknown", "nearest", "1")
    assert isinstance(found, list)
    assert [one["id"] for one in found] == [3, 2]
    sightd("unknown", "forget", "2", "3")
    assert sightd("unknown", "nearest", "1") == "no other unknown people were seen\n"
    assert "there is no unknown person 9" in sightd("unknown", "nearest", "9", code=1)
