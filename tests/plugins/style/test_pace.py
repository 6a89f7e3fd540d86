"""The painted picture becomes smaller where time is short, and larger where there is room, without hunting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plugins.style.pace import Pace, size_for


def driven(took: Callable[[int], float], fps: float = 25.0, frames: int = 600, most: int = 360) -> list[int]:
    """The lines of each frame, where a painting of so many lines takes `took` seconds."""
    pace, seen = Pace.new(128, most), []
    for n in range(frames):
        seen.append(pace.lines)
        pace = pace.after(took(pace.lines), n / fps)
    return seen


@pytest.mark.parametrize("speed", [2e-7, 5e-7, 1e-6, 1.9e-6])
def test_the_cameras_rate_is_kept_with_the_largest_picture_that_allows_it(speed: float) -> None:
    def took(lines: int) -> float:
        return speed * lines * lines

    settled = driven(took)[-100:]
    assert max(took(lines) for lines in settled) <= 0.9 / 25
    larger = min(settled[-1] + 32, 360)
    assert settled[-1] >= 352 or took(larger) > 0.6 / 25
    assert max(settled) - min(settled) <= 16, "it does not hunt"


def test_it_never_goes_below_the_least_or_above_the_most() -> None:
    assert set(driven(lambda _: 5.0)[-50:]) == {128}
    assert set(driven(lambda _: 1e-4)[-50:]) == {352}


def test_another_plug_in_that_takes_the_processor_makes_it_smaller_and_its_end_larger() -> None:
    pace = Pace.new(128, 360)
    seen = []
    for n in range(900):
        busy = 3.0 if 300 <= n < 600 else 1.0
        seen.append(pace.lines)
        pace = pace.after(3e-7 * busy * pace.lines**2, n / 25)
    assert seen[590] < seen[290]
    assert seen[899] >= seen[290] - 16


def test_an_outage_is_no_rate() -> None:
    pace = Pace.new(128, 360)
    for n in range(50):
        pace = pace.after(0.02, n / 25)
    after = pace.after(0.02, 1000.0)
    assert after.interval == pytest.approx(pace.interval)


@pytest.mark.parametrize(
    ("frame", "lines", "size"),
    [
        ((640, 360), 180, (320, 176)),
        ((1920, 1080), 256, (448, 256)),
        ((320, 180), 360, (320, 176)),
        ((64, 48), 32, (40, 32)),
    ],
)
def test_the_networks_picture_is_of_the_frames_form(frame: tuple[int, int], lines: int, size: tuple[int, int]) -> None:
    assert size_for(*frame, lines) == size
