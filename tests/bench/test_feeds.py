"""The feeds of `python -m bench.gpu`, here on the CPU: every frame is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.gpu.feeds import Kept, Load, measured, rows
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.tensorrt.verify import reference_pictures
from tests.support.device_engine import pixel_network


def engine(folder: Path) -> Engine:
    model = pixel_network(folder / "pixels.onnx")
    return Engine(model, OnnxRuntimeSession(folder / "pixels.onnx", threads=1), "the only one")


def test_each_number_of_feeds_offers_all_its_pictures_and_times_those_analysed(tmp_path: Path) -> None:
    found = list(measured(engine(tmp_path), reference_pictures(2), Load([1, 3], (64, 32), 0.2), kept_from=0))
    assert [kept.feeds for kept in found] == [1, 3]
    for kept in found:
        assert kept.offered == kept.feeds * 6
        assert 1 <= len(kept.times) <= kept.offered
        assert min(kept.times) > 0
        assert kept.elapsed >= 5 / 30


def test_more_feeds_are_not_tried_where_fewer_are_not_kept_up_with(tmp_path: Path) -> None:
    load = Load([1, 2, 3], (64, 32), 0.1)
    found = list(measured(engine(tmp_path), reference_pictures(1), load, kept_from=1.1))
    assert [kept.feeds for kept in found] == [1], "no share is as large as that"


def test_the_rows_say_what_ran_how_fast_and_how_late_and_why_they_end(tmp_path: Path) -> None:
    *feeds, end = rows(engine(tmp_path), reference_pictures(1), Load([1, 2], (64, 32), 0.1))
    assert feeds[0].what == "pixels on onnxruntime-cpu fp32: 1 feeds of 64x32 at 30 fps"
    assert "pictures/s" in feeds[0].figure
    assert end.what == "pixels on onnxruntime-cpu fp32: end of the feeds"
    assert end.figure.startswith(f"{len(feeds)} feed"), "those that were tried last"


def test_late_and_lost_pictures_show_in_the_figure() -> None:
    kept = Kept(2, offered=200, elapsed=2.0, times=[0.01] * 90 + [0.1] * 10)
    assert kept.figure() == "50 pictures/s, 50 % of all, 100 dropped, p50 10.0 ms, p95 100.0 ms"
    assert Kept(1, 10, 1.0, []).figure() == "no picture was analysed, 10 dropped"
    assert ", 0 dropped, " in Kept(1, 10, 1.0, [0.01] * 10).figure()


@pytest.mark.parametrize(
    ("feeds", "analysed", "told"),
    [
        (64, 1000, "64 feeds: no more were asked for"),
        (64, 950, "64 feeds: no more were asked for"),
        (64, 949, "64 feeds: only 94 % were analysed, below 95 %"),
        (1, 810, "1 feed: only 81 % were analysed, below 95 %"),
        (1, 0, "1 feed: only 0 % were analysed, below 95 %"),
    ],
)
def test_the_end_is_the_last_number_asked_for_or_the_first_not_kept_up_with(
    feeds: int, analysed: int, told: str
) -> None:
    assert Kept(feeds, offered=1000, elapsed=1.0, times=[0.01] * analysed).ending() == told
