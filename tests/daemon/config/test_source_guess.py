"""Sources without a scheme that were meant to be URLs."""

from __future__ import annotations

import pytest

from sightd.daemon.config.checks import address_meant


@pytest.mark.parametrize(
    "source",
    [
        "10.0.0.7/stream",
        "10.0.0.7",
        "rtsp//x/y",
        "rtsp:/x/y",
        "rtps:x",
        "user:pw@10.0.0.7/s",
        "camera.lan/1",
        "host:554/x",
    ],
)
def test_what_looks_like_a_cameras_address_gets_its_form(source: str) -> None:
    assert address_meant(source) in ("rtsp://HOST/PATH", "rtsps://HOST/PATH")


@pytest.mark.parametrize("source", ["testpattern", "testpattern:", "testpatern:/"])
def test_the_test_pattern_is_known_without_its_slashes(source: str) -> None:
    assert address_meant(source) == "testpattern://"


@pytest.mark.parametrize(
    "source", ["x", "clips/bikes.mp4", "clips.old/bikes.mp4", "./10.0.0.7/x", "/srv/a@b/c", "a.mp4"]
)
def test_a_files_path_is_left_alone(source: str) -> None:
    assert address_meant(source) is None
