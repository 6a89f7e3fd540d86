"""The painted image shrinks when time is short and grows when there is room, without oscillating."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sightd.plugins.style.pace import Pace, size_for


def driven(took: Callable[[int], float], fps: float = 25.0, frames: int = 600, most: int = 360) -> list[int]:
    """Returns the number of lines of each frame; `took(lines)` is the time in s to paint so many lines."""
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
    assert settled[-1] >= 352 or took(larger) > 0.7 / 25
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


def live(
    took: Callable[[float, int], float],
    *,
    feeds: int = 1,
    fps: float = 25.0,
    seconds: float = 40.0,
    max_fps: float | None = None,
) -> tuple[list[int], float]:
    """Simulates cameras that are painted in turns: the newest frame is taken, others are skipped. Returns the final
    numbers of lines, and the frames painted per camera and second in the last 10 s; `took(now, lines)` is in s."""
    paces = [Pace.new(128, 360, max_fps) for _ in range(feeds)]
    last, now, painted = [-1] * feeds, 0.0, list[float]()
    while now < seconds:
        for n in range(feeds):
            seq = int(now * fps)
            due = last[n] < 0 or not max_fps or (seq - last[n]) / fps >= 1 / max_fps - 1e-9
            if seq > last[n] and due:
                spent = took(now, paces[n].lines)
                now += spent
                paces[n], last[n] = paces[n].after(spent, seq / fps, seq, feeds), seq
                painted.append(now)
        now += 0.001
    return [pace.lines for pace in paces], sum(at > seconds - 10 for at in painted) / 10 / feeds


@pytest.mark.parametrize("feeds", [1, 2, 3])
def test_cameras_that_are_painted_in_turns_keep_their_rates_together(feeds: int) -> None:
    lines, rate = live(lambda _, lines: 3e-7 * lines**2, feeds=feeds)
    assert rate > 23
    assert min(lines) >= 128
    assert max(lines) - min(lines) <= 32


def test_frames_that_were_left_out_do_not_pass_for_a_slower_camera() -> None:
    """At a size that takes two frame intervals, every second frame is skipped, so the size must shrink."""
    lines, rate = live(lambda _, lines: 1.2e-6 * lines**2)
    assert rate > 23
    assert lines[0] < 180


def test_the_rate_is_held_while_something_else_takes_half_the_processor() -> None:
    alone, fast = live(lambda _, lines: 6e-7 * lines**2)
    beside, still_fast = live(lambda now, lines: 6e-7 * lines**2 * (2 if now > 15 else 1))
    assert min(fast, still_fast) > 23
    assert beside[0] < 0.85 * alone[0]
    again, _ = live(lambda now, lines: 6e-7 * lines**2 * (2 if now < 15 else 1))
    assert again[0] >= alone[0] - 32


def test_where_fewer_frames_are_asked_for_there_is_time_for_larger_ones() -> None:
    every, _ = live(lambda _, lines: 1e-6 * lines**2)
    fewer, rate = live(lambda _, lines: 1e-6 * lines**2, max_fps=5)
    assert rate == pytest.approx(5, abs=0.5)
    assert fewer[0] > 1.3 * every[0]


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
