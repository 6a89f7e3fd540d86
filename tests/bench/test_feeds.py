"""The feeds of `python -m bench.gpu`, here on the CPU: every picture is accounted for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bench.gpu.feeds import Kept, Load, measured, rows
from engines.engine import Engine
from engines.onnx_session import OnnxRuntimeSession
from engines.session import Tensor
from engines.trt.reference import reference_pictures
from tests.support.device_engine import pixel_network


def engine(folder: Path) -> Engine:
    model = pixel_network(folder / "pixels.onnx")
    return Engine(model, OnnxRuntimeSession(folder / "pixels.onnx", threads=1), "the only one")


def test_each_number_of_feeds_offers_all_its_pictures_and_times_those_analysed(tmp_path: Path) -> None:
    found = list(measured(engine(tmp_path), reference_pictures(2), Load([1, 3], (64, 32), 0.2)))
    assert [kept.feeds for kept in found][:1] == [1]
    for kept in found:
        assert kept.offered == kept.feeds * 6
        assert kept.feeds <= len(kept.times) <= kept.offered
        assert min(kept.times) > 0
        assert kept.elapsed >= 5 / 30


class Slow(OnnxRuntimeSession):
    """Takes a tenth of a second, so that two threads do twenty pictures a second."""

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        time.sleep(0.1)
        return super().run(inputs)


def test_more_feeds_are_not_tried_where_fewer_are_not_kept_up_with(tmp_path: Path) -> None:
    slow = Engine(pixel_network(tmp_path / "pixels.onnx"), Slow(tmp_path / "pixels.onnx", threads=1), "the only one")
    found = list(measured(slow, reference_pictures(1), Load([4, 8], (64, 32), 0.5)))
    assert [kept.feeds for kept in found] == [4]
    assert found[0].share < 0.95


def test_the_rows_say_what_ran_how_fast_and_how_late(tmp_path: Path) -> None:
    (row,) = rows(engine(tmp_path), reference_pictures(1), Load([2], (64, 32), 0.1))
    assert row.what == "pixels on onnxruntime-cpu fp32: 2 feeds of 64x32 at 30 fps"
    assert "pictures/s" in row.figure


def test_late_and_lost_pictures_show_in_the_figure() -> None:
    kept = Kept(2, offered=200, elapsed=2.0, times=[0.01] * 90 + [0.1] * 10)
    assert kept.figure() == "50 pictures/s, 50% of all, p50 10.0 ms, p95 100.0 ms"
    assert Kept(1, 10, 1.0, []).figure() == "no picture was analysed"
