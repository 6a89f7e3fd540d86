"""`sightd engine`, as typed: on a machine without TensorRT, and with stand-ins for TensorRT and a GPU."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest

from sightd.daemon.cli import engine
from sightd.daemon.cli.main import main
from sightd.daemon.tools import engines
from sightd.engines.errors import TensorRtUnavailableError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.onnx_edit import to_fp16
from sightd.engines.models.onnx_file import read_precision
from sightd.engines.session import Backend
from sightd.engines.sessions.tensorrt import ensure, names
from sightd.engines.sessions.tensorrt.cache import EngineCache, EngineIdentity
from sightd.engines.sessions.tensorrt.names import Flavour
from tests.support import fake_tensorrt
from tests.support.fake_device import FakeDevice
from tests.support.networks import write_double
from tests.support.small_networks import convolutional, pictures

IDENTITY = EngineIdentity("net", "a" * 64, "TensorRT 11.4.0.106", "NVIDIA A10", "8.6", "fp16", "1:4:16 of 8x8", 1)
SPEC = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def cache(folder: Path) -> EngineCache:
    """A cache with two engines of 1 MiB."""
    made = EngineCache(folder / "engines")
    for index in range(2):
        identity = replace(IDENTITY, model=f"net{index}", model_sha256=f"{index}" * 64)
        made.provide(identity, lambda plan: _write(plan, 1 << 20), lambda plan: {"least cosine": 0.99951})
        os.utime(made.directory / f"{identity.stem}.engine", (index, index))
    return made


def _write(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))


def absent(*args: object) -> Any:
    raise TensorRtUnavailableError("TensorRT is not installed: pip install 'tensorrt>=10.12'")


@pytest.mark.parametrize("action", ["build", "bench"])
def test_without_tensorrt_it_says_what_to_install(
    action: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "load", absent)
    assert main(["engine", action, "yolox-nano"]) == 3
    assert "pip install 'tensorrt>=10.12'" in capsys.readouterr().err


def test_without_a_gpu_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "load", lambda flavours: fake_tensorrt.flavoured(Flavour.TENSORRT))
    monkeypatch.setattr(engine, "open_device", absent)
    assert main(["engine", "build", "yolox-nano"]) == 3
    assert capsys.readouterr().err


def test_a_name_that_no_network_has_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "build", "yolox-nanno"]) == 2
    assert 'did you mean "yolox-nano"?' in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--batch", "4:1"], ["--batch", "16:4:1"], ["--precision", "int3"]])
def test_wrong_arguments_are_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["engine", "build", "yolox-nano", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_list_tells_of_each_engine_what_it_is_and_what_it_was_trusted_for(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "list"]) == 0
    told = capsys.readouterr().out
    assert told.index("net1: fp16, batch 1:4:16 of 8x8, 1.0 MiB") < told.index("net0")
    assert "TensorRT 11.4.0.106 on NVIDIA A10 (8.6); used 1970-01-01 00:00 UTC" in told
    assert "verified: least cosine 0.9995" in told


def test_verify_finds_a_damaged_engine_and_prune_removes_it(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "verify"]) == 0
    victim = cache.entries()[0].path
    victim.write_bytes(b"")
    assert main(["engine", "verify"]) == 1
    assert f"{victim.name}: the engine file was changed or damaged" in capsys.readouterr().err
    assert main(["engine", "prune"]) == 0
    assert "1 removed, 1.0 MiB left" in capsys.readouterr().out
    assert main(["engine", "verify"]) == 0


@pytest.mark.parametrize(("size", "left"), [(["--size", "1500k"], 1), (["--size", "1G"], 2), (["--all"], 0)])
def test_prune_leaves_what_was_used_last(cache: EngineCache, size: list[str], left: int) -> None:
    assert main(["engine", "prune", *size]) == 0
    assert [entry.note.identity.model for entry in cache.entries()] == ["net1", "net0"][:left]


@pytest.fixture
def gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    """A stand-in GPU, and a model "double" in the catalogue that the stand-in TensorRT can run."""
    device = FakeDevice()
    path = write_double(folder / "double.onnx", (1, 3, 8, 8))
    model = Model("double", "classifier", "", "MIT", SPEC, path=path)
    monkeypatch.setattr(Catalog, "load", lambda: Catalog({"double": model}))
    monkeypatch.setattr(names, "load", lambda flavours: fake_tensorrt.flavoured(flavours[0]))
    monkeypatch.setattr(engine, "open_device", lambda which: device)

    def build(order: Any, plan: Path, progress: Any, **_: object) -> None:
        assert onnx.load(order.onnx).graph.node
        progress("Building engine", 0, 6)
        plan.write_bytes(fake_tensorrt.plan((-1, 3, 8, 8), (1, 4, 16)))

    def opened(*args: Any) -> Any:
        return ensure.open_session(*args, build=build)

    monkeypatch.setattr(engines, "open_session", opened)
    return device


def test_build_builds_verifies_and_keeps(gpu: FakeDevice, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for expected in ("double: Building engine …", ""):
        assert main(["engine", "build", "double"]) == 0
        told = capsys.readouterr()
        assert "double: TensorRT 11.4.0.106 on Stand-in, fp16, ready" in told.out
        assert expected in told.err
    assert "Building" not in told.err
    (entry,) = EngineCache(folder / "engines").entries()
    assert entry.note.identity.precision == "fp16"
    assert not gpu.live


def test_the_runtime_that_was_asked_for_is_taken(gpu: FakeDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "build", "double", "--runtime", "tensorrt-rtx", "--precision", "file"]) == 0
    assert "TensorRT for RTX 11.4.0.106 on Stand-in, fp32" in capsys.readouterr().out


@pytest.fixture
def detector(gpu: FakeDevice, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A small model with weights, stored as "small", that the stand-in TensorRT accepts."""
    model = convolutional(folder / "small.onnx")
    monkeypatch.setattr(Catalog, "load", lambda: Catalog({model.name: model}))
    monkeypatch.setattr(engines, "open_session", lambda request, *_: _Opened(request.precision))
    return model


class _Opened:
    def __init__(self, precision: str) -> None:
        self.backend = Backend("tensorrt", "cuda:0", precision)

    def close(self) -> None:
        """There is nothing to release."""


def frames(folder: Path, count: int = 10) -> str:
    recordings = folder / "recordings"
    recordings.mkdir()
    for index, picture in enumerate(pictures(count)):
        cv2.imwrite(str(recordings / f"{index}.png"), picture)
    return str(recordings)


def test_calibrating_makes_the_int8_network_and_its_engine(
    detector: Model, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "build", "small", "--calibrate", frames(folder)]) == 0
    told = capsys.readouterr()
    assert "small, int8, calibrated on 8 images" in told.out
    assert "small-int8: TensorRT 11.4.0.106 on Stand-in, int8, ready" in told.out
    (made,) = (folder / "models" / "own").glob("small-int8.*.onnx")
    assert read_precision(made) == "int8"
    assert main(["engine", "build", "small-int8"]) == 0, "from then on it is a network like others"
    assert "small-int8: TensorRT 11.4.0.106 on Stand-in, int8, ready" in capsys.readouterr().out
    assert main(["engine", "build", "small-int8", "--precision", "fp32"]) == 1
    assert "small-int8 is int8 and cannot be converted to fp32" in capsys.readouterr().err


def test_int8_without_anything_to_calibrate_on_says_what_to_add(
    detector: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "build", "small", "--precision", "int8"]) == 1
    assert "small is fp32: use --calibrate SOURCE to quantize it to int8" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["fp32", "file"])
def test_a_network_that_is_fp32_is_built_as_its_file_is_by_either_name(
    precision: str, detector: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "build", "small", "--precision", precision]) == 0
    assert "small: TensorRT 11.4.0.106 on Stand-in, fp32, ready" in capsys.readouterr().out


def test_fp32_of_a_network_that_is_not_is_refused_with_the_way_out(
    detector: Model, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detector.path is not None
    onnx.save(to_fp16(onnx.load(detector.path)), str(detector.path))
    assert main(["engine", "build", "small", "--precision", "fp32"]) == 1
    told = capsys.readouterr()
    assert "small is fp16 and cannot be converted to fp32: use `--precision file`" in told.err
    assert "ready" not in told.out


@pytest.mark.parametrize("precision", ["fp32", "fp16", "file"])
def test_calibrating_for_another_precision_is_wrong_usage(
    precision: str, detector: Model, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "build", "small", "--precision", precision, "--calibrate", str(folder)]) == 2
    assert f"remove --precision {precision}\n" in capsys.readouterr().err


def test_recordings_that_cannot_be_read_are_reported(
    detector: Model, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "build", "small", "--calibrate", str(folder / "absent.mp4")]) == 1
    assert "absent.mp4" in capsys.readouterr().err


def test_bench_tells_each_batch(
    gpu: FakeDevice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_SECONDS", 0.02)
    assert main(["engine", "bench", "double"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines() if "× one CPU thread" in line] == ["1", "4", "16"]
    assert not gpu.live


def test_a_picture_that_cannot_be_read_is_reported(gpu: FakeDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "build", "double", "--picture", "/nowhere.jpg"]) == 1
    assert "/nowhere.jpg: No such file" in capsys.readouterr().err
