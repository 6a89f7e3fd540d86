"""Which GPUs exist, detected without CUDA."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.cuda.gpus import RoundRobin, gpu_count, no_gpu
from sightd.engines.errors import BackendUnavailableError


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a machine with three GPUs."""
    for address in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / "driver/nvidia/gpus" / address).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 3),
        ("0,2", 2),
        ("1", 1),
        ("GPU-5f,GPU-7a,", 2),
        ("MIG-1", 1),
        ("0,1,2,3,4", 3),
        ("", 0),
        ("-1", 0),
        (" ", 0),
        ("none", 0),
        ("0,-1,1", 1),
        ("5", 0),
        ("1, 0", 2),
    ],
)
def test_those_that_the_environment_leaves_visible_count(proc: Path, visible: str | None, count: int) -> None:
    assert gpu_count({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}, proc) == count


def test_where_the_driver_lists_none_there_is_one_to_be_tried(tmp_path: Path) -> None:
    assert gpu_count({}, tmp_path) == 1


@pytest.mark.parametrize(("visible", "count"), [("2", 1), ("0,1", 1), ("", 0), ("-1", 0)])
def test_without_the_drivers_list_the_environment_can_only_hide(tmp_path: Path, visible: str, count: int) -> None:
    assert gpu_count({"CUDA_VISIBLE_DEVICES": visible}, tmp_path) == count


def test_gpus_that_the_environment_hides_are_reported_as_hidden(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert no_gpu(tmp_path, {"CUDA_VISIBLE_DEVICES": "0"}) is None
    for hidden in ("", "-1"):
        problem = no_gpu(tmp_path, {"CUDA_VISIBLE_DEVICES": hidden}) or ""
        assert f"CUDA_VISIBLE_DEVICES={hidden!r} hides them" in problem
    with pytest.raises(BackendUnavailableError, match="no NVIDIA GPU is visible"):
        RoundRobin(0).next()


def test_each_next_network_comes_onto_the_next_gpu() -> None:
    spread = RoundRobin(3)
    assert [spread.next() for _ in range(4)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]


def test_a_machine_without_the_driver_has_no_gpu(tmp_path: Path) -> None:
    assert no_gpu(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert no_gpu(tmp_path, {}) is None
