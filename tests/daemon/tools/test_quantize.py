"""Conversion to int8: its calibration images, its accuracy, the command."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from sightd.daemon.cli import models
from sightd.daemon.tools.media import MediaError
from sightd.daemon.tools.quantize import CalibrationPictures, drift
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import model_from_file
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.onnx_edit import to_fp16
from sightd.engines.models.onnx_file import read_content
from sightd.engines.models.quantize import quantize
from sightd.engines.models.store import ModelStore
from sightd.engines.session import Session
from sightd.engines.sessions.backends import PLAIN, Preference
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.loader import EngineLoader, LoadOptions
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.openvino import OpenVinoSession, sums_int8_exactly
from sightd.plugins.api import Frame
from sightd.plugins.detector.agreement import Agreement, agreement, detections
from tests.support import media, plates
from tests.support.networks import stored
from tests.support.openvino import openvino_importable
from tests.support.pictures import street
from tests.support.small_networks import convolutional, pictures
from tests.support.waiting import eventually


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 100 images, each as bright as its number."""
    for number in range(100):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 4, 3), number, np.uint8))
    return tmp_path


def silent(_line: str) -> None:
    """Ignores messages, for sources whose files can all be read."""


def test_they_are_spread_evenly_and_every_fifth_is_kept_back(folder: Path) -> None:
    pictures = CalibrationPictures([folder], 10, silent)
    assert pictures.expected == 10
    assert [int(picture.max()) for picture in pictures] == [0, 10, 20, 30, 50, 60, 70, 80]
    assert [int(frame.host().max()) for frame in pictures.held_out] == [40, 90]


def test_where_there_are_fewer_all_are_used(folder: Path) -> None:
    pictures = CalibrationPictures([folder], 1000, silent)
    assert len(list(pictures)) + len(pictures.held_out) == 100


def test_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "only.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(MediaError, match="only 1 readable images"):
        list(CalibrationPictures([path], 10, silent))


def test_a_source_that_is_not_there_is_reported_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        CalibrationPictures([tmp_path / "absent.mp4"], 10, silent)


def test_files_that_cannot_be_read_are_reported_and_the_others_used(folder: Path) -> None:
    (folder / "10.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("of the camera")
    reported = list[str]()
    pictures = CalibrationPictures([folder], 10, reported.append)
    assert [int(picture.max()) for picture in pictures] == [0, 11, 21, 31, 51, 61, 71, 81]
    assert pictures.used == 8
    notes, damaged = reported
    assert notes.startswith(f"{folder / 'notes.txt'}: skipped, ")
    assert damaged.startswith(f"{folder / '10.png'}: not a readable image")


def test_sources_without_one_readable_picture_are_refused(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    reported = list[str]()
    with pytest.raises(MediaError, match="only 0 readable images"):
        list(CalibrationPictures([tmp_path], 10, reported.append))
    assert len(reported) == 5


PICTURES = 80
"""Every second image is compared, so many that one object more or less does not matter; 24 others are for
calibration."""
pytestmark = pytest.mark.timeout(600)
DETECTORS = ("ssd-mobilenet-v2", "yolox-nano")


def each_detector(quick: str) -> pytest.MarkDecorator:
    """Parametrises over the detectors; `make test` runs only `quick`."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[] if name == quick else pytest.mark.slow) for name in DETECTORS]
    )


def compared(name: str, session: Session) -> Agreement:
    model = Catalog.load().get(name)
    frames = [Frame.of(picture, camera="street", seq=0, captured_at=0.0) for picture in street(PICTURES)[1::2]]
    with closing(OnnxRuntimeSession(stored(name), threads=2)) as exact, closing(session):
        return agreement(
            zip(
                detections(Engine(model, exact, ""), frames),
                detections(Engine(model, session, ""), frames),
                strict=True,
            )
        )


def int8_of(name: str, folder: Path) -> Path:
    path = folder / "int8.onnx"
    quantize(Catalog.load().get(name), stored(name), path, street(PICTURES)[:48:2])
    return path


def loses_little(got: Agreement) -> None:
    assert got.clear > 40
    assert got.found >= 0.9 * got.clear
    assert got.grounded >= 0.95 * got.other_clear
    assert got.overlap > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_int8_loses_little_and_invents_nothing(name: str, tmp_path: Path) -> None:
    path = int8_of(name, tmp_path)
    loses_little(compared(name, OnnxRuntimeSession(path, threads=2)))


@each_detector(quick="yolox-nano")
def test_int8_on_openvino_loses_as_little(name: str, tmp_path: Path) -> None:
    openvino_importable()
    if not sums_int8_exactly():
        pytest.skip("this processor has no VNNI: OpenVINO cannot run int8 here")
    path = int8_of(name, tmp_path)
    loses_little(compared(name, OpenVinoSession(path, threads=2, precision="int8")))


@each_detector(quick="yolox-nano")
def test_fp16_loses_nothing(name: str, tmp_path: Path) -> None:
    onnx.save(to_fp16(onnx.load(stored(name))), str(tmp_path / "half.onnx"))
    got = compared(name, OnnxRuntimeSession(tmp_path / "half.onnx", threads=2))
    assert got.found == got.clear > 40
    assert got.grounded == got.other_clear
    assert got.overlap > 0.99


@each_detector(quick="yolox-nano")
def test_openvino_in_fp32_loses_nothing(name: str) -> None:
    openvino_importable()
    got = compared(name, OpenVinoSession(stored(name), threads=2))
    assert (got.found, got.grounded) == (got.clear, got.other_clear)
    assert got.overlap > 0.9999


def sightd(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    models.add(parser.add_subparsers())
    typed = parser.parse_args(["models", *arguments])
    code: int = typed.run(typed)
    return code


def test_a_detector_becomes_int8_with_a_video_and_its_loss_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".onnx", ".json"):
        shutil.copy(stored("yolox-nano").with_suffix(suffix), tmp_path)
    video = str(media.path("bikes.mp4"))
    typed = ["quantize", "yolox-nano", "--directory", str(tmp_path), "--calibrate", video, "--pictures", "20"]
    assert sightd(*typed) == 0
    told = capsys.readouterr()
    assert "measuring ranges" in told.err
    assert "yolox-nano, int8, calibrated on 17 images" in told.out
    assert "compared with fp32 on 4 images: " in told.out
    assert "objects found again" in told.out
    assert not list((tmp_path / "own").glob(".int8-*"))
    catalog = with_custom_models(Catalog.load(), tmp_path)
    options = LoadOptions(fetch=False, preference=PLAIN)
    engine = EngineLoader(catalog, ModelStore(tmp_path), options).load(["yolox-nano-int8"])
    assert engine.session.backend.precision == "int8"
    assert engine.model.head == "yolox"
    options = replace(options, preference=Preference(("onnxruntime",), "int8"))
    EngineLoader(catalog, ModelStore(tmp_path), options).load(["yolox-nano-int8"]).close()


def test_a_users_own_file_gets_an_int8_file_beside_it_which_is_recognised_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copy(stored("yolox-nano"), tmp_path / "own.onnx"))
    network = onnx.load(own)
    onnx.helper.set_model_props(network, {"comment": "what the exporter says"})
    onnx.save(network, str(own))
    video = str(media.path("bikes.mp4"))
    typed = ["quantize", str(own), "--directory", str(tmp_path / "store"), "--calibrate", video, "--pictures", "10"]
    assert sightd(*typed) == 0
    assert f"own-int8: {tmp_path / 'own-int8.onnx'}" in capsys.readouterr().out
    made = read_content(tmp_path / "own-int8.onnx")
    assert made.metadata == {"comment": "what the exporter says"}
    assert model_from_file(tmp_path / "own-int8.onnx").head == "yolox"
    assert {path.name for path in tmp_path.glob("*own*")} == {"own.onnx", "own-int8.onnx"}


def test_a_transformer_is_refused_because_it_would_lose_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(media.path("bikes.mp4"))
    for suffix in (".onnx", ".json"):
        shutil.copy(stored("deimv2-atto").with_suffix(suffix), tmp_path)
    assert sightd("quantize", "deimv2-atto", "--directory", str(tmp_path), "--calibrate", video) == 1
    assert "loses a quarter of its objects in int8" in capsys.readouterr().err
    assert not list((tmp_path / "own").glob("*.onnx"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_signal_leaves_nothing_half_done(tmp_path: Path, number: signal.Signals) -> None:
    """A killed process cannot clean up; the next one does."""
    for suffix in (".onnx", ".json"):
        shutil.copy(stored("yolox-nano").with_suffix(suffix), tmp_path)
    video, own = str(media.path("bikes.mp4")), tmp_path / "own"
    command = ["models", "quantize", "yolox-nano", "--directory", str(tmp_path), "--calibrate", video]
    process = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "sightd", *command, "--pictures", "500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: bool(list(own.glob(".int8-*"))), 60)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}.get(number, 128 + number)
    assert "Traceback" not in told
    if number == signal.SIGKILL:
        assert sightd(*command[1:], "--pictures", "5") == 0
    assert not list(own.glob(".int8-*"))


def test_what_is_not_stored_is_reported_with_what_fetches_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd("quantize", "yolox-nano", "--directory", str(tmp_path), "--calibrate", str(tmp_path)) == 1
    assert "Run `sightd models fetch yolox-nano`" in capsys.readouterr().err


def test_a_network_that_is_no_detector_is_judged_by_its_outputs(tmp_path: Path) -> None:
    model = convolutional(tmp_path / "small.onnx")
    engine = Engine(model, OnnxRuntimeSession(tmp_path / "small.onnx", 1), "")
    frames = [Frame.of(picture, camera="a", seq=0, captured_at=0.0) for picture in pictures(3)]
    assert drift(engine, engine, frames) == "compared with fp32 on 3 images: cosine of the outputs at least 1.0000"


def test_a_network_of_a_role_that_a_package_brings_is_judged_by_the_function_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates.installed(tmp_path, monkeypatch)
    model = replace(convolutional(tmp_path / "small.onnx"), role=plates.ROLE)
    engine = Engine(model, OnnxRuntimeSession(tmp_path / "small.onnx", 1), "")
    frames = [Frame.of(picture) for picture in pictures(3)]
    found = drift(engine, engine, frames)
    assert found == f"compared with fp32 on 3 images: all 3 plates of {model.name} read again"


def test_too_few_pictures_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        sightd("quantize", "yolox-nano", "--calibrate", "x.mp4", "--pictures", "4")
    assert "at least 5 images are required" in capsys.readouterr().err


def test_a_folder_without_a_readable_picture_is_refused_and_its_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".onnx", ".json"):
        shutil.copy(stored("yolox-nano").with_suffix(suffix), tmp_path)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    (recordings / "damaged.jpg").write_bytes(b"no picture")
    (recordings / "[bold]notes.txt").write_text("of the camera")
    typed = ["quantize", "yolox-nano", "--directory", str(tmp_path), "--calibrate", str(recordings)]
    assert sightd(*typed) == 1
    told = capsys.readouterr().err
    assert "damaged.jpg: not a readable image" in told
    assert "[bold]notes.txt: skipped, " in told
    assert "only 0 readable images" in told
