"""`sightd label`: frames of a film become a dataset, a model proposes boxes, and other tools correct them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.cli.main import main
from tests.support import media
from tests.support.networks import stored

pytestmark = pytest.mark.computing


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A film of a street; the current folder holds the empty dataset `yard`."""
    path = media.path("bikes.mp4")
    monkeypatch.chdir(tmp_path)
    assert main(["label", "create", "yard", "--classes", "person", "Car", "bicycle"]) == 0
    return str(path)


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["label", "list", "yard"]) == 0
    return capsys.readouterr().out.splitlines()


def test_frames_are_picked_from_a_film_within_the_budget(film: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", "add", "yard", film, "--most", "4", "--gap", "1"]) == 0
    assert "yard: 4 frames added (4 new)" in capsys.readouterr().out
    lines = listed(capsys)
    assert lines[-1] == "4 frames: 0 corrected, 0 proposed, 4 new"
    assert all("bikes.mp4" in line for line in lines[1:-1])
    assert main(["label", "add", "yard", film, "--most", "4", "--gap", "1"]) == 0
    names = {line.split()[0] for line in listed(capsys)[1:-1]}
    assert names > {line.split()[0] for line in lines[1:-1]}, "again: others, which differ from the known ones"


def test_a_model_proposes_boxes_and_they_are_confirmed(film: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored("yolox-nano")
    assert main(["label", "add", "yard", film, "--most", "4", "--gap", "1", "--model", "yolox-nano"]) == 0
    assert "uncertain" in capsys.readouterr().out
    lines = listed(capsys)
    proposed = [line for line in lines if " proposed " in line]
    assert any("Car" in line for line in proposed), "matched by name, ignoring case"
    name = proposed[0].split()[0]
    assert main(["label", "accept", "yard", name, "--least", "0.4"]) == 0
    assert "1 corrected" in listed(capsys)[-1]
    document = json.loads(Path("yard/dataset.json").read_text())
    assert {one["state"] for one in document["images"] if one["file_name"] == name} == {"corrected"}
    before = [one for one in document["annotations"] if one["state"] == "corrected"]
    assert main(["label", "propose", "yard", "--model", "yolox-nano", "--as", "truck=Car", "bus=Car"]) == 0
    document = json.loads(Path("yard/dataset.json").read_text())
    assert [one for one in document["annotations"] if one["state"] == "corrected"] == before, "they are unchanged"
    assert main(["label", "accept", "yard"]) == 0
    assert " 0 proposed" in listed(capsys)[-1]
    document = json.loads(Path("yard/dataset.json").read_text())
    with_boxes = {one["image_id"] for one in document["annotations"]}
    assert {one["state"] for one in document["images"] if one["id"] in with_boxes} == {"corrected"}
    assert {one["state"] for one in document["images"] if one["id"] not in with_boxes} <= {"new"}, "nobody looked there"


def test_the_same_film_again_leaves_corrections_as_they_are(film: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored("yolox-nano")
    add = ["label", "add", "yard", film, "--most", "4", "--gap", "1", "--model", "yolox-nano"]
    assert main(add) == 0
    assert main(["label", "accept", "yard"]) == 0
    before = [line for line in listed(capsys) if " corrected " in line]
    assert before
    assert main(add) == 0
    assert [line for line in listed(capsys) if " corrected " in line] == before


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_frames_go_to_other_tools_and_come_back_as_corrected(
    form: str, film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", "add", "yard", film, "--most", "2"]) == 0
    assert main(["label", "export", "yard", "--to", "out", "--format", form]) == 0
    assert "out: 2 frames, 0 boxes" in capsys.readouterr().out
    back = "out/annotations.json" if form == "coco" else "out"
    assert main(["label", "import", "yard", back]) == 0
    assert "yard: 0 new frames, 2 with replaced boxes" in capsys.readouterr().out
    lines = listed(capsys)
    assert lines[-1] == "2 frames: 2 corrected, 0 proposed, 0 new"
    assert main(["label", "export", "yard", "--to", "out"]) == 1
    assert "out: contains files; name a new or empty folder" in capsys.readouterr().err
    assert main(["label", "remove", "yard", lines[1].split()[0], "typo"]) == 1
    assert "yard: has no frame 'typo'" in capsys.readouterr().err
    assert listed(capsys) == lines
    assert main(["label", "remove", "yard", lines[1].split()[0]]) == 0
    assert len(list(Path("yard/frames").iterdir())) == 1


def collected(folder: Path, **changes: object) -> None:
    """Writes what the collector plug-in stores."""
    folder.mkdir()
    cv2.imwrite(str(folder / "yard-1.jpg"), np.zeros((40, 60, 3), np.uint8))
    boxes = [
        {"class": "CAR", "box": [5, 5, 30, 30], "score": 0.45},
        {"class": "dog", "box": [5, 5, 30, 30], "score": 1},
    ]
    note = {
        "source": "yard",
        "time": 1.7e9,
        "reason": "uncertain",
        "width": 60,
        "height": 40,
        "boxes": boxes,
        **changes,
    }
    (folder / "yard-1.json").write_text(json.dumps(note))
    cv2.imwrite(str(folder / "yard-2.jpg"), np.zeros((40, 60, 3), np.uint8))  # its description is not written yet


def test_frames_that_the_daemon_has_collected_are_taken(
    film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collected(tmp_path / "new")
    assert main(["label", "collect", "yard", "new"]) == 0
    assert "yard: 1 frames added (1 uncertain)" in capsys.readouterr().out
    assert "1 Car" in listed(capsys)[1]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["yard-2.jpg"]
    assert main(["label", "accept", "yard"]) == 0
    lines = listed(capsys)
    collected(tmp_path / "again")
    assert main(["label", "collect", "yard", "again"]) == 0
    assert "yard: 0 frames added" in capsys.readouterr().out
    assert listed(capsys) == lines, "it is known, and corrected"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 61}, "60x40 pixels, but its labels are for 61x40"),
        ({"boxes": [{"class": "car", "box": [5, 5, float("nan"), 30], "score": 1}]}, "boxes.0.box.2: Input should be"),
        (
            {"boxes": [{"class": "car", "box": [5, 5, 900, 30], "score": 1}]},
            "boxes.0: the box .* lies outside its frame",
        ),
        ({"boxes": 3}, "boxes: Input should be a valid array"),
    ],
)
def test_a_collected_frame_that_is_damaged_is_named_and_nothing_is_taken(
    changes: dict[str, object], message: str, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collected(tmp_path / "new", **changes)
    assert main(["label", "collect", "yard", "new"]) == 1
    assert re.search(rf"yard-1\.(json|jpg): .*{message}|yard-1.jpg: {message}", capsys.readouterr().err)
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert listed(capsys)[-1].startswith("0 frames")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["create", "yard", "--classes", "a"], 1, "yard: is a dataset already"),
        (["create", "new", "--classes", "a", "A"], 1, "the class 'A' is listed twice"),
        (["list", "nowhere"], 1, "nowhere: not a dataset"),
        (["add", "yard", "nowhere.mp4"], 1, "nowhere.mp4: no such file or folder"),
        (["add", "yard", "yard", "--model", "nothing"], 2, "unknown model 'nothing'"),
        (["propose", "yard", "--model", "sface"], 1, "sface is a face-embedder, not a detector"),
        (["propose", "yard", "--model", "yolox-nano", "--as", "truck"], 1, "--as truck: expected CLASS=LABEL"),
        (["propose", "yard", "--model", "yolox-nano", "--as", "truck=lamp"], 1, "the dataset has no class 'lamp'"),
        (["propose", "yard", "--model", "yolox-nano", "--as", "lamp=car"], 1, "yolox-nano has no class 'lamp'"),
        (["collect", "yard", "nowhere"], 1, "nowhere: no such folder; it is the option `folder`"),
        (["accept", "yard", "x.jpg"], 1, "yard: has no frame 'x.jpg'"),
        (["import", "yard", "yard/frames"], 1, "expected a dataset folder"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], code: int, message: str, film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("yolox-nano", "sface"):
        if name in arguments:
            stored(name)
    assert main(["label", *arguments]) == code
    assert message in capsys.readouterr().err
