"""The GPU on which feeds are decoded and drawn on, and what happens if there is none."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from sightd.daemon.app.cameras import open_drawing, video_gpu
from sightd.engines.cuda.errors import CudaUnavailableError
from sightd.engines.cuda.gpus import Gpus
from tests.support.device_engine import open_stand_in_gpu
from tests.support.fake_cuda import on_stand_in


@pytest.mark.parametrize(("device", "expected"), [("cuda:1", "cuda:1"), ("auto", "cuda:0"), ("cpu", "cuda:0")])
def test_it_is_the_engines_one_or_the_first(device: str, expected: str) -> None:
    assert video_gpu(device) == expected


@on_stand_in()
def test_a_camera_is_drawn_on_there(kernels: bytes) -> None:
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))
        gpus = Gpus(_with_kernels={"cuda:0": gpu})
        drawing = open_drawing(gpus, "cuda:0", "door")
        assert drawing is not None
        assert drawing.ordinal == 0
        drawing.close()
        gpu.device.close()


def test_if_it_cannot_the_cpu_draws_and_that_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: Any) -> Any:
        raise CudaUnavailableError("no kernels: install sightd[gpu]")

    monkeypatch.setattr(Gpus, "get", missing)
    assert open_drawing(Gpus(), "cuda:0", "door") is None
    assert "camera door: decoding with nvdec, drawing on the CPU: no kernels: install sightd[gpu]" in caplog.text
