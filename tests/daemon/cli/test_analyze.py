"""`sightd analyze`: every frame of every readable source, and a clear message for each source that is not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml

from sightd.daemon.cli.main import main
from sightd.daemon.tools.analyze.job import Record
from sightd.daemon.tools.media import PICTURES, Item
from sightd.plugins.api import (
    ENTRY_POINT_GROUP,
    Appearances,
    Classification,
    Detections,
    Event,
    Events,
    Faces,
    Frame,
    Identities,
    JsonOptions,
    JsonValue,
    Keypoints,
    Masks,
    OrientedBoxes,
    Plugin,
    PluginConfig,
    Results,
)
from sightd.plugins.configuration import registry
from tests.daemon.config.examples import write_exported
from tests.daemon.tools.test_media import write_picture, write_video
from tests.support.clips import write_film
from tests.support.daemon import one_object_network
from tests.support.faces import photo
from tests.support.networks import stored
from tests.support.process_logging import restored
from tests.support.small_disk import SmallDisk
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose detector finds one "thing" in every frame, with a score of 0.9."""
    path = tmp_path / "site.yaml"
    settings = {
        "cameras": {"unused": {"source": "testpattern://"}},
        "chain": ["detector", "tracker"],
        "plugins": {"detector": one_object_network(tmp_path)},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def analyze(config: Path, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """Runs `sightd analyze`. Returns the exit code and the records written."""
    out = config.parent / "results.jsonl"
    code = main(["analyze", "-c", str(config), "--out", str(out), *map(str, arguments)])
    return code, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def test_writes_a_line_for_each_frame_with_its_detections_and_their_tracks(config: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", count=5)
    code, lines = analyze(config, clip)
    assert code == 0
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert {line["source"] for line in lines} == {str(clip)}
    for line in lines:
        [found] = line["detections"]
        assert found["box"] == pytest.approx([16, 12, 48, 36], abs=0.5)
        assert (found["class"], found["class_id"], found["track"]) == ("thing", 0, 1)


def keys_of(value: object) -> set[str]:
    """Returns all keys in a JSON value."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    return set(value).union(*map(keys_of, value.values())) if isinstance(value, dict) else set()


def everything() -> Results:
    """Returns results of all types with a JSON form, each in full."""
    boxes, one, numbers = np.ones((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    carried = np.ones(1, np.bool_)
    return Results(
        Detections(boxes, one, numbers, ("person",), carried),
        Masks(boxes, (np.ones((1, 1), np.bool_),), (64, 48)),
        Keypoints(np.ones((1, 2, 2), np.float32), np.ones((1, 2), np.float32), ("nose", "ear"), ((0, 1),)),
        OrientedBoxes.upright(boxes),
        Classification(
            np.repeat(boxes, 2, axis=0),
            np.full(2, -1),
            np.array([0, -1]),
            np.zeros((2, 1), np.int64),
            np.ones((2, 1), np.float32),
            ("tabby",),
        ),
        Faces(boxes, one, np.ones((1, 5, 2), np.float32), one, numbers, ("Ada",), one, one, ("",), boxes),
        Events((Event("motion.began", {}),)),
        Appearances(numbers, np.ones((1, 1), np.float32), "model"),
        Identities(numbers, numbers, "site"),
    )


def test_the_help_lists_exactly_the_keys_that_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["analyze", "--help"])
    listed = set(re.findall(r'"(\w+)":', capsys.readouterr().out))
    item = Item("a.png", Frame.of(np.zeros((48, 64, 3), np.uint8), pts=0.0))
    assert listed == keys_of(dict(Record.of(item, everything(), JsonOptions(embeddings=True)).values))


def test_options_and_chain_can_be_set_from_the_command_line(config: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    code, [line] = analyze(config, picture, "--chain", "detector", "--set", "detector.min_score=0.95")
    assert code == 0
    assert line["detections"] == []


def test_a_file_that_shows_what_it_is_can_be_tried_on_the_command_line(config: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    best = write_exported(tmp_path / "best.onnx", score=0.8)
    code, [line] = analyze(config, picture, "--chain", "detector", "--set", f"detector.model={best}")
    assert code == 0
    assert [found["class"] for found in line["detections"]] == ["class 0"]


def test_a_setting_under_its_previous_name_causes_a_warning(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = analyze(config, write_picture(tmp_path / "a.png"), "--set", "events.most=500")
    assert (code, len(lines)) == (0, 1)
    assert "warning: --set: events.most: was renamed to max_count" in capsys.readouterr().err


def test_embeddings_are_written_for_every_face_of_every_frame_whatever_the_options_limit(tmp_path: Path) -> None:
    for name in ("yunet", "sface"):
        stored(name)
    crowd = photo("multi_face.jpg", 640)
    even = crowd[: crowd.shape[0] // 2 * 2, : crowd.shape[1] // 2 * 2]
    clip, out = write_film(tmp_path / "clip.mp4", [even] * 10, fps=50), tmp_path / "faces.jsonl"
    limits = [f"face.gallery={tmp_path / 'faces.db'}", "face.max_embeddings=1", "face.recheck=1h", "face.min_quality=0"]
    options = [word for limit in limits for word in ("--set", limit)]
    assert main(["analyze", str(clip), "--chain", "face", *options, "--embeddings", "--out", str(out)]) == 0
    lines = [json.loads(line)["faces"] for line in out.read_text().splitlines()]
    assert [len(faces) for faces in lines] == [len(lines[0])] * 10
    assert len(lines[0]) > 1
    assert [len(face["embedding"] or ()) for faces in lines for face in faces] == [128] * 10 * len(lines[0])


def test_broken_sources_among_others_are_reported_and_the_others_are_processed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mixed"
    write_picture(folder / "1.png")
    (folder / "2.png").write_bytes(b"nonsense")
    write_picture(folder / "3.png")
    (folder / "broken.mp4").write_bytes(b"nonsense" * 100)
    write_video(folder / "whole.mp4", count=2)
    last = write_picture(tmp_path / "last.png")
    code, lines = analyze(config, folder, tmp_path / "missing.mp4", last)
    assert code == 1
    assert [Path(line["source"]).name for line in lines] == ["1.png", "3.png", "whole.mp4", "whole.mp4", "last.png"]
    *told, last_line = capsys.readouterr().err.splitlines()
    errors = [line for line in told if line.startswith("error: ")]
    named = zip(("missing.mp4", "2.png", "broken.mp4"), errors, strict=True)
    assert [name in error for name, error in named] == [True] * 3, (
        "missing files are reported before the others are read"
    )
    assert told.index(errors[0]) == 0
    assert last_line == "3 sources, 5 frames; 2 sources failed"


def test_without_a_source_that_is_there_no_network_is_loaded(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = analyze(config, tmp_path / "missing.mp4", "rtsp://user:geheim@192.0.2.1/stream")
    told = capsys.readouterr().err
    assert code == 1
    assert "one_object" not in told
    assert "sightd run" in told
    assert "geheim" not in told
    assert told.endswith("2 sources, 0 frames; 2 sources failed\n")


def test_each_source_is_analysed_as_if_it_were_the_only_one(config: Path, tmp_path: Path) -> None:
    photographs = [write_picture(tmp_path / name) for name in ("a.png", "b.png")]
    clip = write_video(tmp_path / "clip.mp4", count=3)
    code, lines = analyze(config, *photographs, clip, photographs[0])
    assert code == 0
    assert [found["track"] for line in lines for found in line["detections"]] == [1] * 6


def test_annotated_copies_keep_the_folders_below_a_source_and_never_take_an_originals_place(
    config: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    original = write_picture(photos / "x.png", value=9)
    before = original.read_bytes()
    write_picture(photos / "photos" / "x.png")
    write_video(photos / "yard" / "x.mp4", count=2)
    assert analyze(config, photos, "--annotated", tmp_path)[0] == 0
    assert original.read_bytes() == before
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("x*")} == {
        "photos/x.png", "photos/photos/x.png", "photos/yard/x.mp4", "x.png", "photos/x-2.png", "yard/x.mp4",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(PICTURES - {".pgm", ".pbm", ".heic", ".heif"}))
def test_an_annotated_picture_keeps_its_sources_format(config: Path, tmp_path: Path, suffix: str) -> None:
    written = write_picture(tmp_path / ("a.jpg" if suffix == ".jfif" else f"a{suffix}"), size=(64, 48))
    picture = written.rename(tmp_path / f"a{suffix}")
    assert analyze(config, picture, "--annotated", tmp_path / "copies")[0] == 0
    [copy] = (tmp_path / "copies").iterdir()
    assert copy.name == picture.name
    assert copy.read_bytes()[:2] == picture.read_bytes()[:2]


def test_annotated_copies_have_the_sources_names_also_where_one_of_them_is_broken(config: Path, tmp_path: Path) -> None:
    folder, copies = tmp_path / "photos", tmp_path / "copies"
    write_picture(folder / "1.png", value=10)
    (folder / "2.png").write_bytes(b"nonsense")
    write_picture(folder / "3.png", value=200, size=(641, 361))
    write_video(folder / "film.avi", count=6)
    code, _ = analyze(config, folder, "--annotated", copies)
    assert code == 1
    assert sorted(path.name for path in copies.iterdir()) == ["1.png", "3.png", "film.mp4"]
    last = cv2.imread(str(copies / "3.png"))
    assert last is not None
    assert last.shape == (360, 640, 3)
    assert last[5, -5].mean() == pytest.approx(200, abs=6), "each copy is of the picture whose name it has"
    with av.open(str(copies / "film.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 6


def test_a_video_whose_size_changes_is_analysed_and_copied_to_its_end(config: Path, tmp_path: Path) -> None:
    clip = tmp_path / "grows.ts"
    parts = [write_sized(tmp_path / f"{width}.ts", width) for width in (64, 128)]
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    code, lines = analyze(config, clip, "--annotated", tmp_path / "copies")
    assert code == 0
    assert {line["width"] for line in lines} == {64, 128}
    with av.open(str(tmp_path / "copies" / "grows.mp4")) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == len(lines)


def write_sized(path: Path, width: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, width, 3), np.uint8), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("where", [".", "below"])
def test_originals_are_never_written_over(
    config: Path, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = write_picture(tmp_path / "photos" / "a.jpg", value=77)
    before = picture.read_bytes()
    source = picture if where == "." else picture.parent
    code, lines = analyze(config, source, "--annotated", picture.parent / where)
    assert (code, lines) == (2, [])
    assert "use another file" in capsys.readouterr().err
    assert picture.read_bytes() == before


def test_results_that_would_take_the_place_of_a_source_are_refused(config: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    before = picture.read_bytes()
    assert main(["analyze", "-c", str(config), "--out", str(picture), str(picture)]) == 2
    assert picture.read_bytes() == before


def test_results_that_cannot_be_written_are_reported_once_and_end_it(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = write_picture(tmp_path / "a.png")
    nowhere = tmp_path / "no" / "folder.jsonl"
    assert main(["analyze", "-c", str(config), "--out", str(nowhere), str(picture)]) == 1
    assert f"{nowhere}: cannot be written: No such file" in capsys.readouterr().err
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert main(["analyze", "-c", str(config), "--out", "/dev/full", str(picture), str(picture)]) == 1
    assert capsys.readouterr().err.count("cannot be written: No space left") == 1


def test_a_reader_who_leaves_ends_it(config: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "sightd", "analyze", "-c", str(config), *[str(picture)] * 2000],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "sources" not in done.stderr, "it ends before all are analysed"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--set", "detector.min_scor=1"], 2, "min_score"),
        (["--set", "detecter.min_score=1"], 2, 'did you mean "detector"'),
        (["--chain", "tracker"], 2, "requires Detections"),
        (["--chain", "detectr"], 2, "--chain: chain[0]: no plug-in detectr is installed"),
        (["--set", "detector.model=[no-such-network]"], 2, "--set: plugins.detector.model[0]: unknown model"),
    ],
)
def test_a_wrong_option_is_reported_with_its_exit_code(
    config: Path, tmp_path: Path, arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert analyze(config, write_picture(tmp_path / "a.png"), *arguments)[0] == code
    assert told in capsys.readouterr().err


@dataclass(frozen=True)
class Size:
    """A result that uses a key of the frame itself, and one of its own."""

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        return {"width": "wide", "size": "large"}


class Sizer(Plugin[PluginConfig]):
    """Finds the size of each frame."""

    produces = frozenset({Size})

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [Results(Size()) for _ in frames]


def test_a_key_that_a_plug_in_must_not_use_is_left_out_and_reported_once(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {"sizer": EntryPoint("sizer", f"{__name__}:Sizer", ENTRY_POINT_GROUP), **registry.available()}
    monkeypatch.setattr(registry, "available", lambda: entries)
    code, lines = analyze(config, write_video(tmp_path / "clip.mp4", count=3), "--chain", "sizer")
    assert code == 1
    assert [(line["width"], line["size"]) for line in lines] == [(64, "large")] * 3
    told = capsys.readouterr().err
    assert told.count('the key "width" of Size.to_json is left out: it is already used by the frame itself') == 1


def test_the_lines_go_to_standard_output_by_default_and_with_a_dash(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = write_picture(tmp_path / "a.png")
    for arguments in ([], ["--out", "-"]):
        assert main(["analyze", "-c", str(config), *arguments, str(picture)]) == 0
        assert json.loads(capsys.readouterr().out)["source"] == str(picture)
    assert not (tmp_path / "-").exists()


def test_names_that_are_not_utf_8_are_analysed_like_others(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lat"
    picture = write_picture(folder / "z.png")
    clip = write_video(folder / "z.mp4", count=2)
    for path in (picture, clip):
        path.rename(Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xfc" + path.suffix.encode())))
    write_picture(folder / "z.png")
    code, lines = analyze(config, folder, "--annotated", tmp_path / "copies")
    assert code == 0
    names = [os.fsencode(line["source"]).rpartition(b"/")[2] for line in lines]
    assert names == [b"latin-\xfc.png", b"z.png", b"latin-\xfc.mp4", b"latin-\xfc.mp4"]
    copies = sorted(os.fsencode(path.name) for path in (tmp_path / "copies").iterdir())
    assert copies == [b"latin-\xfc.mp4", b"latin-\xfc.png", b"z.png"]


def test_what_is_left_out_of_a_folder_is_named_and_no_fault(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    assert analyze(config, tmp_path / "photos")[0] == 0
    assert "notes.txt: skipped, .txt is not a known image or video suffix" in capsys.readouterr().err


def test_a_video_that_was_cut_off_is_analysed_as_far_as_it_goes_and_fails(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), np.uint8)
    clip = write_film(tmp_path / "clip.mp4", noise, container_options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    code, lines = analyze(config, clip)
    assert code == 1
    assert 5 < len(lines) < 25
    assert f"clip.mp4: frames are missing: 30 declared, {len(lines)}" in capsys.readouterr().err


def test_an_annotated_video_has_the_colours_of_its_source_and_says_which_they_are(config: Path, tmp_path: Path) -> None:
    """BT.709 in, as cameras send it. Players would guess a copy without tags as BT.709 by its size, or not."""
    colours = ((40, 60, 200), (200, 60, 40), (60, 200, 60), (128, 128, 128))
    bars = np.concatenate([np.full((720, 320, 3), colour, np.uint8) for colour in colours], axis=1)
    frame = av.VideoFrame.from_ndarray(bars, format="bgr24").reformat(format="yuv420p", dst_colorspace="ITU709")
    clip = tmp_path / "bars.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        stream.codec_context.color_range = 1
        for _ in range(3):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert analyze(config, clip, "--annotated", tmp_path / "copies", "--chain", "detector", "--set",
                   "detector.min_score=0.95")[0] == 0  # fmt: skip
    with av.open(str(tmp_path / "copies" / "bars.mp4")) as copy:
        told = copy.streams.video[0].codec_context
        assert (told.colorspace, told.color_primaries, told.color_trc, told.color_range) == (6, 1, 1, 1)
        image = next(copy.decode(video=0)).to_ndarray(format="bgr24")
    seen = [image[600, 160 + 320 * number].tolist() for number in range(4)]
    np.testing.assert_allclose(seen, colours, atol=5)


@pytest.mark.parametrize("full", [True, False], ids=["from the begin", "later"])
def test_annotated_copies_onto_a_full_disk_fail_in_words_and_leave_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3), np.uint8)
    clip = write_film(tmp_path / "clip.mp4", noise)
    picture = write_picture(tmp_path / "a.bmp", size=(1280, 720))
    with SmallDisk(tmp_path / "disk", 1) as disk:
        if full:
            disk.fill()
        code, lines = analyze(config, clip, picture, "--annotated", disk.path / "copies")
        assert list((disk.path / "copies").iterdir()) == []
    assert code == 1
    told = capsys.readouterr().err
    assert "copies/clip.mp4: cannot be written: No space left on device" in told
    assert "copies/a.bmp: cannot be written: No space left on device" in told
    assert lines


def test_what_was_written_before_stays_if_the_disk_is_full(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3), np.uint8)
    clip, picture = write_film(tmp_path / "clip.mp4", noise), write_picture(tmp_path / "a.bmp", size=(1280, 720))
    with SmallDisk(tmp_path / "disk", 1) as disk:
        files = [disk.path / name for name in ("copies/clip.mp4", "copies/a.bmp", "out.jsonl")]
        (disk.path / "copies").mkdir()
        for file in files:
            file.write_bytes(b"before")
        disk.fill()
        command = ["analyze", "-c", str(config), "--annotated", str(files[0].parent), "--out", str(files[2])]
        assert main([*command, str(clip), str(picture)]) == 1
        assert [file.read_bytes() for file in files] == [b"before"] * 3
        assert {path.name for path in disk.path.rglob("*")} == {"filler", "copies", "clip.mp4", "a.bmp", "out.jsonl"}
    assert "out.jsonl: cannot be written: No space left on device" in capsys.readouterr().err


def test_results_that_fill_the_disk_end_with_a_whole_line(config: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        filler = disk.path / "filler"
        os.truncate(filler, filler.stat().st_size - 8192)
        out = disk.path / "out.jsonl"
        assert main(["analyze", "-c", str(config), "--out", str(out), *[str(picture)] * 200]) == 1
        text = out.read_text()
    assert text.endswith("\n")
    assert 1 < len([json.loads(line) for line in text.splitlines()]) < 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_with_whole_files(config: Path, tmp_path: Path, number: signal.Signals) -> None:
    clip = write_video(tmp_path / "clip.mp4", count=250, fps=25)
    copy, out = tmp_path / "copies" / "clip.mp4", tmp_path / "out.jsonl"
    sources = [str(clip)] * 200
    process = subprocess.Popen(
        [sys.executable, "-m", "sightd", "analyze", "-c", str(config), "--annotated", str(copy.parent), "--out",
         str(out), *sources], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: (copy.parent / "clip-2.mp4").exists(), 60.0)
        process.send_signal(number)
        assert process.wait(120) == (130 if number == signal.SIGINT else 128 + number)
    finally:
        process.kill()
    copies = sorted(copy.parent.iterdir())
    assert 1 <= len(copies) < 200, "one that has no frame yet is removed"
    frames = 0
    for path in copies:
        with av.open(str(path)) as film:
            frames += sum(1 for _ in film.decode(video=0))
    assert len([json.loads(line) for line in out.read_text().splitlines()]) in (frames, frames + 1)


def test_a_chain_that_cannot_be_opened_leaves_the_results_of_before(config: Path, tmp_path: Path) -> None:
    picture, out = write_picture(tmp_path / "a.png"), tmp_path / "results.jsonl"
    out.write_text("{}")
    config.write_text(config.read_text() + "engines: {backends: [tensorrt]}\n")
    assert analyze(config, picture) == (3, [{}])
