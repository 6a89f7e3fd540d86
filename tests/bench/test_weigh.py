"""Bare stages are weighed by what the daemon did."""

from __future__ import annotations

import pytest

from bench.pipeline.weigh import PER_STAGE, Window, mean_costs, merged, weighed

HALF_ANALYSED = Window(10, 5.0, {"captured": 260.0, "analysed": 125.0, "shown": 250.0, "encoded": 250.0})


def test_a_picture_costs_what_the_process_used_for_all_that_were_shown() -> None:
    assert HALF_ANALYSED.cpu_per_shown == pytest.approx(20.0)
    assert HALF_ANALYSED.rate("shown") == pytest.approx(25.0)


def test_each_stage_counts_as_often_as_the_daemon_did_it() -> None:
    rows = {row.stage: row for row in weighed(dict.fromkeys(PER_STAGE, 10.0), HALF_ANALYSED)}
    assert rows["network"].per_frame == pytest.approx(5.0)
    assert rows["x264"].per_frame == pytest.approx(10.0)
    assert rows["decode"].per_frame == pytest.approx(10.4)


def test_windows_add_up() -> None:
    both = merged([HALF_ANALYSED, Window(5, 2.5, {"shown": 125.0, "captured": 125.0})])
    assert both.cpu_per_shown == pytest.approx(20.0)
    assert both.frames["analysed"] == 125.0


def test_costs_of_several_runs_are_averaged_by_stage() -> None:
    assert mean_costs([{"draw": 1.0, "x264": 4.0}, {"draw": 3.0, "x264": 6.0}]) == {"draw": 2.0, "x264": 5.0}
