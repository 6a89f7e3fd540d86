"""Build profiles by input shapes, and the use of TensorRT's timing cache, with stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.errors import EngineBuildError
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder, build_plan, shapes_for
from sightd.engines.sessions.tensorrt.names import Flavour
from tests.support import fake_tensorrt

BATCH = BatchRange(1, 4, 16)


@pytest.mark.parametrize(("text", "batch"), [("1:4:16", BATCH), ("8", BatchRange(1, 8, 8)), ("1", BatchRange())])
def test_a_batch_range_is_read_as_written(text: str, batch: BatchRange) -> None:
    assert BatchRange.parse(text) == batch
    assert BatchRange.parse(str(batch)) == batch


@pytest.mark.parametrize("text", ["", "x", "0", "4:1:16", "1:2", "1:2:3:4", "-1"])
def test_a_batch_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"batch range|invalid literal"):
        BatchRange.parse(text)


def test_the_first_axis_is_the_batch() -> None:
    assert shapes_for("images", (-1, 3, 8, 8), BATCH, {}) == ((1, 3, 8, 8), (4, 3, 8, 8), (16, 3, 8, 8))


def test_an_input_without_an_open_axis_needs_no_profile() -> None:
    assert shapes_for("images", (1, 3, 8, 8), BATCH, {}) is None


def test_other_open_axes_are_what_was_stated() -> None:
    shapes = shapes_for("images", (-1, 3, -1, -1), BATCH, {"images": (3, 64, 96)})
    assert shapes == ((1, 3, 64, 96), (4, 3, 64, 96), (16, 3, 64, 96))
    assert shapes_for("images", (1, -1), BATCH, {"images": (7,)}) == ((1, 7), (1, 7), (1, 7))


@pytest.mark.parametrize(
    ("sizes", "told"),
    [({}, "give its size"), ({"images": (3, 64)}, "give its size"), ({"images": (4, 64, 64)}, "does not accept")],
)
def test_an_open_axis_that_nobody_states_is_reported(sizes: dict[str, tuple[int, ...]], told: str) -> None:
    with pytest.raises(EngineBuildError, match=told):
        shapes_for("images", (-1, 3, -1, -1), BATCH, sizes)


def order(folder: Path, flavour: Flavour = Flavour.TENSORRT) -> BuildOrder:
    return BuildOrder(folder / "net.onnx", flavour, timing_cache=folder / "cache" / "timing")


def build(wanted: BuildOrder) -> bytes:
    return build_plan(fake_tensorrt.flavoured(wanted.flavour), wanted, lambda phase, done, total: None)


def test_a_timing_cache_is_made_and_then_used_again(tmp_path: Path) -> None:
    wanted = order(tmp_path)
    assert wanted.timing_cache is not None
    assert build(wanted) == b"plan"
    assert wanted.timing_cache.read_bytes() == b"+"
    build(wanted)
    assert wanted.timing_cache.read_bytes() == b"++"
    assert [path.name for path in wanted.timing_cache.parent.iterdir()] == ["timing"]


def test_a_timing_cache_of_another_card_is_not_used(tmp_path: Path) -> None:
    wanted = order(tmp_path)
    assert wanted.timing_cache is not None
    wanted.timing_cache.parent.mkdir()
    wanted.timing_cache.write_bytes(b"other card")
    build(wanted)
    assert wanted.timing_cache.read_bytes() == b"+"


def test_tensorrt_for_rtx_times_nothing(tmp_path: Path) -> None:
    wanted = order(tmp_path, Flavour.RTX)
    build(wanted)
    assert not list(tmp_path.iterdir())


def test_a_build_that_gives_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_tensorrt.Builder, "build_serialized_network", lambda *_: None)
    with pytest.raises(EngineBuildError, match=r"TensorRT 11.4.0.106 cannot build net.onnx: no reason given"):
        build(order(tmp_path))
