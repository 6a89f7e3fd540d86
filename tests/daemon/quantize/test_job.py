"""`sightd models quantize`: a real detector, a real video, and the resulting model."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightd.daemon.commands import models
from sightd.daemon.quantize.drift import drift
from sightd.engines.catalog import Catalog
from sightd.engines.custom_models import with_custom_models
from sightd.engines.engine import Engine
from sightd.engines.loader import EngineLoader
from sightd.engines.onnx_session import OnnxRuntimeSession
from sightd.engines.preference import PLAIN, Preference
from sightd.engines.store import ModelStore
from sightd.plugins.types import Frame
from tests.support import media
from tests.support.networks import stored
from tests.support.small_networks import convolutional, pictures
from tests.support.waiting import eventually


def sightd(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    models.add(parser.add_subparsers())
    typed = parser.parse_args(["models", *arguments])
    code: int = typed.run(typed)
    return code


def test_a_detector_becomes_int8_with_a_video_and_its_loss_is_told(
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
    engine = EngineLoader(catalog, ModelStore(tmp_path), fetch=False, preference=PLAIN).load(["yolox-nano-int8"])
    assert engine.session.backend.precision == "int8"
    assert engine.model.head == "yolox"
    EngineLoader(catalog, ModelStore(tmp_path), fetch=False, preference=Preference(("onnxruntime",), "int8")).load(
        ["yolox-nano-int8"]
    ).close()


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


def test_what_is_not_stored_is_told_with_what_fetches_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd("quantize", "yolox-nano", "--directory", str(tmp_path), "--calibrate", str(tmp_path)) == 1
    assert "Run `sightd models fetch yolox-nano`" in capsys.readouterr().err


def test_a_network_that_is_no_detector_is_judged_by_its_outputs(tmp_path: Path) -> None:
    model = convolutional(tmp_path / "small.onnx")
    engine = Engine(model, OnnxRuntimeSession(tmp_path / "small.onnx", 1), "")
    frames = [Frame.of(picture, camera="a", seq=0, captured_at=0.0) for picture in pictures(3)]
    assert drift(engine, engine, frames) == "compared with fp32 on 3 images: cosine of the outputs at least 1.0000"


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
