"""`python -m bench.gpu` reports what it cannot run; everything else runs here on the stand-in driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

from bench.gpu.row import Row, attempt
from bench.gpu.run import Options, all_rows, exit_code
from sightd.engines.cuda import driver
from sightd.engines.errors import EngineError
from sightd.engines.sessions.tensorrt.verify import reference_pictures
from tests.support.device_engine import engines, open_stand_in_gpu, pixel_network
from tests.support.fake_cuda import on_stand_in

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.computing, pytest.mark.timeout(600)]


def test_without_a_gpu_it_says_of_every_part_why_it_was_not_run(tmp_path: Path) -> None:
    if driver.available() is None:
        pytest.skip("this machine has a GPU")
    file = tmp_path / "table.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "--json", str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SIGHTD_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    for part in ("kernels against the CPU", "kernels' bytes/s", "whole way on tensorrt", "on onnxruntime-cuda"):
        (line,) = [line for line in done.stdout.splitlines() if part in line]
        assert line.endswith("not run")
        assert "install" in line or "NVIDIA" in line
    assert {row["verdict"] for row in json.loads(file.read_text())} == {"not run"}


@pytest.mark.gpu
def test_on_a_gpu_every_comparison_with_the_cpu_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    command = [sys.executable, "-m", "bench.gpu", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["verdict"] for row in json.loads(file.read_text())} >= {"ok"}


@on_stand_in()
def test_all_that_it_measures_runs_and_what_is_held_against_the_cpu_agrees(kernels: bytes) -> None:
    """Rates mean nothing here; what matters is that every figure is there and every comparison holds."""
    with TemporaryDirectory() as folder:
        gpu = open_stand_in_gpu(Path(folder))

        def missing() -> NoReturn:
            raise EngineError("no such backend here:\n  install it")

        on_device, _ = engines(gpu, pixel_network(Path(folder) / "pixels.onnx"), largest_batch=2)
        options = Options((64, 32), 2, 0.05, reference_pictures(2), [1, 2])
        rows = all_rows(lambda: gpu, [("stand-in", lambda: on_device), ("absent", missing)], options)
        gpu.device.close()
    compared = [row for row in rows if "against the CPU" in row.what or "boxes of GPU" in row.what]
    assert {row.verdict for row in compared} == {"ok"}, compared
    assert len(compared) == 20
    assert len([row for row in rows if "% of the copy" in row.figure]) == 7
    assert len([row for row in rows if "pictures/s" in row.figure and "feeds" not in row.what]) == 2
    assert len([row for row in rows if "beside" in row.figure]) == 1
    assert [row.what for row in rows if "feeds of 64x32 at 30 fps" in row.what and "p95" in row.figure]
    (absent,) = [row for row in rows if row.what == "whole way on absent"]
    assert absent == Row("whole way on absent", "no such backend here: install it", "", "not run")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["ok", "-", "not run"], 0), (["ok", "MISSED", "not run"], 1), (["not run", "not run"], 3)],
)
def test_the_exit_code_tells_kept_missed_and_not_run_apart(verdicts: list[str], code: int) -> None:
    assert exit_code([Row("a", "b", "", verdict) for verdict in verdicts]) == code  # type: ignore[arg-type]


def test_a_measurement_that_breaks_does_not_keep_the_others() -> None:
    assert attempt("part", lambda: [Row("part", "1")]) == [Row("part", "1")]
    assert attempt("part", lambda: [Row("part", str(1 // 0))])[0].verdict == "MISSED"
