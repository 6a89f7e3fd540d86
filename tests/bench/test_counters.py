"""Counters read from the daemon's /metrics."""

from __future__ import annotations

from bench.pipeline.daemon_process import Counters

EARLIER = """# TYPE sightd_frames_total counter
sightd_frames_total{camera="cam0",stage="captured"} 10.0
sightd_frames_total{camera="cam1",stage="captured"} 20.0
sightd_frames_total{camera="cam0",stage="shown"} 0.0
"""
LATER = """# TYPE sightd_frames_total counter
sightd_frames_total{camera="cam0",stage="captured"} 15.0
sightd_frames_total{camera="cam1",stage="captured"} 27.0
sightd_frames_total{camera="cam0",stage="shown"} 0.0
sightd_frames_total{camera="cam1",stage="shown"} 3.0
"""


def test_a_total_adds_all_series_that_have_the_labels() -> None:
    counters = Counters.parse(EARLIER)
    assert counters.total("sightd_frames_total", stage="captured") == 30
    assert counters.total("sightd_frames_total", camera="cam1") == 20
    assert counters.total("sightd_frames_dropped_total") == 0


def test_growth_counts_a_new_series_from_nothing() -> None:
    grown = Counters.parse(LATER).since(Counters.parse(EARLIER))
    assert grown.by_labels("sightd_frames_total", "camera", "stage") == {
        ("cam0", "captured"): 5,
        ("cam1", "captured"): 7,
        ("cam1", "shown"): 3,
    }


def test_sums_by_one_label_take_all_others_together() -> None:
    assert Counters.parse(LATER).by_labels("sightd_frames_total", "stage") == {("captured",): 42, ("shown",): 3}
